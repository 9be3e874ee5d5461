"""Every event reaches every endpoint that wants it, at least once, whatever happens."""

import asyncio
import io
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest
import stripe
from aiohttp import web

from payments.domain.event import Origin, event_of
from payments.domain.webhook_endpoint import WebhookEndpoint
from payments.notification_service.deliverer import PER_ENDPOINT_MAX, Deliverer, secret_context
from payments.notification_service.retries import RETRY_SECONDS
from payments.notification_service.signing import new_secret
from payments.notification_service.targets import PublicResolver
from payments.runtime.ids import new_id
from payments.runtime.logging import Logger
from payments.runtime.seal import Sealer
from payments.storage import webhook_endpoints
from payments.storage.database import Connection, Pool, connect, open_pool
from payments.storage.deliveries import Deliveries
from payments.storage.events import append_events
from payments.storage.group_commit import GroupCommit
from payments.storage.outbox import dispatch
from tests.integration.builders import FakeClock, Key, payment
from tests.support.waiting import eventually

Answer = Callable[[web.Request], Awaitable[web.Response]]


@dataclass
class Receiver:
    url: str
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@asynccontextmanager
async def receiver(answer: Answer | None = None) -> AsyncGenerator[Receiver]:
    received = Receiver("")

    async def take(request: web.Request) -> web.Response:
        received.bodies.append(await request.read())
        received.headers.append(dict(request.headers))
        return web.Response() if answer is None else await answer(request)

    application = web.Application()
    application.router.add_post("/hook", take)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    received.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield received
    finally:
        await runner.cleanup()


@dataclass
class Notifier:
    """A copy of notification-service, without its API."""

    pool: Pool
    deliverer: Deliverer
    sealer: Sealer

    async def endpoint(self, url: str, *events: str, merchant_id: int = 1, enabled: bool = True) -> str:
        made = WebhookEndpoint(
            id=new_id("we"),
            merchant_id=merchant_id,
            livemode=False,
            created=0,
            url=url,
            enabled_events=list(events) or ["*"],
            enabled=enabled,
        )
        secret = new_secret()
        await webhook_endpoints.insert(self.pool, made, self.sealer.seal(secret.encode(), secret_context(made)))
        return secret

    async def deliver(self) -> None:
        """Deliver all that is due now."""
        while await self.deliverer.deliver_due():
            await self.deliverer.drain()

    async def make_due(self) -> None:
        await self.pool.execute("UPDATE notifications.deliveries SET next_attempt_at = now() WHERE status = 'pending'")

    async def statuses(self) -> list[tuple[str, int]]:
        rows = await self.pool.fetch("SELECT status, attempts FROM notifications.deliveries ORDER BY event_id, endpoint_id")
        return [(row["status"], row["attempts"]) for row in rows]


@asynccontextmanager
async def notifier_on(database_url: str, *, allow_private: bool = True) -> AsyncGenerator[Notifier]:
    connector = aiohttp.TCPConnector(limit=0, resolver=None if allow_private else PublicResolver())
    async with (
        open_pool(database_url, role="tap_notification_service", name="test") as pool,
        # No time limit: the receivers run on this very loop, and it may be slow.
        aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as session,
    ):
        deliveries, sealer = Deliveries(pool, lease_seconds=25), Sealer(Key())
        deliverer = Deliverer(
            deliveries=deliveries,
            results=GroupCommit(deliveries.record, name="test"),
            pool=pool,
            session=session,
            sealer=sealer,
            clock=FakeClock(),
            log=Logger("test", io.BytesIO()),
            allow_private=allow_private,
        )
        yield Notifier(pool, deliverer, sealer)


@pytest.fixture
async def notifier(database_url: str) -> AsyncGenerator[Notifier]:
    async with notifier_on(database_url) as made:
        yield made


