"""Connections to receivers: one request and one answer at a time, within bounds in bytes and interim responses.

A receiver that gets much keeps its connection for some seconds: a TLS handshake costs more than all the rest of a delivery (docs/adr/0010).
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser
from msgspec import Struct

from payments.notification_service.targets import Target

RESPONSE_BYTES_MAX = 64 * 1024
"""All that is read of an answer, its interim responses included."""
SHOWN_BYTES_MAX = 4 * 1024
"""Of an answer's body that is kept, to be shown."""
_BEYOND_BYTES = 128
"""What is read beyond that, so that what is to be masked isn't cut in two before it is found."""
_HEAD_BYTES_MAX = 16 * 1024
"""Of that, until there is a status."""
_INTERIM_MAX = 8
"""How many interim responses (100 Continue, 103 Early Hints) may come before the answer."""
_KEPT_MAX = 64
"""Idle connections, in all."""
_KEPT_SECONDS = 4.0
"""Less than most servers wait for another request, so that it is rarely they who close."""
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})


class RemoteProtocolError(Exception):
    """What came was no HTTP response, or was cut off."""


class ResponseTooLargeError(Exception):
    """The receiver sent more than anybody reads."""


class Timing(Struct, kw_only=True):
    """What an attempt took, phase by phase, in milliseconds; None for a phase that it didn't have, or didn't get through."""

    resolve_ms: float | None = None
    """To look the name up."""
    connect_ms: float | None = None
    """To open the connection; of several addresses, that of the one that answered."""
    tls_ms: float | None = None
    """For the handshake."""
    first_byte_ms: float | None = None
    """From the request to the first byte of what came back."""
    total_ms: float | None = None


class Stopwatch:
    """Measures from when it is made, or from the last time that it was asked."""

    __slots__ = ("_began",)

    def __init__(self) -> None:
        self._began = time.perf_counter()

    def lap_ms(self) -> float:
        """Return the milliseconds since, to a tenth, and begin anew."""
        now = time.perf_counter()
        took, self._began = now - self._began, now
        return round(took * 1000, 1)


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
    headers: Sequence[tuple[bytes, bytes]] = field(default=(), compare=False)
    """These are shown, and decide nothing."""
    body: bytearray = field(default_factory=bytearray, compare=False, repr=False)
    """Its beginning."""
    body_is_cut: bool = field(default=False, compare=False)
    """There was more of it."""
    timing: Timing = field(default_factory=Timing, compare=False)

    def take(self, data: bytes) -> None:
        """Keep what is to be shown of a part of the body."""
        room = SHOWN_BYTES_MAX + _BEYOND_BYTES - len(self.body)
        self.body += data[:room]
        self.body_is_cut = self.body_is_cut or len(data) > room


