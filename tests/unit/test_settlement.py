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
from payments.domain.outcome import Approved, AuthenticationRequired, Declined, Outcome, RiskLevel, Unknown
from payments.domain.payment_intent import ALLOWED_TRANSITIONS, IntentStatus, PaymentIntent
from payments.domain.payment_method import PaymentMethod
from payments.domain.refund import Refund
from payments.ledger.transfer import Phase
from payments.storage.attempts import OpenAttempt
from payments.storage.payments import Settlement
from payments.transaction_processor.settlement import Terms, settlement_of
from payments.wire.rendering import subject_of

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
    assert settlement.closes == (not isinstance(outcome, Unknown))
    if settlement.intent is not None:
        assert settlement.intent.version == of.intent.version + 1
        assert (settlement.intent.open_attempt is None) == settlement.closes
        before, after = of.intent.status, settlement.intent.status
        assert after == before or after in ALLOWED_TRANSITIONS[before]
    assert sum(event.id == "evt_answer" for event in settlement.events) == (0 if of.answered else 1)
    current = {each.id: each for each in (of.intent, of.charge, of.refund, settlement.intent, settlement.charge, settlement.refund) if each}
    for event in settlement.events:
        assert subject_of(event) == current[event.object_id], "the snapshot is the object as it is now"
    return settlement


def intent_of(settlement: Settlement) -> PaymentIntent:
    assert settlement.intent is not None
    return settlement.intent


def held(amount: int) -> tuple[PaymentIntent, Charge]:
    settlement = settled(work(AttemptKind.AUTHORIZE, intent(amount, capture_method="manual"), amount), APPROVED)
    assert settlement.charge is not None
    return replace(intent_of(settlement), open_attempt="att_1"), settlement.charge


def paid(amount: int) -> tuple[PaymentIntent, Charge]:
    settlement = settled(work(AttemptKind.AUTHORIZE, intent(amount), amount), APPROVED)
    assert settlement.charge is not None
    return replace(intent_of(settlement), open_attempt="att_1"), settlement.charge


@given(amounts)
def test_an_approved_payment_is_received_and_posted(amount: int) -> None:
    settlement = settled(work(AttemptKind.AUTHORIZE, intent(amount), amount), APPROVED)
    assert intent_of(settlement).status is IntentStatus.SUCCEEDED
    assert intent_of(settlement).amount_received == amount
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
        current, charge = replace(intent_of(settlement), open_attempt="att_1"), settlement.charge
        assert current.amount_received == charge.amount_captured <= amount
        assert current.amount_received + current.amount_capturable <= amount
        assert amount - released == current.amount_capturable
    assert current.status is IntentStatus.SUCCEEDED
    assert released == amount


@given(st.integers(50, 9_999), st.lists(st.tuples(st.sampled_from(["more", "refused", "part"]), st.integers(1, 9_999)), max_size=8))
def test_a_hold_that_grows_is_what_the_ledger_holds(amount: int, steps: list[tuple[str, int]]) -> None:
    current, charge = held(amount)
    in_ledger = amount
    for step, by in steps:
        if step == "part":
            part = min(by, current.amount_capturable - 1)
            if part < 1:
                continue
            of, outcome = work(AttemptKind.CAPTURE, current, part, final_capture=False), APPROVED
        else:
            of, outcome = work(AttemptKind.INCREMENT, current, charge.amount + by), DECLINED if step == "refused" else APPROVED
        settlement = settled(replace(of, charge=charge), outcome)
        for transfer in settlement.transfers:
            in_ledger += {Phase.HELD: transfer.amount, Phase.RELEASED: -transfer.amount}.get(transfer.phase, 0)
        current, charge = replace(intent_of(settlement), open_attempt="att_1"), settlement.charge or charge
        assert current.status is IntentStatus.REQUIRES_CAPTURE
        assert (current.amount, current.amount_capturable) == (charge.amount, charge.amount - charge.amount_captured)
        assert in_ledger == current.amount_capturable
        assert (step == "refused") == (current.last_payment_error is not None and settlement.charge is None)


