"""Waiting for what happens elsewhere. How long that takes is the machine's business: the limit only ends what would never come."""

import asyncio
import time
from collections.abc import Awaitable, Callable

SECONDS_MAX = 120


def wait_until(condition: Callable[[], object], what: str, seconds_max: float = SECONDS_MAX) -> None:
    deadline = time.monotonic() + seconds_max
    while not condition():
        assert time.monotonic() < deadline, f"It took too long until {what}"
        time.sleep(0.05)


async def eventually(condition: Callable[[], Awaitable[object]], what: str, seconds_max: float = SECONDS_MAX) -> None:
    """The same for a condition that is asked of something asynchronous."""
    deadline = time.monotonic() + seconds_max
    while not await condition():
        assert time.monotonic() < deadline, f"It took too long until {what}"
        await asyncio.sleep(0.02)
