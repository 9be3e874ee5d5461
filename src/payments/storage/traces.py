"""The system trace audit numbers of ISO 8583 (`acquirers/iso8583/traces.py`): counted per acquirer, and kept for as long as a message may be repeated or claimed."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec import Struct

from payments.runtime.jobs import Job
from payments.storage.columns import array
from payments.storage.database import Pool, Row
from payments.storage.group_commit import GroupCommit
from payments.storage.sql import queries

_SQL = queries("traces.sql")
_BATCH = 256
_FORGOTTEN_AT_ONCE = 5_000


class _Asked(Struct, frozen=True):
    acquirer: str
    reference: str
    created: int


_Asking = tuple[_Asked, ...]


class PostgresTraces:
    """`Traces` that all copies count together. Messages that are about to be sent at once take one statement."""

    def __init__(self, pool: Pool) -> None:
        """Give numbers through `pool`."""
        self._pool = pool
        self._asked: GroupCommit[_Asking, Mapping[str, int]] = GroupCommit(self._give, name="trace numbers", batch_rows_max=_BATCH)

    async def numbers(self, acquirer: str, created: Mapping[str, int]) -> Mapping[str, int]:
        """Return the numbers of references; those are left out that were begun before numbers were counted."""
        return await self._asked.submit(tuple(_Asked(acquirer, reference, at) for reference, at in created.items()))

    async def _give(self, batch: Sequence[_Asking]) -> list[Mapping[str, int]]:
        asked = {(each.acquirer, each.reference): each for asking in batch for each in asking}
        numbers = _numbers(await self._pool.fetch(_SQL["give"], _rows(asked.values())))
        missing = [each for key, each in asked.items() if key not in numbers]
        if missing:  # somebody else gave them, or they have none
            numbers |= _numbers(await self._pool.fetch(_SQL["kept"], _rows(missing)))
        return [
            {each.reference: numbers[each.acquirer, each.reference] for each in asking if (each.acquirer, each.reference) in numbers}
            for asking in batch
        ]

    def jobs(self) -> list[Job]:
        """Return what is to be done by the clock."""
        return [Job(name="forget trace numbers", work=self.forget, every_seconds=3600, housekeeping=True)]

    async def forget(self) -> int:
        """Forget some numbers that are of no use any more; returns how many."""
        return int((await self._pool.execute(_SQL["forget"], _FORGOTTEN_AT_ONCE)).split()[-1])

    async def close(self) -> None:
        """Wait for what is being given."""
        await self._asked.close()


def _rows(asked: Iterable[_Asked]) -> str:
    return array(msgspec.json.encode(each) for each in asked)


def _numbers(rows: Sequence[Row]) -> dict[tuple[str, str], int]:
    return {(row["acquirer"], row["reference"]): row["number"] for row in rows}
