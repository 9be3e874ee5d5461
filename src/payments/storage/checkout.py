"""What checkout stores and finds otherwise than one object by its id."""

from collections.abc import Sequence

import msgspec

from payments.domain.checkout import CheckoutSession, Item
from payments.storage.columns import Columns, array
from payments.storage.database import Found, Queries, found
from payments.storage.sql import queries

_SQL = queries("checkout.sql")
_ITEMS = Columns("merchant_id bigint, livemode boolean, id text, created bigint, version integer, owner text", document=True)
_decode = msgspec.json.Decoder(CheckoutSession).decode

LOOK_AGAIN_SECONDS_MIN = 20
LOOK_AGAIN_SECONDS_MAX = 900


async def insert_items(connection: Queries, items: Sequence[Item]) -> None:
    """Store lines."""
    await connection.execute(_SQL["insert_items"].format(rows=_ITEMS.source(1)), array(_ITEMS.row(item) for item in items))


async def session_of_visit(connection: Queries, merchant_id: int, livemode: bool, visit: str) -> CheckoutSession | None:
    """Return the session that a visit opened."""
    document: str | None = await connection.fetchval(_SQL["of_visit"], merchant_id, livemode, visit)
    return None if document is None else _decode(document)


async def take_due_sessions(connection: Queries, now: int, limit: int) -> list[Found]:
    """Return sessions that have to be looked at now, unix seconds; whoever takes them looks at once, others not for a while."""
    return found(await connection.fetch(_SQL["take_due"], now, LOOK_AGAIN_SECONDS_MIN, LOOK_AGAIN_SECONDS_MAX, limit))
