"""Answers that have no end of their own: they go on until whoever asked goes away, or the process takes leave.

Source: HTML Living Standard, section 9.2, "Server-sent events".
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from starlette.types import Receive, Scope, Send

from payments.runtime.logging import Logger

LEAVING = "tap.leaving"
"""In the scope: an `asyncio.Event` that is set when the process takes leave."""

STREAM_FIELDS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]
"""Header fields of a stream; the last one has proxies pass on what comes at once. Source: nginx, `proxy_buffering`."""

Chunks = AsyncGenerator[bytes, None]
"""What is sent, piece by piece; it is closed when nobody takes any more."""


async def send_chunks(scope: Scope, receive: Receive, send: Send, chunks: Chunks, log: Logger) -> None:
    """Send the body of an answer that has begun, to the end of `chunks`, the client or the process. What the chunks raise is logged: whoever listens comes
    again.
    """
    leaving: asyncio.Event | None = scope.get(LEAVING)
    pump = asyncio.ensure_future(_pump(send, chunks))
    ends: list[asyncio.Future[Any]] = [pump, asyncio.ensure_future(_gone(receive))]
    if leaving is not None:
        ends.append(asyncio.ensure_future(leaving.wait()))
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for end in ends:
            end.cancel()
        await asyncio.gather(*ends, return_exceptions=True)
        await chunks.aclose()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    failure = None if pump.cancelled() else pump.exception()
    if failure is not None:
        where = f"{scope['method']} {scope['path']}"
        log.error(where, failure)


async def _pump(send: Send, chunks: Chunks) -> None:
    async for chunk in chunks:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def server_sent(data: bytes, *, event_id: str, sequence: int) -> bytes:
    """Return a message; `data` has no line break, as JSON hasn't. `sequence` is what webhooks say in a header: clients pass over a field that they don't know."""
    return b"id: %s\nsequence: %d\ndata: %s\n\n" % (event_id.encode("ascii"), sequence, data)


def heartbeat(event_id: str) -> bytes:
    """Return a sign of life. A client takes note of the id, so that it resumes there, and tells nobody."""
    return b": \nid: %s\n\n" % event_id.encode("ascii")


def reconnect_after(seconds: float) -> bytes:
    """Return what has a client wait for so long before it comes again."""
    return b"retry: %d\n\n" % round(seconds * 1000)
