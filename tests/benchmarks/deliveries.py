"""How fast webhooks that wait go out, beside a plain loop of the same HTTP client to the same receiver: `make bench-deliveries`.

notification-service stands still while payments are made; then it goes on, and what it has to bring is brought by one process, recorded, and answered by a
receiver of its own process. The plain loop sends as many bodies as long, and does nothing else.
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
import uvloop

from payments.notification_service.sender import Resolver, Sender
from payments.notification_service.shares import PER_ENDPOINT_MAX
from payments.runtime.topology import Service
from tests.benchmarks.load import Load, run
from tests.benchmarks.machine import cpu_seconds, processes
from tests.support.running_tap import RunningTap, running_tap

EVENTS_OF_PAYMENT = 3
_WAIT_SECONDS_MAX = 120.0
_POLL_SECONDS = 0.005


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


def lap(tap: RunningTap, target: Sink, payments: int) -> Lap:
    status, pids = tap.status(), processes(tap)
    service, database = pids[Service.NOTIFICATION_SERVICE], pids["postgresql"]
    before = target.count.value
    for pid in service:
        os.kill(pid, signal.SIGSTOP)
    try:
        load = Load((status["services"][Service.PAYMENT_API]["url"],), status["secret_key"], "payment", 32, 600.0, 0.0, payments)
        expected = EVENTS_OF_PAYMENT * run(load).operations
        cpu, database_cpu = cpu_seconds(service), cpu_seconds(database)
    finally:
        for pid in service:
            os.kill(pid, signal.SIGCONT)
    began = time.monotonic()
    while target.count.value < before + expected:
        assert time.monotonic() < began + _WAIT_SECONDS_MAX, f"{target.count.value - before} of {expected} came"
        time.sleep(_POLL_SECONDS)
    seconds = time.monotonic() - began
    return Lap(
        expected,
        expected / seconds,
        (cpu_seconds(service) - cpu) * 1000 / expected,
        (cpu_seconds(database) - database_cpu) * 1000 / expected,
        uvloop.run(_plain(target, expected)),
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payments", type=int, default=2_000, help="how many are made before each lap: three events each")
    parser.add_argument("--laps", type=int, default=3)
    options = parser.parse_args()
    with running_tap() as tap, sink() as target:
        tap.client().v1.webhook_endpoints.create({"url": target.url, "enabled_events": ["*"]})
        laps = [lap(tap, target, options.payments) for _ in range(options.laps)]
    for each in laps:
        print(
            f"{each.deliveries} deliveries: {each.per_second:.0f}/s, {each.cpu_ms:.2f} CPU-ms each and {each.database_cpu_ms:.2f} of the database's;"
            f" the client alone {each.plain_per_second:.0f}/s: {each.per_second / each.plain_per_second:.2f}"
        )
    print(f"median ratio {statistics.median(each.per_second / each.plain_per_second for each in laps):.2f}")


if __name__ == "__main__":
    main()
