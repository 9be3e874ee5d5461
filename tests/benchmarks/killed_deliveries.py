"""Kill a copy of notification-service (kill -9) while it delivers, and see what came: `python -m tests.benchmarks.killed_deliveries --deliveries 5000`.

Two copies deliver to one receiver that asked for each object's order. The receiver leaves some unanswered; then one copy is killed, and the rest is answered.
Each event must come, in its object's order, and twice only if it was in the dead copy's hands.
"""

import argparse
import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httptools
import msgspec
import stripe

from payments.notification_service.shares import PER_ENDPOINT_MAX
from payments.runtime.topology import Service
from payments.storage.database import Connection, connect
from tests.integration.notifier import tell_versions
from tests.support.copies import copy_of
from tests.support.running_tap import RunningTap, running_tap
from tests.support.waiting import SECONDS_MAX, eventually

_VERSIONS = 5
"""Of each object."""
_ANSWERED_FIRST = 100
"""So that a copy may have as many under way as it ever may."""
_UNANSWERED = PER_ENDPOINT_MAX + 1
"""More than one copy has under way: the other one has some, too."""
_LEASED = "SELECT event_id FROM notifications.deliveries WHERE status = 'pending' AND leased AND NOT queued"
_RUN_OUT = f"UPDATE notifications.deliveries SET next_attempt_at = now() WHERE event_id = ANY (ARRAY({_LEASED}))"
_ENDED = "SELECT count(*) FROM notifications.deliveries WHERE status = 'delivered'"
_WAITING = "SELECT count(*) FROM notifications.deliveries WHERE status = 'pending' AND queued"
_TURNS = "SELECT count(*) FROM notifications.turns"


@dataclass
class Arrivals:
    """What a receiver got, and when it answers."""

    came: list[str] = field(default_factory=list[str])
    """Events, in the order in which they came."""
    versions: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Of each object, in that order."""
    unanswered: list[asyncio.Transport] = field(default_factory=list[asyncio.Transport])
    answers_max: int = _ANSWERED_FIRST
    answered: int = 0
    enough: asyncio.Event = field(default_factory=asyncio.Event)
    """Some are unanswered."""

    def take(self, body: bytes, sequence: int, transport: asyncio.Transport) -> None:
        event = msgspec.json.decode(body)
        self.came.append(event["id"])
        self.versions[event["data"]["object"]["id"]].append(sequence)
        if self.answered < self.answers_max:
            self._answer(transport)
            return
        self.unanswered.append(transport)
        if len(self.unanswered) >= _UNANSWERED:
            self.enough.set()

    def answer_all(self) -> None:
        self.answers_max = 2**62
        for transport in self.unanswered:
            self._answer(transport)

    def _answer(self, transport: asyncio.Transport) -> None:
        self.answered += 1
        transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


class _Receiving(asyncio.Protocol):
    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self._parser = httptools.HttpRequestParser(self)
        self._body, self._sequence = b"", 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"tap-object-sequence":
            self._sequence = int(value)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        body, self._body = self._body, b""
        self._arrivals.take(body, self._sequence, self._transport)


@asynccontextmanager
async def receiving() -> AsyncGenerator[tuple[Arrivals, str]]:
    """A receiver; yields what it got, and its URL."""
    arrivals = Arrivals()
    server = await asyncio.get_running_loop().create_server(lambda: _Receiving(arrivals), "127.0.0.1", 0)
    async with server:
        yield arrivals, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@dataclass(frozen=True)
class Outcome:
    events: int
    in_flight: int
    """In the dead copy's hands."""
    twice: int


async def kill_a_copy(tap: RunningTap, deliveries: int, *, seconds_max: float, leases_run_out_at_once: bool) -> Outcome:
    """Do it, and assert what must be; leases run out after half a minute by themselves."""
    async with receiving() as (arrivals, url), connect(tap.status()["database_url"]) as database:
        ordered: stripe.params.WebhookEndpointCreateParams = {
            "url": url,
            "enabled_events": ["*"],
            "metadata": {"tap_ordering": "per_object"},
        }
        await asyncio.to_thread(tap.client().v1.webhook_endpoints.create, ordered)
        merchant_id = await database.fetchval("SELECT merchant_id FROM notifications.webhook_endpoints")
        copies = copy_of(tap, Service.NOTIFICATION_SERVICE)
        copy = await asyncio.to_thread(copies.__enter__)
        try:
            for _ in range(deliveries // _VERSIONS):
                await tell_versions(database, _VERSIONS, merchant_id=merchant_id)
            async with asyncio.timeout(seconds_max):
                await arrivals.enough.wait()
            copy.process.kill()
            await asyncio.to_thread(copy.process.wait)
            before_kill = set(arrivals.came)
            arrivals.answer_all()
            events = {row["id"] for row in await database.fetch("SELECT id FROM payments.events WHERE type LIKE 'payment_intent.%'")}

            async def only_the_dead_copys_are_left() -> bool:
                leased = {row["event_id"] for row in await database.fetch(_LEASED)}
                waits = await database.fetchval(_WAITING) or await database.fetchval(_TURNS)
                return not waits and not leased & (set(arrivals.came) - before_kill)

            await eventually(only_the_dead_copys_are_left, "the other copy delivered the rest", seconds_max)
            in_flight = {row["event_id"] for row in await database.fetch(_LEASED)}
            if leases_run_out_at_once:
                await database.execute(_RUN_OUT)
            await eventually(lambda: _all_ended(database, len(events)), "each was delivered", seconds_max)
        finally:
            await asyncio.to_thread(copies.__exit__, None, None, None)
        times = Counter(arrivals.came)
        twice = {event for event, count in times.items() if count > 1}
        assert set(times) == events, "none is lost, and none was made up"
        assert twice <= in_flight, "twice comes what the dead copy had in hand, and nothing else"
        assert max(times.values()) <= 2
        for versions in arrivals.versions.values():
            assert versions == sorted(versions), "each object's in its order"
        return Outcome(len(events), len(in_flight), len(twice))


async def _all_ended(database: Connection, count: int) -> bool:
    return await database.fetchval(_ENDED) == count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deliveries", type=int, default=5_000)
    options = parser.parse_args()
    with running_tap() as tap:
        print(asyncio.run(kill_a_copy(tap, options.deliveries, seconds_max=5 * SECONDS_MAX, leases_run_out_at_once=False)))


if __name__ == "__main__":
    main()
