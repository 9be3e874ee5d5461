"""What an endpoint missed is sent again: each delivery once, a few at a time, from whichever copy, until it is stopped."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Literal

import pytest

from payments.domain.replay import Replay
from payments.domain.resource import next_version
from payments.notification_service.connections import Answer
from payments.notification_service.replayer import STEP_DELIVERIES_MAX, WAITING_MAX, Replayer
from payments.runtime.ids import first_id_from, new_id
from payments.storage import replays as store
from payments.storage.database import Connection
from payments.storage.outbox import dispatch
from payments.wire.kinds import REPLAY
from tests.integration.notifier import Notifier, notifier_on, tell, tell_versions

OLD, RECENT = 1_790_000_000, 1_800_000_000


@pytest.fixture
async def sent() -> Counter[str]:
    """How often each event was."""
    return Counter()


@pytest.fixture
async def notifier(database_url: str, sent: Counter[str]) -> AsyncGenerator[Notifier]:
    async def send(_: str, headers: Mapping[str, str], __: bytes) -> Answer:
        sent[headers["webhook-id"]] += 1
        return Answer(200)

    async with notifier_on(database_url, send=send) as made:
        yield made
        await made.deliverer.drain()


async def missed(notifier: Notifier, connection: Connection, count: int, event_type: str = "charge.failed") -> str:
    """An endpoint with so many dead letters; returns its id."""
    await notifier.endpoint("http://a/hook")
    await tell(connection, event_type, count=count)
    while (await dispatch(notifier.pool, 1_000)).events:
        pass
    await connection.execute("UPDATE notifications.deliveries SET status = 'dead', queued = false, attempts = 10")
    return str(await connection.fetchval("SELECT id FROM notifications.webhook_endpoints"))


async def asked(connection: Connection, endpoint_id: str, deliveries: Literal["dead", "all"] = "dead", **others: Any) -> Replay:
    replay = Replay(
        id=new_id("rpl"),
        merchant_id=1,
        livemode=False,
        created=0,
        webhook_endpoint=endpoint_id,
        deliveries=deliveries,
        reached=first_id_from("evt", 0),
        ends_before="evt_~",
        **others,
    )
    await REPLAY.noun.insert(connection, replay, webhook_endpoint=endpoint_id)
    return replay


async def now(connection: Connection, replay: Replay) -> Replay:
    found = await REPLAY.noun.get(connection, 1, False, replay.id)
    assert found is not None
    return found


async def step(notifier: Notifier, connection: Connection) -> bool:
    """Take the next step, whenever it would be due."""
    await connection.execute("UPDATE notifications.replays SET next_step_at = now()")
    return await Replayer(notifier.pool, notifier.deliverer.wake).step()


async def carry_out(notifier: Notifier, connection: Connection) -> None:
    while await step(notifier, connection):
        await notifier.deliver()


async def test_dead_letters_are_sent_again_a_few_at_a_time_and_each_once(
    notifier: Notifier, connection: Connection, sent: Counter[str]
) -> None:
    replay = await asked(connection, await missed(notifier, connection, 2 * STEP_DELIVERIES_MAX + 50))
    assert await store.total(connection, replay) == 2 * STEP_DELIVERIES_MAX + 50
    assert await step(notifier, connection)
    assert not await Replayer(notifier.pool, notifier.deliverer.wake).step(), "the next step isn't due yet"
    await notifier.deliver()
    assert (len(sent), (await now(connection, replay)).replayed) == (STEP_DELIVERIES_MAX, STEP_DELIVERIES_MAX)
    await carry_out(notifier, connection)
    done = await now(connection, replay)
    assert (done.status, done.looked_at, done.replayed) == ("succeeded", len(sent), len(sent))
    assert set(sent.values()) == {1}
    assert set(await notifier.statuses()) == {("delivered", 11)}


async def test_two_copies_do_nothing_twice(notifier: Notifier, connection: Connection, sent: Counter[str], database_url: str) -> None:
    replay = await asked(connection, await missed(notifier, connection, 3 * STEP_DELIVERIES_MAX), "all")
    async with notifier_on(database_url) as other:
        while (await now(connection, replay)).status == "running":
            await connection.execute("UPDATE notifications.replays SET next_step_at = now()")
            await asyncio.gather(*(Replayer(each.pool, each.deliverer.wake).step() for each in (notifier, other, notifier)))
            await notifier.deliver()
    assert (len(sent), set(sent.values())) == (3 * STEP_DELIVERIES_MAX, {1})


async def test_it_waits_while_much_waits_for_the_endpoint(notifier: Notifier, connection: Connection) -> None:
    replay = await asked(connection, await missed(notifier, connection, WAITING_MAX + 100))
    for _ in range(5):
        await step(notifier, connection)
    assert (await now(connection, replay)).replayed == WAITING_MAX
    await notifier.deliver()
    await step(notifier, connection)
    assert (await now(connection, replay)).replayed == WAITING_MAX + 100


async def test_only_what_is_meant_is_sent_again(notifier: Notifier, connection: Connection, sent: Counter[str]) -> None:
    endpoint_id = await missed(notifier, connection, 4)
    ids = [row["event_id"] for row in await connection.fetch("SELECT event_id FROM notifications.deliveries ORDER BY event_id")]
    await connection.execute("UPDATE notifications.deliveries SET status = 'delivered' WHERE event_id = $1", ids[1])
    await connection.execute("ALTER TABLE payments.events DISABLE TRIGGER ALL")
    await connection.execute("UPDATE payments.events SET type = 'charge.refunded' WHERE id = $1", ids[2])
    await connection.execute("UPDATE payments.events SET created = $2 WHERE id = $1", ids[3], OLD)
    chosen: list[str]
    others: dict[str, Any]
    for chosen, others in (
        ([ids[0]], {"types": ["charge.failed"], "created_from": RECENT}),
        ([ids[2]], {"types": ["charge.refunded", "customer.*"], "created_to": RECENT}),
        ([ids[3]], {"created_to": OLD}),
        ([], {"deliveries": "dead"}),
        ([ids[0], ids[1], ids[3]], {"deliveries": "all", "types": ["charge.f*"]}),
    ):
        sent.clear()
        replay = await asked(connection, endpoint_id, **others)
        await carry_out(notifier, connection)
        assert sorted(sent) == chosen
        assert (await now(connection, replay)).status == "succeeded"


async def test_it_stops_when_it_is_told_to_or_when_the_endpoint_takes_nothing(
    notifier: Notifier, connection: Connection, sent: Counter[str]
) -> None:
    endpoint_id = await missed(notifier, connection, 3 * STEP_DELIVERIES_MAX)
    replay = await asked(connection, endpoint_id)
    await step(notifier, connection)
    canceled = next_version(await now(connection, replay), status="canceled", cancellation_reason="requested")
    await REPLAY.noun.update(connection, canceled)
    await carry_out(notifier, connection)
    await notifier.deliver()
    assert len(sent) == STEP_DELIVERIES_MAX
    another = await asked(connection, endpoint_id)
    await connection.execute("UPDATE notifications.webhook_endpoints SET enabled = false")
    await carry_out(notifier, connection)
    assert (await now(connection, another)).cancellation_reason == "endpoint_disabled"
    assert len(sent) == STEP_DELIVERIES_MAX


async def test_few_that_are_meant_of_many_cost_steps_and_no_look_at_all_at_once(notifier: Notifier, connection: Connection) -> None:
    endpoint_id = await missed(notifier, connection, 1_500)
    replay = await asked(connection, endpoint_id, types=["customer.created"])
    await step(notifier, connection)
    assert (await now(connection, replay)).looked_at == 1_000
    await step(notifier, connection)
    done = await now(connection, replay)
    assert (done.status, done.looked_at, done.replayed) == ("succeeded", 1_500, 0)


async def test_in_order_what_is_sent_again_comes_in_order(database_url: str, connection: Connection) -> None:
    came: list[int] = []

    async def send(_: str, headers: Mapping[str, str], __: bytes) -> Answer:
        came.append(int(headers["Tap-Object-Sequence"]))
        return Answer(200)

    async with notifier_on(database_url, send=send) as notifier:
        await notifier.endpoint("http://a/hook", ordered=True)
        await tell_versions(connection, 20)
        await dispatch(notifier.pool, 1_000)
        await connection.execute("UPDATE notifications.deliveries SET status = 'dead', held = false")
        await asked(connection, str(await connection.fetchval("SELECT id FROM notifications.webhook_endpoints")))
        await carry_out(notifier, connection)
        await notifier.deliver()
    assert came == list(range(1, 21))
