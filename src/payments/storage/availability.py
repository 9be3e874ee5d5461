"""Captured funds become available when their time has come."""

import msgspec

from payments.domain.acquirers import SANDBOX
from payments.domain.balance_transaction import BalanceTransaction
from payments.ledger import postings
from payments.storage.accounts import Accounts
from payments.storage.commit import write_alone
from payments.storage.database import Pool
from payments.storage.rows import TRANSFERS
from payments.storage.sql import queries

_SQL = queries("availability.sql")
_BATCH = 1_000


async def release_available_funds(pool: Pool, now: int, accounts: Accounts) -> int:
    """Move the net amounts of due captures from pending to available; returns how many there were."""
    async with pool.acquire() as connection, connection.transaction():
        found = await connection.fetch(_SQL["take_due"], now, _BATCH)
        changes = [msgspec.json.decode(row["document"], type=BalanceTransaction) for row in found]
        transfers = [
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
        if transfers:
            await write_alone(
                connection,
                "transfers",
                [TRANSFERS.row(each, await accounts.id_of(each.debit), await accounts.id_of(each.credit), "") for each in transfers],
            )
    return len(changes)
