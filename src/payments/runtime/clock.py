"""The time, as something that can be handed in."""

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> float:
        """Return unix seconds."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Return unix seconds."""
        return time.time()
