"""Copies of a service that share write limits, on a clock of their own."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from payments.domain.api_version import NEWEST
from payments.domain.errors import TooManyWrites
from payments.domain.principal import KeyKind, Principal
from payments.storage.write_limits import Level, Told
from payments.wire.write_limit import WriteLimit


class Levels:
    """What `storage/write_limits.py` keeps in the database, kept here."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._levels: dict[str, tuple[Level, float]] = {}
        self.told: list[Told] = []
        self.away: BaseException | None = None

    async def tell(self, told: Sequence[Told]) -> Mapping[str, Level]:
        if self.away is not None:
            raise self.away
        self.told += told
        now = self._now()
        for each in told:
            level, told_at = self._levels.get(each.key_id, (Level(each.saved_max, 0), now))
            saved = min(each.saved_max, level.saved + each.writes_per_second * (now - told_at)) - each.written
            self._levels[each.key_id] = Level(saved, level.wanted + each.wanted), now
        return {each.key_id: self._levels[each.key_id][0] for each in told}


class Copies:
    """Some copies; time goes by when `pass_seconds` is called."""

    def __init__(self, count: int, writes_per_second: float | None) -> None:
        self.time = 1000.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []
        self.levels = Levels(lambda: self.time)
        self.copies = [WriteLimit(self.levels, writes_per_second, now=lambda: self.time, sleep=self._sleep) for _ in range(count)]

    async def pass_seconds(self, seconds: float) -> None:
        """Let them tell each other what is to be told by then."""
        self.time += seconds
        for _ in range(3):  # who wakes up tells, and sleeps again
            due = [sleeper for until, sleeper in self._sleepers if until <= self.time]
            self._sleepers = [each for each in self._sleepers if each[0] > self.time]
            for sleeper in due:
                sleeper.set_result(None)
            await asyncio.sleep(0)

    def writes(self, copy: int, principal: Principal) -> bool:
        """Write through one of them; tells whether it was let."""
        try:
            self.copies[copy].count(principal)
        except TooManyWrites:
            return False
        return True

    async def close(self) -> None:
        for each in self.copies:
            await each.close()

    async def _sleep(self, seconds: float) -> None:
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.time + seconds, sleeper))
        await sleeper


def caller(key_id: str = "key_1", writes_per_second: int | None = None) -> Principal:
    """Who calls with a key."""
    return Principal(
        merchant_id=1,
        livemode=False,
        kind=KeyKind.SECRET,
        account_id="acct_1",
        key_id=key_id,
        writes_per_second=writes_per_second,
        api_version=NEWEST,
    )


UNLIMITED = WriteLimit(Levels(lambda: 0.0), None)
