"""The real services against a time, a network and banks that a seed makes: whatever goes wrong, what must hold does, and the same seed does the same."""

import asyncio
import random
from dataclasses import replace

import pytest

from tests.simulation.clients import Plan
from tests.simulation.loop import NothingLeftError, Process, SimulatedLoop
from tests.simulation.mutations import MUTATIONS, Mutation
from tests.simulation.store import Server
from tests.simulation.world import simulate

SEEDS: dict[int, str] = {
    1: "nothing yet",
    3: "of the simulation itself: who was killed while it had its turn kept it, and nobody came to the database any more",
}
"""What each found when it was first simulated; a seed that finds something comes here. More of them are simulated by `make simulate`."""
_OPERATIONS = 10
_SEEDS_MAX = 12
"""In which whatever is taken out is missed at the latest; mostly the first or second does."""


def loop_of(seed: int) -> SimulatedLoop:
    return SimulatedLoop(random.Random(seed))


def test_time_passes_only_when_nobody_can_go_on() -> None:
    loop, seen = loop_of(1), list[float]()

    async def work() -> None:
        for _ in range(100):
            await asyncio.sleep(0)
        seen.append(loop.time())
        await asyncio.sleep(3600)
        seen.append(loop.time())

    loop.run_until_complete(work())
    loop.end([])
    assert seen == [0, 3600]


def test_within_a_process_callbacks_keep_their_order_and_among_processes_the_seed_chooses() -> None:
    def order_of(seed: int) -> list[str]:
        loop, seen = loop_of(seed), list[str]()

        async def say(name: str) -> None:
            seen.append(name)

        async def all_of_them() -> None:
            processes = [Process("a"), Process("b")]
            await asyncio.gather(*(loop.spawn(process, say(f"{process.name}{turn}")) for turn in range(4) for process in processes))

        loop.run_until_complete(all_of_them())
        loop.end([])
        assert [each for each in seen if each[0] == "a"] == ["a0", "a1", "a2", "a3"]
        return seen

    orders = {tuple(order_of(seed)) for seed in range(10)}
    assert len(orders) > 1
    assert order_of(1) == order_of(1)


def test_a_killed_process_does_nothing_more_and_a_paused_one_does_it_later() -> None:
    loop, seen = loop_of(1), list[str]()
    killed, paused = Process("killed"), Process("paused", paused_until=5.0)

    async def work(name: str) -> None:
        try:
            await asyncio.sleep(1)
            seen.append(f"{name} at {loop.time():.0f}")
        finally:
            seen.append(f"{name} ended")

    async def all_of_them() -> None:
        loop.spawn(killed, work("killed"))
        loop.spawn(paused, work("paused"))
        await asyncio.sleep(0.5)
        loop.kill(killed)
        await asyncio.sleep(10)

    loop.run_until_complete(all_of_them())
    assert seen == ["paused at 6", "paused ended"]
    loop.end([killed])


def test_waiting_for_what_nobody_will_do_is_an_end() -> None:
    loop = loop_of(1)
    with pytest.raises(NothingLeftError):
        loop.run_until_complete(loop.create_future())
    loop.end([])


def test_the_same_seed_has_the_same_trace_to_the_byte(server: Server) -> None:
    first, again = (simulate(server, 5, Plan(operations=_OPERATIONS)) for _ in range(2))
    assert (first.digest, first.lines, first.last) == (again.digest, again.lines, again.last)
    assert first.lines > 100


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_goes_wrong_what_must_hold_does(server: Server, seed: int) -> None:
    found = simulate(server, seed, Plan(operations=_OPERATIONS))
    assert found.violation is None, "\n".join([*found.last, str(found)])
    assert found.steps > 100
    assert found.faults > 0


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_what_is_taken_out_is_missed(server: Server, mutation: Mutation) -> None:
    for seed in range(1, _SEEDS_MAX):
        with mutation.without():
            found = simulate(server, seed, replace(mutation.plan, days=0))
        if found.violation is not None:
            assert any(found.violation.invariant.startswith(each) for each in mutation.broken), found
            return
    pytest.fail(f"nobody misses {mutation} in {_SEEDS_MAX} seeds")
