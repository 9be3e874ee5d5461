"""Two processes of each service that payments pass through: they share the work, and one's end is nobody's loss."""

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import psycopg
import pytest

from payments.runtime.topology import SERVICES, Service
from payments.storage.database import connect
from tests.acceptance.test_crash import Seen, Shop, check_payments, settled
from tests.support.postgres import password_server
from tests.support.running_tap import RunningTap, free_port, run_tap, running_tap
from tests.support.waiting import eventually

CLIENTS = 16


@pytest.fixture(scope="module")
def two(new_directory: Path) -> Generator[RunningTap]:
    with running_tap(
        {"TAP_ATTEMPT_LEASE_SECONDS": "3", "TAP_ACQUIRER_TIMEOUT_SECONDS": "2"}, "--copies", "2", copied_from=new_directory
    ) as tap:
        yield tap


@pytest.fixture(scope="module")
def seen() -> Seen:
    """All that these tests pay."""
    return Seen()


@pytest.fixture
async def session() -> AsyncGenerator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=60)) as opened:
        yield opened


def test_status_has_each_copy(two: RunningTap) -> None:
    services = two.shown_status()["services"]
    for name, service in services.items():
        copies = service["copies"]
        assert len(copies) == (1 if name == Service.NOTIFICATION_SERVICE else 2)
        assert len({(copy["pid"], copy["url"]) for copy in copies}) == len(copies)
        assert all(copy["healthy"] for copy in copies)
        assert (service["pid"], service["url"], service["healthy"]) == (copies[0]["pid"], copies[0]["url"], True)
    assert (two.data_dir / "logs" / "payment-api-2.log").exists()
    assert {copy["pid"] for service in services.values() for copy in service["copies"]} <= set(psutil.pids())


def test_the_database_has_room_for_all_of_them(two: RunningTap) -> None:
    needed = sum(spec.connections_max * (1 if service == Service.NOTIFICATION_SERVICE else 2) for service, spec in SERVICES.items())
    with psycopg.connect(two.status()["database_url"]) as connection:
        row = connection.execute("SELECT current_setting('max_connections')::int").fetchone()
    assert row is not None
    assert row[0] >= needed + 10


def test_a_database_that_lets_in_too_few_is_refused_at_the_start(tmp_path: Path) -> None:
    with password_server(max_connections="100") as server:
        with server.admin() as admin:
            admin.execute("CREATE ROLE owner LOGIN SUPERUSER PASSWORD 'hunter2'")
        url = f"postgresql://owner:hunter2@127.0.0.1:{server.port}/postgres"
        options = ("--copies", "2", "--port", str(free_port()), "--data-dir", str(tmp_path / "tap"))
        refused = run_tap("up", *options, environment={"TAP_DATABASE_URL": url}, check=False)
    assert refused.returncode == 1
    assert "takes 100 connections, and 2 copies may open 101: raise its max_connections, or run fewer copies." in refused.stderr
    assert "hunter2" not in refused.stdout + refused.stderr


async def test_one_key_at_all_copies_at_once_makes_one_payment(two: RunningTap, session: aiohttp.ClientSession, seen: Seen) -> None:
    status = two.status()
    copies = [copy["url"] for copy in status["services"]["payment-api"]["copies"]]

    async def pay(url: str, key: str) -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {status['secret_key']}", "Idempotency-Key": key}
        params = {"amount": "2000", "currency": "usd", "confirm": "true", "payment_method": "pm_card_visa", "metadata[operation]": key}
        async with session.post(f"{url}/v1/payment_intents", data=params, headers=headers) as response:
            return response.status, await response.text()

    keys = [uuid.uuid4().hex for _ in range(12)]
    answers = await asyncio.gather(*(pay(url, key) for key in keys for url in copies * 3))
    for number, key in enumerate(keys):
        mine = answers[number * 6 : number * 6 + 6]
        assert {code for code, _ in mine} <= {200, 409}
        assert "idempotency_key_in_use" in next((body for code, body in mine if code == 409), "idempotency_key_in_use")
        first = {body for code, body in mine if code == 200}
        assert len(first) == 1
        assert [await pay(url, key) for url in copies] == [(200, *first)] * 2
        paid = json.loads(first.pop())
        assert paid["status"] == "succeeded"
        seen.operations.add(key)
        seen.succeeded[key] = paid["id"]
    async with connect(status["database_url"]) as connection:
        made = await connection.fetch(
            "SELECT document -> 'metadata' ->> 'operation' AS key, count(*) AS payments FROM payments.payment_intents"
            " WHERE document -> 'metadata' ->> 'operation' = ANY ($1) GROUP BY 1",
            keys,
        )
    assert {row["key"]: row["payments"] for row in made} == dict.fromkeys(keys, 1)


