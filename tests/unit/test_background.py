"""Work that nobody waits for goes on, and its service knows whether it does."""

import asyncio
import io
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest

from payments.runtime import background as module
from payments.runtime.background import QUIET_SECONDS_MAX, Background, Beat
from payments.runtime.logging import Logger
from tests.support.waiting import eventually


class Seconds:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Kept:
    def __init__(self) -> None:
        self.seconds, self.output = Seconds(), io.BytesIO()
        self.log = Logger("test", self.output)
        self.background = Background(self.log, now=self.seconds)

    def errors(self) -> list[dict[str, Any]]:
        self.log.flush()
        return [json.loads(line) for line in self.output.getvalue().splitlines()]


@pytest.fixture
async def kept(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Kept]:
    monkeypatch.setattr(module, "PAUSES_SECONDS", (0.0,))
    made = Kept()
    yield made
    await made.background.stop()


async def fails() -> None:
    raise ValueError("card 4242424242424242")


async def returns() -> None:
    return


async def waits_for_what_was_cancelled() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


async def uses_more_than_there_is() -> None:
    raise MemoryError


@pytest.mark.parametrize("end", [fails, returns, waits_for_what_was_cancelled, uses_more_than_there_is])
async def test_work_that_ends_however_it_ends_is_started_again_and_unhealthy_until_it_got_round(
    kept: Kept, end: Callable[[], Awaitable[None]]
) -> None:
    starts, well = 0, asyncio.Event()

    async def work(beat: Beat) -> None:
        nonlocal starts
        starts += 1
        if starts <= 3:
            await end()
            return
        await well.wait()
        beat()
        await asyncio.Event().wait()

    async def another(beat: Beat) -> None:
        beat()
        await asyncio.Event().wait()

    kept.background.keep("sweep", work)
    kept.background.keep("another", another)

    async def started_four_times() -> bool:
        return starts == 4

    await eventually(started_four_times, "it was started four times")
    assert kept.background.faults() == ["sweep"], "it runs, but hasn't done anything yet"
    assert not kept.background.hanging()
    well.set()

    async def healthy() -> bool:
        return not kept.background.faults()

    await eventually(healthy, "it got round")
    errors = kept.errors()
    assert [error["where"] for error in errors] == ["sweep"] * 3
    assert "4242424242424242" not in json.dumps(errors)


async def test_a_step_that_fails_fails_no_other_and_is_taken_again(kept: Kept) -> None:
    steps = {"bad": 0, "good": 0}

    async def bad() -> int:
        steps["bad"] += 1
        if steps["bad"] < 5:
            raise ConnectionError
        return 0

    async def good() -> int:
        steps["good"] += 1
        return 0

    kept.background.repeat("bad", bad, every_seconds=0.001)
    kept.background.repeat("good", good, every_seconds=0.001)

    async def both_got_round() -> bool:
        return steps["bad"] > 5 and steps["good"] > 5 and not kept.background.faults()

    await eventually(both_got_round, "both got round")
    assert [error["where"] for error in kept.errors()] == ["bad"] * 4


async def test_work_that_hangs_is_a_fault_although_it_never_ended(kept: Kept) -> None:
    began = asyncio.Event()

    async def step() -> int:
        began.set()
        await asyncio.Event().wait()
        return 0

    kept.background.repeat("sweep", step, every_seconds=5)
    await began.wait()
    kept.seconds.now += QUIET_SECONDS_MAX
    assert not kept.background.faults()
    kept.seconds.now += 5.1
    assert kept.background.faults() == kept.background.hanging() == ["sweep"]


async def test_a_step_that_takes_place_rarely_does_not_hang_in_between(kept: Kept) -> None:
    began = asyncio.Event()

    async def step() -> int:
        began.set()
        return 0

    kept.background.repeat("purge", step, every_seconds=600)
    await began.wait()
    kept.seconds.now += 600
    assert not kept.background.faults()


async def test_the_pauses_grow_and_begin_anew_once_it_got_round(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(module, "PAUSES_SECONDS", (0.001, 0.002, 0.003))
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(module.asyncio, "sleep", noted)
    starts = 0

    async def work(beat: Beat) -> None:
        nonlocal starts
        starts += 1
        if starts == 6:
            beat()
        if starts == 8:
            await asyncio.Event().wait()

    kept.background.keep("work", work)

    async def done() -> bool:
        await sleep(0)
        return starts == 8

    while not await done():
        pass
    assert pauses == [0.001, 0.002, 0.003, 0.003, 0.003, 0.001, 0.002]


async def test_a_service_that_stops_leaves_nothing_running(kept: Kept) -> None:
    cleaned = asyncio.Event()

    async def work(_: Beat) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.set()

    kept.background.keep("work", work)
    kept.background.keep("fails", lambda _: fails())
    await asyncio.sleep(0.01)
    before = len(asyncio.all_tasks())
    await kept.background.stop()
    assert cleaned.is_set()
    assert before > 1
    assert len(asyncio.all_tasks()) == 1
