"""Reconciling an acquirer's settlement file with the ledger: its lines are staged, compared with what is booked by one statement, and booked in batches.

Nothing is booked before all of the file was read and its end found right. Then each batch is a transaction of its own, with its lines and their transfers:
after a crash the same file goes on where it was. A line is booked once, and what is booked here is settled once, by unique keys.
"""

import datetime
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

import msgspec
from msgspec import Struct

from payments.domain.settlement import (
    UNTIL_SETTLED,
    LineKind,
    MatchClass,
    RefusedLine,
    SettlementFile,
    SettlementHeader,
    SettlementLine,
)
from payments.ledger.chart import Account, AccountKind, acquirer_account, platform_account
from payments.runtime.ids import first_id_from, made_at
from payments.storage.accounts import Accounts
from payments.storage.availability import availability_of, post, touched_by
from payments.storage.commit import write_selected
from payments.storage.database import Connection, Row, found
from payments.storage.sql import queries

_SQL = queries("settlement.sql")
_BATCH = 10_000
"""Lines of a transaction: what it does to the acquirer's balances, payments wait for, a few milliseconds."""
_RELEASED = 2_000
_CHUNK = 4_096
_PAGE = 5_000
_LOOK_BACK_SECONDS = 35 * 24 * 3600
"""How long before the days of a file what it settles may have been booked. The longest hold lasts 30 days."""
_CLOCKS_SECONDS = 3600
"""By how much ids of two machines may be apart, at most."""
_DAY_SECONDS = 24 * 3600
REFUSED_SHOWN_MAX = 1_000


class NotReconciled(Exception):
    """A file can't be held against the books at all; the message says why, in one line."""


class CopyConnection(Connection, Protocol):
    """A connection that takes rows as text."""

    async def copy_to_table(self, table_name: str, *, source: AsyncIterator[bytes], columns: Sequence[str]) -> str:
        """Copy rows in PostgreSQL's text format into a table."""
        ...


class ClassTotal(Struct, frozen=True, kw_only=True):
    """How many there are of a class in a currency, and what they come to."""

    class_: MatchClass = msgspec.field(name="class")
    currency: str
    count: int
    amount: int
    """Minor units: what the acquirer says, before its fees; of what it hasn't, what we say."""
    fee: int


@dataclass(slots=True, kw_only=True)
class Reconciled:
    """What became of a file."""

    header: SettlementHeader
    acquirer: str
    livemode: bool
    booked: bool
    """Whether it is booked by now; not where its end is wrong, or nobody wanted it to be."""
    faults: list[str]
    classes: list[ClassTotal] = field(default_factory=list[ClassTotal])
    refused: list[RefusedLine] = field(default_factory=list[RefusedLine])
    """The first of them."""
    refused_count: int = 0

    @property
    def all_matched(self) -> bool:
        """Whether file and books agree."""
        return not self.faults and not self.refused_count and all(each.class_ is MatchClass.MATCHED for each in self.classes)


class Difference(Struct, frozen=True, kw_only=True):
    """Something that file and books don't agree about; amounts in minor units, signed."""

    number: int | None
    """The line; None: the file has none."""
    id: int | None
    """Under which it is resolved; None: nothing of it is in suspense."""
    class_: MatchClass = msgspec.field(name="class")
    kind: LineKind
    reference: str
    acquirer_reference: str | None
    there: int | None
    there_currency: str | None
    here: int | None
    here_currency: str | None
    state: str
    """`open`, how it was resolved, or that it isn't booked."""


async def mode_of(connection: Connection, acquirer: str) -> bool:
    """Return whether an acquirer takes live payments; raises `NotReconciled` when nothing is booked with it."""
    modes = [row["livemode"] for row in await connection.fetch(_SQL["modes"], acquirer)]
    if not modes:
        raise NotReconciled(f"Nothing is booked with an acquirer {acquirer}: give its name in acquirers.toml with --acquirer.")
    if len(modes) > 1:
        raise NotReconciled(f"The acquirer {acquirer} has payments of both modes: a name is one acquirer's, of one mode.")
    return bool(modes[0])


