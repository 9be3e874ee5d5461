"""Sweeps look for rows with which something is to be done, and do it row by row: one that fails holds up no other, in its own batch or in those to come.

Rows are looked for in the order in which they are due, and only so many at once. What fails stays due, and would be found first for ever: so it is put off, for
longer each time, and so many more rows are looked for. That is remembered in the process alone: another one, or the next, tries for itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

from payments.runtime.clock import Clock
from payments.runtime.logging import Logger

PUT_OFF_SECONDS = (5.0, 15.0, 60.0, 300.0, 1800.0, 3600.0)
"""For how long, by how often a row failed."""
_REMEMBERED_MAX = 5_000
"""Of all sweeps of a process: what is forgotten is tried again sooner."""

T = TypeVar("T")


@dataclass(slots=True)
class Counted:
    """How many rows were put off."""

    count: int = 0


_COUNTED: ContextVar[Counted | None] = ContextVar("counted", default=None)


@contextmanager
def counted_failures() -> Generator[Counted]:
    """Count the rows that are put off by what is done here, and by the tasks that it begins."""
    counted = Counted()
    before = _COUNTED.set(counted)
    try:
        yield counted
    finally:
        _COUNTED.reset(before)


@dataclass(frozen=True, slots=True)
class _PutOff:
    failures: int
    until: float
    """Unix seconds."""


class RowByRow:
    """Does something to each of several rows, and remembers which of them failed."""

    def __init__(self, clock: Clock, log: Logger) -> None:
        """Log failures with the name of the sweep, the row's key and how often it failed."""
        self._clock = clock
        self._log = log
        self._put_off: dict[tuple[str, str], _PutOff] = {}

    def put_off(self, sweep: str) -> list[str]:
        """Return the keys of the rows that a sweep leaves alone for now."""
        now = self._clock.now()
        return [key for (name, key), row in self._put_off.items() if name == sweep and row.until > now]

    def limit(self, sweep: str, batch: int) -> int:
        """Return how many rows are to be looked for, so that a batch of them isn't put off."""
        return batch + len(self.put_off(sweep))

    async def each(
        self,
        sweep: str,
        rows: Iterable[T],
        key: Callable[[T], str],
        act: Callable[[T], Awaitable[bool]],
        *,
        batch: int,
        at_once: bool = False,
        undone_waits: bool = False,
        leased: bool = False,
    ) -> int:
        """Do something to each row of a batch that isn't put off, in turn or at once; returns for how many `act` says that it was done. With `undone_waits` a
        row for which it says that it wasn't is put off as well. `leased`: whoever looked for the rows put them off already.
        """
        left = set(self.put_off(sweep))
        chosen = [row for row in rows if key(row) not in left][:batch]

        async def one(row: T) -> bool:
            try:
                done = await act(row)
            except Exception as failure:  # noqa: BLE001 - the others go on; this one is tried again
                self.failed(sweep, key(row), failure, leased=leased)
                return False
            if done or not undone_waits:
                self._put_off.pop((sweep, key(row)), None)
            else:
                self._wait(sweep, key(row))
            return done

        if at_once:
            return sum(await asyncio.gather(*(one(row) for row in chosen)))
        return sum([await one(row) for row in chosen])

    def failed(self, sweep: str, key: str, failure: BaseException, *, leased: bool = False) -> None:
        """Put a row off that failed."""
        counted = _COUNTED.get()
        if counted is not None:
            counted.count += 1
        self._log.error(sweep, failure, row=key, failures=self._wait(sweep, key, leased=leased))

    def _wait(self, sweep: str, key: str, *, leased: bool = False) -> int:
        before = self._put_off.pop((sweep, key), None)
        failures = 1 if before is None else before.failures + 1
        if len(self._put_off) >= _REMEMBERED_MAX:
            del self._put_off[next(iter(self._put_off))]
        seconds = 0.0 if leased else PUT_OFF_SECONDS[min(failures, len(PUT_OFF_SECONDS)) - 1]
        self._put_off[sweep, key] = _PutOff(failures, self._clock.now() + seconds)
        return failures
