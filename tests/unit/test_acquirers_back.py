"""An acquirer that left questions open is noticed when it is back, by what it answers, or where nothing is asked by what it says of itself."""

import pytest

from payments.acquirers.acquirer import Order, SaysNothing
from payments.acquirers.registry import Acquirers
from payments.domain.outcome import PENDING, Approved, Outcome, Unknown
from tests.integration.builders import FakeClock


class Bank(SaysNothing):
    """Says of itself what it is told to."""

    name = "bank"
    needs_card = False
    fault: str | None = None
    asked = 0

    async def execute(self, order: Order) -> Outcome:
        raise NotImplementedError

    inquire = verify_card = execute

    async def health(self) -> str | None:
        self.asked += 1
        return self.fault


@pytest.fixture
def bank() -> Bank:
    return Bank()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def acquirers(bank: Bank, clock: FakeClock) -> Acquirers:
    return Acquirers([bank], elapsed=clock.now)  # type: ignore[list-item]


CLEAR = Approved(authorization_code="123456")


def test_a_clear_answer_after_silence_tells_that_it_is_back(acquirers: Acquirers) -> None:
    acquirers.heard("bank", CLEAR, 1)
    assert acquirers.back() == []
    for ill in (lambda: acquirers.heard("bank", Unknown(reason="timeout"), 1), lambda: acquirers.not_sent("bank", "refused", 1)):
        ill()
        assert acquirers.back() == []
        acquirers.heard("bank", CLEAR, 2)
        assert acquirers.back() == ["bank"]
        acquirers.asked_again("bank")
        assert acquirers.back() == []


def test_one_that_says_that_it_doesnt_know_yet_isnt_ill(acquirers: Acquirers) -> None:
    acquirers.heard("bank", Unknown(reason=PENDING), 1)
    acquirers.heard("bank", CLEAR, 2)
    assert acquirers.back() == []


async def test_where_nobody_pays_it_is_asked_how_it_is_now_and_then(acquirers: Acquirers, bank: Bank, clock: FakeClock) -> None:
    await acquirers.probe()
    acquirers.heard("bank", Unknown(reason="timeout"), 1)
    bank.fault = "ConnectionRefusedError"
    for _ in range(3):
        await acquirers.probe()
    assert bank.asked == 0
    for number in (1, 2):
        clock.time += 21
        await acquirers.probe()
        await acquirers.probe()
        assert (bank.asked, acquirers.back()) == (number, [])
    bank.fault = None
    clock.time += 21
    await acquirers.probe()
    assert acquirers.back() == ["bank"]
    acquirers.asked_again("bank")
    # It says that it is well, and answers nothing: it is believed again, and not more often.
    acquirers.heard("bank", Unknown(reason="timeout"), 1)
    await acquirers.probe()
    assert acquirers.back() == []
