"""Who may have how many deliveries under way, by what the database holds and what is under way: oldest first, and room for whoever comes next."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field

import msgspec
import pytest

from payments.domain.event import Event
from payments.notification_service.connections import Answer
from payments.notification_service.shares import PER_ENDPOINT_MAX, UNDER_WAY_MAX
from payments.storage.database import Connection
from payments.storage.deliveries import Deliveries, DueDelivery, Room
from payments.storage.outbox import dispatch
from payments.storage.sql import queries
from payments.wire.render_people import Rendered
from payments.wire.rendering import render_event
from tests.integration.notifier import Notifier, notifier_on, tell

_MANY = 100


@dataclass
class Receivers:
    """Those whose URL says so hang until they are released; the others answer at once."""

    begun: Counter[str] = field(default_factory=Counter[str])
    under_way: Counter[str] = field(default_factory=Counter[str])
    most: Counter[str] = field(default_factory=Counter[str])
    events: list[str] = field(default_factory=list[str])
    """In the order in which they came."""
    status_code: int | None = 200
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        assert headers["webhook-id"] == msgspec.json.decode(body)["id"]
        self.events.append(headers["webhook-id"])
        self.begun[url] += 1
        self.under_way[url] += 1
        self.most[url] = max(self.most[url], self.under_way[url])
        if "hang" in url:
            await self.release.wait()
        await asyncio.sleep(0)
        self.under_way[url] -= 1
        return Answer(error="timeout", timed_out=True) if "hang" in url else Answer(self.status_code)

    def of_merchant(self, merchant_id: int) -> int:
        return sum(count for url, count in self.under_way.items() if url.startswith(f"http://{merchant_id}/"))

    def let_go(self) -> None:
        """Let those that hang run into their time limit, and those that come hang again."""
        release, self.release = self.release, asyncio.Event()
        release.set()


@pytest.fixture
async def receivers() -> Receivers:
    return Receivers()


@pytest.fixture
async def notifier(database_url: str, receivers: Receivers) -> AsyncGenerator[Notifier]:
    async with notifier_on(database_url, send=receivers.send) as made:
        yield made
        receivers.let_go()
        await made.deliverer.drain()


async def crowd(
    notifier: Notifier, connection: Connection, merchant_ids: range, *, endpoints: int, events: int, name: str = "hang"
) -> None:
    for merchant_id in merchant_ids:
        for number in range(endpoints):
            await notifier.endpoint(f"http://{merchant_id}/{name}{number}", merchant_id=merchant_id)
        await tell(connection, merchant_id=merchant_id, count=events)
    while (await dispatch(notifier.pool, 1000)).events:
        pass


async def newcomer_is_served(notifier: Notifier, connection: Connection, receivers: Receivers, merchant_id: int) -> None:
    """Somebody else's delivery is begun with the next claim, whatever waits and whatever is under way."""
    url = f"http://{merchant_id}/good"
    await notifier.endpoint(url, merchant_id=merchant_id)
    await tell(connection, merchant_id=merchant_id)
    await dispatch(notifier.pool, 1000)
    assert await notifier.deliverer.deliver_due()
    await asyncio.sleep(0)
    assert receivers.begun[url] == 1


async def test_one_merchant_with_many_hanging_endpoints_leaves_room(
    notifier: Notifier, connection: Connection, receivers: Receivers
) -> None:
    await crowd(notifier, connection, range(1, 2), endpoints=16, events=40)
    for round_ in range(3):
        await notifier.begin_all()
        await newcomer_is_served(notifier, connection, receivers, 1000 + round_)
        assert receivers.of_merchant(1) <= UNDER_WAY_MAX // 2
        receivers.let_go()
        await notifier.deliverer.drain()
        await notifier.make_due()
    await notifier.begin_all()
    assert receivers.of_merchant(1) <= 16, "each is tried with one delivery at a time by now"


async def test_many_merchants_with_hanging_endpoints_leave_room(notifier: Notifier, connection: Connection, receivers: Receivers) -> None:
    await crowd(notifier, connection, range(1, 25), endpoints=16, events=3)
    for round_ in range(3):
        await notifier.begin_all()
        assert notifier.deliverer.under_way < UNDER_WAY_MAX
        begun = [receivers.of_merchant(merchant_id) for merchant_id in range(1, 25)]
        assert round_ or max(begun) - min(begun) <= 1, "as long as nothing is known of them, each has the same share"
        await newcomer_is_served(notifier, connection, receivers, 1000 + round_)
        receivers.let_go()
        await notifier.deliverer.drain()
        await notifier.make_due()
    await notifier.begin_all()
    assert notifier.deliverer.under_way <= UNDER_WAY_MAX // 4, "all that fail have a part of the room"


