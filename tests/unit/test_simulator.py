"""The sandbox acquirer does what each test card says, once per reference."""

import msgspec
import pytest

from payments.acquirers.acquirer import Order
from payments.acquirers.simulator import REFUND_PENDING_SECONDS, Simulator
from payments.acquirers.test_cards import BY_ALIAS, BY_NUMBER
from payments.domain.attempt import AttemptKind
from payments.domain.card import Pan
from payments.domain.outcome import Approved, AuthenticationRequired, Declined, NotFound, Unknown
from tests.integration.builders import FakeClock


class FakeJournal:
    """A bank's books in memory."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes] = {}
        self.fails_at: dict[str, int] = {}
        self.approvals: dict[str, int] = {}
        self.told: dict[str, tuple[int, bytes]] = {}

    async def record(
        self,
        reference: str,
        *,
        kind: str,  # noqa: ARG002 - the protocol's signature, here and below
        amount: int,  # noqa: ARG002
        currency: str,  # noqa: ARG002
        approvals: int,
        answer: bytes,
        fails_at: int | None,
        notice: bytes | None,
    ) -> bytes:
        if reference not in self.answers:
            self.answers[reference] = answer
            self.approvals[reference] = approvals
            if fails_at is not None:
                self.fails_at[reference] = fails_at
        if notice is not None:
            await self.announce(notice)
        return self.answers[reference]

    async def find(self, reference: str) -> bytes | None:
        return self.answers.get(reference)

    async def failed(self, now: int) -> list[bytes]:
        return [self.answers[reference] for reference, at in self.fails_at.items() if at <= now]

    async def acknowledge(self, reference: str) -> None:
        del self.fails_at[reference]

    async def announce(self, notice: bytes) -> None:
        parts = msgspec.json.decode(notice, type=dict[str, msgspec.Raw])
        reference = msgspec.json.decode(parts["reference"], type=str)
        self.told.setdefault(reference, (msgspec.json.decode(parts["due_at"], type=int), bytes(parts["document"])))

    async def due_notices(self, now: int) -> list[bytes]:
        return [document for due_at, document in self.told.values() if due_at <= now]

    async def acknowledge_notice(self, reference: str) -> None:
        self.told[reference] = (2**40, b"")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def bank(clock: FakeClock) -> Simulator:
    return Simulator(FakeJournal(), clock)


def order(number: str = "4242424242424242", reference: str = "att_1", *, authenticated: bool = False, cvc: str | None = None) -> Order:
    return Order(
        reference=reference,
        kind=AttemptKind.AUTHORIZE,
        merchant_id=1,
        livemode=False,
        amount=2000,
        currency="usd",
        pan=Pan(number),
        authenticated=authenticated,
        cvc=cvc,
    )


def follow_up(kind: AttemptKind, amount: int = 2000, reference: str = "att_2", original: str = "att_1") -> Order:
    return Order(reference=reference, original_reference=original, kind=kind, merchant_id=1, livemode=False, amount=amount, currency="usd")


@pytest.mark.parametrize(
    ("number", "code", "decline_code"),
    [
        ("4000000000000002", "card_declined", "generic_decline"),
        ("4000000000009995", "card_declined", "insufficient_funds"),
        ("4000000000009987", "card_declined", "lost_card"),
        ("4000000000009979", "card_declined", "stolen_card"),
        ("4000000000006975", "card_declined", "card_velocity_exceeded"),
        ("4000000000000069", "expired_card", None),
        ("4000000000000127", "incorrect_cvc", None),
        ("4000000000000119", "processing_error", None),
        ("4000000000000341", "card_declined", "generic_decline"),
        ("4100000000000019", "card_declined", "fraudulent"),
        ("4000056655665572", "card_declined", "test_mode_live_card"),
    ],
)
async def test_these_cards_are_declined(bank: Simulator, number: str, code: str, decline_code: str | None) -> None:
    answer = await bank.execute(order(number))
    assert isinstance(answer, Declined)
    assert (answer.code, answer.decline_code) == (code, decline_code)


@pytest.mark.parametrize("alias", ["pm_card_visa", "pm_card_mastercard", "pm_card_amex", "tok_visa", "pm_card_bypassPending"])
async def test_these_cards_are_approved(bank: Simulator, alias: str) -> None:
    answer = await bank.execute(order(BY_ALIAS[alias].number))
    assert isinstance(answer, Approved)
    assert answer.funds_available_at_once == (alias == "pm_card_bypassPending")


async def test_a_repeated_order_gets_the_first_answer(bank: Simulator) -> None:
    first = await bank.execute(order())
    assert await bank.execute(order()) == first == await bank.inquire(order())


async def test_an_order_that_never_came_is_not_found(bank: Simulator) -> None:
    assert await bank.inquire(order(reference="att_unknown")) == NotFound()


async def test_a_cardholder_authenticates_first(bank: Simulator) -> None:
    assert await bank.execute(order("4000000000003220")) == AuthenticationRequired()
    assert isinstance(await bank.execute(order("4000000000003220", "att_2", authenticated=True)), Approved)
    declined = await bank.execute(order("4000008260003178", "att_3", authenticated=True))
    assert isinstance(declined, Declined)
    assert declined.decline_code == "insufficient_funds"


async def test_a_card_that_fails_when_charged_can_be_kept(bank: Simulator) -> None:
    assert isinstance(await bank.verify_card(order("4000000000000341")), Approved)
    assert isinstance(await bank.verify_card(order("4000000000000002")), Declined)


async def test_the_cvc_is_checked_when_it_is_given(bank: Simulator) -> None:
    for cvc, check in (("123", "pass"), (None, None)):
        answer = await bank.execute(order(reference=f"att_{cvc}", cvc=cvc))
        assert isinstance(answer, Approved)
        assert answer.cvc_check == check


async def test_nothing_follows_an_authorization_that_was_not_approved(bank: Simulator) -> None:
    await bank.execute(order("4000000000000002"))
    assert isinstance(await bank.execute(follow_up(AttemptKind.CAPTURE)), Declined)
    assert isinstance(await bank.execute(follow_up(AttemptKind.CAPTURE, reference="att_3", original="att_none")), Unknown)


async def test_no_more_is_captured_than_was_authorized(bank: Simulator) -> None:
    await bank.execute(order())
    assert isinstance(await bank.execute(follow_up(AttemptKind.CAPTURE, 2001)), Declined)
    assert isinstance(await bank.execute(follow_up(AttemptKind.CAPTURE, 2000, "att_3")), Approved)


async def test_a_hold_grows_and_what_follows_knows_it_by_its_last_reference(bank: Simulator) -> None:
    await bank.execute(order())
    assert isinstance(await bank.execute(follow_up(AttemptKind.INCREMENT, 2000, "att_2")), Declined), "no more than there is"
    assert isinstance(await bank.execute(follow_up(AttemptKind.INCREMENT, 2500, "att_3")), Approved)
    assert isinstance(await bank.execute(follow_up(AttemptKind.INCREMENT, 3000, "att_4", "att_3")), Approved)
    assert isinstance(await bank.execute(follow_up(AttemptKind.CAPTURE, 3001, "att_5", "att_4")), Declined)
    assert isinstance(await bank.execute(follow_up(AttemptKind.CAPTURE, 3000, "att_6", "att_4")), Approved)


async def test_a_refund_may_take_its_time(bank: Simulator, clock: FakeClock) -> None:
    await bank.execute(order("4000000000007726"))
    assert isinstance(await bank.execute(follow_up(AttemptKind.REFUND)), Unknown)
    assert isinstance(await bank.inquire(order(reference="att_2")), Unknown)
    clock.time += REFUND_PENDING_SECONDS
    assert isinstance(await bank.inquire(order(reference="att_2")), Approved)


async def test_a_refund_that_fails_late_is_reported_until_acknowledged(bank: Simulator, clock: FakeClock) -> None:
    await bank.execute(order("4000000000005126"))
    assert isinstance(await bank.execute(follow_up(AttemptKind.REFUND)), Approved)
    assert await bank.failed_refunds() == []
    clock.time += REFUND_PENDING_SECONDS
    (report,) = await bank.failed_refunds()
    assert (report.reference, report.merchant_id) == ("att_2", 1)
    assert await bank.failed_refunds() == [report]
    await bank.acknowledge(report)
    assert await bank.failed_refunds() == []


def test_every_test_card_is_a_valid_number() -> None:
    assert [number for number in BY_NUMBER if Pan(number).reveal() != number] == []
    assert len(BY_NUMBER) > 40


def test_the_order_never_shows_the_card() -> None:
    shown = repr(order(cvc="987"))
    assert "4242424242424242" not in shown
    assert "987" not in shown


async def test_the_network_knows_each_authorization_by_an_id_of_its_own(bank: Simulator) -> None:
    first, again, other = [await bank.execute(order(reference=reference)) for reference in ("att_1", "att_1", "att_2")]
    assert isinstance(first, Approved)
    assert isinstance(other, Approved)
    assert first == again
    assert first.network_transaction_id != other.network_transaction_id
    assert first.network_transaction_id is not None
    assert (len(first.network_transaction_id), first.network_transaction_id.isdigit()) == (15, True)


@pytest.mark.parametrize(("name", "level"), [("riskLevelElevated", "elevated"), ("riskLevelHighest", "highest"), ("visa", "normal")])
async def test_a_risky_card_is_approved_and_said_to_be_risky(bank: Simulator, name: str, level: str) -> None:
    answer = await bank.execute(order(BY_ALIAS[f"pm_card_{name}"].number))
    assert isinstance(answer, Approved)
    assert answer.risk_level == level
