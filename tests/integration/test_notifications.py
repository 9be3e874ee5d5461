"""Every event reaches every endpoint that wants it, at least once, whatever happens."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec
import pytest
import stripe
from aiohttp import web

from payments.domain.webhook_endpoint import WebhookEndpoint
from payments.notification_service import deliverer as deliverer_module
from payments.notification_service.channels.webhook import secret_context
from payments.notification_service.connections import Answer
from payments.notification_service.retries import RETRY_SECONDS
from payments.notification_service.signing import new_secret
from payments.runtime.ids import new_id
from payments.storage import webhook_endpoints
from payments.storage.books import find_faults
from payments.storage.database import Connection, Pool, connect
from payments.storage.deliveries import Deliveries, Room
from payments.storage.outbox import dispatch
from tests.integration.notifier import Notifier, notifier_on, tell
from tests.support.waiting import eventually

Handle = Callable[[web.Request], Awaitable[web.Response]]


@dataclass
class Receiver:
    url: str
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@asynccontextmanager
async def receiver(answer: Handle | None = None) -> AsyncGenerator[Receiver]:
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


@pytest.fixture
async def notifier(database_url: str) -> AsyncGenerator[Notifier]:
    async with notifier_on(database_url) as made:
        yield made


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
        row = await connection.fetchrow("SELECT attempt, status_code, error FROM notifications.delivery_log")
        assert row is not None
        assert tuple(dict(row).values()) == (1, 200, None)


async def test_every_secret_signs_until_it_expires_however_soon_the_next_one_replaces_it(
    notifier: Notifier, connection: Connection
) -> None:
    sent: list[tuple[bytes, Mapping[str, str]]] = []

    async def send(_: str, headers: Mapping[str, str], body: bytes) -> Answer:
        sent.append((body, headers))
        return Answer(200)

    async def signing(secrets: list[str]) -> list[str]:
        await tell(connection)
        await dispatch(notifier.pool, 100)
        await notifier.deliver()
        body, headers = sent[-1]
        valid: list[str] = []
        for secret in secrets:
            with contextlib.suppress(stripe.SignatureVerificationError):
                stripe.Webhook.construct_event(body, headers["Stripe-Signature"], secret)
                valid.append(secret)
        assert len(headers["webhook-signature"].split()) == len(valid)
        return valid

    notifier.send_by(send)
    secrets = [await notifier.endpoint("http://a/hook")]
    endpoint = msgspec.json.decode(await connection.fetchval("SELECT document FROM notifications.webhook_endpoints"), type=WebhookEndpoint)

    async def rotate(seconds: float) -> None:
        secrets.append(new_secret())
        sealed = notifier.sealer.seal(secrets[-1].encode(), secret_context(endpoint))
        async with notifier.pool.acquire() as own, own.transaction():
            assert await webhook_endpoints.secrets_in_use(own, endpoint) == len(await signing(secrets[:-1]))
            await webhook_endpoints.rotate_secret(own, endpoint, sealed, seconds, new_id("whs"))

    assert await signing(secrets) == secrets
    for _ in range(3):
        await rotate(3600)
        assert await signing(secrets) == secrets
    await connection.execute(
        "UPDATE notifications.earlier_secrets SET expires_at = now() WHERE id = (SELECT min(id) FROM notifications.earlier_secrets)"
    )
    assert await signing(secrets) == secrets[1:]
    await rotate(3600)
    assert await connection.fetchval("SELECT count(*) FROM notifications.earlier_secrets") == 2, "what has expired is forgotten"
    await rotate(0)
    assert await signing(secrets) == secrets[-1:]
    assert await connection.fetchval("SELECT count(*) FROM notifications.earlier_secrets") == 0


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
        assert await connection.fetchval("SELECT count(*) FROM payments.events WHERE type = 'webhook_endpoint.disabled'") == 1


async def test_an_endpoint_that_nothing_gets_through_to_for_three_days_is_disabled_and_an_event_tells_of_it(
    notifier: Notifier, connection: Connection
) -> None:
    status = 500

    async def send(_: str, __: Mapping[str, str], ___: bytes) -> Answer:
        return Answer(status)

    notifier.send_by(send)
    await notifier.endpoint("http://a/hook")
    await tell(connection, count=3)
    await dispatch(notifier.pool, 100)
    await notifier.deliver()
    failing_since = "SELECT failing_since FROM notifications.webhook_endpoints"
    since = await connection.fetchval(failing_since)
    assert since is not None
    await notifier.make_due()
    await notifier.deliver()
    assert await connection.fetchval(failing_since) == since, "of the first failure"
    status = 200
    await notifier.make_due()
    await notifier.deliver()
    assert await connection.fetchval(failing_since) is None
    assert await notifier.statuses() == [("delivered", 3)] * 3

    status = 500
    await tell(connection, count=3)
    await dispatch(notifier.pool, 100)
    await notifier.deliver()
    await connection.execute("UPDATE notifications.webhook_endpoints SET failing_since = now() - interval '71 hours'")
    await notifier.make_due()
    await notifier.deliver()
    assert await connection.fetchval("SELECT enabled FROM notifications.webhook_endpoints")
    await connection.execute("UPDATE notifications.webhook_endpoints SET failing_since = now() - interval '73 hours'")
    await notifier.make_due()
    await notifier.deliver()
    row = await connection.fetchrow("SELECT enabled, version, document FROM notifications.webhook_endpoints")
    assert row is not None
    assert tuple(row)[:2] == (False, 2)
    assert {status for status, _ in await notifier.statuses()} == {"delivered", "dead"}
    told = await connection.fetch("SELECT type, object_version, snapshot FROM payments.events WHERE object_type = 'webhook_endpoint'")
    assert [tuple(each) for each in told] == [("webhook_endpoint.disabled", 2, row["document"])]
    await notifier.endpoint("http://other/hook", "webhook_endpoint.disabled")
    status = 200
    assert (await dispatch(notifier.pool, 100)).deliveries == 1, "to whoever else listens"
    await notifier.deliver()
    assert {fault.check for fault in await find_faults(connection)} == {"events_without_objects"}, "of the payments, which are none here"
    assert [fault for fault in await find_faults(connection) if "webhook_endpoint" in fault.detail] == []


async def test_what_fails_here_is_held_against_no_endpoint(notifier: Notifier, connection: Connection) -> None:
    await notifier.endpoint("http://a/hook")
    await connection.execute(
        "UPDATE notifications.webhook_endpoints SET sealed_secret = 'nobody opens it', failing_since = now() - interval '1 year'"
    )
    await tell(connection)
    await dispatch(notifier.pool, 100)
    await notifier.deliver()
    assert await notifier.statuses() == [("pending", 1)]
    assert await connection.fetchval("SELECT enabled FROM notifications.webhook_endpoints")
    await connection.execute("UPDATE notifications.webhook_endpoints SET failing_since = NULL")
    await notifier.make_due()
    await notifier.deliver()
    assert await notifier.statuses() == [("pending", 2)]
    assert await connection.fetchval("SELECT failing_since FROM notifications.webhook_endpoints") is None


async def test_an_endpoint_of_which_something_got_through_meanwhile_is_not_disabled(notifier: Notifier, connection: Connection) -> None:
    begun, release = asyncio.Event(), asyncio.Event()

    async def send(_: str, __: Mapping[str, str], ___: bytes) -> Answer:
        begun.set()
        await release.wait()
        return Answer(500)

    notifier.send_by(send)
    await notifier.endpoint("http://a/hook")
    await connection.execute("UPDATE notifications.webhook_endpoints SET failing_since = now() - interval '73 hours'")
    await tell(connection)
    await dispatch(notifier.pool, 100)
    await notifier.begin_all()
    await begun.wait()
    await connection.execute("UPDATE notifications.webhook_endpoints SET failing_since = NULL")
    release.set()
    await notifier.deliverer.drain()
    assert await connection.fetchval("SELECT enabled FROM notifications.webhook_endpoints")


async def test_what_was_sent_and_not_recorded_is_sent_again(notifier: Notifier, connection: Connection) -> None:
    async with receiver() as received:
        await notifier.endpoint(received.url)
        await tell(connection)
        await dispatch(notifier.pool, 100)
        claimed = await Deliveries(notifier.pool, lease_seconds=3600).claim(Room(free=10, per_endpoint=10, failing=0))
        assert len(claimed) == 1, "its owner dies here"
        await notifier.deliver()
        assert received.bodies == []
        await notifier.make_due()
        await notifier.deliver()
        assert len(received.bodies) == 1


async def test_what_was_claimed_and_not_begun_in_time_is_left_to_whoever_has_it_then(
    notifier: Notifier, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was stopped between the two: another one has sent it since, and what comes after it."""
    async with receiver() as received:
        await notifier.endpoint(received.url)
        await tell(connection)
        await dispatch(notifier.pool, 100)
        monkeypatch.setattr(deliverer_module, "_BEGIN_SECONDS_MAX", -1.0)
        await notifier.deliver()
        assert received.bodies == []
        assert await notifier.statuses() == [("pending", 0)]
        assert notifier.deliverer.under_way == 0
        monkeypatch.undo()
        await notifier.make_due()
        await notifier.deliver()
        assert len(received.bodies) == 1
        assert await notifier.statuses() == [("delivered", 1)]