async def test_a_merchant_alone_has_half_of_the_room(notifier: Notifier, connection: Connection, receivers: Receivers) -> None:
    deliveries = Deliveries(notifier.pool, lease_seconds=30)
    await crowd(notifier, connection, range(1, 2), endpoints=16, events=40)
    claimed = await deliveries.claim(Room(free=100, per_endpoint=32, failing=0))
    assert len(claimed) == 50
    again = await deliveries.claim(Room(free=50, per_endpoint=32, failing=0, merchant_ids=[1], merchant_under_way=[50]))
    assert again == []
    assert receivers.events == []


def by_merchant(claimed: list[DueDelivery]) -> Counter[int]:
    return Counter(due.event.merchant_id for due in claimed)


async def test_who_has_less_under_way_comes_first(notifier: Notifier, connection: Connection) -> None:
    await crowd(notifier, connection, range(1, 4), endpoints=1, events=30)
    deliveries = Deliveries(notifier.pool, lease_seconds=30)
    room = Room(free=10, per_endpoint=32, failing=0, merchant_ids=[1, 2], merchant_under_way=[3, 1])
    claimed = await deliveries.claim(room)
    # They have 4, 4 and 3 then, and 3 are free: more than those would be for nobody who has as many already.
    assert by_merchant(claimed) == {1: 1, 2: 3, 3: 3}
    assert claimed[0].event.merchant_id == 3


async def test_within_a_merchant_each_endpoint_has_its_share(notifier: Notifier, connection: Connection) -> None:
    await crowd(notifier, connection, range(1, 2), endpoints=4, events=30)
    claimed = await Deliveries(notifier.pool, lease_seconds=30).claim(Room(free=16, per_endpoint=32, failing=0))
    assert set(Counter(due.endpoint.id for due in claimed).values()) == {2}


async def test_what_has_been_due_for_longest_is_sent_first(notifier: Notifier, connection: Connection, receivers: Receivers) -> None:
    await crowd(notifier, connection, range(1, 2), endpoints=1, events=60, name="good")
    rows = await connection.fetch(
        "UPDATE notifications.deliveries SET next_attempt_at = now() - random() * interval '1 day' RETURNING event_id, next_attempt_at"
    )
    for row in rows[::3]:  # some wait in the queue, some were put off and have come due
        await connection.execute("UPDATE notifications.deliveries SET queued = false WHERE event_id = $1", row["event_id"])
    await notifier.deliver()
    assert receivers.events == [row["event_id"] for row in sorted(rows, key=lambda row: row["next_attempt_at"])]


async def test_an_endpoint_has_no_more_than_its_limit(notifier: Notifier, connection: Connection, receivers: Receivers) -> None:
    await crowd(notifier, connection, range(1, 2), endpoints=2, events=300, name="good")
    await notifier.deliver()
    assert sum(receivers.begun.values()) == 600
    assert 2 < max(receivers.most.values()) <= PER_ENDPOINT_MAX


@pytest.mark.parametrize("status_code", [500, 503, None])
async def test_an_endpoint_that_fails_is_tried_with_one_at_a_time(
    notifier: Notifier, connection: Connection, receivers: Receivers, status_code: int | None
) -> None:
    receivers.status_code = status_code
    await crowd(notifier, connection, range(1, 2), endpoints=1, events=20, name="good")
    await notifier.deliver()
    assert sum(receivers.begun.values()) == 20
    assert max(receivers.most.values()) == 2, "before anything was known of it"
    receivers.most.clear()
    await notifier.make_due()
    await notifier.deliver()
    assert sum(receivers.begun.values()) == 40
    assert max(receivers.most.values()) == 1


@pytest.mark.parametrize("status_code", [429, 502, 504])
async def test_an_endpoint_that_can_not_gets_nothing_for_a_moment(
    notifier: Notifier, connection: Connection, receivers: Receivers, status_code: int
) -> None:
    receivers.status_code = status_code
    await crowd(notifier, connection, range(1, 2), endpoints=1, events=20, name="good")
    await notifier.deliver()
    assert sum(receivers.begun.values()) == 2, "those that were sent before it said so"
    await newcomer_is_served(notifier, connection, receivers, 1000)


async def test_two_copies_share_what_is_due(notifier: Notifier, connection: Connection, receivers: Receivers, database_url: str) -> None:
    await crowd(notifier, connection, range(1, 6), endpoints=3, events=40, name="good")
    async with notifier_on(database_url, send=receivers.send) as other:
        await asyncio.gather(notifier.deliver(), other.deliver())
        await asyncio.gather(notifier.deliver(), other.deliver())
    assert set(await notifier.statuses()) == {("delivered", 1)}
    assert len(receivers.events) == 600


