"""Connections to receivers: one request and one answer at a time, within bounds in bytes and interim responses.

A receiver that gets much keeps its connection for some seconds: a TLS handshake costs more than all the rest of a delivery (docs/adr/0010).
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import h11
from msgspec import Struct

from payments.notification_service.targets import Target

RESPONSE_BYTES_MAX = 64 * 1024
"""All that is read of an answer, its interim responses included."""
READ_BYTES = 16 * 1024
SHOWN_BYTES_MAX = 4 * 1024
"""Of an answer's body that is kept, to be shown."""
_BEYOND_BYTES = 128
"""What is read beyond that, so that what is to be masked isn't cut in two before it is found."""
_HEAD_BYTES_MAX = 16 * 1024
_INTERIM_MAX = 8
"""How many interim responses (100 Continue, 103 Early Hints) may come before the answer."""
_KEPT_MAX = 64
"""Idle connections, in all."""
_KEPT_SECONDS = 4.0
"""Less than most servers wait for another request, so that it is rarely they who close."""


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


@dataclass(slots=True, eq=False)
class Connection:
    """A connection to an address that was checked."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    http: h11.Connection = field(default_factory=lambda: h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_BYTES_MAX))
    silent: bool = True
    """Nothing has come of the present answer."""
    expiry: asyncio.TimerHandle | None = None

    async def ask(self, target: Target, headers: Mapping[str, str], body: bytes, answer: Answer) -> None:
        """POST, and fill in `answer` as it comes, so that what was heard isn't lost if the time runs out or the rest of it is nonsense.

        Raises `OSError`, `h11.ProtocolError`, `ResponseTooLargeError`.
        """
        self.silent = True
        fields = {"Host": target.authority, **headers, "Content-Length": str(len(body))}
        request = h11.Request(method="POST", target=target.path, headers=list(fields.items()))
        parts = [self.http.send(request), self.http.send(h11.Data(body)), self.http.send(h11.EndOfMessage())]
        # Not drained: a receiver may answer before it has read all, and what it doesn't take is gone with the connection.
        self.writer.write(b"".join(part for part in parts if part))
        await self._listen(answer, Stopwatch())

    async def _listen(self, answer: Answer, since: Stopwatch) -> None:
        bytes_left, interim_left = RESPONSE_BYTES_MAX, _INTERIM_MAX
        while True:
            event = self.http.next_event()
            if event is h11.NEED_DATA:
                data = await self.reader.read(min(READ_BYTES, bytes_left))
                if self.silent and data:
                    self.silent, answer.timing.first_byte_ms = False, since.lap_ms()
                bytes_left -= len(data)
                if bytes_left <= 0:
                    answer.body_is_cut = True
                    raise ResponseTooLargeError
                self.http.receive_data(data)
            elif isinstance(event, h11.InformationalResponse):
                interim_left -= 1
                if interim_left < 0:
                    raise ResponseTooLargeError
            elif isinstance(event, h11.Response):
                answer.status_code, answer.headers = event.status_code, list(event.headers)
                answer.retry_after = next((value.decode("latin-1") for name, value in event.headers if name == b"retry-after"), None)
            elif isinstance(event, h11.Data):
                answer.take(bytes(event.data))
            else:
                return

    @property
    def is_done(self) -> bool:
        """Tell whether both sides said all they had to say, and nothing else."""
        unsent = self.writer.transport.get_write_buffer_size()
        return self.http.our_state is h11.DONE and self.http.their_state is h11.DONE and not self.http.trailing_data[0] and not unsent

    def close(self) -> None:
        """Close without waiting: TLS may say goodbye for a second, but nothing is sent that wasn't taken."""
        if self.writer.transport.get_write_buffer_size():
            self.writer.transport.abort()
        else:
            self.writer.close()

    def abort(self) -> None:
        """Drop it as it is."""
        self.writer.transport.abort()


class KeptConnections:
    """Idle connections, for some seconds."""

    def __init__(self) -> None:
        self._connections: dict[tuple[bool, str, int], list[Connection]] = {}
        self._count = 0

    def take(self, target: Target) -> Connection | None:
        """Return the connection that was used last, so that those which aren't needed get old."""
        kept = self._connections.get(target.server)
        if not kept:
            return None
        connection = kept[-1]
        self._remove(target, connection)
        return connection

    def give(self, target: Target, connection: Connection) -> None:
        """Keep a connection if it is good for another request and there is room; close it otherwise."""
        if self._count >= _KEPT_MAX or not connection.is_done:
            connection.close()
            return
        connection.http.start_next_cycle()
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
