"""What is to be done by the clock is done by one copy, goes on elsewhere when that is gone, and isn't forgotten when it fails."""

import asyncio
import io
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from payments.runtime import background as background_module
from payments.runtime.background import QUIET_SECONDS_MAX, Background
from payments.runtime.jobs import BACK_OFF_SECONDS, LEASE_SECONDS, Job, PartFailed, Scheduler
from payments.runtime.logging import Logger
from payments.runtime.rows import RowByRow
from tests.integration.builders import FakeClock
from tests.support.job_book import Rows
from tests.support.waiting import eventually


@dataclass
class Copies:
    """Copies of a service, whose clock is the tests'."""

    clock: FakeClock = field(default_factory=FakeClock)
    output: io.BytesIO = field(default_factory=io.BytesIO)
    backgrounds: list[Background] = field(default_factory=list[Background])
    schedulers: list[Scheduler] = field(default_factory=list[Scheduler])

    def __post_init__(self) -> None:
        self.rows = Rows(self.clock.now)
        self.log = Logger("test", self.output)

    def start(self, *jobs: Job) -> Background:
        book = self.rows.book(f"copy {len(self.schedulers)}", jobs)
        scheduler, kept = Scheduler(jobs, book, self.log, now=self.clock.now), Background(self.log, now=self.clock.now)
        scheduler.keep(kept)
        self.schedulers.append(scheduler)
        self.backgrounds.append(kept)
        return kept

    def pass_by(self, seconds: float) -> None:
        """Let time pass; whoever sleeps until something is due is awake then."""
        self.clock.time += seconds
        for scheduler in self.schedulers:
            scheduler._noticed.set()

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        async def found() -> bool:
            return holds()

        await eventually(found, what)


@pytest.fixture
async def copies(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Copies]:
    monkeypatch.setattr(background_module, "PAUSES_SECONDS", (0.0,))
    made = Copies()
    yield made
    for kept in made.backgrounds:
        await kept.stop()


def job(work: Callable[[], Awaitable[int]], *, shared: bool = False, every_seconds: float = 60) -> Job:
    return Job(name="sweep", work=work, every_seconds=every_seconds, shared=shared)


@dataclass
class Work:
    """Is done when it is told to."""

    begun: int = 0
    at_once: int = 0
    at_once_max: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self) -> int:
        self.begun += 1
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        try:
            await self.gate.wait()
        finally:
            self.at_once -= 1
        return 0


@pytest.mark.parametrize(("shared", "at_once"), [(False, 1), (True, 2)])
async def test_one_copy_does_a_job_unless_it_is_shared(copies: Copies, shared: bool, at_once: int) -> None:
    work = Work()
    for _ in range(2):
        copies.start(job(work, shared=shared))
    await copies.until(lambda: work.begun == 1, "one copy begins")
    copies.pass_by(LEASE_SECONDS / 2)
    await asyncio.sleep(0)
    copies.pass_by(60)
    if shared:
        await copies.until(lambda: work.begun == 2, "the other one does a part as well")
    work.gate.set()
    await copies.until(lambda: work.at_once == 0 and len(copies.rows.ended) >= at_once, "all is done")
    assert work.at_once_max == at_once


async def test_a_copy_that_stands_still_loses_its_job_to_another_one(copies: Copies) -> None:
    stuck, other = Work(), Work()
    copies.start(job(stuck))
    await copies.until(lambda: stuck.begun == 1, "the first begins")
    copies.schedulers[0]._noticed = asyncio.Event()  # nobody wakes it any more
    copies.start(job(other))
    other.gate.set()
    await asyncio.sleep(0)
    assert other.begun == 0
    copies.clock.time += LEASE_SECONDS + 1
    copies.schedulers[1]._noticed.set()
    await copies.until(lambda: [each.name for each in copies.rows.ended] == ["sweep"], "the second did it")
    stuck.gate.set()  # the first comes to its end after all, and that changes nothing
    copies.schedulers[0].wake("sweep")
    await copies.until(lambda: copies.rows.rows["sweep"].holder is None, "nobody has it")
    assert other.begun >= 1


async def test_who_ends_leaves_its_job_to_others_at_once(copies: Copies) -> None:
    first, second = Work(), Work()
    kept = copies.start(job(first))
    await copies.until(lambda: first.begun == 1, "the first begins")
    await kept.stop()
    assert first.at_once == 0
    copies.start(job(second))
    await copies.until(lambda: second.begun == 1, "the second begins, without waiting for a lease to run out")


