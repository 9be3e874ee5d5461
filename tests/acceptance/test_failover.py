"""The database moves, or the way to it is lost. Payments go on soon after it is back, nothing is lost or doubled, and health tells the truth all the while."""

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import psycopg
import pytest

from payments.runtime.topology import HEALTH_PATH, LIVE_PATH
from tests.acceptance.test_crash import Seen, Shop, check_payments, settled
from tests.support.lossy_network import LossyNetwork, lossy_network
from tests.support.postgres import PasswordServer, password_server
from tests.support.running_tap import RunningTap, running_tap
from tests.support.waiting import eventually

CLIENTS = 8
OUTAGE_SECONDS = 8.0
AGAIN_SECONDS_MAX = 30.0
"""After the database's return, on a machine that is busy with other tests; alone it takes one to four seconds."""
ANSWER_SECONDS_MAX = 15.0
"""In which `/health` answers, likewise; alone it takes at most two."""


@dataclass
class Observed:
    """What a load balancer and a container's health check see of one service."""

    ready: list[tuple[float, int]] = field(default_factory=list)
    """When it was asked, and the answer."""
    alive: list[int] = field(default_factory=list)
    said: str = ""
    """With the last answer, which names what is wrong."""
    slowest_seconds: float = 0.0

    def last(self) -> int:
        return self.ready[-1][1] if self.ready else 0

    def between(self, start: float, end: float) -> set[int]:
        return {status for at, status in self.ready if start <= at <= end}


@dataclass
class System:
    tap: RunningTap
    server: PasswordServer
    network: LossyNetwork
    seen: Seen
    """In all outages: one comes after another, as in a system's life."""


@pytest.fixture(scope="module")
def system() -> Generator[System]:
    with password_server() as server:
        with server.admin() as admin:
            admin.execute("CREATE ROLE owner LOGIN SUPERUSER PASSWORD 'hunter2'")
            admin.execute("CREATE DATABASE tap TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'")
        with lossy_network(server.port) as network:
            url = f"postgresql://owner:hunter2@127.0.0.1:{network.port}/tap"
            environment = {"TAP_DATABASE_URL": url, "TAP_ATTEMPT_LEASE_SECONDS": "3", "TAP_ACQUIRER_TIMEOUT_SECONDS": "2"}
            with running_tap(environment) as tap:
                yield System(tap, server, network, Seen())


@asynccontextmanager
async def observed(session: aiohttp.ClientSession, urls: list[str]) -> AsyncGenerator[list[Observed]]:
    async def observe(url: str, seen: Observed) -> None:
        while True:
            started = time.monotonic()
            async with session.get(url + LIVE_PATH) as response:
                seen.alive.append(response.status)
            async with session.get(url + HEALTH_PATH) as response:
                seen.said = await response.text()
                seen.ready.append((started, response.status))
            seen.slowest_seconds = max(seen.slowest_seconds, time.monotonic() - started)
            await asyncio.sleep(0.1)

    all_seen = [Observed() for _ in urls]
    tasks = [asyncio.create_task(observe(url, seen)) for url, seen in zip(urls, all_seen, strict=True)]
    try:
        yield all_seen
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended


class ReadOnly:
    """The server refuses writes; its sessions are ended as well, or go on as they are."""

    def __init__(self, *, ends_sessions: bool) -> None:
        self.ends_sessions = ends_sessions

    def begin(self, system: System) -> None:
        with system.server.admin() as admin:
            admin.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            admin.execute("SELECT pg_reload_conf()")
        if self.ends_sessions:
            system.server.end_sessions("owner")

    def end(self, system: System) -> None:
        with psycopg.connect(
            system.server.server.url("postgres"), port=system.server.port, autocommit=True, options="-c default_transaction_read_only=off"
        ) as admin:
            admin.execute("ALTER SYSTEM RESET default_transaction_read_only")
            admin.execute("SELECT pg_reload_conf()")


class Silence:
    """Packets get lost; nothing is closed or refused."""

    def begin(self, system: System) -> None:
        system.network.fall_silent()

    def end(self, system: System) -> None:
        system.network.come_back()


@pytest.mark.parametrize(
    "outage",
    [ReadOnly(ends_sessions=True), ReadOnly(ends_sessions=False), Silence()],
    ids=["read-only after a restart", "read-only from one moment to the next", "silent packets"],
)
async def test_payments_go_on_soon_after_the_database_is_back(system: System, outage: ReadOnly | Silence) -> None:
    seen, status = system.seen, system.tap.status()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS_MAX * 2)) as session:
        shop = Shop(session, status["base_url"], status["secret_key"], seen)
        urls = [service["url"] for service in status["services"].values()]
        async with observed(session, urls) as services:
            stop = asyncio.Event()
            clients = [asyncio.create_task(shop.shop(stop)) for _ in range(CLIENTS)]
            await asyncio.sleep(2)

            await asyncio.to_thread(outage.begin, system)
            began = time.monotonic()
            await eventually(lambda: _all(services, 503), "all services say that they aren't ready")
            unready = time.monotonic()
            await asyncio.sleep(max(0.0, began + OUTAGE_SECONDS - time.monotonic()))
            before = len(seen.succeeded)

            await asyncio.to_thread(outage.end, system)
            back = time.monotonic()
            await eventually(lambda: _more(seen, before + CLIENTS), "payments succeed again", AGAIN_SECONDS_MAX)
            again = time.monotonic()
            try:
                await eventually(lambda: _all(services, 200), "all services are ready again")
            except AssertionError:
                raise AssertionError([service.said for service in services]) from None
            stop.set()
            await asyncio.gather(*clients)
    print(f"unready after {unready - began:.1f} s, again after {again - back:.1f} s, ", end="")
    print("health at the slowest", [round(service.slowest_seconds, 1) for service in services])
    for service in services:
        assert service.between(unready, back - ANSWER_SECONDS_MAX / 10) == {503}
        assert set(service.alive) == {200}, "no other process would have another database"
        assert service.slowest_seconds < ANSWER_SECONDS_MAX
    assert shop.gave_up == []
    direct = f"postgresql://owner:hunter2@127.0.0.1:{system.server.port}/tap"
    await settled(direct)
    await check_payments(direct, seen)
    books = system.tap.tap("verify", check=False)
    assert books.returncode == 0, books.stdout


async def _all(services: list[Observed], status: int) -> bool:
    return all(service.last() == status for service in services)


async def _more(seen: Seen, count: int) -> bool:
    return len(seen.succeeded) >= count