async def test_all_copies_together_keep_to_what_a_key_may_write(two: RunningTap, session: aiohttp.ClientSession) -> None:
    status = two.status()
    secret = two.tap("keys", "create").stdout.splitlines()[-1]
    key_id = next(line.split()[1] for line in two.tap("keys", "list").stdout.splitlines() if secret[-4:] in line)
    assert "may write 20 times a second" in two.tap("keys", "limit", key_id, "20").stdout
    headers = {"Authorization": f"Bearer {secret}"}
    copies = [copy["url"] for copy in status["services"]["payment-api"]["copies"]]
    let: list[float] = []
    clock = asyncio.get_running_loop().time

    async def call(method: str, url: str) -> aiohttp.ClientResponse:
        async with session.request(method, f"{url}/v1/customers", headers=headers) as response:
            await response.read()
            return response

    async def write(url: str, until: float) -> None:
        while clock() < until:
            answer = await call("POST", url)
            assert answer.status in (200, 429)
            if answer.status == 200:
                let.append(clock())
            else:
                assert answer.headers["Stripe-Should-Retry"] == "true"
                assert answer.headers["Request-Id"].startswith("req_")
            await asyncio.sleep(0.02)

    began = clock()
    await asyncio.gather(*(write(url, began + 5) for url in copies * 4))
    # What it saved up is spent by then; on a busy machine fewer come than may.
    assert sum(moment >= began + 2 for moment in let) <= 1.1 * 20 * 3
    assert len(let) >= 20
    assert {(await call("GET", url)).status for url in copies for _ in range(20)} == {200}


@pytest.mark.parametrize("victim", [Service.PAYMENT_API, Service.TRANSACTION_PROCESSOR])
async def test_a_copy_that_is_killed_under_load_loses_nothing(
    two: RunningTap, session: aiohttp.ClientSession, seen: Seen, victim: Service
) -> None:
    status, before = two.status(), len(seen.succeeded)
    shop = Shop(session, status["base_url"], status["secret_key"], seen)
    stop = asyncio.Event()
    clients = [asyncio.create_task(shop.shop(stop)) for _ in range(CLIENTS)]

    async def sold(count: int) -> bool:
        return len(seen.succeeded) >= before + count

    async def is_replaced() -> bool:
        copies: list[dict[str, Any]] = (await asyncio.to_thread(two.shown_status))["services"][victim]["copies"]
        return all(copy["healthy"] for copy in copies) and copies[1]["pid"] != killed

    killed = status["services"][victim]["copies"][1]["pid"]
    await eventually(lambda: sold(CLIENTS), "payments are made")
    await asyncio.to_thread(two.kill, victim, 1)
    await eventually(lambda: sold(4 * CLIENTS), "payments go on")
    await eventually(is_replaced, "there is another in its place")
    stop.set()
    await asyncio.gather(*clients)
    assert shop.gave_up == []
    await settled(status["database_url"])
    await check_payments(status["database_url"], seen)
    books = await asyncio.to_thread(two.tap, "verify", check=False)
    assert books.returncode == 0, books.stdout
