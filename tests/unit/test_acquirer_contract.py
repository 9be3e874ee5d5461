"""What every acquirer does, whoever is behind it: the same scenarios for all."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from payments.acquirers.acquirer import Acquirer, Order
from payments.acquirers.simulator import Simulator
from payments.domain.attempt import AttemptKind
from payments.domain.outcome import Approved, Declined, Outcome
from tests.integration.builders import FakeClock
from tests.support.acquirers_to_test import LACKING, authorization, follow_up, http_bank, iso8583_bank
from tests.unit.test_simulator import FakeJournal


@asynccontextmanager
async def simulator(_: Path) -> AsyncGenerator[Acquirer]:
    yield Simulator(FakeJournal(), FakeClock())


@asynccontextmanager
async def http(directory: Path) -> AsyncGenerator[Acquirer]:
    async with http_bank(directory, timeout_seconds=10) as bank:
        yield bank.acquirer


@asynccontextmanager
async def iso8583(directory: Path) -> AsyncGenerator[Acquirer]:
    async with iso8583_bank(directory) as bank:
        yield bank.acquirer


@asynccontextmanager
async def iso8583_in_bcd(directory: Path) -> AsyncGenerator[Acquirer]:
    async with iso8583_bank(directory, "bcd") as bank:
        yield bank.acquirer


@pytest.fixture(params=[simulator, http, iso8583, iso8583_in_bcd], ids=lambda each: each.__name__)
async def acquirer(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Acquirer]:
    async with request.param(tmp_path) as made:
        yield made


HOLD, PAYMENT = authorization(capture=False), authorization()


def after(kind: AttemptKind, amount: int = 2000, reference: str = "att_2", *, holds: bool = True) -> Order:
    return follow_up(kind, reference, amount=amount, holds=holds)


SCENARIOS: dict[str, tuple[list[Order], type[Outcome]]] = {
    "a payment is approved": ([PAYMENT], Approved),
    "a card without the money is declined": ([authorization(number=LACKING)], Declined),
    "a hold is captured": ([HOLD, after(AttemptKind.CAPTURE)], Approved),
    "a part of a hold is captured": ([HOLD, after(AttemptKind.CAPTURE, 500)], Approved),
    "no more is captured than was held": ([HOLD, after(AttemptKind.CAPTURE, 2001)], Declined),
    "a hold is given up": ([HOLD, after(AttemptKind.VOID)], Approved),
    "a payment is refunded": ([PAYMENT, after(AttemptKind.REFUND, holds=False)], Approved),
    "a part of a payment is refunded": ([PAYMENT, after(AttemptKind.REFUND, 1, holds=False)], Approved),
    "no more is refunded than was paid": ([PAYMENT, after(AttemptKind.REFUND, 2001, holds=False)], Declined),
    "nothing follows what was declined": ([authorization(number=LACKING, capture=False), after(AttemptKind.CAPTURE)], Declined),
}


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_every_acquirer_answers_so(acquirer: Acquirer, scenario: str) -> None:
    if scenario == "no more is refunded than was paid" and acquirer.needs_card:
        pytest.skip("in ISO 8583 a refund names no payment: that bound is ours alone")
    orders, expected = SCENARIOS[scenario]
    *before, last = [await acquirer.execute(order) for order in orders]
    assert isinstance(last, expected), last
    assert all(isinstance(each, Approved | Declined) for each in before)


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_a_repetition_gets_the_first_answer(acquirer: Acquirer, scenario: str) -> None:
    orders, _ = SCENARIOS[scenario]
    answers = [await acquirer.execute(order) for order in orders]
    assert [await acquirer.execute(order) for order in orders] == answers


async def test_a_decline_says_why_in_stripes_words(acquirer: Acquirer) -> None:
    answer = await acquirer.execute(authorization(number=LACKING))
    assert isinstance(answer, Declined)
    assert (answer.code, answer.decline_code, answer.message) == (
        "card_declined",
        "insufficient_funds",
        "Your card has insufficient funds.",
    )


async def test_a_card_is_verified_without_money(acquirer: Acquirer) -> None:
    assert isinstance(await acquirer.verify_card(authorization("ver_1", amount=0)), Approved)
    assert isinstance(await acquirer.verify_card(authorization("ver_2", amount=0, number=LACKING)), Declined)


async def test_it_is_well_and_has_a_name(acquirer: Acquirer) -> None:
    assert await acquirer.health() is None
    assert acquirer.name
    assert await acquirer.failed_refunds() == []
    assert await acquirer.notices() == []
