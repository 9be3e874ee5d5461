"""How fast each API key may write: a token bucket that all copies of all services share.

Each copy decides by itself, so that no call waits for another copy: it lets a key have the share of the bucket that it had of the key's calls lately, and
tells the others ten times a second, while there is anything to tell, what was written. What copies let through at once beyond the limit is owed, and waited
for. So over seconds a key writes as fast as it may, whichever copies it calls; for a tenth of a second it may be faster.

Source: Stripe, "Rate limits".
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import asyncpg

from payments.domain.errors import TooManyWrites
from payments.domain.principal import Principal
from payments.runtime.clock import elapsed_seconds
from payments.storage.database import CONNECTION_FAILURES
from payments.storage.write_limits import Level, Told

TELL_SECONDS = 0.1
"""Between two times that a copy tells the others."""
SAVED_SECONDS_MAX = 0.5
"""A key that was quiet may write at once what it could have in this time."""
_SAVED_MIN = 10.0
"""And this much at least: a slow key's writes come together, too, and the shares of a few copies are whole writes."""
_SHARE_MIN = 0.1
"""Of the bucket, to a copy that was called by nobody lately, and may be called any moment."""
_KEYS_MAX = 10_000


class Telling(Protocol):
    """Adds up what the copies tell."""

    async def tell(self, told: Sequence[Told]) -> Mapping[str, Level]:
        """Return where each key stands with this counted."""
        ...


@dataclass(slots=True)
class _Bucket:
    """One key's, as this copy sees it."""

    writes_per_second: float
    saved: float
    filled_at: float
    """Seconds of the limit's own clock."""
    share: float = 1.0
    """Of what the key may write: this copy's."""
    written: int = 0
    """And not told yet."""
    wanted: int = 0
    """And not told yet; with what was refused."""
    wanted_of_all: int | None = None
    """When this copy told last."""

    @property
    def saved_max(self) -> float:
        return max(_SAVED_MIN, self.writes_per_second * SAVED_SECONDS_MAX)

    def take(self, now: float) -> bool:
        """Count a write, if it may be made."""
        self.saved = min(self.saved_max, self.saved + self.share * self.writes_per_second * max(now - self.filled_at, 0.0))
        self.filled_at = now
        self.wanted += 1
        if self.saved < 1:
            return False
        self.saved -= 1
        self.written += 1
        return True

    def hear(self, level: Level, told: Told, now: float) -> None:
        """Go on from where the key stood with `told` counted; what was written since is still to be told."""
        self.written -= told.written
        self.wanted -= told.wanted
        if self.wanted_of_all is not None and level.wanted > self.wanted_of_all:
            lately = told.wanted / (level.wanted - self.wanted_of_all)
            self.share = max(_SHARE_MIN, (self.share + lately) / 2)
        self.wanted_of_all = level.wanted
        self.saved = level.saved * self.share - self.written
        self.filled_at = now


class WriteLimit:
    """Lets keys write as fast as they may."""

    def __init__(
        self,
        store: Telling,
        writes_per_second: float | None,
        *,
        now: Callable[[], float] = elapsed_seconds,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`writes_per_second`: what a key may that nothing was said of; None: as fast as it can."""
        self._store = store
        self._writes_per_second = writes_per_second
        self._now = now
        self._sleep = sleep
        self._buckets: dict[str, _Bucket] = {}
        self._telling: asyncio.Task[None] | None = None

    def count(self, principal: Principal) -> None:
        """Count a write; raises `TooManyWrites` for one that its key may not make now."""
        allowed = principal.writes_per_second or self._writes_per_second
        if allowed is None:
            return
        now = self._now()
        bucket = self._buckets.get(principal.key_id)
        if bucket is None or bucket.writes_per_second != allowed:
            bucket = self._open(principal.key_id, allowed, now)
        may = bucket.take(now)
        if self._telling is None:
            self._telling = asyncio.create_task(self._tell(), name="tell what keys write")
        if not may:
            raise TooManyWrites

    async def close(self) -> None:
        """Tell what there is to tell no more."""
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.gather(self._telling, return_exceptions=True)

    def _open(self, key_id: str, allowed: float, now: float) -> _Bucket:
        if len(self._buckets) >= _KEYS_MAX:
            self._buckets.clear()
        bucket = _Bucket(allowed, 0.0, now)
        bucket.saved = bucket.saved_max
        self._buckets[key_id] = bucket
        return bucket

    async def _tell(self) -> None:
        """Tell while there is anything to tell. While the database is away each copy goes on by itself."""
        try:
            while news := self._news():
                levels: Mapping[str, Level]
                try:
                    levels = await self._store.tell([each for each, _ in news])
                except (asyncpg.PostgresError, TimeoutError, *CONNECTION_FAILURES):
                    levels = {}
                now = self._now()
                for each, bucket in news:
                    if (level := levels.get(each.key_id)) is not None:
                        bucket.hear(level, each, now)
                await self._sleep(TELL_SECONDS)
        finally:
            self._telling = None

    def _news(self) -> list[tuple[Told, _Bucket]]:
        news: list[tuple[Told, _Bucket]] = []
        for key_id, bucket in self._buckets.items():
            if bucket.wanted:
                news.append((Told(key_id, bucket.writes_per_second, bucket.saved_max, bucket.written, bucket.wanted), bucket))
        return news