async def test_who_stood_still_for_longer_than_its_lease_changes_nothing_of_what_was_delivered_meanwhile(
    notifier: Notifier, connection: Connection, receivers: Receivers, database_url: str
) -> None:
    await crowd(notifier, connection, range(1, 2), endpoints=1, events=1, name="good")
    awake = asyncio.Event()

    async def late(url: str, headers: object, body: bytes) -> Answer:
        del url, headers, body
        await awake.wait()
        return Answer(status_code=500)

    notifier.send_by(late)
    assert await notifier.deliverer.deliver_due()
    await notifier.make_due()
    async with notifier_on(database_url, send=receivers.send) as other:
        await other.deliver()
    assert await notifier.statuses() == [("delivered", 1)]
    awake.set()
    await notifier.deliverer.drain()
    assert await notifier.statuses() == [("delivered", 1)]
    assert await connection.fetchval("SELECT count(*) FROM notifications.delivery_log") == 1


async def test_an_event_for_an_endpoint_that_is_gone_is_buried(notifier: Notifier, connection: Connection, receivers: Receivers) -> None:
    """It was fanned out while the endpoint was being disabled or deleted."""
    await crowd(notifier, connection, range(1, 3), endpoints=1, events=2)
    await connection.execute("UPDATE notifications.webhook_endpoints SET enabled = false WHERE merchant_id = 1")
    await connection.execute("DELETE FROM notifications.webhook_endpoints WHERE merchant_id = 2")
    await notifier.deliver()
    assert await notifier.statuses() == [("dead", 0)] * 4
    assert receivers.events == []


async def test_a_claim_reads_nothing_of_what_is_not_due(notifier: Notifier, connection: Connection) -> None:
    """Whatever the statistics say: a claim's cost is that of the endpoints that have something due."""
    await crowd(notifier, connection, range(1, 3), endpoints=2, events=2)
    await connection.execute("""
        INSERT INTO notifications.deliveries (merchant_id, livemode, event_id, endpoint_id, status, next_attempt_at, queued)
        SELECT endpoint % 100, false, 'evt_' || event, 'we_' || endpoint, CASE WHEN event = 1 THEN 'pending' ELSE 'delivered' END, now() + interval '1 hour',
            event > 1
        FROM generate_series(1, 1000) endpoint, generate_series(1, 10) event""")
    await connection.execute("""
        INSERT INTO notifications.deliveries (merchant_id, livemode, event_id, endpoint_id, next_attempt_at, queued, held, line, object_version, place)
        SELECT 1, false, 'evt_held' || event, 'we_ordered' || event % 10, 'infinity', false, true, 'we_ordered/pi_' || event % 100, event, event
        FROM generate_series(1, 3000) event""")
    await connection.execute("DELETE FROM notifications.turns WHERE line <> 'we_ordered/pi_1'")

    async with notifier.pool.acquire() as claiming:
        await claiming.execute("SELECT pg_stat_force_next_flush()")
        before = await rows_read(connection)
        store = Deliveries(_Pool(claiming), lease_seconds=30)  # pyright: ignore[reportArgumentType]
        assert await store.enqueue()
        await claiming.fetchrow(queries("deliveries.sql")["give_turns"], 1_000)
        assert len(await store.claim(Room(free=256, per_endpoint=32, failing=0))) == 8
        await claiming.execute("SELECT pg_stat_force_next_flush()")
        assert await rows_read(connection) - before < 200


async def test_an_event_that_goes_to_many_endpoints_is_read_counted_and_rendered_once(
    notifier: Notifier, connection: Connection, receivers: Receivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what one event costs would grow with the square of how many endpoints get it."""
    rendered: list[str] = []

    def counted(event: Event, pending: int, version: str) -> Rendered:
        rendered.append(event.id)
        return render_event(event, pending, version)

    monkeypatch.setattr("payments.notification_service.deliverer.render_event", counted)
    await crowd(notifier, connection, range(1, 2), endpoints=_MANY, events=1, name="good")
    async with notifier.pool.acquire() as claiming:
        await claiming.execute("SELECT pg_stat_force_next_flush()")
        before = await rows_read(connection)
        store = Deliveries(_Pool(claiming), lease_seconds=0)  # pyright: ignore[reportArgumentType]
        due = await store.claim(Room(free=256, per_endpoint=2, failing=0))
        assert len(due) == _MANY
        assert {each.pending for each in due} == {_MANY}
        await claiming.execute("SELECT pg_stat_force_next_flush()")
        assert await rows_read(connection) - before < 10 * _MANY
    await notifier.deliver()
    assert len(receivers.events) == _MANY
    assert len(rendered) == 1


async def rows_read(connection: Connection) -> int:
    await connection.execute("SELECT pg_stat_force_next_flush()")
    return int(
        await connection.fetchval(
            "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_user_tables WHERE relname ~ '^deliveries_' AND schemaname = 'notifications'"
        )
    )


class _Pool:
    """One connection, so that its statistics are those of what it did."""

    def __init__(self, connection: Connection) -> None:
        self.fetch = connection.fetch
        self.fetchval = connection.fetchval
