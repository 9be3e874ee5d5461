"""Who watches requests on this copy, and the one reader that finds what was recorded for all of them."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec
from msgspec import Struct

from payments.domain.errors import Overloaded, TooManyListeners
from payments.domain.principal import Principal
from payments.runtime.background import Beat
from payments.runtime.clock import Clock
from payments.runtime.ids import first_id_from
from payments.storage import stripe_cli
from payments.storage.database import Pool
from payments.storage.streams import StreamKey, Streams
from payments.storage.stripe_cli import LOG_PREFIX, LoggedRequest
from payments.storage.wakeup import Waker

TAILS_MAX = 1_000
"""On one copy of the service."""
_WAITING_MAX = 1_000
"""Requests that wait for one who watches; who is slower loses the oldest."""
_WATCHED_SECONDS = 300.0
_RENEW_SECONDS = 60.0
_POLL_SECONDS = 5.0
"""For notices that were lost, while somebody watches."""
_QUIET_SECONDS = 30.0
_LATE_SECONDS = 3
"""By how much a request may be committed later than a younger one: a statement that takes longer has its requests left out."""
_REVOKED_SECONDS = 1.0
"""Between two looks for keys that were revoked."""
_PAUSE_SECONDS = 0.2
"""Between two reads."""
_BATCH = 1_000


class Filters(Struct, frozen=True, kw_only=True):
    """What `stripe logs tail` asks for; within one any will do, and all that are given must. Source: `LogFilters` of stripe-cli."""

    filter_http_method: list[str] = []
    filter_request_path: list[str] = []
    filter_request_status: list[str] = []
    filter_status_code: list[str] = []
    filter_status_code_type: list[str] = []
    """`200`, `400` or `500`."""

    def lets_pass(self, request: "_Seen") -> bool:
        """Tell whether a request is wanted."""
        outcome = "SUCCEEDED" if 200 <= request.status < 300 else "FAILED"
        return (
            (not self.filter_http_method or request.method in [each.upper() for each in self.filter_http_method])
            and (not self.filter_request_path or request.url in self.filter_request_path)
            and (not self.filter_request_status or outcome in [each.upper() for each in self.filter_request_status])
            and (not self.filter_status_code or str(request.status) in self.filter_status_code)
            and (not self.filter_status_code_type or f"{request.status // 100}00" in self.filter_status_code_type)
        )


class _Seen(Struct, frozen=True):
    method: str
    url: str
    status: int


@dataclass(eq=False, slots=True)
class Tail:
    """One who watches."""

    principal: Principal
    filters: Filters
    is_revoked: bool = False
    _waiting: deque[LoggedRequest] = field(default_factory=lambda: deque[LoggedRequest](maxlen=_WAITING_MAX))
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def stream(self) -> StreamKey:
        """Whose requests."""
        return self.principal.merchant_id, self.principal.livemode

    def take(self, request: LoggedRequest | None) -> None:
        """Give it a request, or wake it."""
        if request is not None and self.filters.lets_pass(msgspec.json.decode(request.document, type=_Seen)):
            self._waiting.append(request)
        self._news.set()

    async def requests(self) -> AsyncGenerator[LoggedRequest]:
        """Yield requests as they come, until the key is revoked."""
        while not self.is_revoked:
            while self._waiting:
                yield self._waiting.popleft()
            self._news.clear()
            await self._news.wait()


class RequestTails:
    """Those of one copy. It costs nothing while there is none."""

    def __init__(
        self, pool: Pool, streams: Streams, clock: Clock, tails_waker: Waker, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        """`tails_waker` tells all services that somebody begins to watch; `now` returns seconds that never go backwards."""
        self._pool = pool
        self._streams = streams
        self._clock = clock
        self._tails_waker = tails_waker
        self._now = now
        self._tails: set[Tail] = set()
        self._told: dict[str, None] = {}
        """The ids of what was told lately, oldest first."""
        self._noticed = asyncio.Event()
        self._renewed_at, self._looked_at = now(), now()

    def notice(self) -> None:
        """Tell that requests were recorded."""
        self._noticed.set()

    @asynccontextmanager
    async def watching(self, principal: Principal, filters: Filters) -> AsyncGenerator[Tail]:
        """Watch: what is answered from now on comes, once every service knows. Raises `Overloaded`, `TooManyListeners`."""
        if len(self._tails) >= TAILS_MAX:
            raise Overloaded
        if sum(each.principal.key_id == principal.key_id for each in self._tails) >= TAILS_MAX // 2:
            raise TooManyListeners(TAILS_MAX // 2)
        tail = Tail(principal, filters)
        await stripe_cli.watch(self._pool, [tail.stream], _WATCHED_SECONDS)
        self._tails_waker.wake()
        self._tails.add(tail)
        self._noticed.set()
        try:
            yield tail
        finally:
            self._tails.discard(tail)

    async def run(self, beat: Beat) -> None:
        """Find what was recorded, until cancelled."""
        while True:
            self._noticed.clear()
            if self._tails:
                await self._end_revoked()
                await self._read()
                await self._renew()
                await asyncio.sleep(_PAUSE_SECONDS)
            beat()
            try:
                async with asyncio.timeout(_POLL_SECONDS if self._tails else _QUIET_SECONDS):
                    await self._noticed.wait()
            except TimeoutError:
                pass

    async def _read(self) -> None:
        after = first_id_from(LOG_PREFIX, int(self._clock.now()) - _LATE_SECONDS)
        while True:
            streams = {tail.stream for tail in self._tails}
            found = await stripe_cli.recorded(self._pool, streams, after, _BATCH)
            for request in found:
                if request.id not in self._told:
                    self._told[request.id] = None
                    for tail in self._tails:
                        if tail.stream == request.stream:
                            tail.take(request)
            last = {request.stream: request.id for request in found}
            counts = Counter(request.stream for request in found)
            unfinished = [last[stream] for stream, count in counts.items() if count == _BATCH]
            if not unfinished:
                break
            after = min(unfinished)
        floor = first_id_from(LOG_PREFIX, int(self._clock.now()) - 2 * _LATE_SECONDS)
        self._told = {each: None for each in self._told if each > floor}

    async def _renew(self) -> None:
        if self._now() - self._renewed_at >= _RENEW_SECONDS:
            self._renewed_at = self._now()
            await stripe_cli.watch(self._pool, {tail.stream for tail in self._tails}, _WATCHED_SECONDS)
            self._tails_waker.wake()

    async def _end_revoked(self) -> None:
        if self._now() - self._looked_at < _REVOKED_SECONDS:
            return
        self._looked_at = self._now()
        revoked = await self._streams.revoked({tail.principal.key_id for tail in self._tails})
        for tail in self._tails:
            if tail.principal.key_id in revoked:
                tail.is_revoked = True
                tail.take(None)
