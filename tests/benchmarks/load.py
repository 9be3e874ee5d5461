"""A lean HTTP client that carries out operations as fast as they are answered. It costs little, since it shares the machine with what it measures."""

import asyncio
import itertools
import multiprocessing
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import uvloop

from tests.benchmarks.flows import FLOWS, Flow, Request, encoded


@dataclass
class Result:
    operations: int = 0
    """All of them."""
    measured: int = 0
    """Without those of the warm-up."""
    errors: int = 0
    seconds: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)
    first_error: str = ""

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0

    @property
    def rate(self) -> float:
        return self.measured / self.seconds


@dataclass(frozen=True)
class Load:
    urls: tuple[str, ...]
    """Of each copy: clients are shared out among them."""
    api_key: str
    flow: str
    clients: int
    seconds: float
    warm_up_seconds: float = 1.0
    operations_max: int | None = None


class _Client(asyncio.Protocol):
    """One customer of the API: does an operation, waits for its answers, does it again."""

    def __init__(
        self, load: Load, host: str, flow: Flow, result: Result, measured_from: float, until: float, done: asyncio.Future[None]
    ) -> None:
        self._load, self._flow, self._result = load, flow, result
        self._host = host
        self._measured_from, self._until, self._done = measured_from, until, done
        self._own: dict[str, str] = {}
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._start()

    def _start(self) -> None:
        self._started = time.perf_counter()
        self._operation: Generator[Request, bytes, None] = self._flow(self._own)
        self._send(next(self._operation))

    def _send(self, request: Request) -> None:
        self._request = request
        self._transport.write(encoded(request, self._host, self._load.api_key))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        self._buffer = b""
        if self._request.expects not in body or int(head[9:12]) != self._request.status:
            self._fail((head[:30] + b" " + body[:300]).decode(errors="replace"))
            self._next()
            return
        try:
            self._send(self._operation.send(body))
        except StopIteration:
            self._count()
            self._next()

    def _count(self) -> None:
        now, result = time.perf_counter(), self._result
        result.operations += 1
        if now >= self._measured_from:
            result.measured += 1
            result.latencies_ms.append((now - self._started) * 1000)

    def _next(self) -> None:
        enough = self._load.operations_max is not None and self._result.operations >= self._load.operations_max
        if time.perf_counter() < self._until and not enough:
            self._start()
        else:
            self._transport.close()

    def _fail(self, error: str) -> None:
        self._result.errors += 1
        self._result.first_error = self._result.first_error or error

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self._fail(repr(exc))
        if not self._done.done():
            self._done.set_result(None)


async def _run(load: Load) -> Result:
    loop, result = asyncio.get_running_loop(), Result()
    measured_from = time.perf_counter() + load.warm_up_seconds
    until = measured_from + load.seconds
    ended = [loop.create_future() for _ in range(load.clients)]
    for done, url in zip(ended, itertools.cycle(load.urls), strict=False):
        parts = urlsplit(url)
        client = _Client(load, parts.netloc, FLOWS[load.flow], result, measured_from, until, done)
        await loop.create_connection(lambda client=client: client, str(parts.hostname), parts.port or 80)
    await asyncio.gather(*ended)
    result.seconds = time.perf_counter() - measured_from
    return result


def _in_a_process(load: Load) -> Result:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(load))


def run(load: Load) -> Result:
    """Carry the load out in a process of its own; a warm-up doesn't count."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_in_a_process, (load,))
