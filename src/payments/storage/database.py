"""Connections to PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from asyncpg.pool import PoolConnectionProxy

Connection = asyncpg.Connection[Any] | PoolConnectionProxy[Any]
"""A connection, whether its own or lent by a pool."""
Pool = asyncpg.Pool[Any]

CONNECTION_FAILURES = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)
"""The server went away: whether the statement under way took effect is not known."""

_CLOSE_SECONDS = 5


@asynccontextmanager
async def open_pool(
    database_url: str, *, role: str | None, name: str, size_max: int = 10, server_settings: Mapping[str, str] | None = None
) -> AsyncIterator[Pool]:
    """Open a pool whose connections work as `role`, and are called `name` in pg_stat_activity."""
    settings = {"application_name": name, "timezone": "UTC", "lock_timeout": "5s", "statement_timeout": "30s"}
    if role is not None:
        settings["role"] = role
    pool = await asyncpg.create_pool(
        database_url, min_size=1, max_size=size_max, server_settings={**settings, **(server_settings or {})}, command_timeout=30
    )
    try:
        yield pool
    finally:
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await pool.close()
        except TimeoutError:
            pool.terminate()


async def is_healthy(pool: Pool) -> bool:
    """Tell whether the database answers within two seconds."""
    try:
        return await pool.fetchval("SELECT true", timeout=2)
    except (TimeoutError, asyncpg.PostgresError, *CONNECTION_FAILURES):
        return False
