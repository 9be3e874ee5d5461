"""Connections to receivers: one request and one answer at a time, within bounds in bytes and interim responses.

A receiver that gets much keeps its connection for some seconds: a TLS handshake costs more than all the rest of a delivery (docs/adr/0010).
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import h11

from payments.notification_service.targets import Target

RESPONSE_BYTES_MAX = 64 * 1024
"""All that is read of an answer, its interim responses included."""
READ_BYTES = 16 * 1024
_HEAD_BYTES_MAX = 16 * 1024
_INTERIM_MAX = 8
"""How many interim responses (100 Continue, 103 Early Hints) may come before the answer."""
_KEPT_MAX = 64
"""Idle connections, in all."""
_KEPT_SECONDS = 4.0
"""Less than most servers wait for another request, so that it is rarely they who close."""


class ResponseTooLargeError(Exception):
    """The receiver sent more than anybody reads."""


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
        await self._listen(answer)

    async def _listen(self, answer: Answer) -> None:
        bytes_left, interim_left = RESPONSE_BYTES_MAX, _INTERIM_MAX
        while True:
            event = self.http.next_event()
            if event is h11.NEED_DATA:
                data = await self.reader.read(min(READ_BYTES, bytes_left))
                self.silent = self.silent and not data
                bytes_left -= len(data)
                if bytes_left <= 0:
                    raise ResponseTooLargeError
                self.http.receive_data(data)
            elif isinstance(event, h11.InformationalResponse):
                interim_left -= 1
                if interim_left < 0:
                    raise ResponseTooLargeError
            elif isinstance(event, h11.Response):
                answer.status_code = event.status_code
                answer.retry_after = next((value.decode("latin-1") for name, value in event.headers if name == b"retry-after"), None)
            elif not isinstance(event, h11.Data):
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
