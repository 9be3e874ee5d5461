"""The outbox: events that have not been fanned out to webhook endpoints yet."""

from dataclasses import dataclass

from payments.storage.database import Pool
from payments.storage.sql import queries

_SQL = queries("outbox.sql")


@dataclass(frozen=True, slots=True)
class Dispatched:
    """What one dispatch did."""

    events: int
    deliveries: int
    streamed: int
    """How many of the events somebody listens to."""


async def oldest_waiting_seconds(pool: Pool) -> float:
    """Return for how long the oldest event that hasn't been fanned out yet has been waiting."""
    return float(await pool.fetchval(_SQL["oldest_waiting_seconds"]))


async def dispatch(pool: Pool, limit: int) -> Dispatched:
    """Fan out up to `limit` events."""
    row = await pool.fetchrow(_SQL["dispatch"], limit)
    return Dispatched(0, 0, 0) if row is None else Dispatched(row["taken"], row["deliveries"], row["streamed"])
