"""How far sandboxes are ahead of the real time."""

from payments.runtime.clock import Clock
from payments.storage.database import Connection, Found, Pool, Queries, found
from payments.storage.remembered import Remembered
from payments.storage.sql import queries

_SQL = queries("sandbox_clocks.sql")
REMEMBERED_SECONDS = 1.0
"""How long a process may not know that a clock was advanced: as long as one may not know that a key was revoked."""


class SandboxTimes:
    """What the deadlines of each merchant's test mode are counted from, and held against."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        """Read through `pool` how far they are ahead of `clock`."""
        self._pool = pool
        self._ahead = Remembered(self._read, clock, seconds=REMEMBERED_SECONDS)

    async def ahead_seconds(self, merchant_id: int, *, livemode: bool) -> int:
        """Return how far a merchant's deadlines are ahead of the real time: in live mode they never are."""
        return 0 if livemode else await self._ahead.of(merchant_id)

    async def _read(self, merchant_id: int) -> int:
        ahead: int | None = await self._pool.fetchval(_SQL["ahead"], merchant_id)
        return ahead or 0


async def hold_ahead(connection: Connection, merchant_id: int) -> int:
    """Return how far a sandbox is ahead, which nobody changes until the transaction ends."""
    ahead: int = await connection.fetchval(_SQL["hold_ahead"], merchant_id)
    return ahead


async def advance(connection: Connection, merchant_id: int, ahead_seconds: int) -> None:
    """Set how far a sandbox is ahead; it never goes back."""
    await connection.execute(_SQL["advance"], merchant_id, ahead_seconds)


async def has_clock(connection: Queries, merchant_id: int) -> bool:
    """Tell whether a sandbox has a clock that wasn't deleted."""
    has: bool = await connection.fetchval(_SQL["has_clock"], merchant_id)
    return has


async def caught_up(connection: Queries, now: int, limit: int) -> list[Found]:
    """Return clocks that were advanced, which every process knows by now, and by which nothing is due any more at `now`, unix seconds."""
    before = now - 2 * int(REMEMBERED_SECONDS)
    return found(await connection.fetch(_SQL["caught_up"], before, now, limit))


async def expired_clocks(connection: Queries, created_before: int, limit: int) -> list[Found]:
    """Return clocks that were made before a time, unix seconds."""
    return found(await connection.fetch(_SQL["expired"], created_before, limit))
