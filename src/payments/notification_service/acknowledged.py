"""Up to where a client has acknowledged what it was sent: all before it, whatever the order in which it does."""

import asyncio
from collections.abc import Callable

UNACKNOWLEDGED_MAX = 128
"""Messages that are sent before one of them has to be acknowledged."""
ACKNOWLEDGED_SECONDS_MAX = 30.0
"""A client that takes longer is given up: it reads nothing."""


class Acknowledged:
    """Of one connection. Only messages that were sent on it count."""

    def __init__(self, position: int, now: Callable[[], float]) -> None:
        """Begin at a position; `now` returns seconds that never go backwards."""
        self.position = self.saved = position
        self._now = now
        self._number = 0
        self._outstanding: dict[str, tuple[int, float]] = {}
        """By the message's name, in the order in which they were sent: the position, and when."""
        self._last = position
        self._news = asyncio.Event()
        self._moved = asyncio.Event()

    @property
    def is_unsaved(self) -> bool:
        """Tell whether it has moved since it was saved."""
        return self.saved != self.position

    def sent(self, position: int) -> str:
        """Take note that a message was sent; returns its name."""
        self._number += 1
        name = f"wc_{self._number}"
        self._outstanding[name] = position, self._now()
        self._last = position
        return name

    def take(self, name: str) -> None:
        """Take an acknowledgement; one of nothing that was sent is none."""
        if self._outstanding.pop(name, None) is None:
            return
        self._news.set()
        oldest = next(iter(self._outstanding.values()), None)
        position = self._last if oldest is None else oldest[0] - 1
        if position > self.position:
            self.position = position
            self._moved.set()

    def check(self) -> None:
        """Raise `TimeoutError` when a message has been outstanding for too long."""
        oldest = next(iter(self._outstanding.values()), None)
        if oldest is not None and self._now() - oldest[1] > ACKNOWLEDGED_SECONDS_MAX:
            raise TimeoutError

    async def room(self) -> None:
        """Return when another message may be sent; raises `TimeoutError`."""
        async with asyncio.timeout(ACKNOWLEDGED_SECONDS_MAX):
            while len(self._outstanding) >= UNACKNOWLEDGED_MAX:
                self._news.clear()
                await self._news.wait()

    async def changed(self) -> None:
        """Return when the position has moved."""
        await self._moved.wait()
        self._moved.clear()
