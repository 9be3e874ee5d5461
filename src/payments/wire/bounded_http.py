"""HTTP/1.1 with a bound on everything that a stranger can send: size, time, and how much may wait.

Uvicorn's own protocol takes heads and trailers of any length, and waits for unfinished ones for ever. Sources: RFC 9112; RFC 6585, section 5 (431).
"""

import asyncio
from http import HTTPStatus
from typing import Any, cast

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEAD_BYTES_MAX = 32 * 1024
"""Of a request line with its header fields; AWS's load balancer takes twice that, Stripe's SDKs send less than two kilobytes."""
HEAD_SECONDS_MAX = 10.0
"""From the first byte of a head to its last."""
BODY_BYTES_MAX = 16 * 1024 * 1024
"""Of a message after its head, chunk framing and trailers included; the public API accepts far less, a batch between services may be large."""
BODY_SECONDS_MAX = 30.0
"""From the end of a head to the end of its body."""
IDLE_SECONDS_MAX = 75.0
"""On a connection between two requests, or before the first."""
UNREAD_SECONDS_MAX = 30.0
"""For as long a client may read nothing of an answer that fills the buffers between it and us."""
WEBSOCKET_BYTES_MAX = 1024 * 1024
"""Of one message that a client sends on a web socket."""
WEBSOCKET_PING_SECONDS = 20.0
"""How often a client is asked there whether it is still there, and for how long its answer is waited for."""
PIPELINED_REQUESTS_MAX = 16
"""Requests that wait behind the one that is being answered."""
CONNECTIONS_MAX = 10_000


class _WholeAnswer:
    """What a cycle writes its answer to. Uvicorn writes head and body apart: two packets, each a call of the system and a wake-up of whoever reads. Here the
    head waits for what follows it."""

    __slots__ = ("_cycle", "_head", "_transport")

    def __init__(self, cycle: RequestResponseCycle, transport: asyncio.Transport) -> None:
        self._cycle = cycle
        self._transport = transport
        self._head: bytes | None = b""

    def write(self, data: bytes) -> None:
        if self._head is None or not self._cycle.response_started:  # before an answer there may be a "100 Continue"
            self._transport.write(data)
        elif self._head:
            self._transport.writelines((self._head, data))
            self._head = None
        else:
            self._head = data

    def close(self) -> None:
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection. It is refused and closed as soon as it exceeds a bound."""

    _IDLE, _HEAD, _BODY = range(3)

    def __init__(self, *args: Any, **options: Any) -> None:
        """As uvicorn makes it."""
        super().__init__(*args, **options)
        self._phase = self._IDLE
        self._phase_bytes = 0
        self._seconds_max: float | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS_MAX:
            transport.close()
            return
        self._enter(self._IDLE, IDLE_SECONDS_MAX)
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_clock()
        self._is_read()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait until the client reads on, but not for ever: what it doesn't read is kept for it."""
        super().pause_writing()
        self._is_read()
        self._unread = self.loop.call_later(UNREAD_SECONDS_MAX, self.transport.abort)

    def resume_writing(self) -> None:
        """Write on."""
        self._is_read()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Take what came, if it is within bounds."""
        if self._phase == self._IDLE:
            self._enter(self._HEAD, HEAD_SECONDS_MAX)
        self._phase_bytes += len(data)
        super().data_received(data)
        # Not before: a request that came in one piece is waited for no more.
        self._start_clock()
        # What is counted as a head may have been a head with its body, if both came together: then it is no head any more.
        if self._phase == self._HEAD and self._phase_bytes > HEAD_BYTES_MAX:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"A request's head may have {HEAD_BYTES_MAX} bytes.")
        elif self._phase == self._BODY and self._phase_bytes > BODY_BYTES_MAX:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A request's body may have {BODY_BYTES_MAX} bytes.")

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over: its bounds are the other protocol's from now on."""
        self._stop_clock()
        self._is_read()
        super().handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        """Begin a head, the first on a connection or one that follows another request."""
        super().on_message_begin()
        if self._phase != self._HEAD:
            self._enter(self._HEAD, HEAD_SECONDS_MAX)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field; a trailer is none."""
        if self._phase == self._HEAD:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """End a head: one that came in one piece is measured here."""
        if (
            self._phase_bytes > HEAD_BYTES_MAX
            and len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > HEAD_BYTES_MAX
        ):
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"A request's head may have {HEAD_BYTES_MAX} bytes.")
            return
        if len(self.pipeline) >= PIPELINED_REQUESTS_MAX or self.transport.is_closing():
            self.transport.close()
            return
        self._enter(self._BODY, BODY_SECONDS_MAX)
        before = self.cycle
        super().on_headers_complete()
        # None for a web socket, of which the other protocol takes care; and no body follows to HEAD.
        if self.cycle is not before and self.scope["method"] != "HEAD":
            self.cycle.transport = cast("asyncio.Transport", _WholeAnswer(self.cycle, self.transport))

    def on_body(self, body: bytes) -> None:
        """Take a part of a body, unless its head was refused."""
        if self._phase == self._BODY:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        if self._phase == self._BODY:
            super().on_message_complete()
            self._enter(self._IDLE, None)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def _enter(self, phase: int, seconds_max: float | None) -> None:
        self._phase = phase
        self._phase_bytes = 0
        self._stop_clock()
        self._seconds_max = seconds_max

    def _start_clock(self) -> None:
        if self._deadline is None and self._seconds_max is not None:
            self._deadline = self.loop.call_later(self._seconds_max, self._too_slow)

    def _stop_clock(self) -> None:
        self._seconds_max = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _is_read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _too_slow(self) -> None:
        if self._phase == self._IDLE:
            self.transport.close()
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "The request wasn't complete in time.")

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        """Answer with an error and close; what is being answered on this connection comes to its end before."""
        self._stop_clock()
        if self.transport.is_closing():
            return
        if self._phase != self._BODY and self._is_answering():
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        if not self.pipeline and not (self._is_answering() and self.cycle.response_started):
            body = msgspec.json.encode({"error": {"type": "invalid_request_error", "message": message}})
            self.transport.write(
                b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
                % (status, status.phrase.encode(), len(body), body)
            )
        self.transport.close()

    def _is_answering(self) -> bool:
        cycle = cast("RequestResponseCycle | None", self.cycle)  # uvicorn's type leaves out that there is none at first
        return cycle is not None and not cycle.response_complete
