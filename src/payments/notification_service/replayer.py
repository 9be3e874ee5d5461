"""Carries replays out, a step a second each: so a hundred thousand deliveries come to a receiver as it can take them, behind nothing and before nothing else.

A step is one transaction: what it made due, and how far it is. A copy that dies leaves the rest to the next one, and two that work at once do nothing twice.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from payments.domain.replay import Replay
from payments.domain.resource import next_version
from payments.notification_service.events import meant_types
from payments.runtime.background import Beat
from payments.storage import replays as store
from payments.storage.database import Connection, Pool
from payments.wire.kinds import REPLAY

STEP_DELIVERIES_MAX = 100
WAITING_MAX = 200
"""How many deliveries may wait for an endpoint, new ones included, before a replay adds more."""
_STEP_SECONDS = 1.0
_POLL_SECONDS = 5.0
"""For what another copy was asked for, and what one left that died."""


@dataclass(slots=True)
class Replayer:
    """Runs in every copy of the service; each step is taken by one."""

    pool: Pool
    on_deliveries: Callable[[], None]
    """Called when deliveries were made due."""
    _asked: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        """Look for replays soon."""
        self._asked.set()

    async def run(self, beat: Beat) -> None:
        """Carry out what there is until cancelled, or until that fails."""
        while True:
            self._asked.clear()
            stepped = False
            while await self.step():
                stepped = True
                beat()
            beat()
            try:
                async with asyncio.timeout(_STEP_SECONDS if stepped else _POLL_SECONDS):
                    await self._asked.wait()
            except TimeoutError:
                pass

    async def step(self) -> bool:
        """Take the next step of the replay that has waited for longest; returns whether there was one."""
        async with self.pool.acquire() as connection, connection.transaction():
            replay = await store.due(connection)
            if replay is None:
                return False
            replayed = await self._step(connection, replay)
            await store.postpone(connection, replay, _STEP_SECONDS)
        if replayed:
            self.on_deliveries()
        return True

    async def _step(self, connection: Connection, replay: Replay) -> int:
        waiting = await store.waiting(connection, replay, WAITING_MAX)
        if waiting is None:
            await REPLAY.noun.update(connection, next_version(replay, status="canceled", cancellation_reason="endpoint_disabled"))
            return 0
        limit = min(STEP_DELIVERIES_MAX, WAITING_MAX - waiting)
        if limit <= 0:
            return 0
        done = await store.step(connection, replay, meant_types("types", replay.types or None), limit)
        further = next_version(
            replay,
            reached=done.reached or replay.reached,
            looked_at=replay.looked_at + done.looked_at,
            replayed=replay.replayed + done.replayed,
            status="succeeded" if done.done else "running",
        )
        await REPLAY.noun.update(connection, further)
        return done.replayed
