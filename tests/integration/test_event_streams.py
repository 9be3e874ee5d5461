"""Whoever listens gets every event that is committed, in one order, however late it is committed and whichever copy is listened to."""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from payments.domain.api_version import NEWEST
from payments.domain.errors import InvalidRequest
from payments.domain.principal import KeyKind, Principal
from payments.notification_service.event_stream import EventStream
from payments.notification_service.listeners import Listeners
from payments.runtime.background import Background
from payments.runtime.keyring import KeyRing
from payments.runtime.logging import Logger
from payments.storage.database import Connection, Pool, Queries, connect, open_pool
from payments.storage.deliveries import Deliveries
from payments.storage.keys import create_key, create_merchant
from payments.storage.outbox import dispatch
from payments.storage.streams import Streamed, StreamKey, Streams
from payments.wire.api import Call
from payments.wire.form import decode_form
from payments.wire.lists import Lists
from tests.integration.notifier import notifier_on, tell
from tests.support.waiting import eventually

PEPPER = KeyRing.of(b"p" * 32)


def principal(merchant_id: int = 1, key_id: str = "key_1") -> Principal:
    return Principal(merchant_id=merchant_id, livemode=False, kind=KeyKind.SECRET, account_id="acct_1", key_id=key_id, api_version=NEWEST)


