"""Every process is killed in turn under load. Nothing is lost, nothing is charged twice, every event arrives, the books balance."""

import asyncio
import json
import random
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from payments.storage.database import connect
from tests.support.persistent import Persistent
from tests.support.receiver import Receiver, receiver
from tests.support.running_tap import running_tap
from tests.support.waiting import SECONDS_MAX, eventually

CLIENTS = 32
PAUSE_SECONDS = 3.0
"""Between two kills: what was killed is back, and the next one hits a system at work."""


@dataclass
class Seen:
    """What the clients saw."""

    operations: set[str] = field(default_factory=set)
    succeeded: dict[str, str] = field(default_factory=dict)
    """Operation → payment intent."""
    refunded: set[str] = field(default_factory=set)
    declined: set[str] = field(default_factory=set)
    """Operations whose card is declined."""


@pytest.fixture
async def session() -> AsyncGenerator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as opened:
        yield opened


class Shop:
    """A merchant's server that never gives up, and never makes up a new key for the same operation."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, key: str, seen: Seen) -> None:
        self._client = Persistent(session)
        self._base_url = base_url
        self._headers = {"Authorization": f"Bearer {key}"}
        self._seen = seen
        self.acquirer_may_be_away = False

    async def post(self, path: str, idempotency_key: str, **params: str) -> tuple[int, dict[str, Any]]:
        headers = {**self._headers, "Idempotency-Key": idempotency_key}
        name = f"{path} {idempotency_key}"
        status, body = await self._client.send("POST", self._base_url + path, name=name, headers=headers, data=params)
        return status, json.loads(body or b"{}")

    @property
    def retries(self) -> int:
        return self._client.retries

    @property
    def gave_up(self) -> list[str]:
        return self._client.gave_up

    async def shop(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self.sell(random.random())
            await asyncio.sleep(random.uniform(0, 0.5))

    async def sell(self, chance: float) -> None:
        operation = uuid.uuid4().hex
        self._seen.operations.add(operation)
        status, intent = await self.post(
            "/v1/payment_intents",
            operation,
            amount="2000",
            currency="usd",
            confirm="true",
            payment_method="pm_card_chargeDeclined" if chance < 0.1 else "pm_card_visa",
            capture_method="manual" if 0.1 < chance < 0.3 else "automatic",
            **{"metadata[operation]": operation},
        )
        if chance < 0.1:
            # When the outcome isn't known yet it is processing; the sweeper learns that it was declined.
            assert status == 402 or intent.get("status") == "processing", intent
            self._seen.declined.add(operation)
            return
        if self.acquirer_may_be_away and status == 402 and intent["error"]["code"] == "processing_error":
            return  # nobody was there to take it, and nothing was sent
        assert status == 200, intent
        if intent["status"] == "requires_capture":
            status, intent = await self.post(f"/v1/payment_intents/{intent['id']}/capture", operation + "-capture")
            assert status == 200, intent
        if intent["status"] != "succeeded":
            assert intent["status"] == "processing", intent
            return
        self._seen.succeeded[operation] = intent["id"]
        if chance > 0.8:
            status, refund = await self.post("/v1/refunds", operation + "-refund", payment_intent=intent["id"])
            assert status == 200, refund
            # A refund whose outcome isn't known yet is pending, as a payment is processing; the sweeper finishes it.
            assert refund["status"] in ("succeeded", "pending"), refund
            self._seen.refunded.add(intent["id"])


async def test_nothing_is_lost_or_doubled_by_any_crash(session: aiohttp.ClientSession, new_directory: Path) -> None:
    seen = Seen()
    short = {"TAP_ATTEMPT_LEASE_SECONDS": "3", "TAP_ACQUIRER_TIMEOUT_SECONDS": "2"}
    with running_tap(short, copied_from=new_directory) as tap, receiver() as received:
        status = tap.status()
        shop = Shop(session, status["base_url"], status["secret_key"], seen)
        _, endpoint = await shop.post("/v1/webhook_endpoints", "endpoint", url=received.url, **{"enabled_events[]": "*"})
        received.secret = endpoint["secret"]

        stop = asyncio.Event()
        clients = [asyncio.create_task(shop.shop(stop)) for _ in range(CLIENTS)]
        for victim in ("notification-service", "transaction-processor", "payment-api", "postgres", "transaction-processor"):
            await asyncio.sleep(PAUSE_SECONDS)
            await asyncio.to_thread(tap.kill, victim)
        await asyncio.sleep(PAUSE_SECONDS)
        stop.set()
        await asyncio.gather(*clients)

        assert shop.gave_up == []
        assert len(seen.succeeded) > 100
        assert shop.retries > 0, "the kills hit nobody: the test shows nothing"
        await settled(status["database_url"])
        await check_payments(status["database_url"], seen)
        await check_events(status["database_url"], received)
        books = tap.tap("verify", check=False)
        assert books.returncode == 0, books.stdout


async def settled(database_url: str, seconds_max: float = SECONDS_MAX) -> None:
    """Wait until no attempt is open: every payment has reached a state that only its merchant can change."""

    async def all_are_closed() -> bool:
        async with connect(database_url) as connection:
            return await connection.fetchval("SELECT count(*) FROM payments.attempts WHERE closed_at IS NULL") == 0

    await eventually(all_are_closed, "all attempts are closed", seconds_max)


async def check_payments(database_url: str, seen: Seen) -> None:
    async with connect(database_url) as connection:
        rows = await connection.fetch(
            "SELECT id, status, document -> 'metadata' ->> 'operation' AS operation FROM payments.payment_intents"
        )
        intents: dict[str, list[Any]] = {}
        for row in rows:
            intents.setdefault(row["operation"], []).append(row)
        assert intents.keys() <= seen.operations
        assert [operation for operation, made in intents.items() if len(made) > 1] == [], "charged twice"
        for operation, intent_id in seen.succeeded.items():
            (row,) = intents[operation]
            assert (row["id"], row["status"]) == (intent_id, "succeeded")
        declined = [row["status"] for operation in seen.declined for row in intents[operation]]
        assert declined == ["requires_payment_method"] * len(seen.declined)
        assert declined
        assert {row["status"] for row in rows} <= {"succeeded", "requires_payment_method", "requires_capture", "canceled"}

        assert await connection.fetchval("SELECT count(*) FROM simulator.journal WHERE approvals > 1") == 0
        doubled = await connection.fetch(
            "SELECT a.payment_intent FROM simulator.journal j JOIN payments.attempts a ON a.id = j.reference"
            " WHERE j.kind = 'authorize' AND j.approvals = 1 GROUP BY 1 HAVING count(*) > 1"
        )
        assert doubled == []
        refunds = await connection.fetch("SELECT payment_intent, count(*) AS count FROM payments.refunds GROUP BY 1")
        assert {row["payment_intent"] for row in refunds} >= seen.refunded
        await eventually(
            lambda: connection.fetchval("SELECT count(*) = 0 FROM payments.refunds WHERE status <> 'succeeded'"),
            "all refunds have succeeded",
        )
        assert max((row["count"] for row in refunds), default=1) == 1


async def check_events(database_url: str, received: Receiver) -> None:
    async with connect(database_url) as connection:
        events = {row["id"] for row in await connection.fetch("SELECT id FROM payments.events")}

    async def all_are_received() -> bool:
        return events <= received.event_ids()

    await eventually(all_are_received, "all events are received")
    assert received.refused == []
