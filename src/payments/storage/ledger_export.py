"""Reading the ledger out as a journal, of one snapshot, in as much memory for ten million transfers as for ten."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, cast

from payments.ledger.journals import Journal, JournalAccount, JournalTransfer
from payments.storage.database import Connection
from payments.storage.sql import queries

_SQL = queries("ledger_export.sql")
_ROWS_AT_ONCE = 2_000
_SECONDS_MAX = 3600.0
EVER = 2**53
"""Unix seconds: later than any."""


class UnknownAccountError(Exception):
    """No account is called so."""

    def __init__(self, title: str, known: Sequence[str]) -> None:
        super().__init__(f"There is no account {title!r}. There are: {', '.join(known) or 'none'}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What of the ledger is read out."""

    livemode: bool = False
    since: int = 0
    """Unix seconds, inclusive."""
    until: int = EVER
    """Unix seconds, exclusive."""
    account: str | None = None
    """A holder, `merchant:1`, or one account of it, `merchant:1:available`; None: all."""


@dataclass(frozen=True, slots=True)
class _Known:
    account: JournalAccount
    posted: int
    held: int


async def export_journal(connection: Connection, journal: Journal, selection: Selection) -> AsyncGenerator[str]:
    """Return the journal, piece by piece; raises `UnknownAccountError`.

    What begins later than the ledger begins with balances; what goes on until now ends with those that Tap keeps, for whoever reads it to compare.
    """
    async with connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        known = await _accounts(connection, selection.livemode)
        chosen = _chosen(known, selection.account)
        for line in journal.begin([each.account for each in known.values()]):
            yield line
        if selection.since > 0:
            for line in journal.opening(_day(selection.since), await _balances_before(connection, known, chosen, selection.since)):
                yield line
        last = selection.since
        arguments = (chosen, selection.since, selection.until)
        driver: Any = connection  # it isn't typed
        async for row in driver.cursor(_SQL["transfers"], *arguments, prefetch=_ROWS_AT_ONCE, timeout=_SECONDS_MAX):
            last = cast("int", row["occurred_at"])
            debit, credit = known[row["debit_account"]].account, known[row["credit_account"]].account
            yield journal.transfer(
                JournalTransfer(row["posting"], row["kind"], row["phase"], debit, credit, row["amount"], row["currency"], last)
            )
        if selection.until == EVER:
            for line in journal.closing(_day(last), _balances_now(known, chosen)):
                yield line


async def _accounts(connection: Connection, livemode: bool) -> dict[int, _Known]:
    return {
        row["id"]: _Known(JournalAccount(row["holder"], row["kind"], row["currency"], row["normal_side"]), row["posted"], row["held"])
        for row in await connection.fetch(_SQL["accounts"], livemode)
    }


def _chosen(known: dict[int, _Known], title: str | None) -> list[int]:
    chosen = [number for number, each in known.items() if title in (None, each.account.holder, each.account.title)]
    if title is not None and not chosen:
        raise UnknownAccountError(title, sorted({each.account.title for each in known.values()}))
    return chosen


async def _balances_before(
    connection: Connection, known: dict[int, _Known], chosen: Sequence[int], moment: int
) -> dict[tuple[str, str], int]:
    rows = await connection.fetch(_SQL["sums_before"], chosen, moment, timeout=_SECONDS_MAX)
    found = ((known[row["account_id"]].account, row["is_posted"], row["amount"]) for row in rows)
    return dict(sorted(((account.name(held=not posted), account.currency), amount) for account, posted, amount in found if amount))


def _balances_now(known: dict[int, _Known], chosen: Sequence[int]) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for each in (known[number] for number in chosen):
        found[each.account.name(held=False), each.account.currency] = each.posted
        found[each.account.name(held=True), each.account.currency] = each.held
    return found


def _day(unix_seconds: int) -> date:
    return datetime.fromtimestamp(unix_seconds, UTC).date()
