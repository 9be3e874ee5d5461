"""Fans events out: each row of the outbox becomes a delivery to every endpoint that wants it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from payments.runtime.background import Beat
from payments.storage.database import Pool
from payments.storage.outbox import dispatch
from payments.storage.wakeup import Wakeup

_BATCH = 1_000
_POLL_SECONDS = 5.0
"""For notices that were lost, as with a process that ended between its commit and its notice."""
_PAUSE_SECONDS = 0.05
"""Between two batches: while events stream in, twenty batches a second are cheaper than one an event."""
_MANY_DELIVERIES = 128
"""Of one batch: as many as a copy has under way for one merchant. Others needn't find the rest by looking for it now and then."""


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """Runs in every copy of the service; SKIP LOCKED shares the work."""

    pool: Pool
    wakeup: Wakeup
    on_deliveries: Callable[[], None]
    """Called when there are new deliveries."""
    on_streamed: Callable[[], None] = lambda: None
    """Called when there is something new for those who listen."""
    on_many: Callable[[], None] = lambda: None
    """Called when there are more new deliveries than one copy should be left with."""

    async def run(self, beat: Beat) -> None:
        """Dispatch until cancelled, or until that fails."""
        while True:
            dispatched = await dispatch(self.pool, _BATCH)
            beat()
            if dispatched.deliveries:
                self.on_deliveries()
            if dispatched.deliveries > _MANY_DELIVERIES:
                self.on_many()
            if dispatched.streamed:
                self.on_streamed()
            if dispatched.events < _BATCH:
                await self.wakeup.wait(_POLL_SECONDS)
                await asyncio.sleep(_PAUSE_SECONDS if dispatched.events else 0)
