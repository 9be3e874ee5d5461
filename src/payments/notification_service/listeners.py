"""Who listens to events on this copy, and the one reader that finds what is new for all of them.

Nothing waits for a listener. What was read is kept for all, up to a bound, and each takes it from there at its own pace; one that falls behind reads what it
missed from the database, and one that reads nothing is cut off by its connection (`wire/bounded_http.py`).
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec

from payments.domain.errors import Overloaded, TooManyListeners
from payments.domain.principal import Principal
from payments.runtime.background import Beat
from payments.storage.database import Pool
from payments.storage.streams import Extent, Streamed, StreamKey, Streams
from payments.wire.older_versions import encoded_in_version
from payments.wire.rendering import render_event

LISTENERS_MAX = 2_000
"""On one copy of the service."""
LISTENERS_OF_KEY_MAX = 1_000
_KEPT_BYTES_MAX = 32 * 1024 * 1024
"""Of what was read, for all listeners together: some seconds of a busy Tap."""
_BATCH = 1_000
"""Events that are read at once, of all streams together."""
_POLL_SECONDS = 5.0
"""For notices that were lost."""
_PAUSE_SECONDS = 0.02
"""Between two reads: what was dispatched by several copies at once is read at once."""
_REVOKED_SECONDS = 1.0
"""Between two looks for keys that were revoked."""
_RENEW_SECONDS = 3_600.0
_PRUNE_SECONDS = 3_600.0


@dataclass(slots=True)
class Item:
    """An event that was read, in each version that somebody wanted it in."""

    streamed: Streamed
    size: int
    """In bytes, about."""
    bodies: dict[str, bytes] = field(default_factory=dict[str, bytes])


def _nobody() -> "set[Listener]":
    return set()


@dataclass(eq=False, slots=True)
class Followed:
    """A stream that somebody on this copy listens to."""

    key: StreamKey
    begun: "asyncio.Future[Extent] | None" = None
    is_begun: bool = False
    position: int = 0
    """Up to which it was read, once it is begun."""
    items: dict[int, Item] = field(default_factory=dict[int, Item])
    """What is kept of it, by position: the newest, without a gap."""
    listeners: "set[Listener]" = field(default_factory=_nobody)


@dataclass(eq=False, slots=True)
class Listener:
    """One that listens: woken when there is something new, or when it is to end."""

    principal: Principal
    stream: Followed
    is_revoked: bool = False
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        """Tell it that something happened."""
        self._news.set()

    async def wait(self, seconds_max: float) -> bool:
        """Tell whether something happened within so many seconds."""
        return await _within(self._news, seconds_max)


class Listeners:
    """The listeners of one copy. It costs nothing while there is none, and one query for whatever is new while there is one."""

    def __init__(
        self, streams: Streams, pool: Pool, *, now: Callable[[], float] = time.monotonic, kept_bytes_max: int = _KEPT_BYTES_MAX
    ) -> None:
        """`now` returns seconds that never go backwards."""
        self._streams = streams
        self._pool = pool
        self._now = now
        self._kept_bytes_max = kept_bytes_max
        self._followed: dict[StreamKey, Followed] = {}
        self._listeners: set[Listener] = set()
        self._kept: deque[tuple[Followed, int, Item]] = deque()
        """What is kept of all streams, with its position, oldest first."""
        self._kept_bytes = 0
        self._noticed = asyncio.Event()
        self._looked_at, self._renewed_at, self._pruned_at = now(), now(), -_PRUNE_SECONDS

    def __len__(self) -> int:
        return len(self._listeners)

    @property
    def kept_bytes(self) -> int:
        """How much is kept for them."""
        return self._kept_bytes

    def notice(self) -> None:
        """Tell that there is something new; in the thread of this loop."""
        self._noticed.set()

    @asynccontextmanager
    async def listening(self, principal: Principal) -> AsyncGenerator[Listener]:
        """Listen: whatever is committed from now on comes to the listener's stream. Raises `Overloaded`, `TooManyListeners`."""
        if len(self._listeners) >= LISTENERS_MAX:
            raise Overloaded
        if sum(each.principal.key_id == principal.key_id for each in self._listeners) >= LISTENERS_OF_KEY_MAX:
            raise TooManyListeners(LISTENERS_OF_KEY_MAX)
        key = (principal.merchant_id, principal.livemode)
        stream = self._followed.setdefault(key, Followed(key))
        listener = Listener(principal, stream)
        self._listeners.add(listener)
        stream.listeners.add(listener)
        try:
            await self._begin(stream)
            yield listener
        finally:
            self._listeners.discard(listener)
            stream.listeners.discard(listener)
            if not stream.listeners:
                self._forget(stream)

    def body(self, item: Item, api_version: str) -> bytes:
        """Return an event as a webhook's body in a version, made once for all who want it."""
        body = item.bodies.get(api_version)
        if body is None:
            body = item.bodies[api_version] = event_body(item.streamed, api_version)
            item.size += len(body)
            self._kept_bytes += len(body)
            self._evict()
        return body

    async def run(self, beat: Beat) -> None:
        """Find what is new, and who may not listen any more, until cancelled."""
        while True:
            if self._listeners:
                await self._end_revoked()
                await self._read()
                await self._renew()
            await self._prune()
            beat()
            if not await _within(self._noticed, _POLL_SECONDS):
                continue
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _begin(self, stream: Followed) -> None:
        """Have a stream recorded, once for all who come meanwhile."""
        if stream.begun is None or (stream.begun.done() and not stream.is_begun):
            stream.begun = asyncio.ensure_future(self._streams.follow(stream.key))
        extent = await asyncio.shield(stream.begun)
        if not stream.is_begun:
            stream.position, stream.is_begun = extent.position, True

    def _forget(self, stream: Followed) -> None:
        """Nobody listens to it here any more."""
        if self._followed.get(stream.key) is stream:
            del self._followed[stream.key]
        stream.items.clear()
        if not self._followed:
            self._kept.clear()
            self._kept_bytes = 0

    async def _read(self) -> None:
        """Read what came after what was read, and wake those who wait for it."""
        while read_to := {key: stream.position for key, stream in self._followed.items() if stream.is_begun}:
            limit = max(1, _BATCH // len(read_to))
            found = Counter[StreamKey]()
            for streamed in await self._streams.news(self._pool, read_to, limit):
                found[streamed.stream] += 1
                self._keep(streamed)
            for key in found:
                if (stream := self._followed.get(key)) is not None:
                    for listener in stream.listeners:
                        listener.wake()
            if max(found.values(), default=0) < limit:
                return
            await asyncio.sleep(0)

    def _keep(self, streamed: Streamed) -> None:
        stream = self._followed.get(streamed.stream)
        if stream is None or streamed.position <= stream.position:
            return  # all left meanwhile, and some came back
        item = Item(streamed, len(bytes(streamed.event.snapshot)))
        stream.items[streamed.position] = item
        stream.position = streamed.position
        self._kept.append((stream, streamed.position, item))
        self._kept_bytes += item.size
        self._evict()

    def _evict(self) -> None:
        while self._kept_bytes > self._kept_bytes_max and self._kept:
            stream, position, item = self._kept.popleft()
            stream.items.pop(position, None)
            self._kept_bytes -= item.size

    async def _end_revoked(self) -> None:
        """End those whose key was revoked: as with any other call, within a second while anything is sent to them."""
        if self._now() - self._looked_at < _REVOKED_SECONDS:
            return
        revoked = await self._streams.revoked({listener.principal.key_id for listener in self._listeners})
        self._looked_at = self._now()
        for listener in self._listeners:
            if listener.principal.key_id in revoked:
                listener.is_revoked = True
                listener.wake()

    async def _renew(self) -> None:
        if self._now() - self._renewed_at >= _RENEW_SECONDS:
            await self._streams.renew([key for key, stream in self._followed.items() if stream.is_begun])
            self._renewed_at = self._now()

    async def _prune(self) -> None:
        if self._now() - self._pruned_at >= _PRUNE_SECONDS:
            while await self._streams.prune():
                pass
            self._pruned_at = self._now()


def event_body(streamed: Streamed, api_version: str) -> bytes:
    """Return an event as a webhook's body in a version."""
    return encoded_in_version(msgspec.json.encode(render_event(streamed.event, streamed.pending, api_version)), api_version)


async def _within(happened: asyncio.Event, seconds_max: float) -> bool:
    """Tell whether something happened within so many seconds."""
    try:
        async with asyncio.timeout(seconds_max):
            await happened.wait()
    except TimeoutError:
        return False
    happened.clear()
    return True
