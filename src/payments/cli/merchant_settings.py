"""`tap settings`: what is set for a merchant."""

import asyncio
from pathlib import Path

from rich.console import Console
from rich.table import Table

from payments.cli.data_directory import DataDirectory, UsageError
from payments.domain.account import Account
from payments.domain.brand import LOGO_BYTES_MAX
from payments.storage.database import connect
from payments.storage.keys import MerchantError
from payments.storage.merchant_tasks import SettingsOrder, change_settings
from payments.wire.auth import REMEMBERED_SECONDS

_RECEIPTS = {"live": "mailed to buyers in live mode", "all": "mailed to buyers, in test mode as well"}


async def run_settings(console: Console, directory: DataDirectory, order: SettingsOrder) -> None:
    """Set what is given, wait until every service knows it, and print what is set now."""
    async with connect(directory.run().database_url) as connection:
        try:
            merchant_id, account = await change_settings(connection, order)
        except MerchantError as mistake:
            raise UsageError(str(mistake)) from None
    if order.sets:
        await asyncio.sleep(REMEMBERED_SECONDS)
    show_settings(console, merchant_id, account)


def read_logo(path: str | None) -> bytes | None:
    """Read a picture; nothing where its name is empty. Raises `UsageError`."""
    if not path:
        return None if path is None else b""
    try:
        with Path(path).open("rb") as file:
            return file.read(LOGO_BYTES_MAX + 1)
    except OSError as failure:
        raise UsageError(f"{path} can't be read: {failure.strerror}") from None


def show_settings(console: Console, merchant_id: int, account: Account) -> None:
    """Print what is set for a merchant."""
    table = Table.grid(padding=(0, 2))
    table.add_row("Merchant", f"{merchant_id} ({account.name})")
    table.add_row("Account", account.id)
    table.add_row("API version", f"{account.api_version} for requests and webhook endpoints that name none")
    payouts = account.payouts
    anchor = payouts.weekly_anchor or payouts.monthly_anchor
    table.add_row("Payouts", payouts.interval + ("" if anchor is None else f", on {anchor if payouts.weekly_anchor else f'day {anchor}'}"))
    table.add_row("Funds", f"available {payouts.delay_days} days after they are captured")
    table.add_row("Webhooks", f"to at most {account.webhook_endpoints_max} endpoints in each mode")
    table.add_row("Receipts", _RECEIPTS.get(account.receipts, "not mailed to buyers"))
    table.add_row("Pages", f"{account.colour or 'in the usual colours'}, with{'' if account.has_logo else 'out'} a logo")
    console.print(table, soft_wrap=True)