async def test_a_receiver_that_hangs_does_not_hold_up_the_others(notifier: Notifier, connection: Connection) -> None:
    release = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        await release.wait()
        return web.Response()

    async with receiver(hang) as slow, receiver() as quick:
        await notifier.endpoint(slow.url, merchant_id=1)
        await notifier.endpoint(quick.url, merchant_id=2)
        await tell(connection, merchant_id=1, count=200)
        await tell(connection, merchant_id=2, count=50)
        await dispatch(notifier.pool, 1000)

        async def all_arrived() -> bool:
            await notifier.deliverer.deliver_due()
            return len(quick.bodies) == 50

        await eventually(all_arrived, "the others are delivered")
        assert len(slow.bodies) < 10
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
        assert await connection.fetchval("SELECT error FROM notifications.delivery_log") == "TargetRefusedError"


async def says(answer: Answer) -> Answer:
    return answer


async def fails(failure: Exception) -> Answer:
    raise failure


@pytest.mark.parametrize(
    ("attempt", "recorded"),
    [
        (lambda: says(Answer(503, "\xb2")), (503, None)),
        (lambda: says(Answer(503, "9" * 5000)), (503, None)),
        (lambda: says(Answer(503, "\x00")), (503, None)),
        (lambda: says(Answer(99_999)), (None, "NumericValueOutOfRangeError")),
        (lambda: says(Answer(error="\x00")), (None, "UntranslatableCharacterError")),
        (lambda: says(Answer(error="\ud800")), (None, "UnicodeEncodeError")),
        (lambda: fails(RuntimeError("of our own")), (None, "RuntimeError")),
        (lambda: fails(MemoryError()), (None, "MemoryError")),
    ],
)
async def test_every_attempt_is_recorded(
    database_url: str, connection: Connection, attempt: Callable[[], Awaitable[Answer]], recorded: tuple[int | None, str | None]
) -> None:
    """Whatever a receiver answers, and whatever goes wrong here: what isn't recorded would be sent again and again, beside the schedule."""

    async def send(_: str, __: Mapping[str, str], ___: bytes) -> Answer:
        return await attempt()

    async with notifier_on(database_url, send=send) as notifier:
        await notifier.endpoint("http://a/hook")
        await tell(connection)
        await dispatch(notifier.pool, 100)
        await notifier.deliver()
        assert await notifier.statuses() == [("pending", 1)]
        row = await connection.fetchrow("SELECT status_code, error FROM notifications.delivery_log")
        assert row is not None
        assert tuple(dict(row).values()) == recorded
        pause = await connection.fetchval("SELECT extract(epoch FROM next_attempt_at - now()) FROM notifications.deliveries")
        assert pause > 0


