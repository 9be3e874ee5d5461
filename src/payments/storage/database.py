"""Connections to PostgreSQL."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, Protocol, cast

import asyncpg

from payments.storage.credentials import LOGIN_REFUSALS, Credentials

_asyncpg: Any = asyncpg  # it isn't typed

Row = Mapping[str, Any]


class Queries(Protocol):
    """What stores use of asyncpg's connections and pools alike. Asyncpg itself isn't typed."""

    async def fetch(self, query: str, *args: object, timeout: float | None = None) -> list[Row]:
        """Return all rows."""
        ...

    async def fetchrow(self, query: str, *args: object, timeout: float | None = None) -> Row | None:
        """Return the first row."""
        ...

    async def fetchval(self, query: str, *args: object, timeout: float | None = None) -> Any:
        """Return the first column of the first row."""
        ...

    async def execute(self, query: str, *args: object, timeout: float | None = None) -> str:
        """Return the command's tag."""
        ...


class Connection(Queries, Protocol):
    """A connection, whether its own or lent by a pool."""

    def transaction(self) -> AbstractAsyncContextManager[None]:
        """Open a transaction, or a savepoint in one."""
        ...


class Pool(Queries, Protocol):
    """A pool of connections."""

    def acquire(self) -> AbstractAsyncContextManager[Connection]:
        """Lend a connection."""
        ...


CONNECTION_FAILURES = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    *LOGIN_REFUSALS,
)
"""The server went away, and whether the statement under way took effect is not known; or it doesn't let us in, as for a moment of a rotation."""

_CLOSE_SECONDS = 5


@asynccontextmanager
async def open_pool(
    database_url: str,
    *,
    role: str | None,
    name: str,
    size_max: int = 10,
    server_settings: Mapping[str, str] | None = None,
    credentials: Credentials | None = None,
) -> AsyncGenerator[Pool]:
    """Open a pool whose connections work as `role`, and are called `name` in pg_stat_activity; `credentials` keep up with rotated passwords."""
    settings = {"application_name": str(name), "timezone": "UTC", "lock_timeout": "5s", "statement_timeout": "30s"}
    if role is not None:
        settings["role"] = role
    pool = await _asyncpg.create_pool(
        database_url,
        connect=partial(_open, credentials),
        min_size=1,
        max_size=size_max,
        server_settings={**settings, **(server_settings or {})},
        command_timeout=30,
        reset=_reset,
    )
    try:
        yield cast("Pool", pool)
    finally:
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await pool.close()
        except TimeoutError:
            pool.terminate()


async def _reset(connection: Any) -> None:
    """Make a connection fit for its next user. No session state is ever changed here, so the driver's reset, a round trip each time, isn't needed."""
    if connection.is_in_transaction():
        await connection.execute("ROLLBACK")


async def _open(credentials: Credentials | None, *args: Any, **options: Any) -> Any:
    if credentials is None:
        return await _asyncpg.connect(*args, **options)

    def attempt(password: str) -> Awaitable[Any]:
        return _asyncpg.connect(*args, **options, password=password)

    return await credentials.log_in(attempt)


@asynccontextmanager
async def connect(database_url: str, credentials: Credentials | None = None) -> AsyncGenerator[Connection]:
    """Open one connection as the URL's own user, for administration."""
    connection = await _open(credentials, database_url, timeout=10)
    try:
        yield connection
    finally:
        await connection.close()


async def is_healthy(pool: Pool) -> bool:
    """Tell whether the database answers within two seconds."""
    try:
        return bool(await pool.fetchval("SELECT true", timeout=2))
    except (TimeoutError, asyncpg.PostgresError, *CONNECTION_FAILURES):
        return False
