"""The sandbox acquirer's journal, on PostgreSQL.

Its sessions commit without waiting for the disk: whatever outcome follows is committed later in the same log, and a commit is durable only when all that
was logged before it is. So no outcome is ever acknowledged whose journal entry could be lost.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from payments.storage.columns import array
from payments.storage.database import BY_KEY, Pool
from payments.storage.group_commit import GroupCommit
from payments.storage.sql import queries

_SQL = queries("journal.sql")

SESSION_SETTINGS = {**BY_KEY, "synchronous_commit": "off"}
"""For the journal's own pool."""


class _Row(Struct, frozen=True):
    reference: str
    kind: str
    amount: int
    currency: str
    approvals: int
    answer: msgspec.Raw
    fails_at: int | None
    notice: msgspec.Raw | None


class PostgresJournal:
    """A journal in the table `simulator.journal`."""

    def __init__(self, pool: Pool) -> None:
        """`pool` has sessions of its own, opened with `SESSION_SETTINGS`."""
        self._pool = pool
        self._rows: GroupCommit[_Row, str] = GroupCommit(self._write, name="journal")
        self._finds: GroupCommit[str, str | None] = GroupCommit(self._find, name="journal's entries")

    async def record(
        self,
        reference: str,
        *,
        kind: str,
        amount: int,
        currency: str,
        approvals: int,
        answer: bytes,
        fails_at: int | None,
        notice: bytes | None,
    ) -> str | bytes:
        """Write an answer, and what will be told of it later, and return it; for a reference known already, return the first answer instead."""
        return await self._rows.submit(
            _Row(
                reference, kind, amount, currency, approvals, msgspec.Raw(answer), fails_at, None if notice is None else msgspec.Raw(notice)
            )
        )

    async def find(self, reference: str) -> str | bytes | None:
        """Return the answer recorded for a reference."""
        return await self._finds.submit(reference)

    async def failed(self, now: int) -> list[str]:
        """Return the entries that failed until `now` and aren't acknowledged."""
        return [row["answer"] for row in await self._pool.fetch(_SQL["failed"], now)]

    async def acknowledge(self, reference: str) -> None:
        """Report a failure no more."""
        await self._pool.execute(_SQL["acknowledge"], reference)

    async def announce(self, notice: bytes) -> None:
        """Have something told later, once per reference."""
        await self._pool.execute(_SQL["announce"], notice.decode())

    async def due_notices(self, now: int) -> list[str]:
        """Return the notices that are due by `now` and aren't acknowledged."""
        return [row["document"] for row in await self._pool.fetch(_SQL["due_notices"], now)]

    async def acknowledge_notice(self, reference: str) -> None:
        """Tell a notice no more."""
        await self._pool.execute(_SQL["acknowledge_notice"], reference)

    async def _write(self, batch: Sequence[_Row]) -> list[str]:
        unique = {row.reference: row for row in batch}
        found = await self._pool.fetch(_SQL["record"], array(msgspec.json.encode(row) for row in unique.values()))
        recorded: dict[str, str] = {row["reference"]: row["answer"] for row in found}
        return [recorded[row.reference] for row in batch]

    async def _find(self, batch: Sequence[str]) -> list[str | None]:
        found: dict[str, str] = {row["reference"]: row["answer"] for row in await self._pool.fetch(_SQL["find"], list(batch))}
        return [found.get(reference) for reference in batch]
