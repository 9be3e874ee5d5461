"""Payouts, as those find them who act on them, and what they are paid from."""

from collections.abc import Sequence

import msgspec

from payments.domain.bank_account import BankAccount
from payments.domain.payout import Payout
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