async def test_one_answer_that_can_not_be_recorded_costs_its_neighbours_nothing(database_url: str, connection: Connection) -> None:
    async def send(url: str, _: Mapping[str, str], __: bytes) -> Answer:
        return Answer(99_999 if "bad" in url else 200)

    async with notifier_on(database_url, send=send) as notifier:
        for name in ("good", "bad", "fine"):
            await notifier.endpoint(f"http://{name}/hook")
        await tell(connection, count=5)
        await dispatch(notifier.pool, 100)
        await notifier.deliver()
        assert sorted(await notifier.statuses()) == [("delivered", 1)] * 10 + [("pending", 1)] * 5


async def test_a_secret_that_can_not_be_opened_is_a_failed_attempt(notifier: Notifier, connection: Connection) -> None:
    async with receiver() as received:
        await notifier.endpoint(received.url)
        await connection.execute("UPDATE notifications.webhook_endpoints SET sealed_secret = 'nonsense'")
        await tell(connection)
        await dispatch(notifier.pool, 100)
        await notifier.deliver()
        assert await notifier.statuses() == [("pending", 1)]
        assert await connection.fetchval("SELECT error FROM notifications.delivery_log") == "SealError"
        assert received.bodies == []


@pytest.mark.parametrize(("status_code", "status"), [(200, "delivered"), (500, "dead")])
async def test_an_attempt_that_was_under_way_when_its_endpoint_was_disabled_is_recorded(
    database_url: str, connection: Connection, status_code: int, status: str
) -> None:
    begun, release = asyncio.Event(), asyncio.Event()

    async def send(_: str, __: Mapping[str, str], ___: bytes) -> Answer:
        begun.set()
        await release.wait()
        return Answer(status_code)

    async with notifier_on(database_url, send=send) as notifier:
        await notifier.endpoint("http://a/hook")
        await tell(connection)
        await dispatch(notifier.pool, 100)
        await notifier.deliverer.deliver_due()
        await begun.wait()
        endpoint_id = await connection.fetchval("SELECT id FROM notifications.webhook_endpoints")
        await Deliveries(notifier.pool, lease_seconds=30).bury(connection, 1, False, endpoint_id)
        release.set()
        await notifier.deliverer.drain()
        assert await notifier.statuses() == [(status, 1)]
        assert await connection.fetchval("SELECT status_code FROM notifications.delivery_log") == status_code


