"""The rows of jobs: who takes what is due, what is recorded of it, and who may see it."""

import asyncio
import io
import json
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import asyncpg
import pytest

from payments.runtime.jobs import Ended, Job, JobState
from payments.runtime.logging import Logger
from payments.runtime.topology import SERVICES, Service
from payments.storage.database import Connection, Pool, open_pool
from payments.storage.jobs import JobPlace, PostgresJobs, job_states, reporting
from payments.storage.sql import queries

PROCESSOR = Service.TRANSACTION_PROCESSOR
CONDITIONS = {
    Service.TRANSACTION_PROCESSOR: ("attempts", "holds", "funds", "refunds", "notices", "disputes", "clocks"),
    Service.PAYMENT_API: ("checkout", "index"),
}


async def nothing() -> int:
    return 0


def job(name: str, *, every_seconds: float = 3600, shared: bool = False, waits: str | None = None) -> Job:
    return Job(name=name, work=nothing, every_seconds=every_seconds, shared=shared, waits=waits)


JOBS = (job("alone"), job("together", shared=True), job("sweep attempts", shared=True, waits="attempts"), job("sweep holds", waits="holds"))


@dataclass
class Copy:
    pool: Pool
    book: PostgresJobs

    async def turn(
        self, *ended: Ended, kept: dict[str, bool] | None = None, free: tuple[str, ...] = (), woken: tuple[str, ...] = ()
    ) -> dict[str, JobState]:
        return dict(await self.book.turn(ended=ended, kept=kept or {}, free=free, woken=woken))

    async def taken(self, *free: str, woken: tuple[str, ...] = ()) -> set[str]:
        return {name for name, state in (await self.turn(free=free, woken=woken)).items() if state.taken}


@pytest.fixture
async def copies(database_url: str) -> AsyncGenerator[list[Copy]]:
    async with open_pool(database_url, role=SERVICES[PROCESSOR].database_role, name="copy") as pool:
        made = [Copy(pool, PostgresJobs(pool, PROCESSOR, JOBS)) for _ in range(2)]
        for copy in made:
            await copy.book.declare()
        yield made


def ended(name: str, **fields: object) -> Ended:
    return Ended(**{"name": name, "seconds": 0.5, "rows_done": 3, "rows_put_off": 1, **fields})  # type: ignore[arg-type]


async def pass_by(connection: Connection, seconds: float) -> None:
    """Let time pass, by having been earlier whatever was."""
    await connection.execute(
        "UPDATE payments.jobs SET due_at = due_at - $1 * interval '1 second', lease_until = lease_until - $1 * interval '1 second',"
        " succeeded_at = succeeded_at - $1 * interval '1 second'",
        seconds,
    )


async def test_what_is_due_is_one_copys_until_it_ended_or_is_gone(copies: list[Copy], connection: Connection) -> None:
    first, second = copies
    names = tuple(each.name for each in JOBS)
    assert await first.taken(*names) == {"alone", "together"}, "the others have nothing to do, and are done by that"
    states = {each.name: each for each in await job_states(connection)}
    assert {name: (each.state, each.rows_done) for name, each in states.items()} == {
        "alone": ("running", None),
        "together": ("running", None),
        "sweep attempts": ("ok", 0),
        "sweep holds": ("ok", 0),
    }
    assert await second.taken(*names) == set()
    state = (await second.turn())["alone"]
    assert 0 < state.due_seconds <= 15, "it is looked at again when the lease runs out"

    await pass_by(connection, 3600)
    await first.turn(kept={"alone": True, "together": True})
    assert await second.taken(*names) == {"together"}, "a copy that says that it goes on keeps what isn't shared"
    await pass_by(connection, 16)
    assert await second.taken("alone") == {"alone"}, "one that says nothing loses it"
    await first.turn(ended("alone", error_kind="ValueError", due_seconds=1.0))
    assert (await second.turn())["alone"].failures == 0, "and what it says later isn't recorded"

    after = (await second.turn(ended("alone")))["alone"]
    assert after.failures == 0
    assert 0 < after.due_seconds <= 3600
    assert after.late_seconds < 0
    assert await first.taken("alone") == set()
    assert await first.taken("alone", woken=("alone",)) == {"alone"}
    await first.book.give_back()
    assert await second.taken("alone") == {"alone"}, "who ends leaves it to the others at once"


async def test_a_clock_that_is_set_back_holds_up_no_job(copies: list[Copy], connection: Connection) -> None:
    """Nobody would miss what isn't done: it was done in the future."""
    first, second = copies
    names = {"alone", "together"}
    assert await first.taken(*names) == names
    await first.turn(ended("together"))
    assert await second.taken(*names) == set()
    await pass_by(connection, -24 * 3600)
    assert await second.taken(*names) == names, "of which one is leased for longer than anything is, and one due later"


