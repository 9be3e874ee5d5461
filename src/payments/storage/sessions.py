"""Opening connections, so that none outlives its use: to a server that went silent, or that takes no writes any more.

A connection whose packets get lost says nothing: the operating system gives it up after five seconds instead of a quarter of an hour. One whose peer still
acknowledges, as a proxy's or a stopped server's does, looks healthy even then, and is ended by who finds out (`Sessions.drop`).
"""

import asyncio
import socket
import time
import weakref
from collections.abc import Callable
from typing import Any

import asyncpg

from payments.storage.credentials import Credentials

_asyncpg: Any = asyncpg  # it isn't typed

CONNECT_SECONDS_MAX = 4.0
UNACKNOWLEDGED_SECONDS_MAX = 5
_CANCEL_SECONDS_MAX = 1.0
PAUSE_SECONDS = 1.0
"""How long nobody tries to connect after the database didn't answer: those who wait for a connection learn it at once, and not one after the other."""

_KEEPALIVE = {"SO_KEEPALIVE": 1, "TCP_KEEPIDLE": 2, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 3}
_SOCKET_OPTIONS = {**_KEEPALIVE, "TCP_USER_TIMEOUT": UNACKNOWLEDGED_SECONDS_MAX * 1000}

LIBPQ_SETTINGS = {
    "target_session_attrs": "read-write",
    "connect_timeout": str(int(CONNECT_SECONDS_MAX)),
    "keepalives_idle": "2",
    "keepalives_interval": "1",
    "keepalives_count": "3",
    "tcp_user_timeout": str(UNACKNOWLEDGED_SECONDS_MAX * 1000),
}
"""The same for a driver that is built on libpq."""


class DatabaseSilentError(ConnectionError):
    """The database doesn't answer."""


class ServiceConnection(_asyncpg.Connection):
    """A connection that is given up when a command of its can't be cancelled at once. The driver waits half a minute for that."""

    uses = 0
    """How often a pool lent it."""
    replans_at = 4
    """The use after which its statements are planned anew."""

    async def _cancel(self, waiter: Any, cancel_waiter: Any = None) -> None:
        try:
            async with asyncio.timeout(_CANCEL_SECONDS_MAX):
                await _asyncpg.Connection._cancel(self, waiter, cancel_waiter)
        finally:
            if cancel_waiter is not None and not cancel_waiter.done():
                self.terminate()


class Sessions:
    """The open connections of a process to its database."""

    def __init__(self, credentials: Credentials | None = None, *, now: Callable[[], float] = time.monotonic) -> None:
        """`credentials` keep up with rotated passwords. `now` returns seconds that never go backwards."""
        self._credentials = credentials
        self._now = now
        self._silent_until = 0.0
        self._open: weakref.WeakSet[Any] = weakref.WeakSet()

    async def open(self, *args: Any, **options: Any) -> Any:
        """Open a connection that can write; takes what `asyncpg.connect` does. Raises what `database.CONNECTION_FAILURES` names."""
        if self._now() < self._silent_until:
            raise DatabaseSilentError
        settings = {"connection_class": ServiceConnection, "timeout": CONNECT_SECONDS_MAX, "target_session_attrs": "read-write", **options}

        async def attempt(**password: str) -> Any:
            return await _asyncpg.connect(*args, **settings, **password)

        try:
            if self._credentials is None:
                connection = await attempt()
            else:
                connection = await self._credentials.log_in(lambda password: attempt(password=password))
        except TimeoutError:
            self._silent_until = self._now() + PAUSE_SECONDS
            raise
        except asyncpg.ObjectNotInPrerequisiteStateError as refusal:
            # What a database says that is closed; a server that is says it in a code of its own. To a statement the same code says something else.
            raise asyncpg.CannotConnectNowError(str(refusal)) from refusal
        _set_options(connection)
        self._open.add(connection)
        return connection

    def drop(self) -> None:
        """End all connections without a word to the server; whoever uses one learns that it is lost."""
        for connection in list(self._open):
            connection.terminate()


def _set_options(connection: Any) -> None:
    opened: Any = connection._transport.get_extra_info("socket")
    if opened.family == socket.AF_UNIX:
        return
    for name, value in _SOCKET_OPTIONS.items():
        option: int | None = getattr(socket, name, None)  # not every system has all of them
        if option is not None:
            opened.setsockopt(socket.SOL_SOCKET if name.startswith("SO_") else socket.IPPROTO_TCP, option, value)
