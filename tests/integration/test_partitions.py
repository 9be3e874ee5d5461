"""What is purged by age is dropped in whole partitions, when nothing in them is outstanding; until then each row is in the one that its id says."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec
import pytest

from payments.notification_service.connections import Answer
from payments.runtime.ids import first_id_from
from payments.storage import delivery_log
from payments.storage.database import BY_KEY, Connection, connect, open_pool
from payments.storage.outbox import dispatch
from payments.storage.paging import PageRequest
from tests.integration.notifier import notifier_on, tell

ROLE = "tap_notification_service"
_NAMES = "SELECT array_agg(name ORDER BY ends_at) FROM notifications.partitions WHERE of_table = $1"


async def partitions(connection: Connection, table: str) -> Sequence[str]:
    return await connection.fetchval(_NAMES, table)


def id_at(prefix: str, at: datetime, rest: str = "0000aaaaaaaaaaaa") -> str:
    return first_id_from(prefix, int(at.timestamp())) + rest


async def deliver_at(connection: Connection, at: datetime, *, status: str = "delivered") -> str:
    """A delivery of an event of that time, and an attempt of it."""
    event = id_at("evt", at)
    await connection.execute(
        "INSERT INTO notifications.deliveries (merchant_id, livemode, event_id, endpoint_id, status) VALUES (1, false, $1, 'we_1', $2)",
        event,
        status,
    )
    await connection.execute(
        """INSERT INTO notifications.delivery_attempts (merchant_id, livemode, event_id, endpoint_id, attempt, attempted_at, duration_ms)
        VALUES (1, false, $1, 'we_1', 1, now(), 5)""",
        event,
    )
    return event


async def test_partitions_are_ranges_of_time_and_go_with_it(connection: Connection) -> None:
    now = datetime.now(UTC)
    for seconds in (0, 1, 1_800_000_000, 4_102_444_800):
        at = datetime.fromtimestamp(seconds, UTC)
        assert await connection.fetchval("SELECT notifications.first_id_from('evt', $1)", at) == first_id_from("evt", seconds)

    later, much_later = now + timedelta(days=20), now + timedelta(days=70)
    # Nobody made a partition for it yet: it is taken all the same, and moved when there is one.
    early = await deliver_at(connection, later)
    assert await connection.fetchval("SELECT tableoid::regclass::text FROM notifications.deliveries") == "notifications.deliveries_default"
    await connection.execute("SELECT notifications.make_partitions($1)", later)
    assert await connection.fetchval("SELECT count(*) FROM notifications.deliveries_default") == 0
    assert await connection.fetchval("SELECT event_id FROM notifications.deliveries") == early
    waiting = await deliver_at(connection, now, status="pending")
    delivered = await deliver_at(connection, now + timedelta(days=8))

    before = await partitions(connection, "deliveries")
    assert await connection.fetchval("SELECT notifications.drop_partitions($1)", now) == 0
    assert await connection.fetchval("SELECT notifications.drop_partitions($1)", much_later) > 0
    left = [row["event_id"] for row in await connection.fetch("SELECT event_id FROM notifications.deliveries ORDER BY event_id")]
    assert left == [waiting], f"{delivered} and {early} went with their partitions"
    assert (await partitions(connection, "deliveries"))[0] == before[0] == "deliveries_before"
    assert await connection.fetchval("SELECT count(*) FROM notifications.delivery_attempts") == 0
    assert await connection.fetchval("SELECT count(*) FROM pg_class WHERE relname = ANY ($1)", list(before[1:])) == 0

    # It is delivered at last. What is in the default partition goes, too, when it is as old.
    await connection.execute("UPDATE notifications.deliveries SET status = 'delivered'")
    await deliver_at(connection, now + timedelta(days=400))
    assert await connection.fetchval("SELECT notifications.drop_partitions($1)", now + timedelta(days=500)) > 0
    assert await connection.fetchval("SELECT count(*) FROM notifications.deliveries") == 0


async def test_a_service_drops_by_the_databases_time_alone_and_one_copy_at_a_time(database_url: str, connection: Connection) -> None:
    await connection.execute("SELECT notifications.make_partitions(now() + interval '2 days')")
    async with open_pool(database_url, role=ROLE, name="test") as pool:
        for forbidden in ("drop_partitions(now())", "make_partitions(now())"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pool.execute(f"SELECT notifications.{forbidden}")
        await connection.execute("UPDATE notifications.partitioned SET ahead = '9 days' WHERE of_table = 'delivery_log'")
        made = await asyncio.gather(*(delivery_log.keep_partitions(pool) for _ in range(4)))
        assert sum(made) == 4, "whichever came first made them all"
        # Whoever is in the way is waited for half a second, and then it is left for the next time.
        await connection.execute(
            "UPDATE notifications.partitions SET ends_at = now() - interval '40 days' WHERE name = 'deliveries_before'"
        )
        async with connect(database_url) as busy, busy.transaction():
            await busy.execute("SELECT FROM notifications.deliveries")
            assert await delivery_log.keep_partitions(pool) == 0
        assert await delivery_log.keep_partitions(pool) == 1


async def test_a_key_is_in_one_partition_whatever_comes_at_once(database_url: str, connection: Connection) -> None:
    """On both sides of a boundary: what is fanned out or sent again twice is one delivery."""
    boundary = await connection.fetchval("SELECT ends_at FROM notifications.partitions WHERE name = 'deliveries_before'")
    events = [id_at("evt", boundary + timedelta(seconds=each)) for each in (-1, 0, 1)]
    insert = "INSERT INTO notifications.deliveries (merchant_id, livemode, event_id, endpoint_id) VALUES (1, false, $1, 'we_1') ON CONFLICT DO NOTHING"
    async with open_pool(database_url, role=ROLE, name="test", size_max=4) as pool:
        await asyncio.gather(*(pool.execute(insert, event) for event in events * 4))
    rows = await connection.fetch("SELECT event_id, tableoid::regclass::text AS lies_in FROM notifications.deliveries ORDER BY event_id")
    assert [row["event_id"] for row in rows] == sorted(events)
    assert [row["lies_in"].endswith("_before") for row in rows] == [True, False, False]


async def test_an_attempt_is_in_the_log_as_it_was(database_url: str, connection: Connection) -> None:
    answer = Answer(503, headers=[(b"Server", b"x")])
    answer.take(b"not now\0")

    async def send(*_: object) -> Answer:
        return answer

    async with notifier_on(database_url, send=send) as notifier:
        await notifier.endpoint("http://a/hook")
        await tell(connection, count=3)
        await dispatch(notifier.pool, 100)
        await notifier.deliver()
    # On, as elsewhere than on the embedded server.
    settings = {**BY_KEY, "enable_partition_pruning": "on"}
    async with open_pool(database_url, role=ROLE, name="test", server_settings=settings) as pool:
        page, has_more = await delivery_log.page(pool, 1, False, PageRequest(limit=2), event_id=None, endpoint_id=None)
        assert (len(page), has_more) == (2, True)
        (last,), _ = await delivery_log.page(pool, 1, False, PageRequest(starting_after=page[-1].id), event_id=None, endpoint_id=None)
        assert last.id < page[-1].id < page[0].id
        of_event, _ = await delivery_log.page(pool, 1, False, PageRequest(), event_id=last.event_id, endpoint_id=last.endpoint_id)
        assert of_event == [last] == [await delivery_log.find(pool, 1, False, last.id)]
        assert (last.attempt, last.status_code, last.status) == (1, 503, "pending")
        exchange = msgspec.json.decode(last.exchange)
        assert "Stripe-Signature" in exchange["request"]["headers"]
        assert exchange["response"]["body"] == "not now\N{REPLACEMENT CHARACTER}"
        assert await delivery_log.find(pool, 2, False, last.id) is None
        plan = await pool.fetch(
            "EXPLAIN (ANALYZE, COSTS off) SELECT FROM notifications.delivery_log WHERE merchant_id = 1 AND NOT livemode AND id = $1",
            last.id,
        )
        assert sum("Heap Scan on" in row["QUERY PLAN"] or "Scan using" in row["QUERY PLAN"] for row in plan) == 1, (
            "one partition is looked into"
        )
