"""Clocks that were advanced are ready when all that was due by them is done; old ones are deleted."""

from dataclasses import dataclass

from payments.domain.errors import ObjectLocked
from payments.domain.event import Origin, event_of
from payments.domain.resource import next_version
from payments.domain.sandbox_clock import KEPT_SECONDS, SandboxClock
from payments.runtime.clock import Clock
from payments.runtime.ids import new_id
from payments.runtime.jobs import Job
from payments.runtime.rows import RowByRow
from payments.storage.database import Found, Pool
from payments.storage.events import append_events
from payments.storage.sandbox_clocks import caught_up, expired_clocks
from payments.storage.wakeup import Waker
from payments.wire.kinds import SANDBOX_CLOCK

_BATCH = 100
_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxClockKeeper:
    """Who is second finds that a clock has moved on."""

    pool: Pool
    waker: Waker
    clock: Clock
    rows: RowByRow

    def jobs(self) -> list[Job]:
        """Return what is to be done by the clock."""
        return [
            Job(name="finish test clocks", work=self.finish, every_seconds=_SECONDS, waits="clocks"),
            Job(name="delete test clocks", work=self.delete_old, every_seconds=600),
        ]

    async def finish(self) -> int:
        """Tell of the clocks that are ready; returns how many there were."""
        sweep = "finish test clocks"

        async def ready(row: Found) -> bool:
            clock = SANDBOX_CLOCK.noun.decode(row.document)
            return await self._change(clock, next_version(clock, status="ready"), "ready")

        found = await caught_up(self.pool, int(self.clock.now()), self.rows.limit(sweep, _BATCH))
        return await self.rows.each(sweep, found, lambda row: row.id, ready, batch=_BATCH)

    async def delete_old(self) -> int:
        """Delete the clocks whose time is over; returns how many there were."""
        sweep = "delete test clocks"

        async def delete(row: Found) -> bool:
            clock = SANDBOX_CLOCK.noun.decode(row.document)
            return await self._change(clock, next_version(clock, deleted=True), "deleted")

        found = await expired_clocks(self.pool, int(self.clock.now()) - KEPT_SECONDS, self.rows.limit(sweep, _BATCH))
        return await self.rows.each(sweep, found, lambda row: row.id, delete, batch=_BATCH)

    async def _change(self, before: SandboxClock, after: SandboxClock, event: str) -> bool:
        try:
            async with self.pool.acquire() as connection, connection.transaction():
                await SANDBOX_CLOCK.noun.update(connection, after)
                told = event_of(new_id("evt"), f"{before.OBJECT}.{event}", after, created=int(self.clock.now()), origin=Origin())
                await append_events(connection, [told])
        except ObjectLocked:
            return False
        self.waker.wake()
        return True
