"""Whatever a stranger sends has a bound: in size, in time, and in how much may wait."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from payments.wire import bounded_http
from payments.wire.bounded_http import BODY_BYTES_MAX, HEAD_BYTES_MAX, PIPELINED_REQUESTS_MAX, BoundedHttpProtocol

GOOD = b"GET /good HTTP/1.1\r\nHost: x\r\n\r\n"


class Server:
    """A server that answers with the request's path, when it is let."""

    def __init__(self) -> None:
        self.port = 0
        self.served: list[str] = []
        self.let = asyncio.Event()
        self.let.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while (message := await receive()).get("more_body"):
            pass
        if message["type"] == "http.disconnect":
            return
        await self.let.wait()
        self.served.append(scope["path"])
        assert all(name != b"trailer-field" for name, _ in scope["headers"])
        body = scope["path"].encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
        await send({"type": "http.response.body", "body": body})

    async def exchange(self, *pieces: bytes, eof: bool = True) -> bytes:
        """Send pieces, and return all that comes until the server closes, or has answered what was sent."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            try:
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                if eof:
                    writer.write_eof()
            except ConnectionError:
                pass  # refused while it was still being sent
            answer = b""
            try:
                async with asyncio.timeout(20):
                    while piece := await reader.read(65_536):
                        answer += piece
            except ConnectionError:
                pass
            return answer
        finally:
            writer.close()


@asynccontextmanager
async def serving() -> AsyncGenerator[Server]:
    application = Server()
    config = uvicorn.Config(application, port=0, http=BoundedHttpProtocol, ws="none", lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.01)
    application.port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield application
    finally:
        application.let.set()
        server.should_exit = True
        await task


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"GET /" + b"a" * HEAD_BYTES_MAX + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * HEAD_BYTES_MAX + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: a\r\n" * 20_000 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a" * 10_000_000, 431),
        (b"GET /?" + b"a" * 10_000_000, 431),
        (b"NONSENSE\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
    ],
    ids=["url", "field", "fields", "endless field", "endless url", "no http", "both lengths", "two lengths"],
)
async def test_a_head_has_an_end(head: bytes, expected: int) -> None:
    async with serving() as server:
        answer = await server.exchange(head, eof=False)
        # What closes while more is on its way may be reset before its answer was read.
        assert status(answer) == expected or (not answer and len(head) > 1_000_000)
        assert not answer or b"connection: close" in answer
        assert server.served == []
        assert status(await server.exchange(GOOD)) == 200


async def test_a_head_within_the_bound_is_taken_with_its_body() -> None:
    async with serving() as server:
        field = b"X: " + b"a" * (HEAD_BYTES_MAX - 200)
        body = b"b" * (2 * HEAD_BYTES_MAX)
        head = b"POST /big HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (field, len(body))
        assert (await server.exchange(head + body)).endswith(b"/big")


@pytest.mark.parametrize(
    "endless",
    [b"1;" + b"x" * BODY_BYTES_MAX, b"0\r\n" + b"trailer-field: x\r\n" * (BODY_BYTES_MAX // 16), b"100000\r\n" + b"x" * 0x100000 + b"\r\n"],
    ids=["extension", "trailers", "chunks"],
)
async def test_a_body_has_an_end_however_it_is_framed(endless: bytes) -> None:
    async with serving() as server:
        pieces = [endless] * max(1, -(-2 * BODY_BYTES_MAX // len(endless)))
        answer = await server.exchange(b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", *pieces, eof=False)
        assert status(answer) in (0, 400, 413)
        assert server.served == []
        assert status(await server.exchange(GOOD)) == 200


@pytest.mark.parametrize(
    "unfinished",
    [b"GET /", b"GET / HTTP/1.1\r\nHost", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf", GOOD + b"GET / HT"],
    ids=["line", "field", "body", "second head"],
)
async def test_what_is_unfinished_is_not_waited_for(unfinished: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_http, "HEAD_SECONDS_MAX", 0.2)
    monkeypatch.setattr(bounded_http, "BODY_SECONDS_MAX", 0.2)
    async with serving() as server:
        answer = await server.exchange(unfinished, eof=False)
        assert b" 408 " in answer
        assert server.served == (["/good"] if unfinished.startswith(GOOD) else [])


async def test_a_connection_that_says_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_http, "IDLE_SECONDS_MAX", 0.2)
    async with serving() as server:
        assert await server.exchange(eof=False) == b""


async def test_requests_are_answered_in_their_order_and_a_bad_one_only_ends_the_line() -> None:
    async with serving() as server:
        paths = [b"/%d" % number for number in range(5)]
        answer = await server.exchange(
            b"".join(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path for path in paths) + b"NONSENSE\r\n\r\n", eof=False
        )
        bodies = [part.rpartition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 200 OK")[1:]]
        assert bodies == paths[: len(bodies)]
        assert server.served == [path.decode() for path in paths[: len(bodies)]]


async def test_few_requests_wait_behind_one() -> None:
    async with serving() as server:
        server.let.clear()
        many = asyncio.create_task(server.exchange(GOOD * 2_000, eof=False))
        await asyncio.sleep(0.1)
        server.let.set()
        await many
        assert len(server.served) <= PIPELINED_REQUESTS_MAX + 1
        assert status(await server.exchange(GOOD)) == 200


async def test_there_are_so_many_connections_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_http, "CONNECTIONS_MAX", 3)
    async with serving() as server:
        held = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(3)]
        assert await server.exchange(GOOD, eof=False) == b""
        held[0][1].close()
        await asyncio.sleep(0.1)
        assert status(await server.exchange(GOOD)) == 200
        for _, writer in held:
            writer.close()


class _Written(asyncio.Transport):
    """A connection whose writes are kept, each as one."""

    def __init__(self) -> None:
        super().__init__({})
        self.writes: list[bytes] = []
        self.is_closed = False

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        self.writes.append(b"".join(list_of_data))

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


async def _answering(scope: Scope, receive: Receive, send: Send) -> None:
    """Take what is sent, and answer in as many parts as the path says."""
    while (await receive()).get("more_body"):
        pass
    parts = int(scope["path"][1:])
    headers = [(b"content-length", b"4")] if parts == 1 else []
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for number in range(parts):
        await send({"type": "http.response.body", "body": b"body", "more_body": number < parts - 1})


@pytest.mark.parametrize(
    ("request_", "ends"),
    [
        (b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\n", [b"\r\n\r\nbody"]),
        (b"GET /2 HTTP/1.1\r\nHost: x\r\n\r\n", [b"\r\n\r\n4\r\nbody\r\n", b"4\r\nbody\r\n0\r\n\r\n"]),
        (b"HEAD /1 HTTP/1.1\r\nHost: x\r\n\r\n", [b"content-length: 4\r\n\r\n"]),
        (b"GET /1 HTTP/1.0\r\nHost: x\r\n\r\n", [b"connection: close\r\n\r\nbody"]),
        (b"POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n", [b"Continue\r\n\r\n", b"\r\n\r\nbody"]),
    ],
)
async def test_an_answer_is_one_write_and_not_its_head_and_its_body(request_: bytes, ends: list[bytes]) -> None:
    config = uvicorn.Config(_answering, http=BoundedHttpProtocol, ws="none", lifespan="off", log_config=None, access_log=False)
    config.load()
    protocol, transport = BoundedHttpProtocol(config=config, server_state=ServerState(), app_state={}), _Written()
    protocol.connection_made(transport)
    protocol.data_received(request_)
    async with asyncio.timeout(20):
        if b"Expect" in request_:
            while not transport.writes:
                await asyncio.sleep(0)
            protocol.data_received(b"x")
        while len(transport.writes) < len(ends):
            await asyncio.sleep(0)
    protocol.connection_lost(None)
    assert [write.endswith(end) for write, end in zip(transport.writes, ends, strict=True)] == [True] * len(ends), transport.writes
