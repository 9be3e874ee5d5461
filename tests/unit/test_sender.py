# ruff: noqa: RUF001 - letters that look like others are what this is about
"""Whatever a receiver does, an attempt ends in time and in an answer, and its neighbours don't notice."""

import asyncio
import datetime
import gzip
import ipaddress
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, TypeVar

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from payments.notification_service import sender as sender_module
from payments.notification_service.connections import RESPONSE_BYTES_MAX, Answer
from payments.notification_service.sender import Resolver, Sender
from tests.support.waiting import eventually

T = TypeVar("T")
Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def run(work: Coroutine[Any, Any, T]) -> T:
    """On the loop that delivers: how it gives up what is half open is its own."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


class Names:
    """A resolver that says something else each time."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def resolve(self, host: str) -> list[str]:
        self.asked.append(host)
        return self.answers[min(len(self.asked), len(self.answers)) - 1]


class Receiver:
    """A raw server: what it was sent, connection by connection."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[bytes] = []
        self.connections = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"


async def read_head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await read_head(reader)
    length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    return head + await reader.readexactly(length)


@asynccontextmanager
async def receiving(
    handle: Handle,
    *,
    tls: ssl.SSLContext | None = None,
    address: str = "127.0.0.1",
    read: Callable[[asyncio.StreamReader], Awaitable[bytes]] = read_request,
) -> AsyncGenerator[Receiver]:
    """`handle` is called once a request was read, again and again until it closes."""
    received = Receiver()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.connections += 1
        try:
            while not writer.is_closing():
                received.requests.append(await read(reader))
                await handle(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(serve(reader, writer)))

    server = await asyncio.start_server(accept, address, 0, ssl=tls)
    received.port = server.sockets[0].getsockname()[1]
    try:
        yield received
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def says(response: bytes, *, close: bool = True) -> Handle:
    async def handle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(response)
        await writer.drain()
        if close:
            writer.close()

    return handle


@asynccontextmanager
async def sending(*, seconds_max: float | None = None, tls: ssl.SSLContext | None = None) -> AsyncGenerator[Sender]:
    """Without a limit of time unless it is what a test is about: the receivers run on this very loop."""
    trusted = tls or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # nobody
    with (
        closing(Resolver()) as resolver,
        closing(Sender(resolver.resolve, allow_private=True, tls=trusted, seconds_max=seconds_max)) as sender,
    ):
        yield sender


async def answer_of(handle: Handle, *, seconds_max: float | None = None) -> Answer:
    async with receiving(handle) as received, sending(seconds_max=seconds_max) as sender:
        return await sender.post(received.url, {}, b"{}")


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (OK, Answer(200)),
        (b"HTTP/1.0 204 No Content\r\n\r\n", Answer(204)),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", Answer(200)),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK, Answer(200)),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/elsewhere\r\nContent-Length: 0\r\n\r\n", Answer(302)),
        (b"HTTP/1.1 503 X\r\nRetry-After: \xb2\r\nContent-Length: 0\r\n\r\n", Answer(503, "\xb2")),
        (b"HTTP/1.1 429 X\r\nretry-after: 7\r\nRetry-After: 9\r\nContent-Length: 0\r\n\r\n", Answer(429, "7")),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", Answer(200)),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense", Answer(200)),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope", Answer(200)),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n" + gzip.compress(bytes(30_000_000), 9), Answer(200)),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 20_000, Answer(200)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf of it", Answer(200)),
        (b"HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n", Answer(999)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 100_000, Answer(200)),
        (b"HTTP/1.1 200 OK\nRetry-After: 1\n\n", Answer(200, "1")),
        (OK + b"HTTP/1.1 500 X\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n", Answer(200)),
        (b"HTTP/1.1 200\r\nA:\r\nContent-Length: 0\r\n\r\n", Answer(200)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", Answer(200)),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nRetry-After: 9\r\n\r\n", Answer(200)),
    ],
)
async def test_an_answer_is_what_its_head_says(response: bytes, answer: Answer) -> None:
    assert await answer_of(says(response)) == answer


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (b"", "RemoteProtocolError"),
        (b"HTTP/1.1 20", "RemoteProtocolError"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "RemoteProtocolError"),
        (b"HTTP/1.1 \xb2\xb0\xb0 OK\r\n\r\n", "RemoteProtocolError"),
        (b"HTTP/1.1 0200 OK\r\n\r\n", "RemoteProtocolError"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\n", "RemoteProtocolError"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", "RemoteProtocolError"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", "RemoteProtocolError"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "RemoteProtocolError"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000, "RemoteProtocolError"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000, "RemoteProtocolError"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 10_000 + b"Content-Length: 0\r\n\r\n", "RemoteProtocolError"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "RemoteProtocolError"),
        (b"HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n", "RemoteProtocolError"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + OK, "RemoteProtocolError"),
        (b"<h1>HTTP 0.9</h1>", "RemoteProtocolError"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100, "ResponseTooLargeError"),
        (b"HTTP/1.1 103 Early Hints\r\nX: " + b"x" * 10_000 + b"\r\n\r\n", "RemoteProtocolError"),
        (b"x" * 1_000_000, "RemoteProtocolError"),
    ],
)
async def test_what_is_no_answer_is_a_failure(response: bytes, error: str) -> None:
    assert await answer_of(says(response)) == Answer(error=error)


@given(
    st.lists(st.sampled_from([OK, b"HTTP/1.1 ", b"200", b" OK", b"\r\n", b"\r\n\r\n", b"103", b"Retry-After: "]) | st.binary(), max_size=8)
)
@settings(max_examples=60)
def test_whatever_comes_back_is_an_answer(parts: list[bytes]) -> None:
    answer = run(answer_of(says(b"".join(parts))))
    assert (answer.status_code is None) == (answer.error is not None)


@pytest.mark.parametrize(
    "again",
    [
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n",
        b"A: b\r\n",
        b"x",
        OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
async def test_a_flood_ends_the_attempt_and_holds_up_nobody(again: bytes) -> None:
    sent = 0

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        while True:
            writer.write(again * 1000)
            sent += len(again) * 1000
            await writer.drain()

    async with receiving(flood) as bad, receiving(says(OK, close=False)) as good, sending() as sender:
        # Without a limit of time: what ends it is the number of bytes.
        flooded = asyncio.create_task(sender.post(bad.url, {}, b"{}"))
        assert await sender.post(good.url, {}, b"{}") == Answer(200)
        answer = await flooded
    assert answer in (Answer(200), Answer(error="ResponseTooLargeError"), Answer(error="RemoteProtocolError"))
    assert sent < RESPONSE_BYTES_MAX + 16 * 1024 * 1024, "what it sent and nobody read is in the kernel's buffers"


async def _hang(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def _drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for byte in b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1_000_000:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.01)


async def _hang_after_the_head(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("handle", "answer"),
    [
        (_hang, Answer(error="timeout", timed_out=True)),
        (_drip, Answer(error="timeout", timed_out=True)),
    ],
)
async def test_an_attempt_ends_in_time(handle: Handle, answer: Answer) -> None:
    assert await answer_of(handle, seconds_max=0.2) == answer


async def test_what_was_heard_before_the_time_ran_out_counts() -> None:
    for seconds in (0.1, 1, 10, 100):  # as many as this machine needs for a head
        answer = await answer_of(_hang_after_the_head, seconds_max=seconds)
        if answer.status_code is not None:
            break
    assert answer == Answer(200, timed_out=True)


async def test_the_time_covers_the_look_up_and_the_handshake() -> None:
    async def never(_: str) -> list[str]:
        await asyncio.Event().wait()
        return []

    with closing(Sender(never, allow_private=True, seconds_max=0.05)) as sender:
        assert await sender.post("http://example.com/", {}, b"{}") == Answer(error="timeout", timed_out=True)

    async with receiving(_hang) as received, sending(seconds_max=0.2) as sender:
        answer = await sender.post(received.url.replace("http://", "https://"), {}, b"{}")
    assert answer == Answer(error="timeout", timed_out=True)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_attempt_that_ran_out_of_time_leaves_no_connection(scheme: str) -> None:
    async def all_are_dropped() -> None:
        ended = 0

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal ended
            try:
                while await reader.read(65536):  # a handshake's beginning, or a request
                    pass
            except ConnectionError:
                pass
            ended += 1
            writer.close()

        async def ended_all() -> bool:
            return ended == 10

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        async with sending(seconds_max=0.2) as sender:
            url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            answers = await asyncio.gather(*(sender.post(url, {}, b"x" * 1_000_000) for _ in range(10)))
            await eventually(ended_all, "their other ends see that they are closed", 30)
        assert answers == [Answer(error="timeout", timed_out=True)] * 10
        server.close()

    run(all_are_dropped())


async def test_a_receiver_that_answers_without_reading_is_heard() -> None:
    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await asyncio.Event().wait()

    async with receiving(refuse, read=read_head) as received, sending() as sender:
        assert await sender.post(received.url, {}, b"x" * 10_000_000) == Answer(413)


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["93.184.216.34", "10.0.0.1"], ["::1"], ["64:ff9b::7f00:1"], ["fe80::1%lo"]])
async def test_a_name_is_refused_when_any_of_its_addresses_is_ours(addresses: list[str]) -> None:
    async with receiving(says(OK)) as received:
        with closing(Sender(Names(addresses).resolve, allow_private=False)) as sender:
            answer = await sender.post(f"http://rebound.example:{received.port}/", {}, b"{}")
    assert answer == Answer(error="TargetRefusedError")
    assert received.connections == 0


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "１２７.０.０.１", "127。0。0。1", "①27.0.0.1", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]"]
)
async def test_loopback_is_not_reached_by_any_name(host: str) -> None:
    async with receiving(says(OK)) as received:
        with closing(Resolver()) as resolver, closing(Sender(resolver.resolve, allow_private=False)) as sender:
            answer = await sender.post(f"http://{host}:{received.port}/", {}, b"{}")
    assert answer == Answer(error="TargetRefusedError")
    assert received.connections == 0


async def test_a_name_is_looked_up_once_and_what_was_checked_is_connected_to() -> None:
    async with receiving(says(OK)) as received:
        names = Names(["127.0.0.1"], ["10.0.0.1"])
        with closing(Sender(names.resolve, allow_private=True)) as sender:
            assert await sender.post(f"http://Example.COM.:{received.port}/a?b=c", {}, b"{}") == Answer(200)
    assert names.asked == ["example.com"]
    assert received.requests[0].startswith(f"POST /a?b=c HTTP/1.1\r\nHost: example.com:{received.port}\r\n".encode())


async def test_of_a_name_with_thousands_of_addresses_few_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[str] = []
    monkeypatch.setattr(sender_module, "is_public", lambda address: not looked_at.append(address))
    monkeypatch.setattr(sender_module, "_ADDRESSES_MAX", 0)
    with closing(Sender(Names(["93.184.216.34"] * 10_000).resolve, allow_private=False)) as sender:
        assert await sender.post("http://example.com/", {}, b"{}") == Answer(error="gaierror")
    assert len(looked_at) < 100


async def test_the_next_address_is_tried_when_one_refuses() -> None:
    async with receiving(says(OK), address="127.0.0.2") as received:
        with closing(Sender(Names(["127.0.0.3", "127.0.0.2"]).resolve, allow_private=True)) as sender:
            assert await sender.post(f"http://example.com:{received.port}/", {}, b"{}") == Answer(200)
        with closing(Sender(Names(["127.0.0.3"]).resolve, allow_private=True)) as sender:
            assert (await sender.post(f"http://example.com:{received.port}/", {}, b"{}")).error == "ConnectionRefusedError"
        with closing(Sender(Names([]).resolve, allow_private=True)) as sender:
            assert (await sender.post(f"http://example.com:{received.port}/", {}, b"{}")).error == "gaierror"


async def test_a_connection_serves_the_next_delivery() -> None:
    async with receiving(says(OK, close=False)) as received, sending() as sender:
        for _ in range(3):
            assert await sender.post(received.url, {}, b"{}") == Answer(200)
        assert received.connections == 1
        assert len(received.requests) == 3


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        OK + OK,
        OK + b"HTTP/1",
        OK + b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\nmore",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
    ],
)
async def test_a_connection_that_is_not_clean_serves_no_other(response: bytes) -> None:
    async with receiving(says(response, close=False)) as received, sending() as sender:
        for _ in range(2):
            assert await sender.post(received.url, {}, b"{}") == Answer(200)
        assert received.connections == 2


async def test_a_connection_that_was_closed_meanwhile_costs_no_attempt() -> None:
    closed = asyncio.Event()

    async def once(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        await writer.drain()
        writer.close()
        closed.set()

    async with receiving(once) as received, sending() as sender:
        assert await sender.post(received.url, {}, b"{}") == Answer(200)
        await closed.wait()
        assert await sender.post(received.url, {}, b"{}") == Answer(200)
        assert (received.connections, len(received.requests)) == (2, 2)


@pytest.mark.parametrize("unasked", [b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", OK, b"x"])
async def test_what_came_between_two_requests_answers_none(unasked: bytes) -> None:
    async with receiving(says(OK, close=False)) as received, sending() as sender:
        idle = asyncio.Event()

        async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(OK)
            await idle.wait()
            writer.write(unasked)
            await writer.drain()

        async with receiving(speak) as speaking:
            assert await sender.post(speaking.url, {}, b"{}") == Answer(200)
            idle.set()
            for _ in range(3):  # the loop goes round, so that it came
                assert await sender.post(received.url, {}, b"{}") == Answer(200)
            assert await sender.post(speaking.url, {}, b"{}") == Answer(200)
            assert (speaking.connections, len(speaking.requests)) == (2, 2)


async def test_an_answer_that_comes_before_the_request_counts() -> None:
    async def nothing(_: asyncio.StreamReader) -> bytes:
        return b""

    async with receiving(says(b"HTTP/1.1 202 Accepted\r\n\r\n"), read=nothing) as received, sending() as sender:  # as by `nc -l`
        assert await sender.post(received.url, {}, b"{}") == Answer(202)


async def test_no_header_is_more_than_a_line() -> None:
    async with receiving(says(OK)) as received, sending() as sender:
        assert await sender.post(received.url, {"A": "b\r\nContent-Length: 0\r\n\r\nPOST / HTTP/1.1"}, b"{}") == Answer(error="ValueError")
    assert not received.requests


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of example.com's, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "example.com")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("example.com"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "certified.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return file


async def test_the_certificate_is_the_names_whatever_the_address(certified: Path) -> None:
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certified)
    asked: list[str | None] = []
    server_side.sni_callback = lambda _, name, __: asked.append(name)
    trusting = ssl.create_default_context(cafile=str(certified))
    async with receiving(says(OK, close=False), tls=server_side) as received:
        with closing(Sender(Names(["127.0.0.1"]).resolve, allow_private=True, tls=trusting)) as sender:
            assert await sender.post(f"https://example.com:{received.port}/", {}, b"{}") == Answer(200)
            assert await sender.post(f"https://127.0.0.1:{received.port}/", {}, b"{}") == Answer(200)
            assert (await sender.post(f"https://example.org:{received.port}/", {}, b"{}")).error == "SSLCertVerificationError"
        with closing(Sender(Names(["127.0.0.1"]).resolve, allow_private=True)) as sender:
            assert (await sender.post(f"https://example.com:{received.port}/", {}, b"{}")).error == "SSLCertVerificationError"
    assert asked == ["example.com", None, "example.org", "example.com"]
