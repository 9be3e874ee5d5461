"""The rules of acquirers.toml: the first that applies decides."""

import dataclasses
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payments.acquirers.breaker import Breaker, BreakerState
from payments.acquirers.routing import CardCountries, Facts, Route, Routes, Rule, is_within
from payments.cli.data_directory import UsageError
from payments.cli.routing import explain, facts_of
from payments.domain.card import Pan

ROUTES = [
    Route(acquirer="euros", livemode=True, currencies=frozenset({"eur"})),
    Route(acquirer="all", livemode=True),
    Route(acquirer="trial", livemode=False),
]
NOTHING: dict[str, Any] = {
    "livemode": True,
    "amount": None,
    "currency": None,
    "card": None,
    "iin": None,
    "brand": None,
    "country": None,
    "account": None,
    "payment": None,
}
PAYMENT = Facts(
    livemode=True, account="acct_1", currency="eur", amount=2000, brand="visa", iin="42424242", stored_country="US", payment="pi_1"
)
COUNTRIES = CardCountries({"DE": ["427742", "520000-520099"], "CH": ["42424242"]})


def rule(**fields: object) -> Rule:
    return msgspec.convert({"name": "tried", "acquirers": ["all"], **fields}, Rule)


@pytest.mark.parametrize(
    ("fields", "applies", "reason"),
    [
        ({}, True, None),
        ({"accounts": ["acct_1", "acct_2"]}, True, None),
        ({"accounts": ["acct_2"]}, False, "the account isn't acct_2"),
        ({"currencies": ["eur"]}, True, None),
        ({"currencies": ["usd", "gbp"]}, False, "the currency isn't usd, gbp"),
        ({"brands": ["visa"]}, True, None),
        ({"brands": ["amex"]}, False, "the brand isn't amex"),
        ({"bins": ["424242"]}, True, None),
        ({"bins": ["42424200-42424242"]}, True, None),
        ({"bins": ["42424243-42424299", "51"]}, False, "the BIN isn't in 42424243-42424299, 51"),
        ({"amount_min": 2000, "amount_max": 2000, "currencies": ["eur"]}, True, None),
        ({"amount_min": 2001, "currencies": ["eur"]}, False, "the amount isn't at least 2001"),
        ({"amount_max": 1999, "currencies": ["eur"]}, False, "the amount isn't at most 1999"),
        ({"countries": ["CH"]}, True, None),
        ({"countries": ["US"]}, False, "the card's country isn't US"),  # what is configured of a range counts more than what was stored
        ({"acquirers": ["trial"]}, False, "none of its acquirers takes live payments in eur"),
        ({"percent": 100}, True, None),
        ({"percent": 0.0001}, False, "the payment isn't among its 0.0001 %"),
    ],
)
def test_a_rule_applies_when_all_that_it_names_is_so(fields: dict[str, object], applies: bool, reason: str | None) -> None:
    found = Routes(ROUTES, [rule(**fields)], COUNTRIES).explain(PAYMENT)
    assert (found[0].decision is not None, found[0].reason) == (applies, reason)
    assert found[-1].decision is not None
    assert found[-1].decision.acquirer == ("all" if applies else "euros")
    assert found[-1].decision == Routes(ROUTES, [rule(**fields)], COUNTRIES).choose(PAYMENT)


def test_what_is_not_known_is_not_so() -> None:
    routes = Routes(ROUTES, [rule(bins=["42"]), rule(countries=["US"]), rule(amount_min=0, currencies=["eur"])])
    reasons = [each.reason for each in routes.explain(Facts(livemode=True, brand="visa"))]
    assert reasons == ["the card's BIN isn't known", "the card's country isn't known", "the currency isn't eur", None]


def test_the_first_rule_that_applies_decides_and_names_who_is_next() -> None:
    first, second = rule(name="first", acquirers=["trial", "euros", "all"]), rule(name="second")
    decision = Routes(ROUTES, [first, second]).choose(PAYMENT)
    assert (decision.rule, decision.acquirer, decision.fallbacks) == ("first", "euros", ("all",))
    dollars = Routes(ROUTES, [first, second]).choose(dataclasses.replace(PAYMENT, currency="usd"))
    assert (dollars.rule, dollars.acquirer, dollars.fallbacks) == ("first", "all", ())


@settings(max_examples=20)
@given(st.text(min_size=1, max_size=30), st.floats(min_value=0.01, max_value=100))
def test_a_payment_is_in_a_share_or_not_whoever_asks_again(payment: str, percent: float) -> None:
    shared = rule(percent=percent)
    assert shared.takes_share(payment) == rule(percent=percent).takes_share(payment)
    assert not shared.takes_share(payment) or rule(percent=100).takes_share(payment)


def test_a_share_is_as_large_as_it_says() -> None:
    shared = rule(percent=20)
    assert 1800 < sum(shared.takes_share(f"pi_{number}") for number in range(10_000)) < 2200


