"""`tap settings`: what is set for a merchant."""

import asyncio

from rich.console import Console
from rich.table import Table

from payments.cli.data_directory import DataDirectory, UsageError
from payments.domain.account import Account
from payments.domain.api_version import check_version
from payments.domain.errors import InvalidRequest
from payments.storage.database import connect
from payments.storage.keys import MerchantError, choose_merchant, find_account, set_api_version
from payments.wire.auth import REMEMBERED_SECONDS


async def run_settings(console: Console, directory: DataDirectory, *, merchant: int | None, api_version: str | None) -> None:
    """Set what is given, wait until every service knows it, and print what is set now."""
    async with connect(directory.run().database_url) as connection, connection.transaction():
        try:
            merchant_id = await choose_merchant(connection, merchant, None)
            if api_version is not None:
                await set_api_version(connection, merchant_id, check_version(api_version))
        except (MerchantError, InvalidRequest) as mistake:
            raise UsageError(str(mistake)) from None
        account = await find_account(connection, merchant_id)
    if api_version is not None:
        await asyncio.sleep(REMEMBERED_SECONDS)
    _show(console, merchant_id, account)


def _show(console: Console, merchant_id: int, account: Account) -> None:
    table = Table.grid(padding=(0, 2))
    table.add_row("Merchant", f"{merchant_id} ({account.name})")
    table.add_row("Account", account.id)
    table.add_row("API version", f"{account.api_version} for requests and webhook endpoints that name none")
    console.print(table, soft_wrap=True)