async def tell(connection: Connection, event_type: str = "payment_intent.created", *, merchant_id: int = 1, count: int = 1) -> None:
    events = [
        event_of(new_id("evt"), event_type, payment(merchant_id)[1].intent, created=1_800_000_000, origin=Origin()) for _ in range(count)
    ]
    await append_events(connection, events)


async def test_events_go_to_those_who_asked_for_them(notifier: Notifier, connection: Connection) -> None:
    await notifier.endpoint("http://a/hook", "*")
    await notifier.endpoint("http://b/hook", "payment_intent.created", "charge.failed")
    await notifier.endpoint("http://c/hook", "charge.failed")
    await notifier.endpoint("http://d/hook", "*", merchant_id=2)
    await notifier.endpoint("http://e/hook", "*", enabled=False)
    await tell(connection)
    dispatched = await dispatch(notifier.pool, 100)
    assert (dispatched.events, dispatched.deliveries) == (1, 2)
    assert (await dispatch(notifier.pool, 100)).events == 0


async def test_two_dispatchers_lose_and_double_nothing(notifier: Notifier, connection: Connection, database_url: str) -> None:
    await notifier.endpoint("http://a/hook")
    await tell(connection, count=500)
    async with notifier_on(database_url) as other:

        async def drain(pool: Pool) -> int:
            total = 0
            while (dispatched := await dispatch(pool, 30)).events:
                total += dispatched.events
            return total

        totals = await asyncio.gather(*(drain(each.pool) for each in (notifier, other, notifier)))
    assert sum(totals) == 500
    assert await connection.fetchval("SELECT count(*) FROM notifications.deliveries") == 500


async def test_an_event_that_is_committed_late_is_not_lost(notifier: Notifier, connection: Connection, database_url: str) -> None:
    await notifier.endpoint("http://a/hook")
    async with connect(database_url) as slow:
        async with slow.transaction():
            await tell(slow)
            await tell(connection)
            assert (await dispatch(notifier.pool, 100)).deliveries == 1
        assert (await dispatch(notifier.pool, 100)).deliveries == 1


async def test_a_delivery_is_signed_and_recorded(notifier: Notifier, connection: Connection) -> None:
    async with receiver() as received:
        secret = await notifier.endpoint(received.url)
        await tell(connection)
        await dispatch(notifier.pool, 100)
        await notifier.deliver()
        event = stripe.Webhook.construct_event(received.bodies[0], received.headers[0]["Stripe-Signature"], secret)
        assert (event.type, event["pending_webhooks"]) == ("payment_intent.created", 1)
        assert received.headers[0]["Tap-Object-Sequence"] == "1"
        assert await notifier.statuses() == [("delivered", 1)]
        row = await connection.fetchrow("SELECT attempt, status_code, error FROM notifications.delivery_attempts")
        assert row is not None
        assert tuple(dict(row).values()) == (1, 200, None)


async def test_a_failed_delivery_is_tried_by_the_schedule_and_then_buried(notifier: Notifier, connection: Connection) -> None:
    async def fail(_: web.Request) -> web.Response:
        return web.Response(status=500)

    async with receiver(fail) as received:
        await notifier.endpoint(received.url)
        await tell(connection)
        await dispatch(notifier.pool, 100)
        for attempt in range(1, len(RETRY_SECONDS) + 2):
            await notifier.deliver()
            assert len(received.bodies) == attempt
            await notifier.make_due()
        assert await notifier.statuses() == [("dead", len(RETRY_SECONDS) + 1)]
        delivery = await connection.fetchrow("SELECT event_id, endpoint_id FROM notifications.deliveries")
        assert delivery is not None
        again = await Deliveries(notifier.pool, lease_seconds=25).redeliver(1, False, delivery["event_id"], delivery["endpoint_id"])
        assert again is not None
        await notifier.deliver()
        assert len(received.bodies) == len(RETRY_SECONDS) + 2


