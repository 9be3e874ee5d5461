"""The database as a service has it: connections, its time, and a watch over both."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import asyncpg

from payments.runtime.background import Beat
from payments.storage.credentials import Credentials
from payments.storage.database import BY_KEY, Connection, Pool, connect, is_healthy, open_pool
from payments.storage.database_clock import DatabaseClock
from payments.storage.sessions import DatabaseSilentError, Sessions

_EVERY_SECONDS = 1.0
SILENT_SECONDS = 5.0
"""After that long without an answer to a question that takes no time, no other answer is waited for either."""
_GRACE_SECONDS = 0.5
"""It may have been this process that didn't get round to reading the answer."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedDatabase:
    """What is opened through it is under watch."""

    url: str
    role: str | None
    name: str
    sessions: Sessions
    pool: Pool
    """For whatever has no pool of its own."""
    clock: DatabaseClock
    hears: dict[str, Callable[[], None]] = field(default_factory=dict[str, "Callable[[], None]"])
    """Whom to call when a channel is notified: on the connection that is watched anyway. To be set before that begins; a notice may be lost with it."""

    def open_pool(
        self, purpose: str, *, size_max: int = 10, server_settings: Mapping[str, str] = BY_KEY
    ) -> AbstractAsyncContextManager[Pool]:
        """Open another pool, for one purpose."""
        return open_pool(
            self.url,
            role=self.role,
            name=f"{self.name} {purpose}",
            size_max=size_max,
            server_settings=server_settings,
            sessions=self.sessions,
        )

    def connect(self, purpose: str) -> AbstractAsyncContextManager[Connection]:
        """Open one connection as the URL's own user."""
        return connect(self.url, self.sessions, name=f"{self.name} {purpose}")

    async def is_well(self) -> bool:
        """Tell whether a connection can be had that writes, within two seconds."""
        return await is_healthy(self.pool)

    async def watch(self, beat: Beat) -> None:
        """Ask the database every second what time it is, and whether it takes writes, until it doesn't answer or doesn't take any.

        Then all connections are ended: those that have just been asked something would wait for half a minute, the others would fail one by one.
        Raises `DatabaseSilentError`, `asyncpg.ReadOnlySQLTransactionError`, or what else became of the connection.
        """
        try:
            async with self.connect("watch") as connection:
                listener: Any = connection
                for channel, told in self.hears.items():
                    await listener.add_listener(channel, lambda *_, told=told: told())  # pyright: ignore[reportUnknownLambdaType] - asyncpg isn't typed
                    told()  # what was told while nobody listened
                while True:
                    await _in_time(self._look(connection))
                    beat()
                    await asyncio.sleep(_EVERY_SECONDS)
        except (TimeoutError, DatabaseSilentError, asyncpg.ReadOnlySQLTransactionError):  # the first: it was silent while this connected
            self.sessions.drop()
            raise

    async def _look(self, connection: Connection) -> None:
        if not await self.clock.measure(connection):
            raise asyncpg.ReadOnlySQLTransactionError("the database takes no writes")


@asynccontextmanager
async def open_database(
    url: str, *, role: str | None, name: str, credentials: Credentials | None = None, size_max: int = 10
) -> AsyncGenerator[WatchedDatabase]:
    """Open a pool whose connections work as `role`, and learn what time it is; raises `CONNECTION_FAILURES`."""
    sessions = Sessions(credentials)
    async with open_pool(url, role=role, name=name, size_max=size_max, sessions=sessions) as pool:
        clock = await DatabaseClock.measured(pool)
        yield WatchedDatabase(url=url, role=role, name=name, sessions=sessions, pool=pool, clock=clock)


async def _in_time(question: Awaitable[T]) -> T:
    asked = asyncio.ensure_future(question)
    try:
        for seconds in (SILENT_SECONDS, _GRACE_SECONDS):
            done, _ = await asyncio.wait({asked}, timeout=seconds)
            if done:
                return asked.result()
    finally:
        asked.cancel()
    raise DatabaseSilentError
