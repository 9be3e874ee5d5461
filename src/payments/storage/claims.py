"""Idempotency claims: which request owns a key, and what it was answered.

Source: Stripe, "Idempotent requests": a key is scoped to merchant and mode and kept for 24 hours.
"""

from typing import Any

from msgspec import Struct

from payments.storage.database import Connection, Queries
from payments.storage.sql import queries

_SQL = queries("claims.sql")

KEPT_SECONDS = 24 * 3600
"""How long a key is remembered."""
PURGED_MAX = 5_000
"""Keys that are forgotten in one transaction. They aren't dropped by partitions: docs/adr/0040."""


class Claim(Struct, frozen=True, kw_only=True):
    """One request's hold on an idempotency key."""

    merchant_id: int
    livemode: bool
    key: str
    request_id: str
    path: str
    fingerprint: str
    """Keyed digest over the endpoint and the parameters."""
    created: int
    """Unix seconds."""
    api_version: str | None = None
    """The version that the response is in; None for a claim that was made before there was more than one."""
    response_event: str | None = None
    """The event whose snapshot is the response, for mutations that write one; it may not exist yet."""
    status: int | None = None
    sealed_body: bytes | None = None
    """The response itself, for mutations without an event."""


async def insert(connection: Connection, claim: Claim) -> bool:
    """Claim the key; False when another request owns it."""
    row: Any = await connection.fetchval(
        _SQL["insert"],
        claim.merchant_id,
        claim.livemode,
        claim.key,
        claim.request_id,
        claim.path,
        claim.fingerprint,
        claim.created,
        claim.response_event,
        claim.api_version,
    )
    return row is not None


async def find(connection: Queries, merchant_id: int, livemode: bool, key: str) -> Claim | None:
    """Return the claim on a key."""
    row = await connection.fetchrow(_SQL["find"], merchant_id, livemode, key)
    return None if row is None else Claim(merchant_id=merchant_id, livemode=livemode, key=key, **dict(row))


async def finish(connection: Connection, claim: Claim, status: int, sealed_body: bytes) -> None:
    """Store the response of the claim's request."""
    await connection.execute(_SQL["finish"], claim.merchant_id, claim.livemode, claim.key, claim.request_id, status, sealed_body)


async def delete_expired(connection: Queries, merchant_id: int, livemode: bool, key: str, now: float) -> None:
    """Forget one key if its time is over."""
    await connection.execute(_SQL["delete_expired"], merchant_id, livemode, key, int(now) - KEPT_SECONDS)


async def purge_expired(connection: Queries, now: float, limit: int = PURGED_MAX) -> bool:
    """Forget keys whose time is over, and digests that no key protects; tells whether there may be more."""
    await connection.execute(_SQL["forget_bare_digests"])
    return int(await connection.fetchval(_SQL["purge_expired"], int(now) - KEPT_SECONDS, limit)) == limit
