"""The one-off task behind `tap settings`, where nobody but tasks reaches the database."""

from dataclasses import replace

import msgspec
from msgspec import Struct, structs

from payments.domain.account import WEBHOOK_ENDPOINTS_MAX, Account
from payments.domain.api_version import check_version
from payments.domain.brand import Brand, check_colour, check_logo, check_name
from payments.domain.errors import InvalidRequest
from payments.domain.payout_schedule import check_schedule
from payments.runtime.logging import Logger
from payments.runtime.settings import MaintenanceSettings
from payments.storage.brands import find_brand, set_brand
from payments.storage.database import Connection
from payments.storage.keys import (
    MerchantError,
    choose_merchant,
    find_account,
    set_api_version,
    set_payout_schedule,
    set_webhook_endpoints_max,
)
from payments.storage.maintenance import maintenance_connection
from payments.storage.receipts import receipts_of, set_receipts

SETTINGS = "settings"
"""What the task is called, and the line that it logs."""


class SettingsOrder(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Show what is set for a merchant, and set it before where something is given."""

    merchant: int | None = None
    """Whose settings; the first merchant's when nothing is said."""
    api_version: str | None = None
    payouts: str | None = None
    """`manual`, `daily`, `weekly` or `monthly`."""
    payout_anchor: str | None = None
    """A day of the week or of the month."""
    payout_delay_days: int | None = None
    """After how many days captured funds become available."""
    name: str | None = None
    """What buyers are told that they pay."""
    colour: str | None = None
    """Of our pages for them, `#rrggbb`; empty: ours."""
    logo: bytes | None = None
    """Likewise, a PNG or JPEG file; empty: none."""

    webhook_endpoints: int | None = None
    """How many the merchant may have in each mode."""
    receipts: str | None = None
    """Mailed to buyers: `off`, `live` or `all`."""

    @property
    def sets(self) -> bool:
        """Whether anything is set, rather than shown."""
        return any(getattr(self, name) is not None for name in self.__struct_fields__ if name != "merchant")


async def change_settings(connection: Connection, order: SettingsOrder) -> tuple[int, Account]:
    """Set what is given, and return the merchant with what is set then; raises `MerchantError`."""
    async with connection.transaction():
        merchant_id = await choose_merchant(connection, order.merchant, None)
        if order.api_version is not None:
            try:
                version = check_version(order.api_version)
            except InvalidRequest as mistake:
                raise MerchantError(str(mistake)) from None
            await set_api_version(connection, merchant_id, version)
        brand = await find_brand(connection, merchant_id)
        try:
            shown = _branded(brand, order)
        except ValueError as mistake:
            raise MerchantError(str(mistake)) from None
        if shown != brand:
            await set_brand(connection, merchant_id, shown)
        account = await find_account(connection, merchant_id)
        try:
            schedule = check_schedule(account.payouts, order.payouts, order.payout_anchor, order.payout_delay_days)
        except ValueError as mistake:
            raise MerchantError(str(mistake)) from None
        if schedule != account.payouts:
            await set_payout_schedule(connection, merchant_id, schedule)
        endpoints_max = account.webhook_endpoints_max if order.webhook_endpoints is None else order.webhook_endpoints
        if not 1 <= endpoints_max <= WEBHOOK_ENDPOINTS_MAX:
            raise MerchantError(f"A merchant may have 1 to {WEBHOOK_ENDPOINTS_MAX} webhook endpoints in each mode.")
        if endpoints_max != account.webhook_endpoints_max:
            await set_webhook_endpoints_max(connection, merchant_id, endpoints_max)
        if order.receipts is not None:
            try:
                await set_receipts(connection, merchant_id, order.receipts)
            except ValueError as mistake:
                raise MerchantError(str(mistake)) from None
        receipts = await receipts_of(connection, merchant_id)
        return merchant_id, structs.replace(account, payouts=schedule, webhook_endpoints_max=endpoints_max, receipts=receipts)


def _branded(brand: Brand, order: SettingsOrder) -> Brand:
    """Return how pages shall look; raises `ValueError`."""
    if order.name is not None:
        brand = replace(brand, name=check_name(order.name))
    if order.colour is not None:
        brand = replace(brand, colour=check_colour(order.colour) if order.colour else None)
    if order.logo is not None:
        brand = replace(brand, logo=check_logo(order.logo) if order.logo else None)
    return brand


async def run_settings(settings: MaintenanceSettings, log: Logger, order: SettingsOrder) -> int:
    """Carry an order out and log what is set then; returns the exit status. Raises `MerchantError`."""
    async with maintenance_connection(settings, log) as connection:
        merchant_id, account = await change_settings(connection, order)
    log.event(SETTINGS, merchant_id=merchant_id, account=msgspec.to_builtins(account))
    return 0
