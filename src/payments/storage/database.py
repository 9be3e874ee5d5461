"""Connections to PostgreSQL."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol, cast

import asyncpg

from payments.storage.credentials import LOGIN_REFUSALS
from payments.storage.sessions import ServiceConnection, Sessions
from payments.storage.sql import queries

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


@dataclass(frozen=True, slots=True)
class Found:
    """A row that a sweep found, not decoded yet: one that can't be is no reason to leave the others."""

    id: str
    document: str


def found(rows: Iterable[Row]) -> list[Found]:
    """Return what a sweep found."""
    return [Found(row["id"], row["document"]) for row in rows]


CONNECTION_FAILURES = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.DatabaseDroppedError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleSessionTimeoutError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
    *LOGIN_REFUSALS,
)
"""The server went away, perhaps in the middle of an answer, and whether the statement under way took effect is not known; or it doesn't let us in, as for a
moment of a rotation, while others have all connections, or while a restored database takes the place of another; or it isn't the one that takes writes, as for a while of a failover."""
_OF_ROWS = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.ProgramLimitExceededError)


def is_of_rows(failure: Exception) -> bool:
    """Tell whether a failure may be one of the rows of a batch, that is whether fewer of them may do: what the database can't do at all, no row is to blame for."""
    return isinstance(failure, _OF_ROWS) or not isinstance(failure, (asyncpg.PostgresError, *CONNECTION_FAILURES))


BY_KEY = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "plan_cache_mode": "force_generic_plan"}
"""Session settings: each table is entered by an index, whatever the statistics said when a plan was made, which is kept for as long as the connection lives.
A plan for a table of 300 rows reads all of them; kept, it reads all of a million."""

_TIME_LIMITS = {"lock_timeout": "5s", "idle_in_transaction_session_timeout": "4s", "statement_timeout": "30s"}
"""A process that stands still within a transaction loses it before those give up who wait for what it has locked: it may be everybody's balances."""

HEALTH_SECONDS_MAX = 2.0
_CLOSE_SECONDS = 5
_REPLANNED_GROWTH = 4
_SQL = queries("database.sql")


@asynccontextmanager
async def open_pool(
    database_url: str,
    *,
    role: str | None,
    name: str,
    size_max: int = 10,
    server_settings: Mapping[str, str] = BY_KEY,
    sessions: Sessions | None = None,
) -> AsyncGenerator[Pool]:
    """Open a pool whose connections work as `role`, and are called `name` in pg_stat_activity; they are some of `sessions`."""
    settings = {"application_name": str(name), "timezone": "UTC", **_TIME_LIMITS}
    if role is not None:
        settings["role"] = role
    settings |= server_settings
    # Sessions that are for reading say so themselves; they too are the writer's, since a standby doesn't know yet what was just committed.
    reads_only = settings.get("default_transaction_read_only") == "on"
    pool = await _asyncpg.create_pool(
        database_url,
        connect=(sessions or Sessions()).open,
        connection_class=ServiceConnection,
        min_size=1,
        max_size=size_max,
        server_settings=settings,
        target_session_attrs="primary" if reads_only else "read-write",
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
    connection.uses += 1
    if connection.uses == connection.replans_at:
        # To the planner, all indexes of a table of a few rows are equal. Whatever it chose is kept, so it is asked again as tables may have grown.
        connection.replans_at *= _REPLANNED_GROWTH
        await connection.execute("DISCARD PLANS")


@asynccontextmanager
async def connect(database_url: str, sessions: Sessions | None = None, *, name: str = "tap") -> AsyncGenerator[Connection]:
    """Open one connection as the URL's own user, called `name` in pg_stat_activity."""
    connection = await (sessions or Sessions()).open(database_url, server_settings={"application_name": name})
    try:
        yield connection
    finally:
        with contextlib.suppress(*CONNECTION_FAILURES):
            await connection.close(timeout=_CLOSE_SECONDS)


async def is_healthy(pool: Pool) -> bool:
    """Tell whether a connection can be had that writes, within two seconds whatever the pool does meanwhile."""
    question = asyncio.create_task(_is_writable(pool))
    await asyncio.wait({question}, timeout=HEALTH_SECONDS_MAX)
    if not question.done():
        question.cancel()  # and nobody waits for its end
        return False
    return question.result()


async def _is_writable(pool: Pool) -> bool:
    try:
        return bool(await pool.fetchval(_SQL["is_writable"]))
    except (asyncpg.PostgresError, *CONNECTION_FAILURES):
        return False
