"""Whether a merchant's buyers get receipts: by a destination that stands for all their mailboxes, one in each mode."""

import time

import msgspec

from payments.domain.destination import RECEIPT_EVENTS, RECEIPTS, Destination
from payments.runtime.ids import new_id
from payments.storage.database import Connection
from payments.storage.sql import queries

_SQL = queries("receipts.sql")
OFF, LIVE, ALL = "off", "live", "all"
"""In which modes: in none, in live mode, in test mode as well."""
CHOICES = {OFF: frozenset[bool](), LIVE: frozenset({True}), ALL: frozenset({True, False})}


async def receipts_of(connection: Connection, merchant_id: int) -> str:
    """Return in which modes buyers get receipts; what a merchant asked for in test mode alone is `all` as well."""
    modes = {row["livemode"] for row in await connection.fetch(_SQL["modes"], merchant_id)}
    return OFF if not modes else LIVE if modes == {True} else ALL


async def set_receipts(connection: Connection, merchant_id: int, choice: str) -> None:
    """Send them in these modes from now on, and in no other; raises `ValueError`."""
    if choice not in CHOICES:
        raise ValueError(f"receipts are sent in {', '.join(CHOICES)}")
    for livemode in (True, False):
        if livemode not in CHOICES[choice]:
            await connection.execute(_SQL["forget"], merchant_id, livemode)
            continue
        made = Destination(
            id=new_id("ed"),
            merchant_id=merchant_id,
            livemode=livemode,
            created=int(time.time()),
            url=RECEIPTS,
            enabled_events=list(RECEIPT_EVENTS),
        )
        document = msgspec.json.encode(made).decode()
        await connection.execute(_SQL["keep"], merchant_id, livemode, made.id, made.created, made.version, made.enabled_events, document)
