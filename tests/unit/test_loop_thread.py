"""What runs on a loop of its own holds up nobody, and is missed when it is gone."""

import asyncio
import io
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import msgspec
import pytest

from payments.runtime.logging import Logger
from payments.runtime.loop_thread import STUCK_SECONDS, LoopThread
from tests.support.waiting import eventually


class Monotonic:
    def __init__(self) -> None:
        self.skipped = 0.0

    def now(self) -> float:
        return time.monotonic() + self.skipped


def thread_of(make: object, log: io.BytesIO | None = None, clock: Monotonic | None = None) -> LoopThread[list[str]]:
    return LoopThread(make, name="test", log=Logger("test", log or io.BytesIO()), now=(clock or Monotonic()).now)  # pyright: ignore[reportArgumentType]


@asynccontextmanager
async def noting(notes: list[str]) -> AsyncGenerator[list[str]]:
    notes.append(f"entered in {threading.current_thread().name}")
    yield notes
    await asyncio.sleep(0)
    notes.append(f"left in {threading.current_thread().name}")


async def test_it_is_entered_called_and_left_in_its_own_thread() -> None:
    notes: list[str] = []
    thread = thread_of(lambda: noting(notes))
    assert await thread.start() is notes
    assert thread.is_alive
    called = threading.Event()
    thread.call(lambda: notes.append(f"called in {threading.current_thread().name}"))
    thread.call(called.set)
    await asyncio.to_thread(called.wait)
    await thread.stop()
    assert notes == ["entered in test", "called in test", "left in test"]
    assert not thread.is_alive
    thread.call(called.set)


async def test_what_can_not_be_entered_is_not_started() -> None:
    @asynccontextmanager
    async def broken() -> AsyncGenerator[list[str]]:
        raise OSError("no database")
        yield []

    thread = thread_of(broken)
    with pytest.raises(OSError, match="no database"):
        await thread.start()
    await thread.stop()
    assert not thread.is_alive


async def test_a_failure_on_the_way_out_is_logged() -> None:
    @asynccontextmanager
    async def broken() -> AsyncGenerator[list[str]]:
        yield []
        raise ValueError

    written = io.BytesIO()
    log = Logger("test", written)
    thread = LoopThread(broken, name="test", log=log)
    await thread.start()
    await thread.stop()
    assert not thread.is_alive
    assert log.flush()
    (line,) = written.getvalue().splitlines()
    assert msgspec.json.decode(line)["kind"] == "ValueError"


async def test_a_loop_that_is_stuck_is_not_alive() -> None:
    clock, release, stuck = Monotonic(), threading.Event(), threading.Event()

    def hold() -> None:
        stuck.set()
        release.wait()

    thread = thread_of(lambda: noting([]), clock=clock)
    await thread.start()
    thread.call(hold)
    await asyncio.to_thread(stuck.wait)
    clock.skipped += STUCK_SECONDS
    assert not thread.is_alive
    release.set()

    async def alive() -> bool:
        return thread.is_alive

    await eventually(alive, "the loop goes round again")
    await thread.stop()
