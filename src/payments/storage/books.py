"""Proving the books: queries that find what must not be. Each returns nothing when all is well."""

import time
from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from payments.runtime.seal import Sealer
from payments.storage.database import Connection, Queries, Row
from payments.storage.seals import prove_all
from payments.storage.sql import queries

_SQL = queries("books.sql")
_FINDINGS_SHOWN = 20
_CHECK_SECONDS_MAX = 3600.0
CHAIN = "broken_chain"
_CHAIN = "each seal is over the transfers that were sealed, and follows from the one before"

CHECKS = {
    "unbalanced_currencies": "Σ debits = Σ credits, per currency",
    "wrong_balances": "each account's balance is the sum of its entries",
    "foreign_transfers": "each transfer stays in one currency and mode",
    "wrong_changes": "each capture, fee and refund has exactly its transfers",
    "unexplained_postings": "each transfer has its balance transaction or attempt",
    "wrong_charges": "each charge agrees with its balance transactions and refunds",
    "over_captured": "nothing was captured beyond what was authorized",
    "over_refunded": "nothing was returned, or is on its way back, beyond what was captured",
    "wrong_columns": "each row's columns agree with its object",
    "forgotten_customers": "no card belongs to a deleted customer",
    "wrong_intents": "each payment intent agrees with its charges",
    "wrong_holds": "each hold in the ledger is a capturable amount",
    "wrong_refunds": "each refund agrees with its balance transactions",
    "wrong_disputes": "each dispute agrees with its balance transactions, its transfers and its charge",
    "over_disputed": "nothing was refunded and disputed beyond what was captured",
    "wrong_reserves": "what is withheld of a merchant is what is disputed and not decided",
    "wrong_payouts": "each payout agrees with its balance transactions",
    "wrong_paid_out": "what was paid out of a merchant's balance is what their payouts say",
    "wrong_sessions": "each checkout session agrees with its payment",
    "events_without_objects": "each event has its object",
    "events_of_hidden_intents": "no event tells of an intent that stands behind a charge",
    "differing_events": "two events of one object and version never differ",
    "double_approvals": "the sandbox acquirer approved nothing twice, and nothing behind our back",
    "foreign_receivables": "what is booked with an acquirer is about its own charges",
    "wrong_settlements": "each settled line has exactly its transfers",
    "wrong_differences": "each difference between files and books was put into suspense, and taken out when it was resolved",
    "wrong_suspense": "what is in suspense is what isn't explained",
    "wrong_receivables": "receivable + settled = captured, per acquirer",
    "wrong_settled": "what acquirers paid and kept is what their files say",
    "early_funds": "what waits for its settlement isn't available before that",
}
"""What is proven, by the query that looks for the opposite."""
SLICED = ("wrong_changes", "wrong_charges")
"""Those that can look at some rows by what belongs to them, at a cost that doesn't grow with the books."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be."""

    check: str
    detail: str


@dataclass(frozen=True, slots=True)
class Check:
    """One check, and what it found."""

    name: str
    sentence: str
    """What is proven when nothing is found."""
    findings: list[str]
    seconds: float = 0.0
    """How long it took."""


@dataclass(frozen=True, slots=True)
class Books:
    """The result of all checks."""

    checks: list[Check]
    counts: dict[str, Any]
    """How many there are of what was checked."""

    @property
    def in_order(self) -> bool:
        """Whether nothing was found."""
        return not any(check.findings for check in self.checks)


class Watch:
    """Is told how far an examination is; does nothing with it."""

    def begins(self, sentence: str) -> None:
        """A check begins."""

    def proved(self, sealed: int, transfers: int) -> None:
        """The chain was proven as far as a number of transfers, of about so many."""

    def ended(self, check: Check) -> None:
        """A check has ended."""


async def examine(connection: Connection, sealer: Sealer | None = None, watch: Watch | None = None) -> Books:
    """Run every check on one snapshot of the database, and count what was checked. Nothing is kept of what was read but the first findings.

    Who made the seals is checked where there is a `sealer`.
    """
    told = watch or Watch()
    async with _snapshot(connection):
        checks = [await _timed(sentence, _check(connection, name), told) for name, sentence in CHECKS.items()]
        counts = await count_checked(connection)
        sentence = _CHAIN if sealer is not None else f"{_CHAIN} (without the key: who signed them isn't checked)"
        checks.append(await _timed(sentence, _check_chain(connection, sealer, counts["transfers"], told), told))
    return Books(checks, dict(counts))


async def find_faults(connection: Connection) -> list[Finding]:
    """Run the checks of `CHECKS` on one snapshot of the database."""
    async with _snapshot(connection):
        found = [await _check(connection, name) for name in CHECKS]
    return [Finding(check.name, detail) for check in found for detail in check.findings]


@asynccontextmanager
async def _snapshot(connection: Connection) -> AsyncGenerator[None]:
    async with connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


async def _timed(sentence: str, check: Awaitable[Check], watch: Watch) -> Check:
    watch.begins(sentence)
    began = time.monotonic()
    ended = await check
    timed = replace(ended, sentence=sentence, seconds=time.monotonic() - began)
    watch.ended(timed)
    return timed


async def _check(connection: Connection, name: str) -> Check:
    """Run one check: of what it finds, the first rows are kept, and the others counted, which is all that leaves the database."""
    rows = await connection.fetch(_SQL["first_findings"].format(check=_SQL[name], limit=_FINDINGS_SHOWN), timeout=_CHECK_SECONDS_MAX)
    findings = [", ".join(f"{key} {value}" for key, value in dict(row).items() if key != "found_in_all") for row in rows]
    return Check(name, CHECKS[name], _summed_up(findings, rows[0]["found_in_all"] if rows else 0))


async def _check_chain(connection: Connection, sealer: Sealer | None, transfers: int, watch: Watch) -> Check:
    findings, found = list[str](), 0
    async for proven in prove_all(connection, sealer):
        findings += proven.faults[: _FINDINGS_SHOWN - len(findings)]
        found += len(proven.faults)
        watch.proved(proven.last.total, transfers)
    return Check(CHAIN, _CHAIN, _summed_up(findings, found))


def _summed_up(findings: list[str], found: int) -> list[str]:
    return findings if found <= _FINDINGS_SHOWN else [*findings, f"… and {found - _FINDINGS_SHOWN} more"]


Key = tuple[int, bool, str]
"""Of a row: merchant, mode, id."""
BEGINNING: Key = (0, False, "")


async def next_slice(connection: Queries, name: str, after: Key, limit: int) -> list[Key]:
    """Return the rows that come after one in a check that is `SLICED`."""
    return [(row["merchant_id"], row["livemode"], row["id"]) for row in await connection.fetch(_SQL[f"slice_of_{name}"], *after, limit)]


async def find_in_slice(connection: Queries, name: str, keys: Sequence[Key]) -> list[str]:
    """Return which of some rows a check finds, on a snapshot of its own."""
    query = _SQL[name].replace("/* slice:", "").replace("*/", "")
    merchants, modes, ids = zip(*keys, strict=True)
    return [row["id"] for row in await connection.fetch(query, list(merchants), list(modes), list(ids))]


async def count_checked(connection: Connection) -> Row:
    """Return how many transfers, charges, refunds and events there are, attempts without an outcome, and transfers under a seal."""
    row = await connection.fetchrow(_SQL["counts"])
    if row is None:
        raise LookupError("the count returned nothing")
    return row


async def account_balances(connection: Connection) -> list[Row]:
    """Return each account's balance and hold, signed so that the account's normal side is positive, in minor units."""
    return await connection.fetch(_SQL["account_balances"])
