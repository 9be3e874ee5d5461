"""LISTEN and NOTIFY between services. They only wake: what there is to do is in tables, and is found by polling if a notice is lost."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import asyncpg

from payments.runtime.background import Beat
from payments.storage.database import CONNECTION_FAILURES, Connection, Pool

CHANNEL = "tap_outbox"
STREAMS_CHANNEL = "tap_streams"
DELIVERIES_CHANNEL = "tap_deliveries"
_INTERVAL_SECONDS = 0.05
_PROBE_SECONDS = 5.0
"""Besides the kernel, which gives a connection up whose packets get lost."""
_ANSWER_SECONDS_MAX = 5.0


class Waker:
    """Tells notification-service that the outbox has events, or on another channel something else.

    Never inside a payment's commit: NOTIFY takes a lock on the whole server until the transaction is durable. And not for every event: notices within
    50 ms are one.
    """

    def __init__(self, pool: Pool, channel: str = CHANNEL) -> None:
        """Notify through `pool`."""
        self._pool = pool
        self._channel = channel
        self._task: asyncio.Task[None] | None = None
        self._again = False

    def wake(self) -> None:
        """Have a notice sent soon."""
        self._again = True
        if self._task is None:
            self._task = asyncio.create_task(self._notify(), name="wake notification-service")

    async def _notify(self) -> None:
        try:
            while self._again:
                self._again = False
                try:
                    await self._pool.execute(f"NOTIFY {self._channel}")
                except (asyncpg.PostgresError, *CONNECTION_FAILURES):
                    return  # the poll finds what there is
                await asyncio.sleep(_INTERVAL_SECONDS)
        finally:
            self._task = None


class Wakeup:
    """Hears notices, and remembers that there was one."""

    def __init__(
        self, connect: Callable[[], AbstractAsyncContextManager[Connection]], others: Mapping[str, Callable[[], None]] | None = None
    ) -> None:
        """Listen on a connection of its own; `others`: whom to call at a notice on another channel."""
        self._connect = connect
        self._others = others or {}
        self._noticed = asyncio.Event()

    async def listen(self, beat: Beat) -> None:
        """Listen until the connection is lost, which raises `asyncpg.InterfaceError` or another connection failure."""
        async with self._connect() as connection:
            listener: Any = connection
            ended = asyncio.Event()
            listener.add_termination_listener(lambda *_: ended.set())  # pyright: ignore[reportUnknownLambdaType] - asyncpg isn't typed
            await listener.add_listener(CHANNEL, self._notice)
            for channel, told in self._others.items():
                await listener.add_listener(channel, lambda *_, told=told: told())  # pyright: ignore[reportUnknownLambdaType]
            for notice in (self._notice, *self._others.values()):
                notice()  # what was told while nobody listened
            while True:
                # Asked, because a connection that is only listened on may be lost without a sign.
                await connection.execute("SELECT", timeout=_ANSWER_SECONDS_MAX)
                beat()
                await _within(ended, _PROBE_SECONDS)

    def _notice(self, *_: object) -> None:
        self._noticed.set()

    async def wait(self, seconds_max: float) -> None:
        """Return at the next notice, or after `seconds_max`."""
        await _within(self._noticed, seconds_max)
        self._noticed.clear()


async def _within(event: asyncio.Event, seconds_max: float) -> None:
    """Return when something happens, or doesn't for so long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds_max):
            await event.wait()
