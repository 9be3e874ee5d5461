"""A part of a service on an event loop of its own, in a thread of its own: what holds that loop up holds up no request.

A process of its own would share even less, and cost 45 MB, a supervisor in each container and a second place to drain, log and be healthy in.
"""

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

import uvloop

from payments.runtime.logging import Logger

T = TypeVar("T")

_BEAT_SECONDS = 2.0
STUCK_SECONDS = 10.0
"""A loop that did not get round for so long is stuck."""
_STOP_SECONDS_MAX = 50.0
"""A container is killed after 60 s."""


class LoopThread(Generic[T]):
    """Enters a context manager in the thread, and leaves it there."""

    def __init__(
        self,
        make: Callable[[], AbstractAsyncContextManager[T]],
        *,
        name: str,
        log: Logger,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`make` is called in the thread: what it builds belongs to the thread's loop. `now` returns seconds that never go backwards."""
        self._make = make
        self._name = name
        self._log = log
        self._now = now
        self._entered: Future[T] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._beat = now()
        # A daemon: if it is stuck, the process ends without it.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    async def start(self) -> T:
        """Return what was entered; raises what that raised."""
        self._thread.start()
        return await asyncio.wrap_future(self._entered)

    async def stop(self) -> None:
        """Leave the context, and return when that is done or has taken too long."""
        self.call(self._stop.set)
        await asyncio.to_thread(self._thread.join, _STOP_SECONDS_MAX)

    def call(self, callback: Callable[[], object]) -> None:
        """Call something in the thread soon; nothing happens when its loop has ended."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it is closed
                self._loop.call_soon_threadsafe(callback)

    @property
    def quiet_seconds(self) -> float:
        """How long ago the loop went round; for ever when the thread has ended."""
        return self._now() - self._beat if self._thread.is_alive() else math.inf

    @property
    def is_alive(self) -> bool:
        """Tell whether the thread runs, and its loop goes round."""
        return self.quiet_seconds < STUCK_SECONDS

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._live())
        except BaseException as failure:  # noqa: BLE001 - a thread has nobody to raise it to
            if self._entered.done():
                self._log.error(self._name, failure)
            else:
                self._entered.set_exception(failure)

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._pulse(self._loop)
        async with self._make() as made:
            self._entered.set_result(made)
            await self._stop.wait()

    def _pulse(self, loop: asyncio.AbstractEventLoop) -> None:
        self._beat = self._now()
        loop.call_later(_BEAT_SECONDS, self._pulse, loop)
