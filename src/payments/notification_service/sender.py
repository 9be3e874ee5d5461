"""Sends one request to a stranger's server, and hears one answer, within bounds in time, bytes and interim responses.

A general client trusts its server in what a receiver of webhooks can't be trusted in: it waits for the end of a response that has none, unpacks what was
packed, follows, remembers and repeats. This one does none of it: docs/adr/0010.
"""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import h11

from payments.notification_service.shares import UNDER_WAY_MAX
from payments.notification_service.targets import Target, TargetRefusedError, is_public, parse_target

SEND_SECONDS_MAX = 20.0
"""How long an attempt may last: look-up, connection, handshake, request and answer together."""
RESPONSE_BYTES_MAX = 64 * 1024
"""All that is read of an answer, its interim responses included."""
_HEAD_BYTES_MAX = 16 * 1024
_INTERIM_MAX = 8
"""How many interim responses (100 Continue, 103 Early Hints) may come before the answer."""
_READ_BYTES = 16 * 1024
_ADDRESSES_MAX = 4
_CONNECT_SECONDS_MAX = 4.0
"""For one address, as long as there is another one to try."""
_CLOSE_SECONDS_MAX = 1.0

Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""Returns the addresses of a name; raises `OSError`."""


class ResponseTooLargeError(Exception):
    """The receiver sent more than anybody reads before it came to the point."""


@dataclass(slots=True)
class Answer:
    """What a receiver answered."""

    status_code: int | None = None
    """None: nothing."""
    retry_after: str | None = None
    """The header of this name."""
    error: str | None = None
    """The kind of failure when there was no answer."""
    timed_out: bool = False
    """The time ran out, be it after the answer's head."""


class Resolver:
    """Asks the system for the addresses of a name, in threads: it has no other way."""

    def __init__(self) -> None:
        # A look-up goes on when its attempt has ended: by the system's own limits for at most as long again.
        self._threads = ThreadPoolExecutor(2 * UNDER_WAY_MAX, thread_name_prefix="resolve")

    async def resolve(self, host: str) -> list[str]:
        """Return the addresses of a name, best first; of an address, itself."""
        try:
            ipaddress.ip_address(host)
        except ValueError:
            found = await asyncio.get_running_loop().run_in_executor(self._threads, _addresses, host)
        else:
            found = [host]
        return found

    def close(self) -> None:
        """Begin no further look-up."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _addresses(host: str) -> list[str]:
    # As bytes, so that no other notion of international names is applied to it.
    return [str(address[4][0]) for address in socket.getaddrinfo(host.encode("ascii"), None, type=socket.SOCK_STREAM)]


class Sender:
    """Sends deliveries, each on a connection of its own."""

    def __init__(
        self, resolve: Resolve, *, allow_private: bool, tls: ssl.SSLContext | None = None, seconds_max: float | None = SEND_SECONDS_MAX
    ) -> None:
        """`allow_private`: to any address; otherwise only to public ones. `tls` trusts the system's authorities by default."""
        self._resolve = resolve
        self._allow_private = allow_private
        self._tls = tls or ssl.create_default_context()
        self._seconds_max = seconds_max

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """POST `body`, and return what came back; a failure of any kind is part of that."""
        answer, failure = Answer(), ""
        try:
            async with asyncio.timeout(self._seconds_max):
                await self._exchange(parse_target(url), headers, body, answer)
        except TimeoutError:
            answer.timed_out, failure = True, "timeout"
        except (OSError, ValueError, h11.ProtocolError, ResponseTooLargeError) as refusal:
            failure = type(refusal).__name__
        if answer.status_code is None:  # otherwise it said what there was to say
            answer.error = failure
        return answer

    async def _exchange(self, target: Target, headers: Mapping[str, str], body: bytes, answer: Answer) -> None:
        """Fill in `answer` as it comes, so that what was heard isn't lost if the time runs out."""
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_BYTES_MAX)
        framing = {"Content-Length": str(len(body)), "Connection": "close"}
        head = h11.Request(method="POST", target=target.path, headers=list({"Host": target.authority, **headers, **framing}.items()))
        request = [connection.send(head), connection.send(h11.Data(body)), connection.send(h11.EndOfMessage())]
        reader, writer = await self._connect(target)
        try:
            # Not drained: a receiver may answer before it has read all, and what isn't taken is gone with the connection.
            writer.write(b"".join(part for part in request if part))
            await _listen(connection, reader, answer)
            writer.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS_MAX):
                    await writer.wait_closed()
        finally:
            writer.transport.abort()

    async def _connect(self, target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to one of the addresses that were checked, and to nothing else: the name is looked up this once."""
        addresses = await self._resolve(target.host)
        if not self._allow_private and not all(is_public(address) for address in addresses):
            raise TargetRefusedError(f"{target.host} is not a public address")
        last: OSError = socket.gaierror(f"{target.host} has no address")
        tried = addresses[:_ADDRESSES_MAX]
        for address in tried:
            try:
                async with asyncio.timeout(None if address is tried[-1] else _CONNECT_SECONDS_MAX):
                    return await self._open(address, target)
            except OSError as failure:
                last = failure
        raise last

    async def _open(self, address: str, target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if not target.tls:
            return await asyncio.open_connection(address, target.port, limit=_READ_BYTES)
        return await asyncio.open_connection(
            address,
            target.port,
            limit=_READ_BYTES,
            ssl=self._tls,
            server_hostname=target.host,
            ssl_handshake_timeout=SEND_SECONDS_MAX,
            ssl_shutdown_timeout=_CLOSE_SECONDS_MAX,
        )


async def _listen(connection: h11.Connection, reader: asyncio.StreamReader, answer: Answer) -> None:
    """Read the answer's head, and of the rest what can be had: its sender shouldn't find the connection cut."""
    bytes_left, interim_left = RESPONSE_BYTES_MAX, _INTERIM_MAX
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            data = await reader.read(min(_READ_BYTES, bytes_left))
            bytes_left -= len(data)
            if bytes_left <= 0:
                raise ResponseTooLargeError
            connection.receive_data(data)
        elif isinstance(event, h11.InformationalResponse):
            interim_left -= 1
            if interim_left < 0:
                raise ResponseTooLargeError
        elif isinstance(event, h11.Response):
            answer.status_code = event.status_code
            answer.retry_after = next((value.decode("latin-1") for name, value in event.headers if name == b"retry-after"), None)
        elif not isinstance(event, h11.Data):
            return
