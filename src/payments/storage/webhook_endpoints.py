"""Webhook endpoints and their sealed secrets."""

import msgspec

from payments.domain.webhook_endpoint import WebhookEndpoint
from payments.storage.database import Connection, Queries
from payments.storage.sql import queries

_SQL = queries("webhook_endpoints.sql")


def _key(endpoint: WebhookEndpoint) -> tuple[int, bool, str]:
    return endpoint.merchant_id, endpoint.livemode, endpoint.id


async def count_for_one_more(connection: Connection, merchant_id: int, livemode: bool) -> tuple[int, int]:
    """Return how many endpoints a merchant has in one mode, and may have; until the transaction ends, nobody else learns that who wants to add one, too."""
    await connection.execute(_SQL["lock"], f"webhook_endpoints {merchant_id} {livemode}")
    row = await connection.fetchrow(_SQL["count"], merchant_id, livemode)
    if row is None:
        raise LookupError("a count returned nothing")
    return row["count"], row["allowed"]


async def has_receipts(connection: Connection, merchant_id: int, livemode: bool) -> bool:
    """Tell whether a merchant's buyers get receipts in one mode, or did until that was disabled."""
    return await connection.fetchval(_SQL["has_receipts"], merchant_id, livemode) is True


async def secrets_in_use(connection: Connection, endpoint: WebhookEndpoint) -> int:
    """Return how many secrets of an endpoint sign; nobody else replaces one until the transaction ends."""
    return int(await connection.fetchval(_SQL["secrets_in_use"], *_key(endpoint)) or 0)


async def rotate_secret(
    connection: Connection, endpoint: WebhookEndpoint, sealed_secret: bytes, previous_seconds: float, earlier_id: str
) -> None:
    """Replace the secret; the old one signs as well for `previous_seconds`, and those before it as long as they were to. With 0 none of them does.

    `earlier_id`: what the one before the old one is kept by.
    """
    await connection.execute(_SQL["rotate_secret"], *_key(endpoint), sealed_secret, previous_seconds, earlier_id)


async def hold(connection: Connection, endpoint: WebhookEndpoint, failing_seconds: float | None) -> WebhookEndpoint | None:
    """Return an endpoint as it is, and keep it so until the transaction ends; None when it isn't enabled any more, or not failing for so long."""
    document = await connection.fetchval(_SQL["hold"], *_key(endpoint), failing_seconds)
    return None if document is None else msgspec.json.decode(document, type=WebhookEndpoint)


async def tell_disabled(connection: Connection, endpoint: WebhookEndpoint, event_id: str, created: int) -> None:
    """Write the event that an endpoint was disabled, which it must be by now; `created`: unix seconds."""
    await connection.execute(_SQL["tell_disabled"], *_key(endpoint), event_id, created)


async def tell_failed(connection: Queries, endpoint: WebhookEndpoint, event_id: str, created: int) -> None:
    """Write the event that a delivery to an endpoint was given up, unless one did so within a day; `created`: unix seconds."""
    await connection.execute(_SQL["tell_failed"], *_key(endpoint), event_id, created)


async def hope(connection: Queries, endpoint: WebhookEndpoint) -> None:
    """Begin to count anew for how long an endpoint has failed."""
    await connection.execute(_SQL["hopeful"], *_key(endpoint))


async def delete(connection: Queries, endpoint: WebhookEndpoint) -> None:
    """Forget an endpoint."""
    await connection.execute(_SQL["delete"], *_key(endpoint))
