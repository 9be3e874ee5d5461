"""An event loop without time, sockets or threads of its own: a seed says which process goes on next, and time passes when nobody can.

Every callback belongs to the process that its context names. Within a process callbacks run in the order in which they were scheduled, as asyncio promises;
among processes the seed chooses. A process that is killed runs nothing more, not even its `finally`; one that is paused runs nothing until its time comes.
"""

import asyncio
import contextvars
import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from typing import Any, cast

EPOCH = 1_800_000_000.0
"""Unix seconds at which each simulation begins."""

_ROUNDS_MAX = 50
"""In which what is left ends, being cancelled in each."""


@dataclass(eq=False, slots=True)
class Process:
    """What runs, is paused and is killed as a whole."""

    name: str
    alive: bool = True
    paused_until: float = 0.0
    """Seconds of the loop."""
    ready: "deque[asyncio.Handle]" = field(default_factory=deque["asyncio.Handle"])
    at_end: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])
    """What the world outside does when it is killed: connections break, transactions are rolled back."""


WORLD = Process("world")
"""Whoever starts and kills the others."""
PROCESS: ContextVar[Process] = ContextVar("PROCESS", default=WORLD)


class NothingLeftError(Exception):
    """Somebody waits for what nobody will ever do."""


class _Task(asyncio.Task[Any]):
    """A task whose place in a set is the same in every run: an address in memory isn't."""

    def __init__(self, number: int, *args: Any, **options: Any) -> None:
        self._number = number
        super().__init__(*args, **options)

    def __hash__(self) -> int:
        return self._number


class SimulatedClock:
    """A `Clock`: the time of a loop."""

    def __init__(self, loop: "SimulatedLoop") -> None:
        self._loop = loop

    def now(self) -> float:
        return EPOCH + self._loop.time()


class SimulatedLoop(asyncio.BaseEventLoop):
    """Runs the processes of one simulation."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._chance = chance
        self._seconds = 0.0
        self._processes: list[Process] = []
        self._numbers = itertools.count()
        self.skipped = 0.0
        """Seconds that passed at once."""
        self.turns = 0
        """How many callbacks were run."""
        self.tasks: list[asyncio.Task[Any]] = []
        """All that aren't done: those of killed processes must not be collected, which would run their `finally`."""
        self._pruned_at = 1000
        self.failures: list[dict[str, Any]] = []
        self.connect: Callable[..., Coroutine[Any, Any, Any]] | None = None
        self.listen: Callable[..., Any] | None = None
        self.set_task_factory(self._task)
        self.set_exception_handler(lambda _, failure: self.failures.append(failure))

    def time(self) -> float:
        return self._seconds

    def spawn(self, process: Process, work: Coroutine[Any, Any, Any], name: str | None = None) -> asyncio.Task[Any]:
        """Begin work of a process."""
        context = contextvars.copy_context()
        context.run(PROCESS.set, process)
        return self.create_task(work, name=name, context=context)

    def kill(self, process: Process) -> None:
        """Run nothing of a process any more. What it would have run is kept, so that it can be tidied away at the end."""
        process.alive = False
        if process in self._processes:
            self._processes.remove(process)

    def pass_time(self, until: float) -> None:
        """Let it be `until`: what should have happened by then happens late."""
        self.skipped += max(0.0, until - self._seconds)
        self._seconds = max(self._seconds, until)

    def _task(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        made = _Task(next(self._numbers), coroutine, loop=loop, **options)
        self.tasks.append(made)
        if len(self.tasks) > self._pruned_at:
            self.tasks = [task for task in self.tasks if not task.done()]
            self._pruned_at = 2 * len(self.tasks) + 1000
        return made

    def _call_soon(self, callback: Any, args: Any, context: Context | None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._queue(handle)
        return handle

    def _queue(self, handle: asyncio.Handle) -> None:
        process = cast("Any", handle)._context.get(PROCESS, WORLD)
        if process.alive and not process.ready:
            self._processes.append(process)
        process.ready.append(handle)

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Context | None = None) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def _run_once(self) -> None:
        process = self._next()
        handle = process.ready.popleft()
        if not process.ready:
            self._processes.remove(process)
        if not handle.cancelled():
            self.turns += 1
            cast("Any", handle)._run()

    def _next(self) -> Process:
        while True:
            self._take_due()
            able = [process for process in self._processes if process.paused_until <= self._seconds]
            if able:
                return able[0] if len(able) == 1 else self._chance.choice(able)
            moments = [process.paused_until for process in self._processes]
            timers = self._timers()
            if timers:
                moments.append(timers[0].when())
            if not moments:
                raise NothingLeftError
            self._seconds = max(self._seconds, min(moments))

    def _timers(self) -> list[asyncio.TimerHandle]:
        timers: list[asyncio.TimerHandle] = cast("Any", self)._scheduled
        while timers and timers[0].cancelled():
            heapq.heappop(timers)
        return timers

    def _take_due(self) -> None:
        while (timers := self._timers()) and timers[0].when() <= self._seconds:
            timer = heapq.heappop(timers)
            cast("Any", timer)._scheduled = False
            self._queue(timer)

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, **_: Any) -> Any:  # type: ignore[override]
        assert self.connect is not None
        return await self.connect(protocol_factory, host, port)

    async def create_server(self, protocol_factory: Any, host: Any = None, port: Any = None, **_: Any) -> Any:  # type: ignore[override]
        assert self.listen is not None
        return self.listen(protocol_factory, host, port)

    def _process_events(self, event_list: object) -> None:
        """There are none."""

    def end(self, processes: Iterable[Process], tidying: Coroutine[Any, Any, Any] | None = None) -> None:
        """Cancel all that is left, of those that were killed as well, tidy up and close. By now nothing must have an effect any more."""
        self._stopping = False
        for process in processes:
            process.paused_until = 0.0
            if not process.alive:
                process.alive = True
                if process.ready:
                    self._processes.append(process)
        for _ in range(_ROUNDS_MAX):
            left = [task for task in self.tasks if not task.done()]
            if not left:
                break
            for task in left:
                task.cancel()
            # A cancelled task may do a few things more, and wait again.
            self.run_until_complete(self._until(self.time() + 1.0))
        else:
            raise AssertionError(f"never ends: {[task for task in self.tasks if not task.done()]}")
        if tidying is not None:
            self.run_until_complete(tidying)
        self.close()

    async def _until(self, seconds: float) -> None:
        await asyncio.sleep(seconds - self.time())


def current_process() -> Process:
    """Return whose code runs."""
    return PROCESS.get()
