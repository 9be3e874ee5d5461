"""The files that were reconciled, and what of them isn't explained: listed, shown, and resolved by hand."""

import datetime
from collections.abc import AsyncGenerator, Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from payments.domain.settlement import LineKind, MatchClass
from payments.storage.accounts import Accounts
from payments.storage.commit import write_selected
from payments.storage.database import Connection
from payments.storage.settlement import accounts_of, release_settled
from payments.storage.sql import queries

_SQL = queries("settlement.sql")
_PAGE = 1_000

Resolution = Literal["explained", "paid", "written_off"]


class NotOpen(Exception):
    """There is no open difference of that number."""


class ReadFile(Struct, frozen=True, kw_only=True):
    """A file that was read."""

    id: int
    acquirer: str
    livemode: bool
    reference: str
    first_day: datetime.date
    last_day: datetime.date
    received_at: datetime.datetime
    completed_at: datetime.datetime | None
    """None: its booking was interrupted, and goes on when it is read again."""
    differences: int
    open: int


class OpenDifference(Struct, frozen=True, kw_only=True):
    """A difference that isn't explained. Amounts are what the acquirer says less what we say, in minor units."""

    id: int
    acquirer: str
    file: str
    number: int | None
    class_: MatchClass = msgspec.field(name="class")
    kind: LineKind
    reference: str
    amount: int
    currency: str
    opened_at: datetime.datetime


class ShownDifference(OpenDifference, frozen=True, kw_only=True):
    """A difference, whatever became of it."""

    livemode: bool
    acquirer_reference: str | None
    balance_transaction: str | None
    resolution: Resolution | None
    resolved_at: datetime.datetime | None
    resolved_by: str | None
    """The file that brought it."""
    note: str | None


async def read_files(connection: Connection, limit: int) -> list[ReadFile]:
    """Return the newest files."""
    return [msgspec.convert(dict(row), ReadFile) for row in await connection.fetch(_SQL["files"], limit)]


async def open_differences(connection: Connection, acquirer: str | None) -> AsyncGenerator[OpenDifference]:
    """Return what is open, oldest first; of one acquirer or of all."""
    last = 0
    while rows := await connection.fetch(_SQL["open"], acquirer, last, _PAGE):
        for row in rows:
            yield msgspec.convert(dict(row), OpenDifference)
        last = rows[-1]["id"]


async def shown_difference(connection: Connection, difference: int) -> ShownDifference | None:
    """Return a difference."""
    row = await connection.fetchrow(_SQL["shown"], difference)
    return None if row is None else msgspec.convert(dict(row), ShownDifference)


async def resolve_differences(connection: Connection, differences: Sequence[int], how: Resolution, note: str, now: int) -> None:
    """Take differences out of suspense: `paid` to the acquirer's settled account, `written_off` to our losses. All of them or none; `now`, unix seconds.

    Raises `NotOpen`.
    """
    accounts = Accounts(connection)
    async with connection.transaction():
        for difference in sorted(set(differences)):
            row = await connection.fetchrow(_SQL["resolve"], difference, how, note)
            if row is None:
                raise NotOpen(difference)
            acquirer, livemode = row["acquirer"], row["livemode"]
            posted_to = await accounts_of(accounts, acquirer, livemode, [row["currency"]])
            await write_selected(connection, "transfers", _SQL["transfers"], posted_to, None, 0, 0, [difference], now)
            await release_settled(connection, accounts, acquirer, livemode, (1, 0), [difference], now)