async def reconcile(connection: Connection, file: SettlementFile, acquirer: str, *, book: bool, now: int) -> Reconciled:
    """Hold a file against the books, and book it unless its end is wrong; `now`, unix seconds.

    For a connection of its own, as the database's owner: what was found stays in it, for `differences`. Raises `NotReconciled`.
    """
    livemode = await mode_of(connection, acquirer)
    await connection.execute(_SQL["begin"])
    result = Reconciled(header=file.header, acquirer=acquirer, livemode=livemode, booked=False, faults=[])
    await cast("CopyConnection", connection).copy_to_table("staged", source=_staged(file, result), columns=_COLUMNS)
    result.faults = list(file.faults)
    run = _Run(connection, Accounts(connection), result, now)
    await connection.execute(_SQL["lock"], acquirer)
    await run.compare(book=book and not result.faults, digest=file.digest)
    return result


async def differences(connection: Connection) -> AsyncGenerator[Difference]:
    """Return what was found by `reconcile` on this connection and isn't matched, in the order of the file; then what it hasn't."""
    position = 0
    while rows := await connection.fetch(_SQL["reported"], position, _PAGE):
        for row in rows:
            yield msgspec.convert({name: value for name, value in dict(row).items() if name != "position"}, Difference)
        position = rows[-1]["position"]


_COLUMNS = ("number", "kind", "acquirer_reference", "reference", "amount", "fee", "currency", "value_date")


async def _staged(file: SettlementFile, result: Reconciled) -> AsyncGenerator[bytes]:
    """Return the lines as PostgreSQL's COPY takes them; none of their texts has anything in it that would have to be escaped."""
    chunk: list[str] = []
    for line in file.lines():
        if isinstance(line, SettlementLine):
            chunk.append(
                f"{line.number}\t{line.kind}\t{line.acquirer_reference}\t{line.reference}\t{line.signed}\t{line.fee}\t{line.currency}\t{line.value_date}\n"
            )
            if len(chunk) == _CHUNK:
                yield "".join(chunk).encode()
                chunk.clear()
        else:
            result.refused_count += 1
            if len(result.refused) < REFUSED_SHOWN_MAX:
                result.refused.append(line)
    if chunk:
        yield "".join(chunk).encode()


