"""Waiting for what happens elsewhere. How long that takes is the machine's business: the limit only ends what would never come."""

import asyncio
import time
from collections.abc import Awaitable, Callable

SECONDS_MAX = 120
_PAUSE_SECONDS_MIN, _PAUSE_SECONDS_MAX = 0.05, 1.0
_PAUSES_PER_LOOK = 4
"""Looking may be dear, as with a command of its own: whoever waits leaves the processor to what is waited for, four parts in five."""


def wait_until(condition: Callable[[], object], what: str, seconds_max: float = SECONDS_MAX) -> None:
    deadline = (began := time.monotonic()) + seconds_max
    while not condition():
        assert time.monotonic() < deadline, f"It took too long until {what}"
        time.sleep(_pause(began))
        began = time.monotonic()


async def eventually(condition: Callable[[], Awaitable[object]], what: str, seconds_max: float = SECONDS_MAX) -> None:
    """The same for a condition that is asked of something asynchronous."""
    deadline = (began := time.monotonic()) + seconds_max
    while not await condition():
        assert time.monotonic() < deadline, f"It took too long until {what}"
        await asyncio.sleep(_pause(began))
        began = time.monotonic()


def _pause(began: float) -> float:
    return min(max(_PAUSE_SECONDS_MIN, _PAUSES_PER_LOOK * (time.monotonic() - began)), _PAUSE_SECONDS_MAX)