async def test_what_was_claimed_is_begun_though_the_service_is_told_to_stop(database_url: str, connection: Connection) -> None:
    async def send(_: str, __: Mapping[str, str], ___: bytes) -> Answer:
        return Answer(200)

    async with notifier_on(database_url, send=send) as notifier:
        await notifier.endpoint("http://a/hook")
        await tell(connection)
        await dispatch(notifier.pool, 100)
        running = asyncio.create_task(notifier.deliverer.run(lambda: None))
        await asyncio.sleep(0)  # it is claiming
        await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await notifier.deliverer.drain()
        assert await notifier.statuses() == [("delivered", 1)]


async def test_what_the_code_of_the_last_release_leased_or_put_off_waits_until_then(notifier: Notifier, connection: Connection) -> None:
    """It knows no queue: what it takes stays in it."""
    async with receiver() as received:
        await notifier.endpoint(received.url)
        await tell(connection)
        await dispatch(notifier.pool, 100)
        await connection.execute("UPDATE notifications.deliveries SET next_attempt_at = now() + interval '25 seconds'")
        await notifier.deliver()
        assert received.bodies == []
        await notifier.make_due()
        await notifier.deliver()
        assert await notifier.statuses() == [("delivered", 1)]


async def test_attempts_that_the_last_release_recorded_are_shown_with_those_of_this_one(notifier: Notifier, connection: Connection) -> None:
    """It wrote each twice: into the log, and into a table beside it, which has what is older than the log."""
    async with receiver() as received:
        await notifier.endpoint(received.url)
        await tell(connection)
        await dispatch(notifier.pool, 100)
        await connection.execute(
            "INSERT INTO notifications.delivery_attempts (merchant_id, livemode, event_id, endpoint_id, attempt, attempted_at, duration_ms, error)"
            " SELECT merchant_id, livemode, event_id, endpoint_id, 1, now(), 20000, 'timeout' FROM notifications.deliveries"
        )
        await connection.execute("UPDATE notifications.deliveries SET attempts = 1")
        await notifier.deliver()
        row = await connection.fetchrow("SELECT merchant_id, livemode, event_id, endpoint_id FROM notifications.deliveries")
        assert row is not None
        key = (row["merchant_id"], row["livemode"], row["event_id"], row["endpoint_id"])
        await connection.execute(
            "INSERT INTO notifications.delivery_attempts (merchant_id, livemode, event_id, endpoint_id, attempt, attempted_at, duration_ms, status_code)"
            " SELECT merchant_id, livemode, event_id, endpoint_id, attempt, attempted_at, duration_ms, status_code FROM notifications.delivery_log"
        )
        attempts = await Deliveries(notifier.pool, lease_seconds=30).attempts_of(*key)
        assert [(each["attempt"], each["status_code"], each["error"]) for each in attempts] == [(1, None, "timeout"), (2, 200, None)]
