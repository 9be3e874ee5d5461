"""Web sockets within the bounds that requests have: uvicorn's protocol, made of the library `websockets`, with bounds on size and time.

Source: RFC 6455.
"""

import asyncio

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from payments.wire.bounded_http import UNREAD_SECONDS_MAX


class BoundedWebSocketProtocol(WebSocketsSansIOProtocol):
    """One connection. Who doesn't read what was sent, or doesn't answer, is dropped with all that waits for them."""

    _unread: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Take what came. A head that the library doesn't take ends the connection, which it leaves to us."""
        super().data_received(data)
        if not self.handshake_initiated and self.conn.handshake_exc is not None:
            self.transport.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self.transport.close()

    async def send(self, message: ASGISendEvent) -> None:
        """Send; a refusal ends the handshake, too, so that nobody is told in the log that it has no end."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            self.handshake_complete = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._is_read()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait until the client reads on, but not for ever."""
        super().pause_writing()
        self._is_read()
        self._unread = self.loop.call_later(UNREAD_SECONDS_MAX, self.transport.abort)

    def resume_writing(self) -> None:
        """Write on."""
        self._is_read()
        super().resume_writing()

    def keepalive_timeout(self) -> None:
        """Give up who doesn't answer: what waits to be sent won't be read, either."""
        super().keepalive_timeout()
        self.transport.abort()

    def _is_read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