class Hearing:
    """One answer as it is heard. `Answer` is filled in part by part, so that what was heard isn't lost if the rest of it is nonsense, or too late."""

    def __init__(self, answer: Answer) -> None:
        """Begin with nothing."""
        self._answer = answer
        self._bytes = 0
        self._interim = 0
        self._fields: list[tuple[bytes, bytes]] = []
        self._says_end = False
        """The head says where the answer ends: it isn't the connection's end."""
        self._keeps_alive = False
        self.is_whole = False
        self._is_followed = False
        """Something came behind it."""
        self._parser = HttpResponseParser(self)
        # What receivers written by hand do, and what harms nobody who only wants to know a status.
        self._parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True, lenient_chunked_length=True)

    @property
    def allows_another(self) -> bool:
        """Tell whether another request may follow on the connection: the answer's end can't be mistaken, and nothing came behind it."""
        return self.is_whole and self._keeps_alive and not self._is_followed

    def hear(self, data: bytes) -> None:
        """Take what came, as far as there is room for it; raises `RemoteProtocolError`, `ResponseTooLargeError`."""
        rest = memoryview(data)
        while rest and not self.is_whole:
            has_head = self._answer.status_code is not None
            room = (RESPONSE_BYTES_MAX if has_head else _HEAD_BYTES_MAX) - self._bytes
            if not room:
                raise ResponseTooLargeError if has_head else RemoteProtocolError
            part, rest = rest[:room], rest[room:]
            self._bytes += len(part)
            self._parse(part)
        self._is_followed = self._is_followed or bool(rest)

    def _parse(self, part: memoryview) -> None:
        try:
            self._parser.feed_data(part)
        except (HttpParserError, HttpParserUpgrade) as refusal:
            if isinstance(refusal.__context__, ResponseTooLargeError):
                raise refusal.__context__ from None
            if not self.is_whole:
                raise RemoteProtocolError from None
            self._is_followed = True

    @property
    def ends_with_connection(self) -> bool:
        """Tell whether there is an answer that is whole when nothing more comes."""
        return self._answer.status_code is not None and not self._says_end

    def close(self) -> None:
        """Let go of the parser: each holds the other."""
        del self._parser

    def on_message_begin(self) -> None:
        """Called by the parser; raises `RemoteProtocolError` at what comes behind the answer, so that it isn't taken for that."""
        if self.is_whole:
            raise RemoteProtocolError

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser; for trailers as well, which nobody looks at."""
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """Called by the parser; for interim responses as well."""
        status_code, fields, self._fields = self._parser.get_status_code(), self._fields, []
        if 100 <= status_code < 200:
            self._interim += 1
            if self._interim > _INTERIM_MAX:
                raise ResponseTooLargeError
            return
        if status_code < 100:
            raise RemoteProtocolError
        named = {name.lower(): value for name, value in reversed(fields)}
        framing = _FRAMING & named.keys()
        self._says_end = bool(framing)
        self._keeps_alive = self._parser.should_keep_alive() and len(framing) < len(_FRAMING)
        retry_after = named.get(b"retry-after")
        self._answer.status_code, self._answer.headers = status_code, fields
        self._answer.retry_after = None if retry_after is None else retry_after.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self._answer.take(body)

    def on_message_complete(self) -> None:
        """Called by the parser; for interim responses as well."""
        self.is_whole = self._answer.status_code is not None


class Connection(asyncio.Protocol):
    """A connection to an address that was checked."""

    def __init__(self) -> None:
        """To be given to a loop, which connects it."""
        self.expiry: asyncio.TimerHandle | None = None
        self.silent = True
        """Nothing has come of the present answer."""
        self._hearing: Hearing | None = None
        """None: nothing is asked."""
        self._allows_another = False
        self._lost: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Read nothing yet: what comes before the request, as from `nc`, answers it all the same."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.pause_reading()

    async def ask(self, target: Target, headers: Mapping[str, str], body: bytes, answer: Answer) -> None:
        """POST, and fill in `answer`; raises `OSError`, `RemoteProtocolError`, `ResponseTooLargeError`."""
        if self._lost is not None:
            raise self._lost
        self.silent, self._timing = True, answer.timing
        self._hearing, self._heard = Hearing(answer), asyncio.get_running_loop().create_future()
        # Not drained: a receiver may answer before it has read all, and what it doesn't take is gone with the connection.
        self._transport.write(_head(target, headers, len(body)) + body)
        self._transport.resume_reading()
        self._since = Stopwatch()
        await self._heard

    @property
    def is_done(self) -> bool:
        """Tell whether both sides said all they had to say, and nothing else, and neither has closed it."""
        return self._allows_another and not self._transport.is_closing() and not self._transport.get_write_buffer_size()

    def close(self) -> None:
        """Close without waiting: TLS may say goodbye for a second, but nothing is sent that wasn't taken."""
        if self._transport.get_write_buffer_size():
            self._transport.abort()
        else:
            self._transport.close()

    def abort(self) -> None:
        """Drop it as it is."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        if self._hearing is None:
            # As a 408 for the request that didn't come: it must not be taken for the answer to the next one.
            self._transport.abort()
            return
        if self.silent:
            self.silent, self._timing.first_byte_ms = False, self._since.lap_ms()
        try:
            self._hearing.hear(data)
        except (RemoteProtocolError, ResponseTooLargeError) as refusal:
            self._end(refusal)
        else:
            if self._hearing.is_whole:
                self._end(None)

    def eof_received(self) -> None:
        """Called by the loop, which then closes."""
        if self._hearing is not None:
            self._end(None if self._hearing.ends_with_connection else RemoteProtocolError())

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self._lost = exc or RemoteProtocolError()
        self._end(self._lost)

    def _end(self, failure: Exception | None) -> None:
        hearing, self._hearing = self._hearing, None
        if hearing is None:
            return
        self._allows_another = hearing.allows_another
        hearing.close()
        if self._heard.done():  # the time ran out
            return
        if failure is None:
            self._heard.set_result(None)
        else:
            self._heard.set_exception(failure)


def _head(target: Target, headers: Mapping[str, str], body_bytes: int) -> bytes:
    """Write a request's head; raises `ValueError` for what would be more than that."""
    fields = {"Host": target.authority, **headers, "Content-Length": str(body_bytes)}
    lines = [f"POST {target.path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    if not all(line.isprintable() for line in lines):
        raise ValueError("a header field of more than a line")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


class KeptConnections:
    """Idle connections, for some seconds."""

    def __init__(self) -> None:
        self._connections: dict[tuple[bool, str, int], list[Connection]] = {}
        self._count = 0

    def take(self, target: Target) -> Connection | None:
        """Return the connection that was used last, so that those which aren't needed get old; none that the receiver has closed or spoken on since."""
        while kept := self._connections.get(target.server):
            connection = kept[-1]
            self._remove(target, connection)
            if connection.is_done:
                return connection
            connection.close()
        return None

    def give(self, target: Target, connection: Connection) -> None:
        """Keep a connection if it is good for another request and there is room; close it otherwise."""
        if self._count >= _KEPT_MAX or not connection.is_done:
            connection.close()
            return
        self._connections.setdefault(target.server, []).append(connection)
        self._count += 1
        connection.expiry = asyncio.get_running_loop().call_later(_KEPT_SECONDS, self._expire, target, connection)

    def close(self) -> None:
        """Close all."""
        for connection in [each for kept in self._connections.values() for each in kept]:
            connection.abort()
            if connection.expiry is not None:
                connection.expiry.cancel()
        self._connections.clear()
        self._count = 0

    def _expire(self, target: Target, connection: Connection) -> None:
        self._remove(target, connection)
        connection.close()

    def _remove(self, target: Target, connection: Connection) -> None:
        kept = self._connections[target.server]
        kept.remove(connection)
        self._count -= 1
        if not kept:
            del self._connections[target.server]
        if connection.expiry is not None:
            connection.expiry.cancel()
