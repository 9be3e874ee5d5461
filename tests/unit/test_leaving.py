"""A task that is told to end is still sent requests for a while: it takes them, and asks for no more."""

import signal
from typing import Any

import pytest
import uvicorn

from payments.wire.serve import LeavingServer


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def app(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"request-id", b"req_1")]})
    await send({"type": "http.response.body", "body": b"{}"})


async def answered(server: LeavingServer) -> list[tuple[bytes, bytes]]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    loaded: Any = server.config.loaded_app  # as uvicorn calls it
    await loaded({"type": "http"}, None, send)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    return sent[0]["headers"]


def server(time: Time, linger_seconds: float = 20.0) -> LeavingServer:
    made = LeavingServer(uvicorn.Config(app), linger_seconds=linger_seconds, monotonic=time)
    made.config.load()
    return made


async def test_it_goes_on_accepting_and_asks_for_no_more_on_a_connection() -> None:
    time = Time()
    leaving = server(time)
    assert await answered(leaving) == [(b"request-id", b"req_1")]
    leaving.handle_exit(signal.SIGTERM, None)
    assert await answered(leaving) == [(b"request-id", b"req_1"), (b"connection", b"close")]
    time.now += 19.9
    assert not await leaving.on_tick(1)
    time.now += 0.1
    assert await leaving.on_tick(2)


@pytest.mark.parametrize(("linger_seconds", "first"), [(20.0, signal.SIGINT), (0.0, signal.SIGTERM)])
async def test_whoever_does_not_wait_ends_it_at_once(linger_seconds: float, first: signal.Signals) -> None:
    leaving = server(Time(), linger_seconds)
    leaving.handle_exit(first, None)
    assert await leaving.on_tick(1)


async def test_a_second_signal_ends_the_wait() -> None:
    leaving = server(Time())
    leaving.handle_exit(signal.SIGTERM, None)
    leaving.handle_exit(signal.SIGTERM, None)
    assert await leaving.on_tick(1)
