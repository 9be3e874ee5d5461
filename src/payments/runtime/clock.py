"""The time, as something that can be handed in."""

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> float:
        """Return unix seconds."""
        ...


class SystemClock:
    """The machine's clock: for what is agreed upon with others than the database, such as AWS, and where there is no database."""

    def now(self) -> float:
        """Return unix seconds."""
        return time.time()


_ELAPSING = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Nobody sets it, and it goes on while a process is stopped; on Linux while the machine is suspended as well."""


def elapsed_seconds() -> float:
    """Return seconds since some moment: only differences mean anything."""
    return time.clock_gettime(_ELAPSING)
