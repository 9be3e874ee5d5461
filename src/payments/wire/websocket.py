"""Web sockets within the bounds that requests have: uvicorn's protocol, made of the library `websockets`, with bounds on size and time.

Source: RFC 6455.
"""

import asyncio

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from payments.wire.bounded_http import UNREAD_SECONDS_MAX


class BoundedWebSocketProtocol(WebSocketsSansIOProtocol):
    """One connection. Who doesn't read what was sent, or doesn't answer, is dropped with all that waits for them."""

    _unread: asyncio.TimerHandle | None = None

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
