"""A lean HTTP client that makes card payments as fast as they are answered. It costs little, since it shares the machine with what it measures."""

import asyncio
import time
import uuid
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import uvloop

BODY = b"amount=2000&currency=usd&payment_method=pm_card_visa&confirm=true"


@dataclass
class Result:
    payments: int = 0
    errors: int = 0
    seconds: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)
    first_error: str = ""

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


class _Client(asyncio.Protocol):
    """One customer of the API: pays, waits for the answer, pays again."""

    def __init__(self, head: bytes, result: Result, measured_from: float, until: float, done: asyncio.Future[None]) -> None:
        self._head = head
        self._result = result
        self._measured_from = measured_from
        self._until = until
        self._done = done
        self._buffer = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._pay()

    def _pay(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._head + uuid.uuid4().hex.encode() + b"\r\n\r\n" + BODY)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        self._buffer = b""
        now = time.perf_counter()
        if now >= self._measured_from:
            if b'"status":"succeeded"' in body and head.startswith(b"HTTP/1.1 200"):
                self._result.payments += 1
                self._result.latencies_ms.append((now - self._sent_at) * 1000)
            else:
                self._result.errors += 1
                self._result.first_error = self._result.first_error or (head[:30] + body[:300]).decode()
        if now < self._until:
            self._pay()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self._result.errors += 1
            self._result.first_error = self._result.first_error or repr(exc)
        if not self._done.done():
            self._done.set_result(None)


async def _pay(url: str, key: str, clients: int, seconds: float, warm_up_seconds: float) -> Result:
    parts = urlsplit(url)
    head = (
        f"POST /v1/payment_intents HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(BODY)}\r\nIdempotency-Key: "
    ).encode()
    loop, result = asyncio.get_running_loop(), Result()
    measured_from = time.perf_counter() + warm_up_seconds
    until = measured_from + seconds
    ended = [loop.create_future() for _ in range(clients)]
    for done in ended:
        await loop.create_connection(
            lambda done=done: _Client(head, result, measured_from, until, done), str(parts.hostname), parts.port or 80
        )
    await asyncio.gather(*ended)
    result.seconds = time.perf_counter() - measured_from
    return result


def pay(url: str, key: str, clients: int, seconds: float, warm_up_seconds: float) -> Result:
    """Pay with `clients` connections for `seconds`, after a warm-up that doesn't count."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_pay(url, key, clients, seconds, warm_up_seconds))
