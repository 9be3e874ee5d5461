"""How fast webhooks that wait go out, beside a plain loop of the same HTTP client to the same receiver: `make bench-deliveries`.

notification-service stands still while payments are made; then it goes on, and what it has to bring is brought by one process, recorded, and answered by a
receiver of its own process. The plain loop sends as many bodies as long, and does nothing else.

Then each event goes to a hundred endpoints; and claims are measured before and after there are a million deliveries more, delivered long ago.
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import os
import signal
import socket
import statistics
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from typing import cast

import httptools
import stripe
import uvloop

from payments.notification_service.sender import Resolver, Sender
from payments.notification_service.shares import PER_ENDPOINT_MAX, UNDER_WAY_MAX
from payments.runtime.topology import SERVICES, Service
from payments.storage.database import Connection, Pool, connect, open_pool
from payments.storage.deliveries import Deliveries, Room
from payments.storage.outbox import dispatch
from tests.benchmarks.load import Load, run
from tests.benchmarks.machine import cpu_seconds, processes
from tests.support.running_tap import RunningTap, running_tap

EVENTS_OF_PAYMENT = 3
_WAIT_SECONDS_MAX = 120.0
_POLL_SECONDS = 0.005
_CLAIMS = 15
_CLAIMED_PAYMENTS = 50
_OLD = """
    SELECT notifications.first_id_from($PREFIX$, now() - interval '1 second' - n * interval '30 days' / $1::integer) || lpad(n::text, 10, '0') AS id, n
    FROM generate_series(1, $1::integer) n
"""
_OLD_DELIVERIES = f"""
    INSERT INTO notifications.deliveries (merchant_id, livemode, event_id, endpoint_id, status, attempts, queued)
    SELECT w.merchant_id, w.livemode, old.id, w.id, 'delivered', 1, false FROM notifications.webhook_endpoints w, ({_OLD.replace("$PREFIX$", "'evt'")}) old
"""
_OLD_LOG = f"""
    INSERT INTO notifications.delivery_log (merchant_id, livemode, id, event_id, endpoint_id, attempt, attempted_at, duration_ms, status, exchange)
    SELECT w.merchant_id, w.livemode, old.id, 'evt_' || substr(old.id, 5), w.id, 1, now(), 1, 'delivered', '{{}}'
    FROM notifications.webhook_endpoints w, ({_OLD.replace("$PREFIX$", "'wha'")}) old
"""


class _Answering(asyncio.Protocol):
    """Takes everything, and counts it."""

    def __init__(self, count: "Synchronized[int]", size: "Synchronized[int]") -> None:
        self._count, self._size = count, size
        self._parser = httptools.HttpRequestParser(self)
        self._bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._bytes += len(body)

    def on_message_complete(self) -> None:
        self._count.value += 1
        self._size.value, self._bytes = self._bytes, 0
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def _answer(listening: socket.socket, count: "Synchronized[int]", size: "Synchronized[int]") -> None:
    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(lambda: _Answering(count, size), sock=listening)
        await server.serve_forever()

    uvloop.run(serve())


@dataclass(frozen=True)
class Sink:
    url: str
    count: "Synchronized[int]"
    size: "Synchronized[int]"
    """Of the last body, in bytes."""


@contextmanager
def sink() -> Generator[Sink]:
    """A receiver in a process of its own."""
    context = multiprocessing.get_context("spawn")
    count, size = context.Value("q", 0), context.Value("q", 0)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        process = context.Process(target=_answer, args=(listening, count, size), daemon=True)
        process.start()
        try:
            yield Sink(f"http://127.0.0.1:{listening.getsockname()[1]}/webhooks", count, size)
        finally:
            process.kill()
            process.join()


@dataclass(frozen=True)
class Lap:
    deliveries: int
    per_second: float
    cpu_ms: float
    """Of notification-service, each."""
    database_cpu_ms: float
    plain_per_second: float
    plain_cpu_ms: float
    """Of the client alone."""

    @property
    def cpu_ratio(self) -> float:
        """The client's CPU time to that of notification-service: 1 if signing, recording and all the rest cost nothing."""
        return self.plain_cpu_ms / self.cpu_ms

    @property
    def ratio(self) -> float:
        return self.per_second / self.plain_per_second

    def __str__(self) -> str:
        return (
            f"{self.deliveries} deliveries: {self.per_second:.0f}/s, {self.cpu_ms:.3f} CPU-ms each and {self.database_cpu_ms:.3f} of the database's;"
            f" the client alone {self.plain_per_second:.0f}/s, {self.plain_cpu_ms:.3f} CPU-ms: rate {self.ratio:.2f}, CPU {self.cpu_ratio:.2f}"
        )


@contextmanager
def standing_still(tap: RunningTap) -> Generator[tuple[int, ...]]:
    """Let notification-service stand still; yields its processes."""
    service = processes(tap)[Service.NOTIFICATION_SERVICE]
    for pid in service:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield service
    finally:
        for pid in service:
            os.kill(pid, signal.SIGCONT)


