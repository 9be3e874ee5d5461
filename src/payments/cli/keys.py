"""`tap keys`: creating, listing and revoking API keys."""

import asyncio
from collections.abc import Iterable

from rich.console import Console
from rich.table import Column, Table

from payments.cli.data_directory import DataDirectory, UsageError
from payments.domain.principal import KeyKind
from payments.storage.database import connect
from payments.storage.keys import (
    ApiKey,
    KeyRecord,
    MerchantError,
    UnknownKeyError,
    choose_merchant,
    create_key,
    limit_key,
    list_keys,
    revoke_key,
)
from payments.wire.auth import REMEMBERED_SECONDS

_ID_CHARACTERS = 28


async def create(
    console: Console, directory: DataDirectory, *, merchant: int | None, new_merchant: str | None, live: bool, publishable: bool
) -> None:
    """Create a key and print it, for the only time."""
    run, pepper = directory.run(), directory.secrets().pepper
    kind = KeyKind.PUBLISHABLE if publishable else KeyKind.SECRET
    async with connect(run.database_url) as connection, connection.transaction():
        try:
            merchant_id = await choose_merchant(connection, merchant, new_merchant)
        except MerchantError as mistake:
            raise UsageError(str(mistake)) from None
        key = await create_key(connection, merchant_id, livemode=live, kind=kind, pepper=pepper)
    show_key(console, f"Merchant {merchant_id}, key {key.id}.", key)


def show_key(console: Console, what: str, key: ApiKey) -> None:
    """Print a key just made, on a line of its own."""
    console.print(f"{what} It is shown this once:", soft_wrap=True)
    print(key.plaintext)


async def show_list(console: Console, directory: DataDirectory) -> None:
    """Print what is kept of the keys."""
    async with connect(directory.run().database_url) as connection:
        show_keys(console, await list_keys(connection))


def show_keys(console: Console, keys: Iterable[KeyRecord]) -> None:
    """Print a table of keys."""
    # Whole, however narrow the terminal is: it is what one copies.
    table = Table(Column("id", min_width=_ID_CHARACTERS), "merchant", "kind", "mode", "ends in", "created", "writes/s", "revoked")
    for key in keys:
        revoked = "" if key.revoked_at is None else f"{key.revoked_at:%Y-%m-%d %H:%M}"
        mode = "live" if key.livemode else "test"
        limit = "" if key.writes_per_second is None else str(key.writes_per_second)
        table.add_row(key.id, str(key.merchant_id), key.kind, mode, key.last4, f"{key.created_at:%Y-%m-%d %H:%M}", limit, revoked)
    console.print(table)


async def revoke(console: Console, directory: DataDirectory, key_id: str) -> None:
    """Revoke a key, and wait until every service has forgotten it."""
    async with connect(directory.run().database_url) as connection:
        try:
            await revoke_key(connection, key_id)
        except UnknownKeyError:
            raise UsageError(f"There is no key {key_id}. See: {directory.command('keys', 'list')}") from None
    await asyncio.sleep(REMEMBERED_SECONDS)
    console.print(f"Key {key_id} is revoked.")


async def limit(console: Console, directory: DataDirectory, key_id: str, writes_per_second: int | None) -> None:
    """Say how fast a key may write, and wait until every service knows it."""
    async with connect(directory.run().database_url) as connection:
        try:
            await limit_key(connection, key_id, writes_per_second)
        except UnknownKeyError:
            raise UsageError(f"There is no key {key_id}. See: {directory.command('keys', 'list')}") from None
    await asyncio.sleep(REMEMBERED_SECONDS)
    show_limit(console, key_id, writes_per_second)


def show_limit(console: Console, key_id: str, writes_per_second: int | None) -> None:
    """Print how fast a key may write."""
    how_fast = "as the deployment says" if writes_per_second is None else f"{writes_per_second} times a second"
    console.print(f"Key {key_id} may write {how_fast}.", soft_wrap=True)
