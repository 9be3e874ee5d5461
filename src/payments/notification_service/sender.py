"""Sends one request to a stranger's server, and hears one answer, in bounded time.

A general client trusts its server in what a receiver of webhooks can't be trusted in: it waits for the end of a response that has none, unpacks what was
packed, follows, remembers. This one does none of it: docs/adr/0010.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from payments.notification_service.connections import (
    Answer,
    Connection,
    KeptConnections,
    RemoteProtocolError,
    ResponseTooLargeError,
    Stopwatch,
    Timing,
)
from payments.notification_service.shares import UNDER_WAY_MAX
from payments.notification_service.targets import Target, TargetRefusedError, is_public, parse_target

SEND_SECONDS_MAX = 20.0
"""How long an attempt may last: look-up, connection, handshake, request and answer together."""
_ADDRESSES_MAX = 4
"""How many of a name's are tried."""
_ADDRESSES_CHECKED_MAX = 32
"""The others are never connected to: a name may have thousands, and each costs the loop time."""
_CONNECT_SECONDS_MAX = 4.0
"""For one address, as long as there is another one to try."""
_CLOSE_SECONDS_MAX = 1.0

Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""Returns the addresses of a name; raises `OSError`."""


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
            return await asyncio.get_running_loop().run_in_executor(self._threads, _addresses, host)
        return [host]

    def close(self) -> None:
        """Begin no further look-up."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _addresses(host: str) -> list[str]:
    # As bytes, so that no other notion of international names is applied to it.
    return [str(address[4][0]) for address in socket.getaddrinfo(host.encode("ascii"), None, type=socket.SOCK_STREAM)]


class Sender:
    """Sends deliveries."""

    def __init__(
        self, resolve: Resolve, *, allow_private: bool, tls: ssl.SSLContext | None = None, seconds_max: float | None = SEND_SECONDS_MAX
    ) -> None:
        """`allow_private`: to any address; otherwise only to public ones. `tls` trusts the system's authorities by default."""
        self._resolve = resolve
        self._allow_private = allow_private
        self._tls = tls or ssl.create_default_context()
        self._seconds_max = seconds_max
        self._kept = KeptConnections()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """POST `body`, and return what came back; a failure of any kind is part of that."""
        answer, failure, since = Answer(), "", Stopwatch()
        try:
            async with asyncio.timeout(self._seconds_max):
                await self._exchange(parse_target(url), headers, body, answer)
        except TimeoutError:
            answer.timed_out, failure = True, "timeout"
        except (OSError, ValueError, RemoteProtocolError, ResponseTooLargeError) as refusal:
            failure = type(refusal).__name__
        answer.timing.total_ms = since.lap_ms()
        answer.body_is_cut = answer.body_is_cut or bool(failure)
        if answer.status_code is None:  # otherwise it said what there was to say
            answer.error = failure
        return answer

    def close(self) -> None:
        """Close the connections that are kept."""
        self._kept.close()

    async def _exchange(self, target: Target, headers: Mapping[str, str], body: bytes, answer: Answer) -> None:
        connection = self._kept.take(target)
        if connection is not None:
            try:
                await self._ask(connection, target, headers, body, answer)
            except (OSError, RemoteProtocolError):
                if not connection.silent:
                    raise
                # The receiver had closed it meanwhile. If it took this delivery before, it gets it twice, as it may get any.
            else:
                return
        await self._ask(await self._connect(target, answer.timing), target, headers, body, answer)

    async def _ask(self, connection: Connection, target: Target, headers: Mapping[str, str], body: bytes, answer: Answer) -> None:
        try:
            await connection.ask(target, headers, body, answer)
        except BaseException:
            connection.abort()
            raise
        self._kept.give(target, connection)

    async def _connect(self, target: Target, timing: Timing) -> Connection:
        """Connect to one of the addresses that were checked, and to nothing else: the name is looked up this once."""
        since = Stopwatch()
        addresses = (await self._resolve(target.host))[:_ADDRESSES_CHECKED_MAX]
        timing.resolve_ms = since.lap_ms()
        if not self._allow_private and not all(is_public(address) for address in addresses):
            raise TargetRefusedError(f"{target.host} is not a public address")
        last: OSError = socket.gaierror(f"{target.host} has no address")
        tried = addresses[:_ADDRESSES_MAX]
        for address in tried:
            try:
                async with asyncio.timeout(None if address is tried[-1] else _CONNECT_SECONDS_MAX):
                    return await self._open(address, target, timing)
            except OSError as failure:
                last = failure
        raise last

    async def _open(self, address: str, target: Target, timing: Timing) -> Connection:
        since, loop = Stopwatch(), asyncio.get_running_loop()
        opened = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        try:
            opened.setblocking(False)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(opened, (address, target.port))
            timing.connect_ms = since.lap_ms()
            if not target.tls:
                return (await loop.create_connection(Connection, sock=opened))[1]
            _, connection = await loop.create_connection(
                Connection,
                sock=opened,
                ssl=self._tls,
                server_hostname=target.host,
                ssl_handshake_timeout=SEND_SECONDS_MAX,
                ssl_shutdown_timeout=_CLOSE_SECONDS_MAX,
            )
        except BaseException:
            opened.close()
            raise
        timing.tls_ms = since.lap_ms()
        return connection
