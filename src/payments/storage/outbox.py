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


async def waiting(pool: Pool) -> tuple[int, float]:
    """Return how many events haven't been fanned out yet, and for how many seconds the oldest has been waiting."""
    row = await pool.fetchrow(_SQL["waiting"])
    return (0, 0.0) if row is None else (row["events"], row["oldest_seconds"])


async def dispatch(pool: Pool, limit: int) -> Dispatched:
    """Fan out up to `limit` events."""
    row = await pool.fetchrow(_SQL["dispatch"], limit)
    return Dispatched(0, 0) if row is None else Dispatched(row["taken"], row["deliveries"])
