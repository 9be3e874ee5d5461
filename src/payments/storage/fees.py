"""Fee schedules, remembered for a short while."""

from payments.domain.fees import FeeSchedule
from payments.runtime.clock import Clock
from payments.storage.database import Pool
from payments.storage.keys import fee_schedule

_KEPT_SECONDS = 30


class FeeSchedules:
    """What each merchant pays; a change is in force after at most half a minute."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        """Read schedules through `pool`."""
        self._pool = pool
        self._clock = clock
        self._known: dict[int, tuple[FeeSchedule, float]] = {}

    async def of(self, merchant_id: int) -> FeeSchedule:
        """Return the merchant's schedule."""
        known = self._known.get(merchant_id)
        if known is not None and 0 <= self._clock.now() - known[1] < _KEPT_SECONDS:
            return known[0]
        schedule = await fee_schedule(self._pool, merchant_id)
        self._known[merchant_id] = (schedule, self._clock.now())
        return schedule
