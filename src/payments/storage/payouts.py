"""Payouts, as those find them who act on them, and what they are paid from."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from payments.domain.bank_account import BankAccount
from payments.domain.payout import Payout
from payments.domain.payout_schedule import PayoutSchedule
from payments.storage.database import Connection, Found, Queries, found
from payments.storage.sql import queries

_SQL = queries("payouts.sql")


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


async def take_payouts(connection: Queries, now: int, again_seconds: int, limit: int) -> list[Found]:
    """Take payouts to hand to the bank; whoever takes one and doesn't say that it was sent leaves it to others after `again_seconds`."""
    return found(await connection.fetch(_SQL["take_to_send"], now, again_seconds, limit))


async def payout_sent(connection: Queries, payout: Payout) -> None:
    """Note that the bank has a payout."""
    await connection.execute(_SQL["sent"], payout.merchant_id, payout.livemode, payout.id)


@dataclass(frozen=True, slots=True)
class Due:
    """What a merchant has in one currency, in minor units, and where it goes to."""

    amount: int
    destination: BankAccount


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A merchant who is paid out by schedule, on the day that it is for them."""

    merchant_id: int
    schedule: PayoutSchedule
    ahead_seconds: int
    day: datetime.date
    looked_on: datetime.date | None
    """Up to which day it was seen whether one is a payday; None: from this one on."""
    due: list[Due]
    """What could be paid out, and wasn't yet on that day."""

    @property
    def is_payday(self) -> bool:
        """Whether the day is a payday, or one since it was looked last: nobody may have looked on that one, and a sandbox's time jumps."""
        return self.schedule.has_payday(self.looked_on, self.day)


async def scheduled(connection: Queries, now: int) -> list[Scheduled]:
    """Return what could be paid out by schedule at a time, unix seconds."""
    merchants: dict[int, Scheduled] = {}
    for row in await connection.fetch(_SQL["on_schedule"], now):
        merchant = merchants.get(row["merchant_id"])
        if merchant is None:
            schedule = PayoutSchedule(
                interval=row["payout_interval"],
                weekly_anchor=row["payout_weekly_anchor"],
                monthly_anchor=row["payout_monthly_anchor"],
                delay_days=row["payout_delay_days"],
            )
            merchant = Scheduled(row["merchant_id"], schedule, row["test_ahead_seconds"], row["day"], row["payouts_looked_on"], [])
            merchants[merchant.merchant_id] = merchant
        if row["destination"] is not None:
            merchant.due.append(Due(row["amount"], msgspec.json.decode(row["destination"], type=BankAccount)))
    return list(merchants.values())


async def note_looked(connection: Queries, merchants: Sequence[Scheduled]) -> None:
    """Note that it was seen whether these merchants' days are paydays, and done what follows."""
    news = [each for each in merchants if each.looked_on != each.day]
    if news:
        await connection.execute(_SQL["looked"], [each.merchant_id for each in news], [each.day for each in news])


async def open_payday(connection: Queries, account: BankAccount, day: datetime.date, payout_id: str) -> str | None:
    """Return the id of the payout that a day's will be, which is `payout_id` unless somebody was first; None when it was made."""
    key = (account.merchant_id, account.livemode, account.currency, day)
    await connection.execute(_SQL["move_payday"], *key)
    opened: str | None = await connection.fetchval(_SQL["open_payday"], *key, payout_id)
    return opened


async def gather(connection: Queries, account: BankAccount, payout_id: str, limit: int) -> int:
    """Note of up to `limit` changes of a balance that they are paid out by a payout; returns of how many."""
    count: int = await connection.fetchval(_SQL["gather"], account.merchant_id, account.currency, payout_id, limit)
    return count


async def gather_rest(connection: Connection, payout: Payout) -> None:
    """Note the same of all that is left, in the transaction that holds the balance and writes the payout."""
    await connection.execute(_SQL["gather_rest"], payout.merchant_id, payout.currency, payout.id)


async def available_in_test(connection: Queries, account: BankAccount) -> int:
    """Return what there is to be paid out to an account, in minor units."""
    amount: int | None = await connection.fetchval(_SQL["available"], account.merchant_id, account.currency)
    return amount or 0


async def take_payday(connection: Connection, payout: Payout, day: datetime.date) -> bool:
    """Say that the day's payout is made; False when it was. Whoever does it at once with another waits until that one is done, or has given up."""
    taken: bool | None = await connection.fetchval(
        _SQL["take_payday"], payout.merchant_id, payout.livemode, payout.currency, day, payout.id
    )
    return taken is not None
