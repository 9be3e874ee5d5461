"""`tap keys`: creating, listing and revoking API keys."""

import asyncio

from rich.console import Console
from rich.table import Table

from payments.cli.data_directory import DataDirectory, UsageError
from payments.domain.principal import KeyKind
from payments.storage.database import connect
from payments.storage.keys import create_key, create_merchant, list_keys, revoke_key
from payments.wire.auth import REMEMBERED_SECONDS


async def create(
    console: Console, directory: DataDirectory, *, merchant: int | None, new_merchant: str | None, live: bool, publishable: bool
) -> None:
    """Create a key and print it, for the only time."""
    if merchant is not None and new_merchant is not None:
        raise UsageError("Give either --merchant or --new-merchant.")
    run, pepper = directory.run(), bytes.fromhex(directory.secrets().api_key_pepper)
    async with connect(run.database_url) as connection, connection.transaction():
        known = sorted({key.merchant_id for key in await list_keys(connection)})
        if new_merchant is not None:
            merchant_id = await create_merchant(connection, new_merchant)
        elif merchant is None:
            merchant_id = known[0]
        elif merchant in known:
            merchant_id = merchant
        else:
            raise UsageError(f"There is no merchant {merchant}. There are: {', '.join(map(str, known))}")
        kind = KeyKind.PUBLISHABLE if publishable else KeyKind.SECRET
        key = await create_key(connection, merchant_id, livemode=live, kind=kind, pepper=pepper)
    console.print(f"Merchant {merchant_id}, key {key.id}. It is shown this once:")
    print(key.plaintext)


async def show_list(console: Console, directory: DataDirectory) -> None:
    """Print what is kept of the keys."""
    async with connect(directory.run().database_url) as connection:
        keys = await list_keys(connection)
    table = Table("id", "merchant", "kind", "mode", "ends in", "created", "revoked")
    for key in keys:
        revoked = "" if key.revoked_at is None else f"{key.revoked_at:%Y-%m-%d %H:%M}"
        mode = "live" if key.livemode else "test"
        table.add_row(key.id, str(key.merchant_id), key.kind, mode, key.last4, f"{key.created_at:%Y-%m-%d %H:%M}", revoked)
    console.print(table)


async def revoke(console: Console, directory: DataDirectory, key_id: str) -> None:
    """Revoke a key, and wait until every service has forgotten it."""
    async with connect(directory.run().database_url) as connection:
        if not await revoke_key(connection, key_id):
            raise UsageError(f"There is no key {key_id}. See: tap keys list")
    await asyncio.sleep(REMEMBERED_SECONDS)
    console.print(f"Key {key_id} is revoked.")
