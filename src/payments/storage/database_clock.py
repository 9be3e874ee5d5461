"""The database's time, as one process knows it without asking each time.

Leases are granted and run out by the database's clock, and a machine's own may be wrong by any amount. So every deadline, age and date in a service is of this
one clock: seconds that elapsed on this machine, which nobody sets, and by how much the database's time is ahead of them, which is measured again and again.
"""

from collections.abc import Callable

from payments.runtime.clock import elapsed_seconds
from payments.storage.database import Queries
from payments.storage.sql import queries

_SQL = queries("database.sql")


class DatabaseClock:
    """Wrong by no more than the last measurement's round trip, and by what two machines' seconds differ since then."""

    def __init__(self, elapsed: Callable[[], float], ahead_seconds: float) -> None:
        """`elapsed` returns seconds that nobody sets, `ahead_seconds` is what the database's time has more."""
        self._elapsed = elapsed
        self._ahead_seconds = ahead_seconds

    @staticmethod
    async def measured(connection: Queries, elapsed: Callable[[], float] = elapsed_seconds) -> "DatabaseClock":
        """Return a clock that was measured once."""
        before = elapsed()
        theirs = float(await connection.fetchval(_SQL["time"]))
        return DatabaseClock(elapsed, theirs - (before + elapsed()) / 2)

    def now(self) -> float:
        """Return unix seconds."""
        return self._elapsed() + self._ahead_seconds

    async def measure(self, connection: Queries) -> bool:
        """Ask again, and return whether the database takes writes. One whose clock jumped, as after a failover to another machine, is followed."""
        before = self._elapsed()
        row = await connection.fetchrow(_SQL["look"])
        if row is None:
            return False
        theirs = float(row["time"])
        # It was asked for at some moment in between. What fits isn't touched, so that a slow answer makes nothing worse.
        self._ahead_seconds = min(max(self._ahead_seconds, theirs - self._elapsed()), theirs - before)
        return bool(row["is_writable"])
