"""No connection outlives its use, and nobody waits for one that does."""

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest

from payments.runtime.background import Background
from payments.runtime.logging import Logger
from payments.storage import watched_database
from payments.storage.database import CONNECTION_FAILURES, is_healthy, open_pool
from payments.storage.sessions import PAUSE_SECONDS, UNACKNOWLEDGED_SECONDS_MAX, DatabaseSilentError, Sessions
from payments.storage.watched_database import WatchedDatabase, open_database
from tests.support.lossy_network import LossyNetwork, lossy_network
from tests.support.postgres import PasswordServer, password_server
from tests.support.waiting import eventually

LONG_SECONDS = 3600


@pytest.fixture(scope="module")
def server() -> Generator[PasswordServer]:
    with password_server() as running:
        with running.admin() as admin:
            admin.execute("CREATE ROLE tap LOGIN PASSWORD 'hunter2'")
        yield running


@pytest.fixture
def network(server: PasswordServer) -> Generator[LossyNetwork]:
    with lossy_network(server.port) as made:
        yield made


@pytest.fixture
async def database(network: LossyNetwork) -> AsyncGenerator[WatchedDatabase]:
    async with open_database(f"postgresql://tap:hunter2@127.0.0.1:{network.port}/postgres", role=None, name="test") as opened:
        yield opened


async def test_the_operating_system_gives_a_lost_connection_up_within_seconds(database: WatchedDatabase) -> None:
    async with database.pool.acquire() as lent, database.connect("alone") as alone:
        for connection in (lent, alone):
            opened: Any = connection._transport.get_extra_info("socket")  # type: ignore[attr-defined]
            assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == UNACKNOWLEDGED_SECONDS_MAX * 1000
            assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) < UNACKNOWLEDGED_SECONDS_MAX


async def test_health_answers_in_time_while_every_connection_hangs(database: WatchedDatabase) -> None:
    assert await is_healthy(database.pool)
    hanging = [asyncio.create_task(database.pool.fetchval("SELECT pg_sleep(25)")) for _ in range(30)]
    started = time.monotonic()
    assert await asyncio.gather(*(is_healthy(database.pool) for _ in range(5))) == [False] * 5
    assert time.monotonic() - started < 20, "it waited for the queries"
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)

    async def healthy() -> bool:
        return await is_healthy(database.pool)

    await eventually(healthy, "it is healthy again")


async def test_a_command_that_cannot_be_cancelled_does_not_keep_its_connection(database: WatchedDatabase, network: LossyNetwork) -> None:
    assert await database.pool.fetchval("SELECT 1") == 1
    network.fall_silent()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await database.pool.fetchval("SELECT 1")
    network.come_back()
    async with asyncio.timeout(20):  # the driver alone waits for half a minute
        assert await database.pool.fetchval("SELECT 1") == 1


async def test_the_watch_ends_what_waits_for_a_silent_database_and_follows_it_back(
    database: WatchedDatabase, network: LossyNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched_database, "SILENT_SECONDS", 0.5)
    background = Background(Logger("test", open("/dev/null", "wb", buffering=0)))  # noqa: ASYNC230, PTH123, SIM115 - a device
    background.keep("watch database", database.watch)
    await database.pool.fetchval("SELECT 1")
    network.fall_silent()
    waiting = [asyncio.create_task(database.pool.fetchval("SELECT 1")) for _ in range(50)]
    failures = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(failure, CONNECTION_FAILURES) for failure in failures)
    assert background.faults() == ["watch database"]
    network.come_back()

    async def well() -> bool:
        return not background.faults() and await database.is_well()

    await eventually(well, "it is well again")
    await background.stop()


async def test_who_comes_just_after_a_connection_that_was_not_answered_waits_for_none(network: LossyNetwork) -> None:
    seconds = [100.0]
    sessions = Sessions(now=lambda: seconds[0])
    url = f"postgresql://tap:hunter2@127.0.0.1:{network.port}/postgres"
    network.fall_silent()
    with pytest.raises(TimeoutError):
        await sessions.open(url, timeout=0.2)
    network.come_back()
    with pytest.raises(DatabaseSilentError):
        await sessions.open(url)
    seconds[0] += PAUSE_SECONDS
    await (await sessions.open(url)).close()


@pytest.mark.parametrize("read_only", ["on", "off"])
async def test_only_a_server_that_takes_writes_is_connected_to(server: PasswordServer, network: LossyNetwork, read_only: str) -> None:
    url = f"postgresql://tap:hunter2@127.0.0.1:{network.port}/postgres"
    with server.admin() as admin:
        admin.execute(f"ALTER ROLE tap SET default_transaction_read_only = {read_only}")  # type: ignore[arg-type]
    try:
        if read_only == "off":
            async with open_pool(url, role=None, name="test") as pool:
                assert await is_healthy(pool)
        else:
            with pytest.raises(CONNECTION_FAILURES, match="target attribute"):
                async with open_pool(url, role=None, name="test"):
                    pass
    finally:
        with server.admin() as admin:
            admin.execute("ALTER ROLE tap RESET default_transaction_read_only")


@pytest.mark.parametrize(
    ("closed", "opened"),
    [
        ("ALTER DATABASE another ALLOW_CONNECTIONS false", "ALTER DATABASE another ALLOW_CONNECTIONS true"),
        ("ALTER DATABASE another RENAME TO before", "ALTER DATABASE before RENAME TO another"),
        ("ALTER ROLE tap CONNECTION LIMIT 0", "ALTER ROLE tap CONNECTION LIMIT -1"),
    ],
    ids=["a closed database", "one that is taken away", "no connection left"],
)
async def test_whoever_is_not_let_in_knows_that_it_is_for_now(server: PasswordServer, closed: str, opened: str) -> None:
    url = f"postgresql://tap:hunter2@127.0.0.1:{server.port}/another"
    with server.admin() as admin:
        admin.execute("CREATE DATABASE another")
        admin.execute(closed)  # type: ignore[arg-type]
        try:
            with pytest.raises(CONNECTION_FAILURES):
                await Sessions().open(url)
            admin.execute(opened)  # type: ignore[arg-type]
            await (await Sessions().open(url)).close()
        finally:
            admin.execute("ALTER ROLE tap CONNECTION LIMIT -1")
            for name in ("another", "before"):
                admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")  # type: ignore[arg-type]


async def test_a_pool_for_reading_is_the_writers_too(database: WatchedDatabase) -> None:
    async with database.open_pool("lists", server_settings={"default_transaction_read_only": "on"}) as pool:
        assert await pool.fetchval("SHOW transaction_read_only") == "on"