async def test_dead_letters_are_counted_for_a_day_and_while_they_can_be_sent_again(notifier: Notifier, connection: Connection) -> None:
    async def gone(_: web.Request) -> web.Response:
        return web.Response(status=410)

    deliveries = Deliveries(notifier.pool, lease_seconds=25)
    async with receiver(gone) as received:
        await notifier.endpoint(received.url)
        await tell(connection)
        await dispatch(notifier.pool, 100)
        assert await deliveries.dead_letters() == 0
        await notifier.deliver()
        assert await deliveries.dead_letters() == 1
        await connection.execute("UPDATE notifications.deliveries SET next_attempt_at = now() - interval '25 hours'")
        assert await deliveries.dead_letters() == 0
        await connection.execute("UPDATE notifications.deliveries SET next_attempt_at = now()")
        await connection.execute("DELETE FROM notifications.webhook_endpoints")
        assert await deliveries.dead_letters() == 0


async def test_gone_disables_the_endpoint(notifier: Notifier, connection: Connection) -> None:
    async def gone(_: web.Request) -> web.Response:
        return web.Response(status=410)

    async with receiver(gone) as received:
        await notifier.endpoint(received.url)
        await tell(connection)
        await dispatch(notifier.pool, 100)
        await notifier.deliver()
        assert await notifier.statuses() == [("dead", 1)]
        row = await connection.fetchrow("SELECT enabled, version, document ->> 'enabled' AS shown FROM notifications.webhook_endpoints")
        assert row is not None
        assert tuple(dict(row).values()) == (False, 2, "false")


async def test_what_was_sent_and_not_recorded_is_sent_again(notifier: Notifier, connection: Connection) -> None:
    async with receiver() as received:
        await notifier.endpoint(received.url)
        await tell(connection)
        await dispatch(notifier.pool, 100)
        claimed = await Deliveries(notifier.pool, lease_seconds=3600).claim(10, per_endpoint=10, busy_endpoints=[])
        assert len(claimed) == 1, "its owner dies here"
        await notifier.deliver()
        assert received.bodies == []
        await notifier.make_due()
        await notifier.deliver()
        assert len(received.bodies) == 1


async def test_a_receiver_that_hangs_does_not_hold_up_the_others(notifier: Notifier, connection: Connection) -> None:
    release = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        await release.wait()
        return web.Response()

    async with receiver(hang) as slow, receiver() as quick:
        await notifier.endpoint(slow.url, merchant_id=1)
        await notifier.endpoint(quick.url, merchant_id=2)
        await tell(connection, merchant_id=1, count=200)
        await tell(connection, merchant_id=2, count=5)
        await dispatch(notifier.pool, 1000)
        for _ in range(10):
            await notifier.deliverer.deliver_due()

        async def all_arrived() -> bool:
            return len(quick.bodies) == 5

        await eventually(all_arrived, "the others are delivered")
        assert len(slow.bodies) <= PER_ENDPOINT_MAX
        release.set()
        await notifier.deliverer.drain()


async def test_a_redirect_is_a_failure(notifier: Notifier, connection: Connection) -> None:
    async with receiver() as elsewhere:

        async def redirect(_: web.Request) -> web.Response:
            return web.Response(status=307, headers={"Location": elsewhere.url})

        async with receiver(redirect) as received:
            await notifier.endpoint(received.url)
            await tell(connection)
            await dispatch(notifier.pool, 100)
            await notifier.deliver()
            assert await notifier.statuses() == [("pending", 1)]
            assert elsewhere.bodies == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_our_own_network_is_never_reached(database_url: str, connection: Connection, host: str) -> None:
    async with receiver() as received, notifier_on(database_url, allow_private=False) as careful:
        await careful.endpoint(received.url.replace("127.0.0.1", host))
        await tell(connection)
        await dispatch(careful.pool, 100)
        await careful.deliver()
        assert received.bodies == []
        assert await connection.fetchval("SELECT error FROM notifications.delivery_attempts") == "TargetRefusedError"