class CountedStreams(Streams):
    """Counts what it is asked."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self.questions = 0

    async def news(self, connection: Queries, read_to: Mapping[StreamKey, int], limit: int) -> list[Streamed]:
        self.questions += 1
        return await super().news(connection, read_to, limit)


@dataclass
class Heard:
    """What a listener was sent."""

    ids: list[str] = field(default_factory=list)
    last_id: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    ended: bool = False

    def take(self, chunk: bytes) -> None:
        for message in chunk.decode().split("\n\n"):
            fields = {name: value for name, _, value in (line.partition(": ") for line in message.splitlines() if not line.startswith(":"))}
            self.last_id = fields.get("id", self.last_id)
            if "data" in fields:
                self.events.append(json.loads(fields["data"]))
                assert self.events[-1]["id"] == self.last_id
                self.ids.append(self.last_id)


@dataclass
class Copy:
    """A copy of the service, as far as streams go."""

    pool: Pool
    streams: CountedStreams
    listeners: Listeners
    endpoint: EventStream

    @asynccontextmanager
    async def listening(
        self, after: str | None = None, *, query: str = "", who: Principal | None = None, version: str = NEWEST
    ) -> AsyncGenerator[Heard]:
        call = Call(
            principal=who or principal(),
            path={},
            params=decode_form(query.encode()),
            expand=(),
            request_id="req_1",
            idempotency_key=None,
            endpoint="GET /v1/events/stream",
            api_version=version,
            received_at=0,
            digest=lambda *_, **__: "",
            last_event_id=after,
        )
        reply = await self.endpoint.endpoints()[0].answer(call)
        assert reply.chunks is not None
        chunks, heard = reply.chunks, Heard()
        heard.take(reply.body)

        async def read() -> None:
            async for chunk in chunks:
                heard.take(chunk)
            heard.ended = True

        reading = asyncio.create_task(read())
        try:
            yield heard
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            await chunks.aclose()

    async def dispatch(self) -> None:
        while (await dispatch(self.pool, 7)).events:
            pass
        self.listeners.notice()


@asynccontextmanager
async def copy_on(database_url: str, *, kept_bytes_max: int = 1_000_000) -> AsyncGenerator[Copy]:
    async with open_pool(database_url, role="tap_notification_service", name="copy") as pool:
        streams = CountedStreams(pool)
        listeners = Listeners(streams, pool, kept_bytes_max=kept_bytes_max)
        background = Background(Logger("test"))
        background.keep("streams", listeners.run)
        try:
            yield Copy(pool, streams, listeners, EventStream(listeners, streams, Lists(pool)))
        finally:
            await background.stop()


@pytest.fixture
async def copy(database_url: str) -> AsyncGenerator[Copy]:
    async with copy_on(database_url) as made:
        yield made


async def ids_of(connection: Connection) -> set[str]:
    return {row["id"] for row in await connection.fetch("SELECT id FROM payments.events")}


async def hears(heard: Heard, expected: set[str]) -> None:
    async def all_came() -> bool:
        return set(heard.ids) >= expected

    await eventually(all_came, "every event comes")
    assert sorted(heard.ids) == sorted(expected), "and none twice"


async def test_a_listener_gets_what_happens_to_its_merchant(copy: Copy, connection: Connection) -> None:
    await tell(connection)  # before anybody listened
    await copy.dispatch()
    before = await ids_of(connection)
    async with copy.listening() as heard, copy.listening(who=principal(2)) as other:
        await tell(connection, count=3)
        mine = await ids_of(connection) - before
        await tell(connection, merchant_id=2)
        await copy.dispatch()
        await hears(heard, mine)
        await hears(other, await ids_of(connection) - before - mine)
        assert heard.events[0]["object"] == "event"
        assert heard.events[0]["data"]["object"]["object"] == "payment_intent"


async def test_what_is_sent_to_an_endpoint_again_is_not_streamed_again(copy: Copy, connection: Connection, database_url: str) -> None:
    async with notifier_on(database_url) as notifier, copy.listening() as heard:
        await notifier.endpoint("http://a/hook", enabled=True)
        endpoint_id = await connection.fetchval("SELECT id FROM notifications.webhook_endpoints")
        deliveries = Deliveries(copy.pool, lease_seconds=30)
        await tell(connection)
        (event_id,) = await ids_of(connection)
        assert await deliveries.resend(1, False, event_id, endpoint_id), "before it was fanned out"
        await copy.dispatch()
        assert await deliveries.resend(1, False, event_id, endpoint_id)
        await copy.dispatch()
        await tell(connection)
        await copy.dispatch()
        await hears(heard, await ids_of(connection))
        assert await connection.fetchval("SELECT count(*) FROM notifications.deliveries WHERE event_id = $1", event_id) == 1


async def test_what_is_committed_late_comes_to_those_who_listen_and_to_those_who_resume(
    copy: Copy, connection: Connection, database_url: str
) -> None:
    """Its id and its place in the outbox are older than those of what was sent long before it."""
    async with copy.listening() as heard:
        async with connect(database_url) as slow:
            async with slow.transaction():
                await tell(slow)
                await tell(connection, count=2)
                await copy.dispatch()
                early = await ids_of(connection)
                await hears(heard, early)
                resumes_at = heard.last_id
            await copy.dispatch()
        late = await ids_of(connection) - early
        assert min(late) < min(early)
        await hears(heard, early | late)
        async with copy.listening(resumes_at) as resumed:
            await hears(resumed, late)


async def test_nobody_sees_a_place_before_all_that_come_before_it(copy: Copy, connection: Connection, database_url: str) -> None:
    """A copy that dispatches slowly has taken its places; another waits for its commit with taking the next."""
    async with copy.listening() as heard:
        first = await ids_of(connection)
        await tell(connection, count=2)
        first = await ids_of(connection) - first
        async with connect(database_url) as slow, slow.transaction():
            taken: Any = slow
            assert (await dispatch(taken, 100)).streamed == 2
            await tell(connection, count=2)
            second = asyncio.create_task(dispatch(copy.pool, 100))
            done, _ = await asyncio.wait({second}, timeout=0.2)
            assert not done
            copy.listeners.notice()
        assert (await second).streamed == 2
        copy.listeners.notice()
        await hears(heard, await ids_of(connection))
        assert set(heard.ids[:2]) == first


async def test_listeners_of_several_copies_miss_nothing_however_often_they_go_and_come(database_url: str, connection: Connection) -> None:
    chance = random.Random(27)
    done = asyncio.Event()

    async def write(number: int) -> None:
        async with connect(database_url) as writer:
            for _ in range(15):
                async with writer.transaction():
                    await tell(writer, count=chance.randint(1, 3))
                    await asyncio.sleep(chance.random() / 50)
                if number == 0:
                    await tell(writer, merchant_id=2)

    async def come_and_go(copies: list[Copy], heard: Heard) -> None:
        while not done.is_set():
            async with chance.choice(copies).listening(heard.last_id or None) as part:
                await asyncio.sleep(chance.random() / 10)
            heard.ids += part.ids
            heard.last_id = part.last_id

    async def dispatching(copy: Copy) -> None:
        while True:
            await copy.dispatch()
            await asyncio.sleep(0.005)

    async with copy_on(database_url) as one, copy_on(database_url, kept_bytes_max=2_000) as two:
        copies, restless = [one, two], [Heard() for _ in range(4)]
        async with one.listening() as steady, two.listening() as squeezed:
            listening = [asyncio.create_task(come_and_go(copies, heard)) for heard in restless]
            dispatchers = [asyncio.create_task(dispatching(copy)) for copy in copies]
            await asyncio.sleep(0.1)  # all are listening
            await asyncio.gather(*map(write, range(6)))
            expected = {row["id"] for row in await connection.fetch("SELECT id FROM payments.events WHERE merchant_id = 1")}
            await hears(steady, expected)
            await hears(squeezed, expected)
            done.set()
            await asyncio.gather(*listening)
            for dispatcher in dispatchers:
                dispatcher.cancel()
            await asyncio.gather(*dispatchers, return_exceptions=True)
        assert squeezed.ids == steady.ids
        for heard in restless:
            async with chance.choice(copies).listening(heard.last_id) as rest:
                await hears(rest, expected - set(heard.ids))
            assert heard.ids + rest.ids == steady.ids[-len(expected) :]


async def test_one_reader_reads_for_all_and_for_nobody_not_at_all(copy: Copy, connection: Connection) -> None:
    await tell(connection)
    await copy.dispatch()
    assert copy.streams.questions == 0
    assert await connection.fetchval("SELECT count(*) FROM notifications.streamed") == 0
    known = await ids_of(connection)
    async with copy.listening() as heard:
        await asyncio.sleep(0)
        others = [copy.listening() for _ in range(200)]
        all_heard = [await other.__aenter__() for other in others]
        asked = copy.streams.questions
        await tell(connection, count=3)
        await copy.dispatch()
        new = await ids_of(connection) - known
        for each in (heard, *all_heard):
            await hears(each, new)
        assert copy.streams.questions - asked <= 2
        for other in others:
            await other.__aexit__(None, None, None)
    assert len(copy.listeners) == 0
    assert copy.listeners.kept_bytes == 0


async def test_what_is_kept_for_listeners_has_a_bound(database_url: str, connection: Connection) -> None:
    async with copy_on(database_url, kept_bytes_max=10_000) as copy, copy.listening() as heard:
        await tell(connection, count=300)
        await copy.dispatch()
        await hears(heard, await ids_of(connection))
        assert copy.listeners.kept_bytes <= 10_000


async def test_events_come_in_the_version_and_of_the_types_that_were_asked_for(copy: Copy, connection: Connection) -> None:
    async with copy.listening(query="types[]=charge.*&types[]=customer.created", version="2022-11-15") as heard:
        await tell(connection, "charge.failed")
        await tell(connection, "payment_intent.created")
        await tell(connection, "customer.created")
        await copy.dispatch()

        async def came() -> bool:
            return len(heard.events) == 2

        await eventually(came, "both come")
        assert [event["type"] for event in heard.events] == ["charge.failed", "customer.created"]
        assert {event["api_version"] for event in heard.events} == {"2022-11-15"}
        assert "charges" not in heard.events[0]["data"]["object"]


@pytest.mark.parametrize("after", ["evt_unknown", "pos_999", "pos_x", "ch_1"])
async def test_nobody_resumes_where_something_would_be_missed(copy: Copy, after: str) -> None:
    with pytest.raises(InvalidRequest, match="can't be streamed"):
        async with copy.listening(after):
            pass
    assert len(copy.listeners) == 0


async def test_what_nobody_listened_to_for_a_day_is_a_gap(copy: Copy, connection: Connection) -> None:
    async with copy.listening() as heard:
        await tell(connection)
        await copy.dispatch()
        await hears(heard, await ids_of(connection))
    async with copy.listening(heard.last_id):
        pass
    await connection.execute("UPDATE notifications.streams SET recorded_until = now()")
    await tell(connection)
    await copy.dispatch()
    with pytest.raises(InvalidRequest, match="can't be streamed"):
        async with copy.listening(heard.last_id):
            pass


async def test_what_is_a_day_old_is_taken_away_and_nobody_resumes_there(copy: Copy, connection: Connection) -> None:
    async with copy.listening() as heard:
        await tell(connection, count=3)
        await copy.dispatch()
        await hears(heard, await ids_of(connection))
    first, second, third = heard.ids
    await connection.execute(
        "UPDATE notifications.streamed SET recorded_at = now() - interval '25 hours' WHERE event_id = ANY ($1)", [first, second]
    )
    assert await copy.streams.prune() == 2
    assert await copy.streams.prune() == 0
    with pytest.raises(InvalidRequest, match="can't be streamed"):
        async with copy.listening(first):
            pass
    async with copy.listening(third) as resumed:
        await tell(connection)
        await copy.dispatch()
        await hears(resumed, await ids_of(connection) - set(heard.ids))


async def test_a_key_that_is_revoked_hears_nothing_more(copy: Copy, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("payments.notification_service.listeners._REVOKED_SECONDS", 0.0)
    merchant_id = await create_merchant(connection, "Shop")
    key = await create_key(connection, merchant_id, livemode=False, kind=KeyKind.SECRET, pepper=PEPPER)
    async with copy.listening(who=principal(merchant_id, key.id)) as heard:
        await connection.execute("UPDATE payments.api_keys SET revoked_at = now()")
        await tell(connection, merchant_id=merchant_id)
        await copy.dispatch()

        async def has_ended() -> bool:
            return heard.ended

        await eventually(has_ended, "the stream ends")
        assert heard.ids == []