async def test_copies_that_turn_at_once_neither_wait_for_each_other_in_a_ring_nor_take_twice(copies: list[Copy]) -> None:
    names, held = tuple(each.name for each in JOBS), set[str]()
    taken: Counter[str] = Counter()

    async def turns(copy: Copy) -> None:
        mine: set[str] = set()
        for _ in range(40):
            over = [name for name in sorted(mine) if name == "together" or taken.total() % 3]
            for name in over:
                held.discard(name)
            mine -= {*over}
            states = await copy.turn(
                *(ended(name) for name in over), kept=dict.fromkeys(mine, True), free=tuple({*names} - mine), woken=names
            )
            for name in (name for name, state in states.items() if state.taken):
                taken[name] += 1
                mine.add(name)
                if name == "alone":
                    assert name not in held
                    held.add(name)

    await asyncio.gather(*(turns(copy) for copy in copies))
    assert taken["alone"] >= 2
    assert taken["together"] >= 20


async def test_what_fails_is_due_again_and_late_until_it_succeeds(copies: list[Copy], connection: Connection) -> None:
    first, _ = copies
    await first.taken("alone")
    for failures in (1, 2):
        await first.turn(ended("alone", error_kind="ValueError", error_place="sweeper.py:1 sweep", due_seconds=5.0))
        await pass_by(connection, 4000)
        state = (await first.turn(free=("alone",)))["alone"]
        assert (state.taken, state.failures) == (True, failures)
        assert state.late_seconds > 300
    shown = {each.name: each for each in await job_states(connection)}["alone"]
    assert (shown.last_error, shown.rows_done, shown.rows_put_off) == ("ValueError at sweeper.py:1 sweep", 3, 1)
    await first.turn(ended("alone"))
    shown = {each.name: each for each in await job_states(connection)}["alone"]
    assert (shown.state, shown.failures) == ("ok", 0)
    await pass_by(connection, 8000)
    assert {each.state for each in await job_states(connection)} == {"late"}


async def test_an_interval_that_is_changed_is_in_force_at_once_and_what_nobody_does_is_forgotten(
    copies: list[Copy], connection: Connection
) -> None:
    first, second = copies
    await first.taken("alone")
    await first.turn(ended("alone"))
    await PostgresJobs(first.pool, PROCESSOR, [job("alone", every_seconds=2)]).declare()
    assert (await second.turn())["alone"].due_seconds <= 2
    assert len(await job_states(connection)) == len(JOBS), "another version's jobs are left to it"
    await connection.execute("UPDATE payments.jobs SET began_at = now() - interval '31 days', succeeded_at = now() - interval '31 days'")
    await PostgresJobs(first.pool, PROCESSOR, [job("alone")]).declare()
    assert [each.name for each in await job_states(connection)] == ["alone"]


async def test_a_service_sees_and_changes_its_own_jobs_alone(copies: list[Copy], database_url: str) -> None:
    output = io.BytesIO()
    log = Logger(PROCESSOR, output)
    await reporting(copies[0].pool, log).work()
    log.flush()
    assert {json.loads(line)["name"] for line in output.getvalue().splitlines()} == {each.name for each in JOBS}
    place = JobPlace(copies[0].pool, PROCESSOR, "alone")
    assert await place.read() is None
    await place.write({"after": ["1", "x"]})
    assert await place.read() == {"after": ["1", "x"]}
    async with open_pool(database_url, role=SERVICES[Service.PAYMENT_API].database_role, name="other") as other:
        assert await job_states(other) == []
        assert await other.execute("UPDATE payments.jobs SET lease_until = now() + interval '1 day'") == "UPDATE 0"
        assert await other.execute("DELETE FROM payments.jobs") == "DELETE 0"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await PostgresJobs(other, PROCESSOR, JOBS).declare()


async def test_each_condition_is_asked_with_the_rights_of_its_service(database_url: str) -> None:
    assert {name for names in CONDITIONS.values() for name in names} == {
        name.removeprefix("waiting_") for name in queries("jobs.sql") if name.startswith("waiting_")
    }
    for service, names in CONDITIONS.items():
        jobs = [job(f"sweep {name}", waits=name) for name in names]
        async with open_pool(database_url, role=SERVICES[service].database_role, name="test") as pool:
            book = PostgresJobs(pool, service, jobs)
            await book.declare()
            states = await book.turn(ended=(), kept={}, free=[each.name for each in jobs], woken=())
            assert {name: state.taken for name, state in states.items()} == {each.name: each.waits == "index" for each in jobs}, (
                "a new database has objects to look for"
            )


def test_a_name_is_words() -> None:
    with pytest.raises(ValueError, match="can't be called"):
        PostgresJobs(None, PROCESSOR, [job("it's")])  # type: ignore[arg-type]
