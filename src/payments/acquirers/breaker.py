"""Stops sending payments to an acquirer that can't be reached, until it is well again. Each process has its own: what one finds, another finds by itself."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

_PAUSE_SECONDS_MAX = 60.0


class BreakerState(StrEnum):
    """Whether payments are sent."""

    CLOSED = "closed"
    """They are."""
    OPEN = "open"
    """They aren't: too many in a row weren't answered."""
    HALF_OPEN = "half-open"
    """It says that it is well: one payment at a time is sent."""


@dataclass(slots=True)
class Breaker:
    """Of one acquirer. A failure is technical: nobody was there, or nothing clear came back; a decline is a success."""

    failures_max: int
    """So many in a row open it; 0: nothing does."""
    pause_seconds: float
    """How long it stays open before the acquirer is asked how it is; twice as long each time that it isn't well."""
    elapsed: Callable[[], float]
    """Seconds that never go backwards."""
    state: BreakerState = BreakerState.CLOSED
    _failures: int = 0
    _pauses: int = 0
    _opened_at: float = 0.0
    _trial_since: float | None = None

    def admits(self) -> bool:
        """Tell whether a payment may be sent now; one that may is followed by `succeeded` or `failed`."""
        if self.state is not BreakerState.HALF_OPEN:
            return self.state is BreakerState.CLOSED
        # A trial of which nothing was heard for so long is none any more.
        if self._trial_since is not None and self.elapsed() - self._trial_since < _PAUSE_SECONDS_MAX:
            return False
        self._trial_since = self.elapsed()
        return True

    def succeeded(self) -> None:
        """Something was answered."""
        self.state = BreakerState.CLOSED
        self._failures = self._pauses = 0
        self._trial_since = None

    def failed(self) -> None:
        """Something wasn't."""
        self._failures += 1
        if self.state is BreakerState.HALF_OPEN or (self.state is BreakerState.CLOSED and 0 < self.failures_max <= self._failures):
            self._open()

    def is_due(self) -> bool:
        """Tell whether the acquirer is to be asked how it is."""
        pause_seconds = min(self.pause_seconds * 2**self._pauses, max(_PAUSE_SECONDS_MAX, self.pause_seconds))
        return self.state is BreakerState.OPEN and self.elapsed() - self._opened_at >= pause_seconds

    def asked(self, *, well: bool) -> None:
        """Go on by what the acquirer said of itself."""
        if self.state is not BreakerState.OPEN:
            return
        if well:
            self.state, self._trial_since = BreakerState.HALF_OPEN, None
        else:
            self._pauses = min(self._pauses + 1, 16)
            self._opened_at = self.elapsed()

    def _open(self) -> None:
        if self.state is BreakerState.HALF_OPEN:
            self._pauses = min(self._pauses + 1, 16)
        self.state, self._opened_at, self._trial_since = BreakerState.OPEN, self.elapsed(), None
