"""A row that fails holds up no other."""

import asyncio
import io
import json
from operator import itemgetter

import pytest

from payments.runtime import rows
from payments.runtime.logging import Logger
from payments.runtime.rows import PUT_OFF_SECONDS, RowByRow
from tests.integration.builders import FakeClock

BATCH = 3
ID = itemgetter("id")


class Sweep:
    """A table of which the first rows are due first, and a sweep over it."""

    def __init__(self, count: int, bad: set[str]) -> None:
        self.clock, self.output = FakeClock(), io.BytesIO()
        self.log = Logger("test", self.output)
        self.rows = RowByRow(self.clock, self.log)
        self.due = [{"id": f"r{number}"} for number in range(count)]
        self.bad = bad
        self.tried: list[str] = []

    async def run(self, *, at_once: bool = False) -> int:
        found = self.due[: self.rows.limit("sweep", BATCH)]
        return await self.rows.each("sweep", found, ID, self.act, batch=BATCH, at_once=at_once)

    async def act(self, row: dict[str, str]) -> bool:
        self.tried.append(row["id"])
        if row["id"] in self.bad:
            raise LookupError(row["id"])
        self.due.remove(row)
        return True

    def logged(self) -> list[dict[str, object]]:
        self.log.flush()
        return [json.loads(line) for line in self.output.getvalue().splitlines()]


@pytest.mark.parametrize("at_once", [False, True])
async def test_rows_behind_a_batch_of_bad_ones_are_reached(at_once: bool) -> None:
    sweep = Sweep(10, {f"r{number}" for number in range(5)})
    for _ in range(5):
        await sweep.run(at_once=at_once)
    assert {row["id"] for row in sweep.due} == sweep.bad
    assert sorted(sweep.tried) == sorted(f"r{number}" for number in range(10)), "each once: the bad ones are put off"


async def test_a_bad_row_is_tried_ever_less_often_and_told_with_its_name_and_how_often() -> None:
    sweep = Sweep(1, {"r0"})
    for count, seconds in enumerate((*PUT_OFF_SECONDS, PUT_OFF_SECONDS[-1]), 1):
        await sweep.run()
        await sweep.run()
        sweep.clock.time += seconds - 0.1
        await sweep.run()
        assert len(sweep.tried) == count
        sweep.clock.time += 0.2
    told = sweep.logged()
    assert [(each["where"], each["row"], each["failures"], each["kind"]) for each in told] == [
        ("sweep", "r0", count, "LookupError") for count in range(1, len(PUT_OFF_SECONDS) + 2)
    ]
    sweep.bad.clear()
    sweep.clock.time += PUT_OFF_SECONDS[-1]
    assert await sweep.run() == 1
    assert sweep.rows.put_off("sweep") == []


async def test_what_is_leased_is_told_of_and_not_put_off() -> None:
    sweep = Sweep(1, {"r0"})
    for _ in range(3):
        await sweep.rows.each("sweep", sweep.due, ID, sweep.act, batch=BATCH, leased=True)
    assert [each["failures"] for each in sweep.logged()] == [1, 2, 3]


async def test_one_sweeps_bad_rows_are_no_others() -> None:
    sweep = Sweep(1, {"r0"})
    await sweep.run()
    assert (sweep.rows.put_off("sweep"), sweep.rows.put_off("other")) == (["r0"], [])


async def test_so_many_bad_rows_are_remembered_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_REMEMBERED_MAX", 4)
    sweep = Sweep(10, {f"r{number}" for number in range(10)})
    await sweep.rows.each("sweep", sweep.due, ID, sweep.act, batch=10)
    assert sweep.rows.put_off("sweep") == ["r6", "r7", "r8", "r9"]


async def test_whoever_stops_a_sweep_stops_it() -> None:
    sweep = Sweep(1, set())

    async def hang(_: dict[str, str]) -> bool:
        await asyncio.Event().wait()
        return True

    task = asyncio.create_task(sweep.rows.each("sweep", sweep.due, ID, hang, batch=1))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sweep.logged() == []