@given(amounts)
def test_a_released_hold_moves_no_money(amount: int) -> None:
    current, charge = held(amount)
    settlement = settled(replace(work(AttemptKind.VOID, current, amount, cancellation_reason="duplicate"), charge=charge), APPROVED)
    assert intent_of(settlement).status is IntentStatus.CANCELED
    assert settlement.balance_transactions == ()
    (transfer,) = settlement.transfers
    assert (transfer.phase, transfer.amount) == (Phase.RELEASED, amount)


def test_a_declined_payment_wants_another_card() -> None:
    settlement = settled(work(AttemptKind.AUTHORIZE, intent(), 2000), DECLINED)
    assert intent_of(settlement).status is IntentStatus.REQUIRES_PAYMENT_METHOD
    assert intent_of(settlement).payment_method is None
    assert intent_of(settlement).last_payment_error is not None
    assert settlement.charge is not None
    assert (settlement.charge.status, settlement.charge.paid) == ("failed", False)
    assert intent_of(settlement).latest_charge == settlement.charge.id
    assert settlement.transfers == ()


def test_authentication_is_asked_for_on_our_page() -> None:
    settlement = settled(work(AttemptKind.AUTHORIZE, intent(return_url="https://shop.example"), 2000), AuthenticationRequired())
    assert intent_of(settlement).status is IntentStatus.REQUIRES_ACTION
    action = intent_of(settlement).next_action
    assert action is not None
    assert action.type == "redirect_to_url"
    assert action.url == "http://tap.example/pay/authenticate/test/1/pi_1?client_secret=pi_1_secret_x&challenge=att_1"
    assert settlement.charge is None


@pytest.mark.parametrize(
    ("options", "decline_code", "message"),
    [
        ({"off_session": True}, "authentication_required", "This transaction requires authentication."),
        ({"error_on_requires_action": True}, "authentication_not_handled", "but `error_on_requires_action` was set."),
        ({"off_session": True, "error_on_requires_action": True}, "authentication_required", "This transaction requires authentication."),
    ],
)
def test_without_a_cardholder_authentication_is_a_decline(options: dict[str, bool], decline_code: str, message: str) -> None:
    settlement = settled(work(AttemptKind.AUTHORIZE, intent(), 2000, **options), AuthenticationRequired())
    error = intent_of(settlement).last_payment_error
    assert error is not None
    assert (error.type, error.code, error.decline_code) == ("card_error", "authentication_required", decline_code)
    assert message in error.message


@pytest.mark.parametrize(("level", "scores"), [("normal", range(65)), ("elevated", range(65, 75)), ("highest", range(75, 101))])
def test_a_charge_says_its_risk_and_what_the_network_calls_it(level: RiskLevel, scores: range) -> None:
    approved = Approved(authorization_code="123456", network_transaction_id="123456789012345", risk_level=level)
    charge = settled(work(AttemptKind.AUTHORIZE, intent(), 2000), approved).charge
    assert charge is not None
    assert (charge.outcome.risk_level, charge.network_transaction_id) == (level, "123456789012345")
    assert charge.outcome.risk_score in scores
    assert charge.outcome.reason == ("elevated_risk_level" if level == "elevated" else None)


def test_silence_is_told_once_and_then_awaited() -> None:
    of = work(AttemptKind.AUTHORIZE, intent(), 2000)
    settlement = settled(of, UNKNOWN)
    assert intent_of(settlement).status is IntentStatus.PROCESSING
    assert intent_of(settlement).open_attempt == "att_1"
    assert [event.type for event in settlement.events] == ["payment_intent.processing"]
    told = replace(of, intent=intent_of(settlement), answered=True)
    assert settlement_of(told, UNKNOWN, TERMS) is None
    assert intent_of(settled(told, APPROVED)).status is IntentStatus.SUCCEEDED


def refunding(amount: int, part: int, *, charge_counts: bool = True) -> OpenAttempt:
    """A refund as commit 1 leaves it: counted by its charge. `charge_counts` false: as the previous version did, which locked the intent instead."""
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
    of = work(AttemptKind.REFUND, replace(current, open_attempt=None if charge_counts else "att_1"), part, refund="re_1")
    return replace(of, charge=charge.with_refunded(part) if charge_counts else charge, refund=refund)


