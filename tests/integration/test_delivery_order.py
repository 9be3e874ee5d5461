"""An endpoint that asks for it gets each object's events in the order of its versions, one at a time, whatever fails and however many copies send."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field

import msgspec
import pytest

from payments.domain.event import Origin, event_of
from payments.notification_service.connections import Answer
from payments.notification_service.retries import RETRY_SECONDS
from payments.runtime.ids import new_id
from payments.storage.database import Connection, Pool, connect
from payments.storage.deliveries import Deliveries
from payments.storage.events import append_events
from payments.storage.outbox import dispatch
from tests.integration.builders import payment
from tests.integration.notifier import Notifier, notifier_on, tell_versions


@dataclass
class Receiver:
    """Answers as it is told to, and notes in which order what came was taken."""

    failing: set[str] = field(default_factory=set[str])
    """Objects whose events it refuses."""
    fails: float = 0.0
    """How many of the others it refuses as well, of one."""
    taken: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    """Object and sequence."""
    tried: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    under_way: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    most: int = 0
    """Of one object to one URL at once."""

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        subject, sequence = msgspec.json.decode(body)["data"]["object"]["id"], int(headers["Tap-Object-Sequence"])
        self.tried.append((subject, sequence))
        self.under_way[url, subject] += 1
        self.most = max(self.most, self.under_way[url, subject])
        for _ in range(random.randrange(5)):
            await asyncio.sleep(0)
        self.under_way[url, subject] -= 1
        if subject in self.failing or random.random() < self.fails:
            return Answer(500)
        self.taken.append((subject, sequence))
        return Answer(200)

    def of(self, subject: str) -> list[int]:
        return [sequence for each, sequence in self.taken if each == subject]


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
async def notifier(database_url: str, receiver: Receiver) -> AsyncGenerator[Notifier]:
    async with notifier_on(database_url, send=receiver.send) as made:
        yield made
        await made.deliverer.drain()


async def dispatch_all(pool: Pool) -> None:
    while (await dispatch(pool, 1_000)).events:
        pass


async def deliveries_of(notifier: Notifier) -> Mapping[int, str]:
    rows = await notifier.pool.fetch("SELECT object_version, event_id, endpoint_id FROM notifications.deliveries")
    return {row["object_version"]: f"{row['event_id']}.{row['endpoint_id']}" for row in rows}


async def again(notifier: Notifier, delivery: str) -> None:
    event_id, _, endpoint_id = delivery.partition(".")
    assert await Deliveries(notifier.pool, lease_seconds=30).redeliver(1, False, event_id, endpoint_id) is not None


async def test_each_objects_events_come_in_order_and_one_at_a_time_from_several_copies_that_fail(
    notifier: Notifier, connection: Connection, receiver: Receiver, database_url: str
) -> None:
    await notifier.endpoint("http://a/ordered", ordered=True)
    receiver.fails = 0.3
    versions = 5
    subjects = [await tell_versions(connection, versions) for _ in range(12)]
    async with notifier_on(database_url, send=receiver.send) as other:

        async def run(copy: Notifier) -> None:
            while (await dispatch(copy.pool, 3)).events:
                await copy.deliver()
            await copy.deliver()

        while len(receiver.taken) < versions * len(subjects):
            await asyncio.gather(run(notifier), run(other))
            await notifier.make_due()
    assert all(receiver.of(subject) == list(range(1, versions + 1)) for subject in subjects)
    assert receiver.most == 1
    assert await connection.fetchval("SELECT count(*) FROM notifications.turns") == 0


async def test_what_another_dispatcher_has_in_hand_is_waited_for(
    notifier: Notifier, connection: Connection, receiver: Receiver, database_url: str
) -> None:
    await notifier.endpoint("http://a/ordered", ordered=True)
    subject = await tell_versions(connection, 2)
    async with connect(database_url) as slow:
        async with slow.transaction():
            assert (await dispatch(slow, 1)).deliveries == 1  # pyright: ignore[reportArgumentType] - a connection asks as a pool does
            await dispatch_all(notifier.pool)
            await notifier.deliver()
            assert receiver.tried == [], "the first version is still with the other one"
        await notifier.deliver()
    assert receiver.of(subject) == [1, 2]


async def test_a_failing_delivery_holds_its_object_and_no_other_until_it_is_given_up(
    notifier: Notifier, connection: Connection, receiver: Receiver
) -> None:
    await notifier.endpoint("http://a/ordered", ordered=True)
    bad, good = await tell_versions(connection, 3), await tell_versions(connection, 3)
    receiver.failing = {bad}
    await dispatch_all(notifier.pool)
    await notifier.deliver()
    assert (receiver.of(good), receiver.tried.count((bad, 1)), receiver.of(bad)) == ([1, 2, 3], 1, [])
    for _ in range(len(RETRY_SECONDS)):
        assert {each for each in receiver.tried if each[0] == bad} == {(bad, 1)}
        receiver.failing = {bad} if receiver.tried.count((bad, 1)) < len(RETRY_SECONDS) + 1 else set()
        await notifier.make_due()
        await notifier.deliverer.deliver_due()
        await notifier.deliverer.drain()
    receiver.failing = set()
    await notifier.make_due()
    await notifier.deliver()
    assert receiver.of(bad) == [2, 3], "the first one is a dead letter"


async def test_many_lines_in_which_nothing_waits_hold_up_none_in_which_something_does(
    notifier: Notifier, connection: Connection, receiver: Receiver
) -> None:
    await notifier.endpoint("http://a/ordered", ordered=True)
    await connection.execute("INSERT INTO notifications.turns (line) SELECT 'we_gone/pi_' || n FROM generate_series(1, 1000) n")
    subject = await tell_versions(connection, 1)
    await dispatch_all(notifier.pool)
    assert await notifier.deliverer.deliver_due() == 1
    await notifier.deliverer.drain()
    assert receiver.of(subject) == [1]


async def test_events_of_one_version_come_as_they_were_written(notifier: Notifier, connection: Connection) -> None:
    """As several do that one step makes, and all of what has no further version."""
    came: list[str] = []

    async def send(_: str, __: Mapping[str, str], body: bytes) -> Answer:
        came.append(msgspec.json.decode(body)["type"])
        return Answer(200)

    notifier.send_by(send)
    await notifier.endpoint("http://a/ordered", ordered=True)
    intent = payment(1)[1].intent
    types = ["payment_intent.created", "payment_intent.processing", "payment_intent.succeeded", "payment_intent.canceled"]
    ids = [new_id("evt") for _ in types]
    random.shuffle(ids)
    events = [event_of(each, name, intent, created=1_800_000_000, origin=Origin()) for each, name in zip(ids, types, strict=True)]
    await append_events(connection, events)
    await dispatch_all(notifier.pool)
    await notifier.deliver()
    assert came == types


async def test_who_asks_for_no_order_waits_for_nobody(notifier: Notifier, connection: Connection, receiver: Receiver) -> None:
    await notifier.endpoint("http://a/prompt")
    subject = await tell_versions(connection, 3)
    receiver.failing = {subject}
    await dispatch_all(notifier.pool)
    await notifier.deliver()
    assert set(receiver.tried) == {(subject, 1), (subject, 2), (subject, 3)}


async def test_a_dead_letter_that_is_sent_again_waits_for_its_turn(notifier: Notifier, connection: Connection, receiver: Receiver) -> None:
    await notifier.endpoint("http://a/ordered", ordered=True)
    subject = await tell_versions(connection, 3)
    await dispatch_all(notifier.pool)
    deliveries = await deliveries_of(notifier)
    await connection.execute("UPDATE notifications.deliveries SET status = 'dead', held = false WHERE object_version = 1")
    receiver.failing = {subject}
    await notifier.deliver()
    assert receiver.tried == [(subject, 2)]
    await again(notifier, deliveries[1])
    await again(notifier, deliveries[3])
    receiver.failing = set()
    await notifier.deliver()
    assert receiver.tried == [(subject, 2)], "the second is in its pause"
    await again(notifier, deliveries[2])
    await notifier.deliver()
    assert receiver.of(subject) == [2, 1, 3]


async def test_what_is_under_way_is_not_sent_beside_it_once_more(notifier: Notifier, connection: Connection) -> None:
    begun, release = asyncio.Event(), asyncio.Event()
    sent: list[str] = []

    async def send(_: str, headers: Mapping[str, str], ___: bytes) -> Answer:
        sent.append(headers["Tap-Object-Sequence"])
        begun.set()
        await release.wait()
        return Answer(200)

    notifier.send_by(send)
    await notifier.endpoint("http://a/ordered", ordered=True)
    await tell_versions(connection, 2)
    await dispatch_all(notifier.pool)
    await notifier.begin_all()
    await begun.wait()
    await again(notifier, (await deliveries_of(notifier))[1])
    await notifier.begin_all()
    release.set()
    await notifier.deliver()
    await notifier.deliverer.drain()
    await notifier.deliver()
    assert sent == ["1", "2"]


async def test_an_endpoint_that_was_disabled_goes_on_with_what_comes(
    notifier: Notifier, connection: Connection, receiver: Receiver
) -> None:
    await notifier.endpoint("http://a/ordered", ordered=True)
    subject = await tell_versions(connection, 3)
    await dispatch_all(notifier.pool)
    deliveries = await deliveries_of(notifier)
    endpoint_id = deliveries[1].partition(".")[2]
    await Deliveries(notifier.pool, lease_seconds=30).bury(notifier.pool, 1, False, endpoint_id)
    await notifier.deliver()
    assert (receiver.tried, await notifier.statuses()) == ([], [("dead", 0)] * 3)
    for version in (3, 1, 2):
        await again(notifier, deliveries[version])
    await notifier.deliver()
    assert receiver.of(subject) == [1, 2, 3]


async def test_an_event_that_the_endpoint_never_had_takes_its_place(notifier: Notifier, connection: Connection, receiver: Receiver) -> None:
    subject = await tell_versions(connection, 2)
    await dispatch_all(notifier.pool)
    await notifier.endpoint("http://a/ordered", ordered=True)
    endpoint_id = await connection.fetchval("SELECT id FROM notifications.webhook_endpoints")
    events = await connection.fetch("SELECT id FROM payments.events ORDER BY object_version DESC")
    for row in events:
        assert await Deliveries(notifier.pool, lease_seconds=30).resend(1, False, row["id"], endpoint_id)
    await notifier.deliver()
    assert receiver.of(subject) == [1, 2]
