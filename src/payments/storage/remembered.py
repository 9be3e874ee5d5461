"""What is known of merchants, remembered for a short while."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from payments.runtime.clock import Clock

T = TypeVar("T")
_MERCHANTS_MAX = 10_000


class Remembered(Generic[T]):
    """Something of each merchant, read again when it is older than so many seconds."""

    def __init__(self, read: Callable[[int], Awaitable[T]], clock: Clock, *, seconds: float) -> None:
        """`read` returns it for the merchant of an id."""
        self._read = read
        self._clock = clock
        self._seconds = seconds
        self._known: dict[int, tuple[T, float]] = {}

    async def of(self, merchant_id: int) -> T:
        """Return it; raises what reading it does."""
        known = self._known.get(merchant_id)
        if known is not None and 0 <= self._clock.now() - known[1] < self._seconds:
            return known[0]
        found = await self._read(merchant_id)
        if len(self._known) >= _MERCHANTS_MAX:
            self._known.clear()
        self._known[merchant_id] = found, self._clock.now()
        return found