async def test_a_job_that_fails_is_logged_told_of_and_tried_again_ever_later(copies: Copies) -> None:
    well = False

    async def work() -> int:
        if not well:
            raise ValueError("card 4242424242424242")
        return 0

    kept = copies.start(job(work, every_seconds=20))
    for number, seconds in enumerate((*BACK_OFF_SECONDS[:3], 15.0, 20.0), 1):
        await copies.until(lambda number=number: copies.rows.failures("sweep") == number, f"it failed {number} times")
        assert copies.rows.ended[-1].due_seconds == seconds
        assert kept.faults() == ["sweep"]
        copies.pass_by(seconds)
    await copies.until(lambda: copies.rows.failures("sweep") == 6, "it failed again")
    ended = copies.rows.ended[-1]
    assert ended.error_kind == "ValueError"
    assert (ended.error_place or "").startswith("test_jobs.py:")
    assert copies.schedulers[0].overdue_seconds > 0
    copies.log.flush()
    lines = [json.loads(line) for line in copies.output.getvalue().splitlines()]
    assert [line["failures"] for line in lines if line["event"] == "error"] == [1, 2, 3, 4, 5, 6]
    assert b"4242" not in copies.output.getvalue() + repr(copies.rows.ended).encode()
    well = True
    copies.pass_by(20)
    await copies.until(lambda: not kept.faults() and copies.rows.failures("sweep") == 0, "it is done")
    assert copies.schedulers[0].overdue_seconds == 0


async def test_what_failed_here_and_was_done_elsewhere_is_no_fault(copies: Copies) -> None:
    async def fails() -> int:
        raise ConnectionError

    async def does() -> int:
        return 0

    first = copies.start(job(fails))
    await copies.until(lambda: first.faults() == ["sweep"] and copies.rows.failures("sweep") == 1, "it failed here")
    copies.start(job(does))
    copies.schedulers[1].wake("sweep")
    await copies.until(lambda: copies.rows.failures("sweep") == 0, "it is done there")
    copies.schedulers[0]._noticed.set()
    await copies.until(lambda: first.faults() == [], "and the first sees it")


@pytest.mark.parametrize(("failure", "housekeeping"), [(ConnectionError, True), (PartFailed, False)])
async def test_what_another_process_would_do_no_better_sends_no_request_elsewhere(
    copies: Copies, failure: type[Exception], housekeeping: bool
) -> None:
    async def fails() -> int:
        raise failure

    kept = copies.start(Job(name="sweep", work=fails, every_seconds=60, housekeeping=housekeeping))
    await copies.until(lambda: copies.rows.failures("sweep") == 1, "it failed")
    assert kept.faults() == []


async def test_work_that_was_cancelled_by_what_it_waits_for_failed(copies: Copies) -> None:
    async def work() -> int:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        future.cancel()
        return await future

    copies.start(job(work))
    await copies.until(lambda: copies.rows.failures("sweep") == 1, "it failed")


async def test_a_job_that_hangs_is_another_process_to_do(copies: Copies) -> None:
    kept = copies.start(job(Work()))
    await copies.until(lambda: copies.schedulers[0]._running.keys() == {"sweep"}, "it is begun")
    copies.clock.time += QUIET_SECONDS_MAX / 2
    assert kept.hanging() == []
    copies.clock.time += QUIET_SECONDS_MAX
    assert "sweep" in kept.hanging()
    copies.schedulers[0]._noticed.set()
    other = Work()
    copies.start(job(other))
    copies.pass_by(LEASE_SECONDS + 1)
    await copies.until(lambda: other.begun == 1, "its lease wasn't kept, and another copy does it")


async def test_it_goes_on_while_there_is_something_and_counts_it(copies: Copies) -> None:
    left = [3, 2, 0]
    rows = RowByRow(copies.clock, copies.log)

    async def fails(_: str) -> bool:
        raise ValueError

    async def work() -> int:
        await rows.each("row", ["a", "b"], str, fails, batch=2, at_once=True)
        return left.pop(0)

    copies.start(job(work))
    await copies.until(lambda: bool(copies.rows.ended), "it came to its end")
    assert (copies.rows.ended[0].rows_done, copies.rows.ended[0].rows_put_off) == (5, 2)


async def test_a_job_that_gets_on_again_is_no_fault_before_it_comes_to_its_end(copies: Copies) -> None:
    """As of an index to which payments go on adding: the service would get no requests for as long as it gets some."""
    well = False

    async def work() -> int:
        await asyncio.sleep(0)
        if not well:
            raise ConnectionError
        return 1

    kept = copies.start(job(work))
    await copies.until(lambda: kept.faults() == ["sweep"] and copies.rows.failures("sweep") == 1, "it failed")
    well = True
    copies.pass_by(BACK_OFF_SECONDS[0])
    await copies.until(lambda: kept.faults() == [], "it did a part")
    assert copies.schedulers[0]._running.keys() == {"sweep"}


async def test_who_is_woken_doesnt_wait_until_it_is_due(copies: Copies) -> None:
    work = Work()
    work.gate.set()
    copies.start(job(work, every_seconds=3600))
    await copies.until(lambda: len(copies.rows.ended) == 1, "it was done once")
    copies.schedulers[0].wake("sweep")
    await copies.until(lambda: len(copies.rows.ended) == 2, "and again")
    with pytest.raises(LookupError):
        copies.schedulers[0].wake("something else")