def after(of: OpenAttempt, settlement: Settlement) -> tuple[Charge, Refund]:
    charge, refund = settlement.charge or of.charge, settlement.refund or of.refund
    assert charge is not None
    assert refund is not None
    return charge, refund


@given(amounts, st.integers(1, 99_999_999), st.booleans())
def test_refunded_is_returned_and_a_failed_refund_comes_back(amount: int, part: int, charge_counts: bool) -> None:
    part = min(part, amount)
    of = refunding(amount, part, charge_counts=charge_counts)
    settlement = settled(of, APPROVED)
    charge, refund = after(of, settlement)
    assert (charge.amount_refunded, charge.refunded, refund.status) == (part, part == amount, "succeeded")
    (change,) = settlement.balance_transactions
    assert (change.amount, change.fee) == (-part, 0)
    assert [event.type for event in settlement.events] == ["charge.refunded", "refund.created"]
    failing = work(AttemptKind.REFUND_FAILURE, replace(of.intent, open_attempt=None), part, refund="re_1")
    failing = replace(failing, charge=charge, refund=refund)
    failed = settled(failing, DECLINED)
    charge, refund = after(failing, failed)
    assert (charge.amount_refunded, refund.status) == (0, "failed")
    assert failed.balance_transactions[0].amount == part


@pytest.mark.parametrize("outcome", [APPROVED, DECLINED, UNKNOWN])
def test_a_refund_leaves_the_intent_alone(outcome: Outcome) -> None:
    assert settled(refunding(2000, 500), outcome).intent is None


@pytest.mark.parametrize("outcome", [APPROVED, DECLINED])
def test_a_refund_of_the_previous_version_frees_the_intent(outcome: Outcome) -> None:
    assert intent_of(settled(refunding(2000, 500, charge_counts=False), outcome)).open_attempt is None


@pytest.mark.parametrize("charge_counts", [True, False])
def test_a_refused_refund_moves_nothing(charge_counts: bool) -> None:
    of = refunding(2000, 500, charge_counts=charge_counts)
    settlement = settled(of, DECLINED)
    charge, refund = after(of, settlement)
    assert (refund.status, settlement.transfers, charge.amount_refunded) == ("failed", (), 0)


def test_a_pending_refund_is_told_and_counted() -> None:
    of = refunding(2000, 500)
    settlement = settled(of, UNKNOWN)
    assert [event.type for event in settlement.events] == ["charge.refunded", "refund.created"]
    assert after(of, settlement)[0].amount_refunded == 500
    told = replace(of, answered=True)
    assert settlement_of(told, UNKNOWN, TERMS) is None
    assert [event.type for event in settled(told, APPROVED).events] == ["charge.refund.updated", "refund.updated"]


@pytest.mark.parametrize(
    ("reason", "told"), [("expired", ["charge.expired", "payment_intent.canceled"]), ("abandoned", ["payment_intent.canceled"])]
)
def test_the_end_of_a_hold_is_no_refund(reason: str, told: list[str]) -> None:
    current, charge = held(2000)
    settlement = settled(replace(work(AttemptKind.VOID, current, 2000, cancellation_reason=reason), charge=charge), APPROVED)
    assert settlement.charge is not None
    assert (settlement.charge.amount_refunded, settlement.charge.refunded) == (0, False)
    assert [event.type for event in settlement.events] == told
    assert intent_of(settlement).cancellation_reason == reason


def test_a_silent_capture_changes_nothing() -> None:
    current, charge = held(2000)
    assert settlement_of(replace(work(AttemptKind.CAPTURE, current, 2000), charge=charge), UNKNOWN, TERMS) is None


def test_every_status_has_its_transitions_and_two_are_final() -> None:
    assert ALLOWED_TRANSITIONS.keys() == set(IntentStatus)
    assert {status for status, following in ALLOWED_TRANSITIONS.items() if not following} == {IntentStatus.SUCCEEDED, IntentStatus.CANCELED}


def test_what_is_stored_is_read_back() -> None:
    settlement = settled(work(AttemptKind.AUTHORIZE, intent(), 2000), DECLINED)
    for stored in (intent_of(settlement), settlement.charge):
        assert msgspec.json.decode(msgspec.json.encode(stored), type=type(stored)) == stored
