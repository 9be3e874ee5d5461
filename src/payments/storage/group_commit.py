"""Group commit: many callers, one transaction.

A transaction per request caps a payment system at the rate of its disk flushes and of its hottest row. Here every caller hands in a row; whatever
arrived while the previous commit ran becomes the next batch. Nobody waits for a timer: on an idle system a batch of one commits at once.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar, cast

import asyncpg

from payments.domain.errors import Overloaded

Row = TypeVar("Row")
Result = TypeVar("Result")

ROW_FAULTS = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    asyncpg.DeadlockDetectedError,
    ValueError,
    TypeError,
)
"""Failures that one row causes. Everything else concerns the whole batch."""


class GroupCommit(Generic[Row, Result]):
    """Commits rows in batches, one batch at a time, with bounds, back-pressure, and isolation of a bad row."""

    def __init__(
        self,
        write: Callable[[Sequence[Row]], Awaitable[Sequence[Result]]],
        *,
        name: str,
        batch_rows_max: int = 256,
        queue_rows_max: int = 4096,
        writers_max: int = 1,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`write` commits a batch in one transaction and returns a result per row, in order; when it raises, nothing was committed.

        `writers_max`: how many batches may be under way at once. `now` returns seconds that never go backwards.
        """
        self._write = write
        self._name = name
        self._batch_rows_max = batch_rows_max
        self._queue_rows_max = queue_rows_max
        self._waiting: deque[tuple[Row, asyncio.Future[Result]]] = deque()
        self._writers_max = writers_max
        self._writers: set[asyncio.Task[None]] = set()
        self._now = now
        self._moved_at = now()
        self._closed = False

    @property
    def queued_rows(self) -> int:
        """How many rows wait for the next batch."""
        return len(self._waiting)

    @property
    def stalled_seconds(self) -> float:
        """For how long no batch has come to its end, although there are some."""
        return self._now() - self._moved_at if self._writers else 0.0

    async def submit(self, row: Row) -> Result:
        """Commit `row` and return its result; raises its own error, or `Overloaded` when too much is waiting."""
        if self._closed or len(self._waiting) >= self._queue_rows_max:
            raise Overloaded
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((row, future))
        if len(self._waiting) == 1:
            self._begin_writing()
        return await future

    async def close(self) -> None:
        """Refuse new rows and wait until all that were accepted are committed."""
        self._closed = True
        while self._writers:
            await asyncio.wait(self._writers)

    def _begin_writing(self) -> None:
        if len(self._writers) < self._writers_max:
            if not self._writers:
                self._moved_at = self._now()
            # It starts at the end of this turn of the loop, so that it takes along what others hand in meanwhile.
            self._writers.add(asyncio.create_task(self._drain(), name=f"group-commit {self._name}"))

    async def _drain(self) -> None:
        try:
            while self._waiting:
                size = min(len(self._waiting), self._batch_rows_max)
                await self._commit([self._waiting.popleft() for _ in range(size)])
                self._moved_at = self._now()
        finally:
            # Here, not in a callback: a row that came between the two would find a writer that takes nothing any more.
            self._writers.discard(cast("asyncio.Task[None]", asyncio.current_task()))
            if self._waiting:  # it was ended in the middle of its work
                self._begin_writing()

    async def _commit(self, batch: list[tuple[Row, asyncio.Future[Result]]]) -> None:
        """Commit a batch; when one row is at fault, halve the batch until the culprit stands alone with its own error."""
        try:
            results = await self._write([row for row, _ in batch])
        except ROW_FAULTS as fault:
            if len(batch) > 1:
                middle = len(batch) // 2
                await self._commit(batch[:middle])
                await self._commit(batch[middle:])
            else:
                _fail(batch, fault)
        except asyncio.CancelledError:
            # Each caller learns what it would of a lost connection; it isn't cancelled itself.
            _fail(batch, ConnectionAbortedError("ended in the middle of a commit"))
            raise
        except Exception as failure:  # noqa: BLE001 - whatever it was, each caller learns of it
            _fail(batch, failure)
        else:
            if len(results) != len(batch):
                # It is committed, so neither is it split nor does anybody wait for an answer that isn't there.
                _fail(batch, AssertionError(f"{self._name}: {len(results)} results of {len(batch)} rows"))
                return
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)


def _fail(batch: Sequence[tuple[object, asyncio.Future[Result]]], failure: Exception) -> None:
    for _, future in batch:
        if not future.done():  # the caller may have gone
            future.set_exception(failure)
