"""A task that is told to end is still sent requests for a while: it takes them, and asks for no more."""

import asyncio
import signal
from typing import Any

import pytest
import uvicorn

from payments.wire.serve import LeavingServer


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


def server(linger_seconds: float = 3600.0) -> LeavingServer:
    made = LeavingServer(uvicorn.Config(app), linger_seconds=linger_seconds)
    made.config.load()
    return made


async def serving(leaving: LeavingServer) -> "asyncio.Task[None]":
    """It waits for its end, which only a signal brings."""
    waiting = asyncio.create_task(leaving.main_loop())
    await asyncio.sleep(0)
    assert not waiting.done()
    return waiting


async def test_it_goes_on_accepting_and_asks_for_no_more_on_a_connection() -> None:
    leaving = server()
    waiting = await serving(leaving)
    assert await answered(leaving) == [(b"request-id", b"req_1")]
    leaving.handle_exit(signal.SIGTERM, None)
    assert await answered(leaving) == [(b"request-id", b"req_1"), (b"connection", b"close")]
    done, _ = await asyncio.wait({waiting}, timeout=0.05)
    assert not done
    assert not leaving.should_exit
    waiting.cancel()


async def test_after_a_while_it_drains() -> None:
    leaving = server(linger_seconds=0.01)
    waiting = await serving(leaving)
    leaving.handle_exit(signal.SIGTERM, None)
    await waiting
    assert leaving.should_exit


@pytest.mark.parametrize(("linger_seconds", "first"), [(3600.0, signal.SIGINT), (0.0, signal.SIGTERM)])
@pytest.mark.parametrize("is_serving", [True, False], ids=["while it serves", "while it starts"])
async def test_whoever_does_not_wait_ends_it_at_once(linger_seconds: float, first: signal.Signals, is_serving: bool) -> None:
    leaving = server(linger_seconds)
    waiting = await serving(leaving) if is_serving else None
    leaving.handle_exit(first, None)
    await (waiting or leaving.main_loop())
    assert leaving.should_exit


async def test_a_second_signal_ends_the_wait() -> None:
    leaving = server()
    waiting = await serving(leaving)
    leaving.handle_exit(signal.SIGTERM, None)
    await asyncio.wait({waiting}, timeout=0.05)
    leaving.handle_exit(signal.SIGTERM, None)
    await waiting
    assert leaving.should_exit


async def test_two_signals_at_once_are_two() -> None:
    leaving = server()
    leaving.handle_exit(signal.SIGTERM, None)
    leaving.handle_exit(signal.SIGTERM, None)
    await leaving.main_loop()
    assert leaving.should_exit


async def test_what_each_answer_has_is_made_once() -> None:
    """Uvicorn makes it as it looks whether to end; that is done once here."""
    leaving = LeavingServer(uvicorn.Config(app, headers=[("x-tap", "1")], server_header=False, date_header=False), linger_seconds=0)
    leaving.config.load()
    waiting = await serving(leaving)
    assert leaving.server_state.default_headers == [(b"x-tap", b"1")]
    leaving.handle_exit(signal.SIGTERM, None)
    await waiting