def pay(tap: RunningTap, payments: int) -> int:
    """Make payments; returns how many events that were."""
    status = tap.status()
    load = Load((status["services"][Service.PAYMENT_API]["url"],), status["secret_key"], "payment", 32, 600.0, 0.0, payments)
    return EVENTS_OF_PAYMENT * run(load).operations


def arrived(target: Sink, count: int) -> float:
    """Wait until so many have come; returns for how many seconds."""
    began = time.monotonic()
    while target.count.value < count:
        assert time.monotonic() < began + _WAIT_SECONDS_MAX, f"{target.count.value} of {count} came"
        time.sleep(_POLL_SECONDS)
    return time.monotonic() - began


def lap(tap: RunningTap, target: Sink, payments: int, endpoints: int = 1) -> Lap:
    database = processes(tap)["postgresql"]
    before = target.count.value
    with standing_still(tap) as service:
        expected = endpoints * pay(tap, payments)
        cpu, database_cpu = cpu_seconds(service), cpu_seconds(database)
    seconds = arrived(target, before + expected)
    cpu, database_cpu = cpu_seconds(service) - cpu, cpu_seconds(database) - database_cpu
    own = time.process_time()
    plain_per_second = uvloop.run(_plain(target, expected))
    plain_cpu = time.process_time() - own
    return Lap(
        expected, expected / seconds, cpu * 1000 / expected, database_cpu * 1000 / expected, plain_per_second, plain_cpu * 1000 / expected
    )


async def _plain(target: Sink, count: int) -> float:
    """Send as many as fast as the client can; returns how many a second."""
    body, left = b"x" * target.size.value, iter(range(count))
    with contextlib.closing(Resolver()) as resolver, contextlib.closing(Sender(resolver.resolve, allow_private=True)) as sender:

        async def send() -> None:
            for _ in left:
                answer = await sender.post(target.url, {"Content-Type": "application/json"}, body)
                assert answer.status_code == 200, answer

        began = time.monotonic()
        await asyncio.gather(*(send() for _ in range(PER_ENDPOINT_MAX)))
        return count / (time.monotonic() - began)


async def _claim_ms(connection: Connection) -> float:
    """What a claim of as many as one endpoint may have takes, as the median; none of them stands."""
    store, taken = Deliveries(cast("Pool", connection), lease_seconds=30.0), list[float]()
    for _ in range(_CLAIMS):
        with contextlib.suppress(_Undone):
            async with connection.transaction():
                began = time.perf_counter()
                await store.enqueue()
                claimed = await store.claim(Room(free=UNDER_WAY_MAX, per_endpoint=PER_ENDPOINT_MAX, failing=0))
                taken.append((time.perf_counter() - began) * 1000)
                assert len(claimed) == PER_ENDPOINT_MAX, len(claimed)
                raise _Undone
    return statistics.median(taken)


class _Undone(Exception):
    pass


async def claims(tap: RunningTap, deliveries: int) -> tuple[float, float]:
    """What a claim takes, in milliseconds, before and after there are so many deliveries more, of the last thirty days, each with its entry in the log."""
    owner = tap.status()["database_url"]
    async with (
        open_pool(owner, role=SERVICES[Service.NOTIFICATION_SERVICE].database_role, name="claims", size_max=1) as pool,
        connect(owner) as database,
    ):
        await dispatch(pool, 1_000)
        async with pool.acquire() as connection:
            before = await _claim_ms(connection)
            for query in (_OLD_DELIVERIES, _OLD_LOG):
                await database.execute(query, deliveries)
            return before, await _claim_ms(connection)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payments", type=int, default=2_000, help="how many are made before each lap: three events each")
    parser.add_argument("--laps", type=int, default=3)
    parser.add_argument("--endpoints", type=int, default=100, help="how many each event goes to in the last lap")
    parser.add_argument("--history", type=int, default=1_000_000, help="how many old deliveries there are when claims are measured again")
    options = parser.parse_args()
    with running_tap() as tap, sink() as target:
        parameters: stripe.params.WebhookEndpointCreateParams = {"url": target.url, "enabled_events": ["*"]}
        tap.client().v1.webhook_endpoints.create(parameters)
        laps = [lap(tap, target, options.payments) for _ in range(options.laps)]
        for each in laps:
            print(each)
        print(
            f"median: rate {statistics.median(each.ratio for each in laps):.2f}, CPU {statistics.median(each.cpu_ratio for each in laps):.2f}"
        )
        came = target.count.value
        with standing_still(tap):
            came += pay(tap, _CLAIMED_PAYMENTS)
            before, after = asyncio.run(claims(tap, options.history))
        arrived(target, came)
        print(
            f"a claim of {PER_ENDPOINT_MAX}: {before:.1f} ms, and {after:.1f} ms with {options.history:,} old deliveries and entries of the log"
        )
        tap.tap("settings", "--webhook-endpoints", str(options.endpoints))
        for _ in range(options.endpoints - 1):
            tap.client().v1.webhook_endpoints.create(parameters)
        print(
            f"each event to {options.endpoints} endpoints: {lap(tap, target, max(options.payments // options.endpoints, 1), options.endpoints)}"
        )


if __name__ == "__main__":
    main()
