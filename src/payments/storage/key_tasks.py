"""One-off tasks for API keys, where nobody but tasks reaches the database.

What a task is told stands in its command, which AWS records: a key's hash and its last four characters, never the key. The `tap` command makes these
orders, and reads the lines that the tasks log.
"""

from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from payments.domain.principal import KeyKind
from payments.runtime.keyring import KEY_ID_MAX
from payments.runtime.logging import Logger
from payments.runtime.settings import MaintenanceSettings
from payments.runtime.topology import WRITES_PER_SECOND_MAX
from payments.storage.keys import check_choice, choose_merchant, limit_key, list_keys, revoke_key, store_key
from payments.storage.maintenance import maintenance_connection

KeyId = Annotated[str, Meta(pattern=r"\Akey_[0-9A-Za-z]{24}\Z")]


class KeyTask(StrEnum):
    """What the tasks are called on the command line of `python -m payments.storage`."""

    CREATE = "create-key"
    LIST = "list-keys"
    REVOKE = "revoke-key"
    LIMIT = "limit-key"


class KeyEvent(StrEnum):
    """What the tasks log; each ends with a line that isn't `KEY`."""

    CREATED = "key created"
    KEY = "key"
    LISTED = "keys"
    REVOKED = "key revoked"
    LIMITED = "key limited"


class CreateKey(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Make a key known that was made elsewhere."""

    key_id: KeyId
    hashed: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
    """Its keyed hash, in hexadecimal."""
    pepper_id: Annotated[int, Meta(ge=1, le=KEY_ID_MAX)] = 1
    """The number of the pepper in it."""
    last4: Annotated[str, Meta(pattern=r"\A[0-9a-f]{4}\Z")]
    livemode: bool
    kind: KeyKind
    merchant: int | None = None
    """Whose it is; the first merchant's when nothing is said."""
    new_merchant: str | None = None
    """The name of a merchant that is made for it."""

    def __post_init__(self) -> None:
        check_choice(self.merchant, self.new_merchant)
        if self.kind is KeyKind.EPHEMERAL:
            raise ValueError("ephemeral keys are made by the API")


class RevokeKey(Struct, frozen=True, forbid_unknown_fields=True):
    """Revoke a key."""

    key_id: KeyId


class LimitKey(Struct, frozen=True, forbid_unknown_fields=True):
    """Say how fast a key may write."""

    key_id: KeyId
    writes_per_second: Annotated[int, Meta(ge=1, le=WRITES_PER_SECOND_MAX)] | None = None
    """None: as fast as the deployment says."""


async def run_create_key(settings: MaintenanceSettings, log: Logger, order: CreateKey) -> int:
    """Make a key known and log whose it is; returns the exit status. Raises `MerchantError`."""
    async with maintenance_connection(settings, log) as connection, connection.transaction():
        merchant_id = await choose_merchant(connection, order.merchant, order.new_merchant)
        hashed = bytes.fromhex(order.hashed)
        await store_key(
            connection,
            order.key_id,
            merchant_id,
            livemode=order.livemode,
            kind=order.kind,
            hashed=hashed,
            pepper_id=order.pepper_id,
            last4=order.last4,
        )
    log.event(KeyEvent.CREATED, key_id=order.key_id, merchant_id=merchant_id)
    return 0


async def run_list_keys(settings: MaintenanceSettings, log: Logger) -> int:
    """Log what is kept of each key, a line each since long lines are cut apart on their way, and how many there are; returns the exit status."""
    async with maintenance_connection(settings, log) as connection:
        keys = await list_keys(connection)
    for key in keys:
        log.event(KeyEvent.KEY, **asdict(key))
    log.event(KeyEvent.LISTED, count=len(keys))
    return 0


async def run_revoke_key(settings: MaintenanceSettings, log: Logger, order: RevokeKey) -> int:
    """Revoke a key and log since when it is; returns the exit status. Raises `UnknownKeyError`."""
    async with maintenance_connection(settings, log) as connection:
        revoked_at = await revoke_key(connection, order.key_id)
    log.event(KeyEvent.REVOKED, key_id=order.key_id, revoked_at=revoked_at)
    return 0


async def run_limit_key(settings: MaintenanceSettings, log: Logger, order: LimitKey) -> int:
    """Say how fast a key may write and log it; returns the exit status. Raises `UnknownKeyError`."""
    async with maintenance_connection(settings, log) as connection:
        await limit_key(connection, order.key_id, order.writes_per_second)
    log.event(KeyEvent.LIMITED, key_id=order.key_id, writes_per_second=order.writes_per_second)
    return 0
