"""Every date and deadline is of the database's time, whatever the machine thinks it is."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.runtime.ids import IdGenerator
from payments.storage.database_clock import DatabaseClock
from tests.integration.builders import FakeClock

NOW = 1_800_000_000.0
seconds = st.floats(0, 30)


class Database:
    """A database whose time is `ahead` of the seconds that elapse here; a question takes `there` seconds to it, its answer `back`."""

    def __init__(self, elapsed: float = 0.0, ahead: float = NOW) -> None:
        self.elapsed, self.ahead = elapsed, ahead
        self.there = self.back = 0.0
        self.failure: Exception | None = None
        self.is_writable = True

    def seconds(self) -> float:
        return self.elapsed

    @property
    def time(self) -> float:
        return self.elapsed + self.ahead

    async def fetchrow(self, *_: object, **__: object) -> dict[str, Any]:
        return {"time": await self.fetchval(), "is_writable": self.is_writable}

    async def fetchval(self, *_: object, **__: object) -> Any:
        self.elapsed += self.there
        if self.failure is not None:
            raise self.failure
        answer = self.time
        self.elapsed += self.back
        return answer


def measured(database: Database) -> DatabaseClock:
    return asyncio.run(DatabaseClock.measured(database, database.seconds))  # type: ignore[arg-type]


def measure(clock: DatabaseClock, database: Database) -> bool:
    return asyncio.run(clock.measure(database))  # type: ignore[arg-type]


@given(st.floats(0, 10_000_000), st.floats(-1e9, 2e9), seconds, seconds, st.floats(0, 1e6))
def test_the_error_is_within_the_round_trip(elapsed: float, ahead: float, there: float, back: float, later: float) -> None:
    database = Database(elapsed, ahead)
    database.there, database.back = there, back
    clock = measured(database)
    database.elapsed += later
    assert clock.now() == pytest.approx(database.time, abs=(there + back) / 2 + 1e-3)


@given(st.lists(st.tuples(seconds, seconds, st.floats(-100_000, 100_000)), min_size=1, max_size=10))
def test_a_database_whose_clock_jumps_is_followed(measurements: list[tuple[float, float, float]]) -> None:
    database = Database()
    clock = measured(database)
    for there, back, jump in measurements:
        database.there, database.back = there, back
        database.ahead += jump
        measure(clock, database)
        assert clock.now() == pytest.approx(database.time, abs=there + back + 1e-3)


@given(seconds, seconds)
def test_a_slow_answer_makes_a_good_clock_no_worse(there: float, back: float) -> None:
    database = Database()
    clock = measured(database)
    database.there, database.back = there, back
    measure(clock, database)
    assert clock.now() == pytest.approx(database.time, abs=1e-3)


@pytest.mark.parametrize("is_writable", [True, False])
def test_the_same_question_tells_whether_it_takes_writes(is_writable: bool) -> None:
    database = Database()
    clock = measured(database)
    database.is_writable = is_writable
    assert measure(clock, database) is is_writable


def test_a_measurement_that_fails_changes_nothing() -> None:
    database = Database()
    clock = measured(database)
    database.failure = ConnectionError()
    with pytest.raises(ConnectionError):
        measure(clock, database)
    database.elapsed += 100
    assert clock.now() == pytest.approx(database.time, abs=1e-3)


def test_ids_increase_and_carry_their_clocks_time_whichever_clock_is_followed() -> None:
    machine, database = FakeClock(), FakeClock()
    new_id = IdGenerator(machine)
    ids = [new_id("pi")]
    for ahead_seconds in (20, -8, -3600, 7200):
        database.time = machine.time + ahead_seconds
        new_id.follow(database)
        ids += [new_id("pi") for _ in range(3)]
    assert ids == sorted(set(ids))
    fresh = IdGenerator(database)
    assert fresh("pi")[:11] == ids[-1][:11], "its time is the database's, once that is ahead"


def test_ids_do_not_run_out_while_a_clock_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("payments.runtime.ids._COUNTS", 10)
    clock = FakeClock()
    new_id = IdGenerator(clock)
    ids = [new_id("pi") for _ in range(1000)]
    assert ids == sorted(set(ids))
