"""Payouts, as those find them who act on them, and what they are paid from."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from payments.domain.bank_account import BankAccount
from payments.domain.payout import Payout
from payments.domain.payout_schedule import PayoutSchedule
from payments.storage.database import Connection, Queries
from payments.storage.sql import queries

_SQL = queries("payouts.sql")
_decode = msgspec.json.Decoder(Payout).decode


async def lock_balances(connection: Connection, accounts: Sequence[int]) -> dict[int, int]:
    """Lock accounts' balances until the transaction's end; returns each one's credits minus debits, in minor units."""
    return {row["account_id"]: row["amount"] for row in await connection.fetch(_SQL["lock_balances"], list(accounts))}


async def default_account(connection: Queries, merchant_id: int, livemode: bool, currency: str) -> BankAccount | None:
    """Return the bank account that a currency is paid out to."""
    document = await connection.fetchval(_SQL["default_account"], merchant_id, livemode, currency)
    return None if document is None else msgspec.json.decode(document, type=BankAccount)


async def sealed_account_number(connection: Queries, account: BankAccount) -> str:
    """Return the sealed number of a bank account; raises `LookupError` when there is none."""
    sealed: str | None = await connection.fetchval(_SQL["sealed_number"], account.merchant_id, account.livemode, account.id)
    if sealed is None:
        raise LookupError(f"no bank account {account.id}")
    return sealed


async def take_payouts(connection: Queries, now: int, again_seconds: int, limit: int) -> list[Payout]:
    """Take payouts to hand to the bank; whoever takes one and doesn't say that it was sent leaves it to others after `again_seconds`."""
    return [_decode(row["document"]) for row in await connection.fetch(_SQL["take_to_send"], now, again_seconds, limit)]


async def payout_sent(connection: Queries, payout: Payout) -> None:
    """Note that the bank has a payout."""
    await connection.execute(_SQL["sent"], payout.merchant_id, payout.livemode, payout.id)


@dataclass(frozen=True, slots=True)
class Scheduled:
    """What a merchant with a schedule has in one currency, in minor units, and where it goes to."""

    schedule: PayoutSchedule
    amount: int
    destination: BankAccount


async def scheduled(connection: Queries, day: datetime.date) -> list[Scheduled]:
    """Return what could be paid out by schedule on a day and wasn't yet, whether that is a day for it or not."""
    return [
        Scheduled(
            PayoutSchedule(
                interval=row["payout_interval"],
                weekly_anchor=row["payout_weekly_anchor"],
                monthly_anchor=row["payout_monthly_anchor"],
                delay_days=row["payout_delay_days"],
            ),
            row["amount"],
            msgspec.json.decode(row["destination"], type=BankAccount),
        )
        for row in await connection.fetch(_SQL["on_schedule"], day)
    ]


async def take_payday(connection: Connection, payout: Payout, day: datetime.date) -> bool:
    """Say that a payout is the day's; False when there is another. Whoever does it at once with another waits until that one is done, or has given up."""
    taken: bool | None = await connection.fetchval(
        _SQL["take_payday"], payout.merchant_id, payout.livemode, payout.currency, day, payout.id
    )
    return taken is not None
