"""What follows from an acquirer's answer, for every kind of attempt and every answer."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from payments.domain.attempt import Attempt, AttemptKind
from payments.domain.card import Card
from payments.domain.charge import Charge
from payments.domain.fees import FeeSchedule
from payments.domain.outcome import Approved, AuthenticationRequired, Declined, Outcome, Unknown
from payments.domain.payment_intent import ALLOWED_TRANSITIONS, IntentStatus, PaymentIntent
from payments.domain.payment_method import PaymentMethod
from payments.domain.refund import Refund
from payments.ledger.transfer import Phase
from payments.storage.attempts import OpenAttempt
from payments.storage.payments import Settlement
from payments.transaction_processor.settlement import Terms, settlement_of

TERMS = Terms(now=1_800_000_000, fees=FeeSchedule(), acquirer="simulator", public_url="http://tap.example")
CARD = Card(brand="visa", last4="4242", exp_month=12, exp_year=2034, fingerprint="f")
METHOD = PaymentMethod(id="pm_1", merchant_id=1, livemode=False, created=0, card=CARD)
APPROVED = Approved(authorization_code="123456")
DECLINED = Declined(code="card_declined", decline_code="generic_decline", message="Your card was declined.")
UNKNOWN = Unknown(reason="timeout")
amounts = st.integers(50, 99_999_999)


def intent(amount: int = 2000, status: IntentStatus = IntentStatus.PROCESSING, **fields: object) -> PaymentIntent:
    made = PaymentIntent(
        id="pi_1",
        merchant_id=1,
        livemode=False,
        created=0,
        amount=amount,
        currency="usd",
        status=status,
        client_secret="pi_1_secret_x",
        version=3,
    )
    return replace(made, open_attempt="att_1", payment_method="pm_1", **fields)


def work(kind: AttemptKind, of: PaymentIntent, amount: int, **fields: object) -> OpenAttempt:
    attempt = Attempt(
        id="att_1",
        merchant_id=1,
        livemode=False,
        created=0,
        kind=kind,
        payment_intent=of.id,
        charge="ch_1",
        amount=amount,
        currency="usd",
        payment_method="pm_1",
        outcome_event="evt_answer",
    )
    return OpenAttempt(attempt=replace(attempt, **fields), intent=of, payment_method=METHOD)


def settled(of: OpenAttempt, outcome: Outcome) -> Settlement:
    settlement = settlement_of(of, outcome, TERMS)
    assert settlement is not None
    assert settlement.intent.version == of.intent.version + 1
    assert (settlement.intent.open_attempt is None) == (not isinstance(outcome, Unknown))
    before, after = of.intent.status, settlement.intent.status
    assert after == before or after in ALLOWED_TRANSITIONS[before]
    assert sum(event.id == "evt_answer" for event in settlement.events) == (0 if of.answered else 1)
    for event in settlement.events:
        current = {settlement.intent.id: settlement.intent}
        for other in (settlement.charge, settlement.refund):
            if other is not None:
                current[other.id] = other  # pyright: ignore[reportArgumentType]
        assert event.object() == current[event.object_id], "the snapshot is the object as it is now"
    return settlement


def held(amount: int) -> tuple[PaymentIntent, Charge]:
    settlement = settled(work(AttemptKind.AUTHORIZE, intent(amount, capture_method="manual"), amount), APPROVED)
    assert settlement.charge is not None
    return replace(settlement.intent, open_attempt="att_1"), settlement.charge


def paid(amount: int) -> tuple[PaymentIntent, Charge]:
    settlement = settled(work(AttemptKind.AUTHORIZE, intent(amount), amount), APPROVED)
    assert settlement.charge is not None
    return replace(settlement.intent, open_attempt="att_1"), settlement.charge


@given(amounts)
def test_an_approved_payment_is_received_and_posted(amount: int) -> None:
    settlement = settled(work(AttemptKind.AUTHORIZE, intent(amount), amount), APPROVED)
    assert settlement.intent.status is IntentStatus.SUCCEEDED
    assert settlement.intent.amount_received == amount
    (change,) = settlement.balance_transactions
    assert change.net == amount - change.fee
    assert sum(transfer.amount for transfer in settlement.transfers) == amount + change.fee
    assert {transfer.posting for transfer in settlement.transfers} == {change.id}
    assert [event.type for event in settlement.events] == ["charge.succeeded", "payment_intent.succeeded"]


@given(amounts, st.lists(st.tuples(st.integers(1, 99_999_999), st.booleans()), max_size=4))
def test_captured_never_exceeds_authorized(amount: int, captures: list[tuple[int, bool]]) -> None:
    current, charge = held(amount)
    released = 0
    for wanted, final in [*captures, (amount, True)]:
        if current.status is not IntentStatus.REQUIRES_CAPTURE:
            break
        part = min(wanted, current.amount_capturable)
        of = work(AttemptKind.CAPTURE, current, part, final_capture=final or part == current.amount_capturable)
        settlement = settled(replace(of, charge=charge), APPROVED)
        assert settlement.charge is not None
        released += sum(transfer.amount for transfer in settlement.transfers if transfer.phase is Phase.RELEASED)
        current, charge = replace(settlement.intent, open_attempt="att_1"), settlement.charge
        assert current.amount_received == charge.amount_captured <= amount
        assert current.amount_received + current.amount_capturable <= amount
        assert amount - released == current.amount_capturable
    assert current.status is IntentStatus.SUCCEEDED
    assert released == amount


@given(amounts)
def test_a_released_hold_moves_no_money(amount: int) -> None:
    current, charge = held(amount)
    settlement = settled(replace(work(AttemptKind.VOID, current, amount, cancellation_reason="duplicate"), charge=charge), APPROVED)
    assert settlement.intent.status is IntentStatus.CANCELED
    assert settlement.balance_transactions == ()
    (transfer,) = settlement.transfers
    assert (transfer.phase, transfer.amount) == (Phase.RELEASED, amount)


def test_a_declined_payment_wants_another_card() -> None:
    settlement = settled(work(AttemptKind.AUTHORIZE, intent(), 2000), DECLINED)
    assert settlement.intent.status is IntentStatus.REQUIRES_PAYMENT_METHOD
    assert settlement.intent.payment_method is None
    assert settlement.intent.last_payment_error is not None
    assert settlement.charge is not None
    assert (settlement.charge.status, settlement.charge.paid) == ("failed", False)
    assert settlement.intent.latest_charge == settlement.charge.id
    assert settlement.transfers == ()


def test_authentication_is_asked_for_on_our_page() -> None:
    settlement = settled(work(AttemptKind.AUTHORIZE, intent(return_url="https://shop.example"), 2000), AuthenticationRequired())
    assert settlement.intent.status is IntentStatus.REQUIRES_ACTION
    action = settlement.intent.next_action
    assert action is not None
    assert action.type == "redirect_to_url"
    assert action.url == "http://tap.example/pay/authenticate/test/1/pi_1?client_secret=pi_1_secret_x"
    assert settlement.charge is None


@pytest.mark.parametrize("option", ["off_session", "error_on_requires_action"])
def test_without_a_cardholder_authentication_is_a_decline(option: str) -> None:
    settlement = settled(work(AttemptKind.AUTHORIZE, intent(), 2000, **{option: True}), AuthenticationRequired())
    assert settlement.intent.last_payment_error is not None
    assert settlement.intent.last_payment_error.code == "authentication_required"


def test_silence_is_told_once_and_then_awaited() -> None:
    of = work(AttemptKind.AUTHORIZE, intent(), 2000)
    settlement = settled(of, UNKNOWN)
    assert settlement.intent.status is IntentStatus.PROCESSING
    assert settlement.intent.open_attempt == "att_1"
    assert [event.type for event in settlement.events] == ["payment_intent.processing"]
    told = replace(of, intent=settlement.intent, answered=True)
    assert settlement_of(told, UNKNOWN, TERMS) is None
    assert settled(told, APPROVED).intent.status is IntentStatus.SUCCEEDED


@given(amounts, st.integers(1, 99_999_999))
def test_refunded_is_returned_and_a_failed_refund_comes_back(amount: int, part: int) -> None:
    part = min(part, amount)
    current, charge = paid(amount)
    refund = Refund(
        id="re_1",
        merchant_id=1,
        livemode=False,
        created=0,
        amount=part,
        currency="usd",
        status="pending",
        charge="ch_1",
        payment_intent="pi_1",
    )
    of = replace(work(AttemptKind.REFUND, current, part, refund="re_1"), charge=charge, refund=refund)
    settlement = settled(of, APPROVED)
    assert settlement.charge is not None
    assert settlement.refund is not None
    assert settlement.charge.amount_refunded == part
    assert settlement.charge.refunded == (part == amount)
    (change,) = settlement.balance_transactions
    assert (change.amount, change.fee) == (-part, 0)
    failing = replace(
        work(AttemptKind.REFUND_FAILURE, replace(settlement.intent, open_attempt="att_1"), part, refund="re_1"),
        charge=settlement.charge,
        refund=settlement.refund,
    )
    failed = settled(failing, DECLINED)
    assert failed.charge is not None
    assert failed.refund is not None
    assert (failed.charge.amount_refunded, failed.refund.status) == (0, "failed")
    assert failed.balance_transactions[0].amount == part


def test_a_refused_refund_moves_nothing() -> None:
    current, charge = paid(2000)
    refund = Refund(
        id="re_1",
        merchant_id=1,
        livemode=False,
        created=0,
        amount=500,
        currency="usd",
        status="pending",
        charge="ch_1",
        payment_intent="pi_1",
    )
    of = replace(work(AttemptKind.REFUND, current, 500, refund="re_1"), charge=charge, refund=refund)
    settlement = settled(of, DECLINED)
    assert settlement.refund is not None
    assert (settlement.refund.status, settlement.transfers, settlement.charge) == ("failed", (), None)


def test_a_silent_capture_changes_nothing() -> None:
    current, charge = held(2000)
    assert settlement_of(replace(work(AttemptKind.CAPTURE, current, 2000), charge=charge), UNKNOWN, TERMS) is None


def test_every_status_has_its_transitions_and_two_are_final() -> None:
    assert ALLOWED_TRANSITIONS.keys() == set(IntentStatus)
    assert {status for status, following in ALLOWED_TRANSITIONS.items() if not following} == {IntentStatus.SUCCEEDED, IntentStatus.CANCELED}


def test_what_is_stored_is_read_back() -> None:
    settlement = settled(work(AttemptKind.AUTHORIZE, intent(), 2000), DECLINED)
    for stored in (settlement.intent, settlement.charge):
        assert msgspec.json.decode(msgspec.json.encode(stored), type=type(stored)) == stored
