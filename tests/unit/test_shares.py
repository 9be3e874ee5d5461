"""Nobody's receivers hold up anybody else's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.notification_service.shares import PER_ENDPOINT_MAX, UNDER_WAY_MAX, Shares


class Monotonic:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds


def limit_of(shares: Shares, endpoint_id: str) -> int:
    """What a claim would give an endpoint that has nothing under way."""
    room = shares.room()
    named = dict(zip(room.endpoint_ids, room.endpoint_room, strict=True))
    return named.get(endpoint_id, room.per_endpoint)


def test_an_endpoint_that_answers_may_have_more_at_once() -> None:
    shares = Shares()
    first = limit_of(shares, "we_1")
    for _ in range(first):
        shares.begin(1, "we_1")
    assert limit_of(shares, "we_1") == 0
    for _ in range(100):
        shares.end(1, "we_1", 200)
        shares.begin(1, "we_1")
    assert limit_of(shares, "we_1") == PER_ENDPOINT_MAX - first
    assert shares.under_way == first


def test_an_endpoint_that_hangs_is_soon_tried_with_one_delivery_at_a_time_and_grows_again_when_it_answers() -> None:
    shares = Shares()
    for _ in range(PER_ENDPOINT_MAX):
        shares.begin(1, "we_1")
    for _ in range(PER_ENDPOINT_MAX):
        shares.end(1, "we_1", None)
    assert limit_of(shares, "we_1") == 1
    assert shares.room().endpoint_failing == [True]
    shares.begin(1, "we_1")
    shares.end(1, "we_1", 200)
    assert limit_of(shares, "we_1") == 2
    assert shares.room().endpoint_failing == [False]


def test_an_endpoint_keeps_what_it_earned_for_a_moment() -> None:
    clock = Monotonic()
    shares = Shares(clock.now)
    for _ in range(8):
        shares.begin(1, "we_1")
        shares.end(1, "we_1", 200)
    assert limit_of(shares, "we_1") == 10
    clock.seconds += 9
    assert limit_of(shares, "we_1") == 10
    clock.seconds += 1
    assert limit_of(shares, "we_1") == 2
    shares.begin(1, "we_1")
    shares.end(1, "we_1", None)
    clock.seconds += 24 * 3600
    assert limit_of(shares, "we_1") == 1, "that it failed is remembered"


def test_answers_that_cost_no_time_cost_no_room() -> None:
    for status_code in (301, 400, 404, 410, 422):
        shares = Shares()
        for _ in range(10):
            shares.begin(1, "we_1")
            shares.end(1, "we_1", status_code)
        assert limit_of(shares, "we_1") == 2
    for status_code in (429, 500, 503, None):
        clock = Monotonic()
        shares = Shares(clock.now)
        shares.begin(1, "we_1")
        clock.seconds += shares.end(1, "we_1", status_code)
        assert limit_of(shares, "we_1") == 1


def refused(shares: Shares, status_code: int = 429, asked: float | None = None) -> float:
    shares.begin(1, "we_1")
    return shares.end(1, "we_1", status_code, asked)


@pytest.mark.parametrize("status_code", [429, 502, 504])
def test_an_endpoint_that_can_not_gets_nothing_for_a_while_that_doubles_until_it_can(status_code: int) -> None:
    clock = Monotonic()
    shares = Shares(clock.now)
    for expected in (1, 2, 4, 8, 16, 32, 60, 60, 60):
        pause = refused(shares, status_code)
        assert 0.8 * expected <= pause <= 1.2 * expected
        clock.seconds += pause * 0.99
        assert limit_of(shares, "we_1") == 0
        clock.seconds += pause * 0.01 + 0.001
        assert limit_of(shares, "we_1") >= 1
    shares.begin(1, "we_1")
    assert shares.end(1, "we_1", 200) == 0
    assert refused(shares, status_code) <= 1.2, "it begins anew"


def test_those_that_were_under_way_when_it_said_so_make_the_pause_no_longer() -> None:
    shares = Shares(Monotonic().now)
    for _ in range(16):
        shares.begin(1, "we_1")
    assert all(shares.end(1, "we_1", 429) <= 1.2 for _ in range(16))


@pytest.mark.parametrize(("asked", "seconds"), [(30.0, 30.0), (0.0, 1.0), (24 * 3600.0, 300.0)])
def test_an_endpoint_may_say_for_how_long_but_not_for_ever(asked: float, seconds: float) -> None:
    assert 0.8 * seconds <= refused(Shares(Monotonic().now), asked=asked) <= 1.2 * seconds


def test_a_long_pause_is_not_forgotten_because_nothing_is_sent() -> None:
    clock = Monotonic()
    shares = Shares(clock.now)
    for _ in range(8):
        shares.begin(1, "we_1")
        shares.end(1, "we_1", 200)
    refused(shares, asked=60)
    clock.seconds += 59
    assert limit_of(shares, "we_1") == 0


def test_all_endpoints_that_fail_have_a_part_of_the_room() -> None:
    shares = Shares()
    for number in range(200):
        shares.begin(number, f"we_{number}")
        shares.end(number, f"we_{number}", None)
    assert shares.room().failing < UNDER_WAY_MAX // 2
    begun = 0
    while shares.room().failing:
        shares.begin(begun, f"we_{begun}")
        begun += 1
    assert shares.room().free > UNDER_WAY_MAX // 2


def test_a_million_endpoints_are_not_remembered() -> None:
    shares = Shares()
    for number in range(20_000):
        shares.begin(number, f"we_{number}")
        shares.end(number, f"we_{number}", None)
    assert len(shares.room().endpoint_ids) < 5_000
    assert "we_19999" in shares.room().endpoint_ids


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4), st.sampled_from([None, 200, 204, 302, 400, 429, 500]), st.booleans())))
def test_what_began_and_ended_leaves_no_trace(steps: list[tuple[int, int, int | None, bool]]) -> None:
    clock = Monotonic()
    shares, under_way = Shares(clock.now), list[tuple[int, str, int | None]]()
    for merchant_id, endpoint, status_code, end_one in steps:
        endpoint_id = f"we_{merchant_id}_{endpoint}"
        shares.begin(merchant_id, endpoint_id)
        under_way.append((merchant_id, endpoint_id, status_code))
        if end_one:
            shares.end(*under_way.pop(0))
        room = shares.room()
        assert shares.under_way == len(under_way) == sum(room.merchant_under_way) == sum(room.endpoint_under_way)
        assert room.free == UNDER_WAY_MAX - len(under_way)
    for each in under_way:
        shares.end(*each)
    clock.seconds += 3600
    room = shares.room()
    assert (shares.under_way, room.merchant_ids, set(room.endpoint_under_way) - {0}) == (0, [], set())
    assert all(room.endpoint_failing)