def test_where_the_payment_is_not_known_both_ways_are_told() -> None:
    routes = Routes(ROUTES, [rule(percent=20)])
    share, rest = routes.explain(Facts(livemode=True, currency="eur"))
    assert (share.share, share.decision and share.decision.acquirer) == (20, "all")
    assert rest.decision is not None
    assert rest.decision.acquirer == "euros"


@settings(max_examples=20)
@given(st.integers(min_value=0, max_value=10**8 - 1), st.integers(min_value=0, max_value=10**8 - 1), st.integers(min_value=2, max_value=8))
def test_a_range_has_its_ends_and_what_is_between(one: int, other: int, digits: int) -> None:
    low, high = sorted((f"{one:08d}"[:digits], f"{other:08d}"[:digits]))
    assert is_within(low, f"{low}-{high}")
    assert is_within(high.ljust(8, "9"), f"{low}-{high}")
    assert not is_within(low[:-1], f"{low}-{high}")


def test_as_many_digits_are_kept_as_may_be() -> None:
    assert (Pan("4242424242424242").iin, Pan("378282246310005").iin) == ("42424242", "378282")


CONFIGURATION = """
[[acquirer]]
name = "bank"
kind = "http"
mode = "live"
url = "https://acme.example/tap"
key_id = "tap"
secret_variable = "ACME"

[[route]]
name = "germans"
countries = ["DE"]
acquirers = ["bank"]

[[route]]
name = "some"
brands = ["mastercard"]
percent = 20
acquirers = ["bank"]

[card_countries]
DE = ["555555"]
"""


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        ({"card": "5555555555554444"}, ["1. germans: → bank"]),
        (
            {"card": "5555 5555 5555 4444", "country": "ch"},
            [
                "1. germans: no, the card's country isn't DE",
                "2. some: 20 % of payments → bank; of the others:",
                "3. without a rule, the first acquirer that takes it: → bank",
            ],
        ),
        (
            {"iin": "42"},
            [
                "1. germans: no, the card's country isn't known",
                "2. some: no, the brand isn't mastercard",
                "3. without a rule, the first acquirer that takes it: → bank",
            ],
        ),
    ],
)
def test_it_is_explained_rule_by_rule(given: dict[str, Any], lines: list[str]) -> None:
    assert explain(facts_of(**{**NOTHING, **given}), None, {"TAP_ACQUIRERS_TOML": CONFIGURATION}) == lines


@pytest.mark.parametrize("given", [{"card": "4242424242424241"}, {"card": "4242424242424242", "iin": "424242"}, {"iin": "42424242424242"}])
def test_no_card_number_is_shown_in_what_is_wrong(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as refused:
        facts_of(**{**NOTHING, **given})
    assert "4242" not in str(refused.value)


class Seconds:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


def opened(seconds: Seconds) -> Breaker:
    breaker = Breaker(3, 5, seconds)
    for _ in range(3):
        assert breaker.admits()
        breaker.failed()
    return breaker


def test_a_breaker_opens_after_failures_in_a_row(seconds: Seconds) -> None:
    breaker = Breaker(3, 5, seconds)
    for _ in range(10):
        breaker.failed()
        breaker.failed()
        breaker.succeeded()
    assert breaker.admits()
    assert not opened(seconds).admits()
    never = Breaker(0, 5, seconds)
    for _ in range(100):
        never.failed()
    assert never.admits()


def test_one_payment_at_a_time_tries_whether_it_is_well_again(seconds: Seconds) -> None:
    breaker = opened(seconds)
    assert not breaker.is_due()
    seconds.time += 5
    assert breaker.is_due()
    breaker.asked(well=True)
    assert breaker.state is BreakerState.HALF_OPEN
    assert [breaker.admits(), breaker.admits()] == [True, False]
    breaker.succeeded()
    assert [breaker.admits(), breaker.admits()] == [True, True]


def test_it_is_asked_ever_less_often(seconds: Seconds) -> None:
    breaker = opened(seconds)
    waits: list[float] = []
    for _ in range(7):
        begun = seconds.time
        while not breaker.is_due():
            seconds.time += 1
        waits.append(seconds.time - begun)
        breaker.asked(well=False)
    assert waits == [5, 10, 20, 40, 60, 60, 60]
    assert not breaker.admits()


def test_a_trial_that_fails_opens_it_again_and_one_that_is_lost_is_forgotten(seconds: Seconds) -> None:
    breaker = opened(seconds)
    breaker.asked(well=True)
    assert breaker.admits()
    breaker.failed()
    assert (breaker.state, breaker.admits()) == (BreakerState.OPEN, False)
    breaker.asked(well=True)
    assert breaker.admits()
    seconds.time += 60
    assert breaker.admits()
