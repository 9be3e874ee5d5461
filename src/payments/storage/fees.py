"""Fee schedules, remembered for a short while."""

from functools import partial

from payments.domain.fees import FeeSchedule
from payments.runtime.clock import Clock
from payments.storage.database import Pool
from payments.storage.keys import fee_schedule
from payments.storage.remembered import Remembered

_KEPT_SECONDS = 30


class FeeSchedules:
    """What each merchant pays; a change is in force after at most half a minute."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        """Read schedules through `pool`."""
        self._schedules = Remembered(partial(fee_schedule, pool), clock, seconds=_KEPT_SECONDS)

    async def of(self, merchant_id: int) -> FeeSchedule:
        """Return the merchant's schedule."""
        return await self._schedules.of(merchant_id)
