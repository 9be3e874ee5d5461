"""Merchants and their API keys. A key is shown once; the database knows its keyed hash only."""

import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime

from payments.domain.fees import FeeSchedule
from payments.domain.principal import KeyKind, Principal
from payments.runtime.ids import new_id
from payments.storage.database import Connection, Queries
from payments.storage.sql import queries

_SQL = queries("keys.sql")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key just made."""

    id: str
    plaintext: str = field(repr=False)
    """The key itself: to be shown now, and never again."""


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What is kept of a key."""

    id: str
    merchant_id: int
    livemode: bool
    kind: KeyKind
    last4: str
    created_at: datetime
    revoked_at: datetime | None


def key_hash(plaintext: str, pepper: bytes) -> bytes:
    """Return the HMAC-SHA256 under which a key is stored: without the pepper a stolen table can't be searched for keys."""
    return hmac.digest(pepper, plaintext.encode(errors="replace"), "sha256")


async def create_merchant(connection: Connection, name: str) -> int:
    """Create a merchant and return its id."""
    merchant_id: int = await connection.fetchval(_SQL["create_merchant"], name)
    return merchant_id


async def fee_schedule(connection: Queries, merchant_id: int) -> FeeSchedule:
    """Return what a merchant pays; raises `LookupError` for an unknown one."""
    row = await connection.fetchrow(_SQL["merchant"], merchant_id)
    if row is None:
        raise LookupError(f"no merchant {merchant_id}")
    return FeeSchedule(basis_points=row["fee_basis_points"], fixed_minor_units=row["fee_fixed_minor_units"])


async def create_key(connection: Connection, merchant_id: int, *, livemode: bool, kind: KeyKind, pepper: bytes) -> ApiKey:
    """Create a key; the plaintext in the result is the only copy."""
    prefix = "sk" if kind is KeyKind.SECRET else "pk"
    plaintext = f"{prefix}_{'live' if livemode else 'test'}_{secrets.token_hex(24)}"
    key = ApiKey(new_id("key"), plaintext)
    await connection.execute(_SQL["create_key"], key.id, merchant_id, livemode, kind, key_hash(plaintext, pepper), plaintext[-4:])
    return key


async def provide_test_key(connection: Connection, plaintext: str, *, merchant_name: str, pepper: bytes) -> bool:
    """Make a secret test-mode key known that was made elsewhere, with a merchant of its own; False when it is known already.

    Any number of processes may do it at once. A key that was revoked stays revoked.
    """
    hashed = key_hash(plaintext, pepper)
    async with connection.transaction():
        await connection.execute(_SQL["provide_one_at_a_time"])
        if await connection.fetchval(_SQL["is_known"], hashed):
            return False
        merchant_id = await create_merchant(connection, merchant_name)
        await connection.execute(_SQL["create_key"], new_id("key"), merchant_id, False, KeyKind.SECRET, hashed, plaintext[-4:])
    return True


async def list_keys(connection: Queries, merchant_id: int | None = None) -> list[KeyRecord]:
    """Return the keys of one merchant, or of all, oldest first."""
    rows = await connection.fetch(_SQL["list_keys"], merchant_id)
    return [
        KeyRecord(
            id=row["id"],
            merchant_id=row["merchant_id"],
            livemode=row["livemode"],
            kind=KeyKind(row["kind"]),
            last4=row["last4"],
            created_at=row["created_at"],
            revoked_at=row["revoked_at"],
        )
        for row in rows
    ]


async def revoke_key(connection: Queries, key_id: str) -> bool:
    """Revoke a key; False when there is none of that id. Services refuse it within a second."""
    return await connection.fetchval(_SQL["revoke_key"], key_id) is not None


async def find_principal(connection: Queries, hashed_key: bytes) -> Principal | None:
    """Return whom a key stands for; None for an unknown or revoked one."""
    row = await connection.fetchrow(_SQL["find_principal"], hashed_key)
    if row is None:
        return None
    return Principal(merchant_id=row["merchant_id"], livemode=row["livemode"], kind=KeyKind(row["kind"]))
