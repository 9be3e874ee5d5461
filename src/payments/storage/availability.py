"""Captured funds become available when their time has come."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from payments.domain.acquirers import SANDBOX
from payments.domain.balance_transaction import BalanceTransaction
from payments.ledger import postings
from payments.ledger.chart import Account
from payments.ledger.transfer import Transfer
from payments.storage.accounts import Accounts, NotOpenedError
from payments.storage.commit import write_alone
from payments.storage.database import Connection, Found, Pool, found, is_of_rows
from payments.storage.rows import TRANSFERS
from payments.storage.sql import queries

_SQL = queries("availability.sql")
BATCH = 1_000
_FEWER = 32
"""By how much a batch is smaller in which one is looked for that can't be released."""


class NotReleased(Exception):
    """One capture's funds can't be made available."""

    def __init__(self, change_id: str) -> None:
        super().__init__(change_id)
        self.change_id = change_id


async def release_available_funds(pool: Pool, now: int, accounts: Accounts, without: Sequence[str] = ()) -> int:
    """Move the net amounts of due captures from pending to available, but for those of `without`; returns how many there were.

    All of a batch or none of it, so that one that fails is looked for in smaller ones. Raises `NotReleased` when it stands alone.
    """
    limit = BATCH
    while True:
        taken: list[Found] = []
        try:
            return await _release(pool, now, accounts, without, limit, taken)
        except Exception as failure:
            if not taken or not is_of_rows(failure):
                raise
            if len(taken) == 1:
                raise NotReleased(taken[0].id) from failure
            limit = max(1, min(limit, len(taken)) // _FEWER)


async def _release(pool: Pool, now: int, accounts: Accounts, without: Sequence[str], limit: int, taken: list[Found]) -> int:
    while True:
        try:
            async with pool.acquire() as connection, connection.transaction():
                taken[:] = found(await connection.fetch(_SQL["take_due"], now, limit, list(without)))
                transfers = availability_of(taken, now)
                await post(connection, transfers, accounts.known(touched_by(transfers)))
        except NotOpenedError as failure:
            await accounts.ids_of(failure.accounts)
        else:
            return len(taken)


def availability_of(taken: Sequence[Found], now: int) -> list[Transfer]:
    """Return what moves the net amounts of captures from pending to available."""
    changes = [msgspec.json.decode(each.document, type=BalanceTransaction) for each in taken]
    return [
        transfer
        for change in changes
        for transfer in postings.availability(
            # Between accounts of the merchant's: whose acquirer took the money doesn't matter any more.
            postings.Books(change.merchant_id, change.livemode, SANDBOX, change.currency),
            change.id,
            change.net,
            now,
        )
    ]


def touched_by(transfers: Iterable[Transfer]) -> set[Account]:
    """Return the accounts that transfers touch."""
    return {account for each in transfers for account in (each.debit, each.credit)}


async def post(connection: Connection, transfers: Sequence[Transfer], ids: Mapping[Account, int]) -> None:
    """Write transfers between accounts, of which the ids are given, in the transaction that took what they are about."""
    if transfers:
        await write_alone(connection, "transfers", [TRANSFERS.row(each, ids[each.debit], ids[each.credit], "") for each in transfers])
