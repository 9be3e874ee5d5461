"""An answer without an end ends with its client, with its process, and with a client that doesn't read it."""

import asyncio
import contextlib
import io
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from payments.runtime.logging import Logger
from payments.wire import bounded_http
from payments.wire.bounded_http import BoundedHttpProtocol
from payments.wire.streaming import LEAVING, STREAM_FIELDS, heartbeat, send_chunks, server_sent

CHUNK = server_sent(b'{"padding":"' + b"x" * 60_000 + b'"}', event_id="evt_1", sequence=1)


class Endless:
    """Sends for ever, as fast as it is taken."""

    def __init__(self) -> None:
        self.leaving, self.closed, self.pause = asyncio.Event(), asyncio.Event(), 0.0
        self.log, self.failure = io.BytesIO(), ""
        self.port = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[LEAVING] = self.leaving
        await send({"type": "http.response.start", "status": 200, "headers": list(STREAM_FIELDS)})
        await send_chunks(scope, receive, send, self.chunks(), Logger("test", self.log))

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield CHUNK
                if self.failure:
                    raise ValueError(self.failure)
                await asyncio.sleep(self.pause)
        finally:
            self.closed.set()

    async def ends(self) -> None:
        async with asyncio.timeout(20):
            await self.closed.wait()


@asynccontextmanager
async def endless() -> AsyncGenerator[Endless]:
    application = Endless()
    config = uvicorn.Config(application, port=0, http=BoundedHttpProtocol, ws="none", lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.01)
    application.port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield application
    finally:
        application.leaving.set()
        server.should_exit = True
        await task


@asynccontextmanager
async def client(application: Endless) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", application.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"data: ")
    try:
        yield reader, writer
    finally:
        writer.close()


async def test_it_ends_with_its_client() -> None:
    async with endless() as application:
        application.pause = 0.01
        async with client(application):
            pass
        await application.ends()


async def test_it_ends_whole_when_the_process_takes_leave() -> None:
    async with endless() as application:
        application.pause = 3600
        async with client(application) as (reader, _):
            application.leaving.set()
            async with asyncio.timeout(20):
                assert (await reader.readuntil(b"0\r\n\r\n")).endswith(b"\r\n0\r\n\r\n")
        await application.ends()


async def test_a_client_that_reads_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_http, "UNREAD_SECONDS_MAX", 0.1)
    async with endless() as application, client(application) as (reader, _):
        await application.ends()
        last = b""
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(65_536):
                last = piece
        assert not last.endswith(b"0\r\n\r\n"), "it breaks off"


async def test_a_client_that_reads_slowly_isnt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_http, "UNREAD_SECONDS_MAX", 3600)
    async with endless() as application, client(application) as (reader, _):
        for _ in range(200):
            assert await reader.read(65_536)
        assert not application.closed.is_set()


async def test_a_failure_is_logged_by_its_place_and_ends_the_stream() -> None:
    async with endless() as application:
        application.failure = "secret"
        async with client(application) as (reader, _):
            async with asyncio.timeout(20):
                assert (await reader.readuntil(b"0\r\n\r\n")).endswith(b"0\r\n\r\n")
        logger = Logger("test", application.log)
        logger.event("after")
        logger.flush()
        async with asyncio.timeout(20):
            while b"ValueError" not in application.log.getvalue():
                await asyncio.sleep(0.01)
        assert b"secret" not in application.log.getvalue()


def test_a_message_is_what_the_standard_says() -> None:
    assert server_sent(b'{"id":"evt_1"}', event_id="evt_1", sequence=3) == b'id: evt_1\nsequence: 3\ndata: {"id":"evt_1"}\n\n'
    assert heartbeat("pos_7") == b": \nid: pos_7\n\n"
