"""What a service does of its own accord, besides answering: kept going, and known to be going.

Work that ends, by failing or by returning, is started again after a pause, and until it has got round once more the service isn't healthy. Work that got
round for too long a time ago hangs: the service isn't healthy either, and its process should be replaced.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from payments.runtime.logging import Logger

QUIET_SECONDS_MAX = 60.0
"""How long work may take to get round: longer than whatever has a time limit of its own, a statement or a call to an acquirer."""
PAUSES_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Before work is started again, by how often it ended without having got round."""

Beat = Callable[[], None]
"""Tells that work got round: whatever it is there for, it has just done it, or seen that there was nothing to do."""
Work = Callable[[Beat], Awaitable[None]]
"""Works until it is cancelled, and beats whenever it got round."""


@dataclass(slots=True)
class _Kept:
    name: str
    quiet_seconds_max: float
    moved_at: float
    """When it got round, or began, last."""
    keeper: "asyncio.Task[None] | None" = None
    is_down: bool = False
    """It ended, and has not got round since."""
    ends: int = 0
    """How often, since it got round last."""


class Background:
    """The work of one event loop. Its health may be asked from any thread."""

    def __init__(self, log: Logger, *, now: Callable[[], float] = time.monotonic) -> None:
        """`now` returns seconds that never go backwards."""
        self._log = log
        self._now = now
        self._kept: list[_Kept] = []
        self._watched: dict[str, tuple[Callable[[], float], float, Callable[[], bool]]] = {}

    def keep(self, name: str, work: Work, *, quiet_seconds_max: float = QUIET_SECONDS_MAX) -> None:
        """Keep work going that never ends by itself."""
        kept = _Kept(name, quiet_seconds_max, self._now())
        self._kept.append(kept)
        kept.keeper = asyncio.create_task(self._keep(kept, work), name=f"keep {name}")

    def repeat(self, name: str, step: Callable[[], Awaitable[object]], *, every_seconds: float) -> None:
        """Repeat a step for ever, in this process whatever others do; what one copy does for all is a job (`runtime/jobs.py`)."""

        async def work(beat: Beat) -> None:
            while True:
                await step()
                beat()
                await asyncio.sleep(every_seconds)

        self.keep(name, work, quiet_seconds_max=every_seconds + QUIET_SECONDS_MAX)

    def watch(
        self,
        name: str,
        quiet_seconds: Callable[[], float],
        *,
        quiet_seconds_max: float = QUIET_SECONDS_MAX,
        is_down: Callable[[], bool] = lambda: False,
    ) -> None:
        """Count work that is begun when there is some, and kept by whoever begins it, as hanging when it makes no progress for too long."""
        self._watched[name] = quiet_seconds, quiet_seconds_max, is_down

    def faults(self) -> list[str]:
        """Return the names of what isn't being done: it ended, or hangs."""
        hanging = self.hanging()
        down = (name for name, (_, _, is_down) in self._watched.items() if is_down() and name not in hanging)
        return [*(kept.name for kept in self._kept if kept.is_down and not self._hangs(kept)), *down, *hanging]

    def hanging(self) -> list[str]:
        """Return the names of what neither gets round nor ends: only another process will do it."""
        stalled = (name for name, (quiet_seconds, seconds_max, _) in self._watched.items() if quiet_seconds() > seconds_max)
        return [*(kept.name for kept in self._kept if self._hangs(kept)), *stalled]

    async def stop(self) -> None:
        """Cancel everything, and return when it has ended."""
        keepers = [kept.keeper for kept in self._kept if kept.keeper is not None]
        self._kept.clear()
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)

    def _hangs(self, kept: _Kept) -> bool:
        return self._now() - kept.moved_at > kept.quiet_seconds_max

    async def _keep(self, kept: _Kept, work: Work) -> None:
        def beat() -> None:
            kept.moved_at = self._now()
            kept.is_down = False
            kept.ends = 0

        while True:
            await self._run(kept, work, beat)
            kept.moved_at = self._now()
            kept.is_down = True
            await asyncio.sleep(PAUSES_SECONDS[min(kept.ends, len(PAUSES_SECONDS) - 1)])
            kept.ends += 1

    async def _run(self, kept: _Kept, work: Work, beat: Beat) -> None:
        # In a task of its own: something that it waits for may have been cancelled, and that is no reason for this one to end.
        task = asyncio.ensure_future(work(beat))
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise
        failure = asyncio.CancelledError() if task.cancelled() else task.exception()
        if failure is None:
            self._log.event("error", where=kept.name, kind="ended")
        else:
            self._log.error(kept.name, failure)