@dataclass(frozen=True, slots=True)
class _Run:
    """One comparison, under the acquirer's lock."""

    connection: Connection
    accounts: Accounts
    result: Reconciled
    now: int

    @property
    def _whose(self) -> tuple[str, bool]:
        return self.result.acquirer, self.result.livemode

    async def compare(self, *, book: bool, digest: bytes) -> None:
        """Compare what was staged with the books, book it, and count."""
        connection, header = self.connection, self.result.header
        begin = _day_begins(header.first_day)
        # What was booked after the file was made, its acquirer may have approved after that, too: the next file has it.
        until = min(_day_begins(header.last_day) + _DAY_SECONDS - 1, int(header.created.timestamp()))
        await self._gather(begin)
        file: int | None
        if book:
            explained = await self._explain()
            file = await connection.fetchval(_SQL["open_file"], *self._whose, header.reference, header.first_day, header.last_day, digest)
        else:
            explained = []
            file = await connection.fetchval(_SQL["known_file"], *self._whose, header.reference)
        await connection.execute(_SQL["classify"], *self._whose, file)
        await connection.execute(_SQL["expect"], begin, until)
        await connection.execute(_SQL["book_statistics"])
        if book and file is not None:
            await self._book(file, explained)
            self.result.booked = True
        await self._report(file)

    async def _gather(self, begin: int) -> None:
        """Gather what is booked, from the oldest that the file may be about."""
        oldest: str | None = await self.connection.fetchval(_SQL["oldest_reference"], *self._whose)
        since = begin if oldest is None else max(min(begin, made_at(oldest)), begin - _LOOK_BACK_SECONDS)
        receivables = [row["id"] for row in await self.connection.fetch(_SQL["receivables"], *self._whose)]
        await self.connection.execute(_SQL["gather"], first_id_from("txn", int(since) - _CLOCKS_SECONDS), receivables)
        await self.connection.execute(_SQL["settle_statistics"])

    async def _explain(self) -> list[int]:
        """Resolve what was missing here and is booked by now; returns those differences."""
        async with self.connection.transaction():
            explained = [row["id"] for row in await self.connection.fetch(_SQL["explain"], *self._whose)]
            if explained:
                currencies = [row["currency"] for row in await self.connection.fetch(_SQL["receivables"], *self._whose)]
                await self._post(await self._accounts_of(currencies), explained)
        return explained

    async def _book(self, file: int, explained: Sequence[int]) -> None:
        extent = (await self.connection.fetch(_SQL["extent"]))[0]
        accounts = await self._accounts_of(extent["currencies"])
        for first in range(1, extent["lines"] + 1, _BATCH):
            async with self.connection.transaction():
                last = (await self.connection.fetch(_SQL["last_ids"]))[0]
                await self.connection.execute(_SQL["book_lines"], file, *self._whose, first, first + _BATCH - 1)
                await self.connection.execute(_SQL["open_differences"], file, last["line"])
                brought = [row["id"] for row in await self.connection.fetch(_SQL["bring"], file, last["line"])]
                await self._post(accounts, brought, file, last)
        for first in range(1, extent["expected"] + 1, _BATCH):
            async with self.connection.transaction():
                last = (await self.connection.fetch(_SQL["last_ids"]))[0]
                await self.connection.execute(_SQL["open_missing"], file, *self._whose, first, first + _BATCH - 1)
                await self._post(accounts, [], file, last)
        await self._release(file, explained)
        await self.connection.execute(_SQL["complete_file"], file)

    async def _post(self, accounts: str, resolved: Sequence[int], file: int | None = None, last: Row | None = None) -> None:
        """Post what was just written of a file, after the ids in `last`, and what was just resolved. One statement, which locks all balances at once, and last."""
        line, difference = (0, 0) if last is None else (last["line"], last["difference"])
        await write_selected(self.connection, "transfers", _SQL["transfers"], accounts, file, line, difference, list(resolved), self.now)

    async def _release(self, file: int, explained: Sequence[int]) -> None:
        """Make available what waited for its settlement."""
        if not await self.connection.fetchval(_SQL["waiting"], UNTIL_SETTLED):
            return
        lines = (await self.connection.fetch(_SQL["lines_of"], file))[0]
        await release_settled(self.connection, self.accounts, *self._whose, (1, 0), explained, self.now)
        for first in range(lines["first"], lines["last"] + 1, _RELEASED):
            last = min(first + _RELEASED - 1, lines["last"])
            await release_settled(self.connection, self.accounts, *self._whose, (first, last), [], self.now)

    async def _accounts_of(self, currencies: Sequence[str]) -> str:
        """Return the accounts that are posted to, by currency; opens those that are new."""
        return await accounts_of(self.accounts, *self._whose, currencies)

    async def _report(self, file: int | None) -> None:
        connection, result = self.connection, self.result
        await connection.execute(_SQL["report"], *self._whose)
        if file is not None:
            await connection.execute(_SQL["report_missing"], file)
        if not result.booked:
            await connection.execute(_SQL["report_expected"])
        result.classes = [msgspec.convert(dict(row), ClassTotal) for row in await connection.fetch(_SQL["classes"])]


async def accounts_of(accounts: Accounts, acquirer: str, livemode: bool, currencies: Sequence[str]) -> str:
    """Return the accounts that settlements post to, by currency, as their statement takes them; opens those that are new."""

    def of(currency: str) -> dict[str, Account]:
        return {
            **{
                str(kind): acquirer_account(acquirer, livemode, kind, currency)
                for kind in (AccountKind.SETTLED, AccountKind.RECEIVABLE, AccountKind.COSTS)
            },
            **{str(kind): platform_account(livemode, kind, currency) for kind in (AccountKind.SUSPENSE, AccountKind.LOSSES)},
        }

    rows = [
        {"currency": currency, **{kind: await accounts.id_of(account) for kind, account in of(currency).items()}}
        for currency in sorted(currencies)
    ]
    return msgspec.json.encode(rows).decode()


async def release_settled(
    connection: Connection, accounts: Accounts, acquirer: str, livemode: bool, lines: tuple[int, int], resolved: Sequence[int], now: int
) -> None:
    """Make available what waited to be settled by some lines, from the first to the last, and by differences that were resolved."""
    async with connection.transaction():
        taken = found(await connection.fetch(_SQL["take_settled"], acquirer, livemode, UNTIL_SETTLED, now, *lines, list(resolved)))
        transfers = availability_of(taken, now)
        await post(connection, transfers, await accounts.ids_of(touched_by(transfers)))


def _day_begins(day: datetime.date) -> int:
    return int(datetime.datetime.combine(day, datetime.time(), datetime.UTC).timestamp())
