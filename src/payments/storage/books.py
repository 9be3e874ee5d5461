"""Proving the books: queries that find what must not be. Each returns nothing when all is well."""

from dataclasses import dataclass
from typing import Any

from payments.storage.database import Connection, Row
from payments.storage.sql import queries

_SQL = queries("books.sql")
_FINDINGS_SHOWN = 20

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


async def examine(connection: Connection) -> Books:
    """Run every check, and count what was checked."""
    faults = await find_faults(connection)
    checks = [Check(name, sentence, [fault.detail for fault in faults if fault.check == name]) for name, sentence in CHECKS.items()]
    return Books(checks, dict(await count_checked(connection)))


async def find_faults(connection: Connection) -> list[Finding]:
    """Run every check on one snapshot of the database."""
    findings: list[Finding] = []
    async with connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        for name in CHECKS:
            rows = await connection.fetch(_SQL[name], timeout=600)
            findings += [Finding(name, ", ".join(f"{key} {value}" for key, value in dict(row).items())) for row in rows[:_FINDINGS_SHOWN]]
            if len(rows) > _FINDINGS_SHOWN:
                findings.append(Finding(name, f"… and {len(rows) - _FINDINGS_SHOWN} more"))
    return findings


async def count_checked(connection: Connection) -> Row:
    """Return how many transfers, charges, refunds and events there are, and attempts without an outcome."""
    row = await connection.fetchrow(_SQL["counts"])
    if row is None:
        raise LookupError("the count returned nothing")
    return row


async def account_balances(connection: Connection) -> list[Row]:
    """Return each account's balance and hold, signed so that the account's normal side is positive, in minor units."""
    return await connection.fetch(_SQL["account_balances"])
