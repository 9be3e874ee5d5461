"""Webhook endpoints and their sealed secrets."""

from payments.domain.webhook_endpoint import WebhookEndpoint
from payments.storage.database import Connection, Queries
from payments.storage.sql import queries

_SQL = queries("webhook_endpoints.sql")


def _key(endpoint: WebhookEndpoint) -> tuple[int, bool, str]:
    return endpoint.merchant_id, endpoint.livemode, endpoint.id


async def count_for_one_more(connection: Connection, merchant_id: int, livemode: bool) -> int:
    """Return how many endpoints a merchant has in one mode; until the transaction ends, nobody else learns that who wants to add one, too."""
    await connection.execute(_SQL["lock"], f"webhook_endpoints {merchant_id} {livemode}")
    return int(await connection.fetchval(_SQL["count"], merchant_id, livemode))


async def rotate_secret(connection: Queries, endpoint: WebhookEndpoint, sealed_secret: bytes, previous_seconds: float) -> None:
    """Replace the secret; the old one signs as well for `previous_seconds`."""
    await connection.execute(_SQL["rotate_secret"], *_key(endpoint), sealed_secret, previous_seconds)


async def disable(connection: Queries, endpoint: WebhookEndpoint) -> None:
    """Send nothing more to an endpoint."""
    await connection.execute(_SQL["disable"], *_key(endpoint))


async def delete(connection: Queries, endpoint: WebhookEndpoint) -> None:
    """Forget an endpoint."""
    await connection.execute(_SQL["delete"], *_key(endpoint))
