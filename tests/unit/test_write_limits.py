"""A key writes as fast as it may, whichever copies it calls."""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from payments.domain.errors import TooManyWrites
from payments.wire.errors import wire_error
from tests.support.write_limits import Copies, caller

STEP_SECONDS = 0.01
BURST_SECONDS = 3
"""What was saved up is spent, and what copies let through beyond it is paid back."""


@asynccontextmanager
async def running(count: int, writes_per_second: float | None) -> AsyncGenerator[Copies]:
    copies = Copies(count, writes_per_second)
    try:
        yield copies
    finally:
        await copies.close()


async def offered(copies: Copies, per_second: float, seconds: float, shares: list[float], seed: int = 1) -> tuple[int, int]:
    """Offer writes at random moments; returns how many there were and how many were let through."""
    chance = random.Random(seed)
    total = let = 0
    for _ in range(round(seconds / STEP_SECONDS)):
        due = per_second * STEP_SECONDS
        for _ in range(int(due) + (chance.random() < due % 1)):
            total += 1
            let += copies.writes(chance.choices(range(len(shares)), shares)[0], caller())
        await copies.pass_seconds(STEP_SECONDS)
    return total, let


LOADS = {
    "one copy": [1.0],
    "two alike": [1.0, 1.0],
    "one of two": [1.0, 0.0],
    "mostly one of four": [10.0, 1.0, 1.0, 0.0],
    "twelve alike": [1.0] * 12,
    "thirty alike": [1.0] * 30,
}


@pytest.mark.parametrize("per_second", [10, 100, 1000])
@pytest.mark.parametrize("shares", LOADS.values(), ids=LOADS.keys())
async def test_all_copies_together_let_through_what_a_key_may_write(per_second: int, shares: list[float]) -> None:
    async with running(len(shares), per_second) as copies:
        await offered(copies, 3 * per_second, BURST_SECONDS, shares)
        _, let = await offered(copies, 3 * per_second, 20, shares, seed=2)
        assert let == pytest.approx(20 * per_second, rel=0.1)


@pytest.mark.parametrize("shares", LOADS.values(), ids=LOADS.keys())
async def test_who_writes_less_than_it_may_is_hardly_ever_refused(shares: list[float]) -> None:
    async with running(len(shares), 100) as copies:
        total, let = await offered(copies, 70, 20, shares)
        assert let > 0.99 * total


async def test_a_key_whose_calls_move_to_another_copy_goes_on_as_fast() -> None:
    async with running(2, 100) as copies:
        await offered(copies, 300, BURST_SECONDS, [1.0, 0.0])
        _, let = await offered(copies, 300, 10, [0.0, 1.0])
        assert let == pytest.approx(1000, rel=0.1)


async def test_what_a_key_saved_up_is_half_a_seconds_writes_and_ten_at_least() -> None:
    for per_second, burst in ((1, 10), (100, 50), (1000, 500)):
        async with running(1, per_second) as copies:
            for _ in range(2):
                assert sum(copies.writes(0, caller()) for _ in range(2 * burst)) == burst
                await copies.pass_seconds(0)
                await copies.pass_seconds(3600)


async def test_each_key_has_a_limit_of_its_own() -> None:
    async with running(1, 100) as copies:
        assert sum(copies.writes(0, caller("key_1")) for _ in range(100)) == 50
        assert sum(copies.writes(0, caller("key_2")) for _ in range(100)) == 50
        assert sum(copies.writes(0, caller("key_3", writes_per_second=1000)) for _ in range(1000)) == 500
        # as soon as it is set anew
        assert sum(copies.writes(0, caller("key_3", writes_per_second=20)) for _ in range(1000)) == 10


async def test_without_a_limit_nothing_is_counted() -> None:
    async with running(1, None) as copies:
        assert all(copies.writes(0, caller()) for _ in range(10_000))
        assert sum(copies.writes(0, caller("key_2", writes_per_second=100)) for _ in range(100)) == 50
        await copies.pass_seconds(1)
        assert {told.key_id for told in copies.levels.told} == {"key_2"}


async def test_an_idle_copy_tells_nothing() -> None:
    async with running(1, 100) as copies:
        assert copies.writes(0, caller())
        await copies.pass_seconds(0.1)
        await copies.pass_seconds(0.1)
        told = len(copies.levels.told)
        for _ in range(100):
            await copies.pass_seconds(1)
        assert len(copies.levels.told) == told == 1
        assert copies.writes(0, caller())
        await copies.pass_seconds(0)
        assert len(copies.levels.told) == 2


@pytest.mark.parametrize("failure", [ConnectionResetError(), TimeoutError()])
async def test_while_the_database_is_away_each_copy_goes_on_by_itself(failure: Exception) -> None:
    async with running(1, 100) as copies:
        copies.levels.away = failure
        await offered(copies, 300, BURST_SECONDS, [1.0])
        _, let = await offered(copies, 300, 10, [1.0])
        assert let == pytest.approx(1000, rel=0.1)
        copies.levels.away = None
        await copies.pass_seconds(1)
        assert sum(each.written for each in copies.levels.told) > 1000  # nothing of it was forgotten


async def test_many_keys_take_no_more_memory_than_those_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("payments.wire.write_limit._KEYS_MAX", 10)
    async with running(1, 100) as copies:
        for number in range(100):
            assert copies.writes(0, caller(f"key_{number}"))
        await asyncio.sleep(0)
        assert len(copies.levels.told) <= 10


def test_a_refusal_is_a_429_that_may_be_tried_again() -> None:
    refusal = wire_error(TooManyWrites())
    assert refusal.status == 429
    assert refusal.headers["Stripe-Should-Retry"] == "true"
    assert b'"code":"rate_limit"' in refusal.body
