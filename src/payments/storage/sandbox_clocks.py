"""How far sandboxes are ahead of the real time."""

from payments.domain.sandbox_clock import SandboxClock
from payments.runtime.clock import Clock
from payments.storage.database import Connection, Pool, Queries
from payments.storage.nouns import Noun
from payments.storage.sql import queries

_SQL = queries("sandbox_clocks.sql")
REMEMBERED_SECONDS = 1.0
"""How long a process may not know that a clock was advanced: as long as one may not know that a key was revoked."""
_SANDBOXES_MAX = 10_000


class SandboxTimes:
    """What the deadlines of each merchant's test mode are counted from, and held against."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        """Read through `pool` how far they are ahead of `clock`."""
        self._pool = pool
        self._clock = clock
        self._known: dict[int, tuple[int, float]] = {}

    async def ahead_seconds(self, merchant_id: int, *, livemode: bool) -> int:
        """Return how far a merchant's deadlines are ahead of the real time: in live mode they never are."""
        if livemode:
            return 0
        now = self._clock.now()
        known = self._known.get(merchant_id)
        if known is not None and 0 <= now - known[1] < REMEMBERED_SECONDS:
            return known[0]
        ahead: int = await self._pool.fetchval(_SQL["ahead"], merchant_id) or 0
        if len(self._known) >= _SANDBOXES_MAX:
            self._known.clear()
        self._known[merchant_id] = ahead, now
        return ahead


async def hold_ahead(connection: Connection, merchant_id: int) -> int:
    """Return how far a sandbox is ahead, which nobody changes until the transaction ends."""
    ahead: int = await connection.fetchval(_SQL["hold_ahead"], merchant_id)
    return ahead


async def advance(connection: Connection, merchant_id: int, ahead_seconds: int) -> None:
    """Set how far a sandbox is ahead; it never goes back."""
    await connection.execute(_SQL["advance"], merchant_id, ahead_seconds)


async def has_clock(connection: Queries, merchant_id: int) -> bool:
    """Tell whether a sandbox has a clock that wasn't deleted."""
    found: bool = await connection.fetchval(_SQL["has_clock"], merchant_id)
    return found


async def caught_up(connection: Queries, noun: Noun[SandboxClock], now: int, limit: int) -> list[SandboxClock]:
    """Return clocks that were advanced, which every process knows by now, and by which nothing is due any more at `now`, unix seconds."""
    before = now - 2 * int(REMEMBERED_SECONDS)
    return [noun.decode(row["document"]) for row in await connection.fetch(_SQL["caught_up"], before, now, limit)]


async def expired_clocks(connection: Queries, noun: Noun[SandboxClock], created_before: int, limit: int) -> list[SandboxClock]:
    """Return clocks that were made before a time, unix seconds."""
    return [noun.decode(row["document"]) for row in await connection.fetch(_SQL["expired"], created_before, limit)]
