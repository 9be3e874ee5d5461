"""What follows from an acquirer's answer: the intent's next state, the charge, the books and the events. Pure.

Every function takes the attempt with its objects as they are, and returns them as they shall be, one version on.
"""

from dataclasses import dataclass
from typing import TypeVar, assert_never
from urllib.parse import urlencode

from msgspec.structs import replace

from payments.domain.attempt import Attempt, AttemptKind
from payments.domain.balance_transaction import BalanceTransaction
from payments.domain.charge import Charge
from payments.domain.event import Event, EventObject, event_of
from payments.domain.fees import FeeSchedule
from payments.domain.outcome import Approved, AuthenticationRequired, Declined, Outcome, Unknown
from payments.domain.payment_intent import ALLOWED_TRANSITIONS, IntentStatus, NextAction, PaymentIntent
from payments.domain.refund import Refund
from payments.ledger import postings
from payments.runtime.ids import new_id
from payments.runtime.topology import CHALLENGE_PARAMETER, CHALLENGE_PATH
from payments.storage.attempts import OpenAttempt
from payments.storage.payments import Settlement
from payments.transaction_processor.judgement import charge_of, payment_error_of

T = TypeVar("T")

CAPTURE_WINDOW_SECONDS = 7 * 24 * 3600
"""How long a hold lasts."""
AVAILABILITY_SECONDS = 2 * 24 * 3600
"""When captured funds become available."""
EXPIRED = "expired"
"""The cancellation reason of a hold that nobody captured in time. Source: Stripe, version 2025-03-31, which said `automatic` before."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a settlement depends on besides the attempt and its outcome."""

    now: int
    """Unix seconds."""
    fees: FeeSchedule
    acquirer: str
    public_url: str
    """Where our hosted pages are, for 3-D Secure."""


def settlement_of(work: OpenAttempt, outcome: Outcome, terms: Terms) -> Settlement | None:
    """Return all that `outcome` changes; None when it changes nothing (still unknown, and the merchant has been told)."""
    match work.attempt.kind:
        case AttemptKind.AUTHORIZE:
            return _authorization(work, outcome, terms)
        case AttemptKind.CAPTURE:
            return _capture(work, outcome, terms)
        case AttemptKind.VOID:
            return _void(work, outcome, terms)
        case AttemptKind.REFUND:
            return _refund(work, outcome, terms)
        case AttemptKind.REFUND_FAILURE:
            return _refund_failure(work, outcome, terms)
        case _ as never:
            assert_never(never)


def _authorization(work: OpenAttempt, outcome: Outcome, terms: Terms) -> Settlement | None:
    match outcome:
        case Approved() if work.intent.capture_method == "manual":
            return _held(work, outcome, terms)
        case Approved():
            return _purchased(work, outcome, terms)
        case Declined():
            return _declined(work, outcome, terms)
        case AuthenticationRequired() if work.attempt.error_on_requires_action or work.attempt.off_session:
            refusal = Declined(
                code="authentication_required",
                decline_code="authentication_required",
                message="Your card was declined. This transaction requires authentication.",
            )
            return _declined(work, refusal, terms)
        case AuthenticationRequired():
            return _challenged(work, outcome, terms)
        case Unknown():
            return _processing(work, outcome, terms)
        case _ as never:
            assert_never(never)


def _purchased(work: OpenAttempt, outcome: Approved, terms: Terms) -> Settlement:
    """The issuer approved and the money is claimed in the same message."""
    attempt = work.attempt
    change = _capture_transaction(work, attempt.amount, outcome.funds_available_at_once, terms)
    charge = charge_of(work, outcome, terms.now, captured=True, balance_transaction=change.id)
    intent = _advance(
        work.intent,
        IntentStatus.SUCCEEDED,
        amount_received=attempt.amount,
        latest_charge=charge.id,
    )
    return Settlement(
        attempt=attempt,
        outcome=outcome,
        intent=intent,
        charge=charge,
        balance_transactions=[change],
        available_at_once=outcome.funds_available_at_once,
        transfers=postings.capture(
            _books(attempt, terms), change.id, change.amount, change.fee, terms.now, available_at_once=outcome.funds_available_at_once
        ),
        events=[_event("charge.succeeded", charge, work, terms), _answer("payment_intent.succeeded", intent, work, terms)],
    )


def _held(work: OpenAttempt, outcome: Approved, terms: Terms) -> Settlement:
    """The issuer approved a hold, to be captured later."""
    attempt = work.attempt
    capture_before = terms.now + CAPTURE_WINDOW_SECONDS
    charge = charge_of(work, outcome, terms.now, captured=False, capture_before=capture_before)
    intent = _advance(
        work.intent,
        IntentStatus.REQUIRES_CAPTURE,
        amount_capturable=attempt.amount,
        capture_before=capture_before,
        latest_charge=charge.id,
    )
    return Settlement(
        attempt=attempt,
        outcome=outcome,
        intent=intent,
        charge=charge,
        transfers=postings.authorization(_books(attempt, terms), attempt.id, attempt.amount, terms.now),
        events=[
            _event("charge.succeeded", charge, work, terms),
            _answer("payment_intent.amount_capturable_updated", intent, work, terms),
        ],
    )


def _declined(work: OpenAttempt, outcome: Declined, terms: Terms) -> Settlement:
    """The issuer, or a rule before it, said no: the intent wants another card."""
    attempt = work.attempt
    charge = charge_of(work, outcome, terms.now, captured=False)
    intent = _advance(
        work.intent,
        IntentStatus.REQUIRES_PAYMENT_METHOD,
        payment_method=None,
        latest_charge=charge.id,
        last_payment_error=payment_error_of(work, outcome),
    )
    return Settlement(
        attempt=attempt,
        outcome=outcome,
        intent=intent,
        charge=charge,
        events=[_event("charge.failed", charge, work, terms), _answer("payment_intent.payment_failed", intent, work, terms)],
    )


def _challenged(work: OpenAttempt, outcome: AuthenticationRequired, terms: Terms) -> Settlement:
    """The cardholder has to authenticate on our challenge page, for what this attempt was about: the link names it."""
    intent = work.intent
    page = CHALLENGE_PATH.format(mode="live" if intent.livemode else "test", merchant=intent.merchant_id, intent=intent.id)
    action = NextAction(
        type="redirect_to_url" if intent.return_url else "use_stripe_sdk",
        url=terms.public_url + page + f"?{urlencode({'client_secret': intent.client_secret, CHALLENGE_PARAMETER: work.attempt.id})}",
        return_url=intent.return_url,
    )
    intent = _advance(intent, IntentStatus.REQUIRES_ACTION, next_action=action)
    return Settlement(
        attempt=work.attempt,
        outcome=outcome,
        intent=intent,
        events=[_answer("payment_intent.requires_action", intent, work, terms)],
    )


def _processing(work: OpenAttempt, outcome: Unknown, terms: Terms) -> Settlement | None:
    """Silence: the attempt stays open, the merchant sees `processing`."""
    if work.answered:
        return None
    intent = replace(work.intent, version=work.intent.version + 1)
    return Settlement(
        attempt=work.attempt,
        outcome=outcome,
        closes=False,
        intent=intent,
        events=[_answer("payment_intent.processing", intent, work, terms)],
    )


def _capture(work: OpenAttempt, outcome: Outcome, terms: Terms) -> Settlement | None:
    match outcome:
        case Approved():
            return _captured(work, outcome, terms)
        case Declined():
            intent = _advance(work.intent, IntentStatus.REQUIRES_CAPTURE, last_payment_error=payment_error_of(work, outcome))
            return Settlement(
                attempt=work.attempt,
                outcome=outcome,
                intent=intent,
                events=[_answer("payment_intent.payment_failed", intent, work, terms)],
            )
        case AuthenticationRequired() | Unknown():
            return None
        case _ as never:
            assert_never(never)


def _captured(work: OpenAttempt, outcome: Approved, terms: Terms) -> Settlement:
    """The hold is claimed, in whole or in part."""
    attempt, intent, charge = work.attempt, work.intent, _loaded(work.charge)
    change = _capture_transaction(work, attempt.amount, outcome.funds_available_at_once, terms)
    released = intent.amount_capturable if attempt.final_capture else attempt.amount
    left = intent.amount_capturable - released
    charge = replace(
        charge,
        version=charge.version + 1,
        captured=True,
        amount_captured=charge.amount_captured + attempt.amount,
        balance_transaction=change.id,
        capture_before=charge.capture_before if left else None,
    )
    intent = _advance(
        intent,
        IntentStatus.REQUIRES_CAPTURE if left else IntentStatus.SUCCEEDED,
        amount_capturable=left,
        amount_received=intent.amount_received + attempt.amount,
        capture_before=intent.capture_before if left else None,
    )
    books = _books(attempt, terms)
    return Settlement(
        attempt=attempt,
        outcome=outcome,
        intent=intent,
        charge=charge,
        balance_transactions=[change],
        available_at_once=outcome.funds_available_at_once,
        transfers=[
            *postings.hold_release(books, attempt.id, released, terms.now),
            *postings.capture(books, change.id, change.amount, change.fee, terms.now, available_at_once=outcome.funds_available_at_once),
        ],
        events=[
            _event("charge.captured", charge, work, terms),
            _answer("payment_intent.amount_capturable_updated" if left else "payment_intent.succeeded", intent, work, terms),
        ],
    )


def _void(work: OpenAttempt, outcome: Outcome, terms: Terms) -> Settlement | None:
    """The hold is given up or ran out; nothing is returned. An acquirer that declines to void has no hold left, which comes to the same."""
    if isinstance(outcome, Unknown | AuthenticationRequired):
        return None
    attempt, charge = work.attempt, _loaded(work.charge)
    charge = replace(charge, version=charge.version + 1, capture_before=None)
    intent = _advance(
        work.intent,
        IntentStatus.CANCELED,
        amount_capturable=0,
        capture_before=None,
        canceled_at=terms.now,
        cancellation_reason=attempt.cancellation_reason,
    )
    expired = [_event("charge.expired", charge, work, terms)] if attempt.cancellation_reason == EXPIRED else []
    return Settlement(
        attempt=attempt,
        outcome=outcome,
        intent=intent,
        charge=charge,
        transfers=postings.hold_release(_books(attempt, terms), attempt.id, work.intent.amount_capturable, terms.now),
        events=[*expired, _answer("payment_intent.canceled", intent, work, terms)],
    )


def _refund(work: OpenAttempt, outcome: Outcome, terms: Terms) -> Settlement | None:
    """What becomes of a refund that its charge counts since it was recorded."""
    attempt, refund, charge = work.attempt, _loaded(work.refund), _loaded(work.charge)
    intent = _unlocked(work)
    if intent is not None:  # recorded by the previous version's code, which counted a refund only when it was approved
        charge = charge.with_refunded(attempt.amount)
    match outcome:
        case Approved():
            change = _refund_transaction(work, refund, -attempt.amount, "refund", terms)
            refund = replace(refund, version=refund.version + 1, status="succeeded", balance_transaction=change.id)
            return Settlement(
                attempt=attempt,
                outcome=outcome,
                intent=intent,
                charge=None if intent is None else charge,
                refund=refund,
                balance_transactions=[change],
                transfers=postings.refund(_books(attempt, terms), change.id, attempt.amount, terms.now),
                events=_refund_told(refund, charge, work, terms),
            )
        case Declined():
            refund = replace(refund, version=refund.version + 1, status="failed", failure_reason="declined")
            return Settlement(
                attempt=attempt,
                outcome=outcome,
                intent=intent,
                charge=charge.with_refunded(-attempt.amount) if intent is None else None,
                refund=refund,
                events=[*_refund_told(refund, None, work, terms), _event("refund.failed", refund, work, terms)],
            )
        case Unknown() | AuthenticationRequired():
            if work.answered:
                return None
            counted = charge if intent is None else None
            return Settlement(attempt=attempt, outcome=outcome, closes=False, events=_refund_told(refund, counted, work, terms))
        case _ as never:
            assert_never(never)


def _refund_told(refund: Refund, charge: Charge | None, work: OpenAttempt, terms: Terms) -> list[Event]:
    """Build the events of a refund, with its charge where that shows it: what is new at first, what changed later."""
    if work.answered:
        return [_event("charge.refund.updated", refund, work, terms), _answer("refund.updated", refund, work, terms)]
    shown = [] if charge is None else [_event("charge.refunded", charge, work, terms)]
    return [*shown, _answer("refund.created", refund, work, terms)]


def _refund_failure(work: OpenAttempt, outcome: Outcome, terms: Terms) -> Settlement:
    """A refund that was booked didn't reach the cardholder: the merchant gets the amount back, by a reversing transfer."""
    attempt, refund, charge = work.attempt, _loaded(work.refund), _loaded(work.charge)
    change = _refund_transaction(work, refund, attempt.amount, "refund_failure", terms)
    refund = replace(
        refund,
        version=refund.version + 1,
        status="failed",
        failure_reason="unknown",
        failure_balance_transaction=change.id,
    )
    return Settlement(
        attempt=attempt,
        outcome=outcome,
        intent=_unlocked(work),
        charge=charge.with_refunded(-attempt.amount),
        refund=refund,
        balance_transactions=[change],
        transfers=postings.refund_reversal(_books(attempt, terms), change.id, attempt.amount, terms.now),
        events=[_event("charge.refund.updated", refund, work, terms), _answer("refund.failed", refund, work, terms)],
    )


def _loaded(value: T | None) -> T:
    """Assert what the attempt's kind guarantees: its charge or refund was loaded with it."""
    if value is None:
        raise LookupError("the attempt was loaded without its charge or refund")
    return value


def _books(attempt: Attempt, terms: Terms) -> postings.Books:
    return postings.Books(attempt.merchant_id, attempt.livemode, terms.acquirer, attempt.currency)


def _advance(intent: PaymentIntent, status: IntentStatus, **changes: object) -> PaymentIntent:
    """Take the intent a step further and close its attempt."""
    if status not in ALLOWED_TRANSITIONS[intent.status]:
        raise ValueError(f"a payment intent can't go from {intent.status} to {status}")
    return replace(intent, version=intent.version + 1, open_attempt=None, status=status, **changes)


def _unlocked(work: OpenAttempt) -> PaymentIntent | None:
    """Return the intent without this attempt, if it is on it: the previous version's code kept an intent locked while it was refunded."""
    intent = work.intent
    return replace(intent, version=intent.version + 1, open_attempt=None) if intent.open_attempt == work.attempt.id else None


def _refund_transaction(work: OpenAttempt, refund: Refund, amount: int, change_type: str, terms: Terms) -> BalanceTransaction:
    attempt = work.attempt
    return BalanceTransaction(
        id=new_id("txn"),
        merchant_id=attempt.merchant_id,
        livemode=attempt.livemode,
        created=terms.now,
        amount=amount,
        currency=attempt.currency,
        type=change_type,
        source=refund.id,
        available_on=terms.now,
    )


def _capture_transaction(work: OpenAttempt, amount: int, available_at_once: bool, terms: Terms) -> BalanceTransaction:
    attempt = work.attempt
    return BalanceTransaction(
        id=new_id("txn"),
        merchant_id=attempt.merchant_id,
        livemode=attempt.livemode,
        created=terms.now,
        amount=amount,
        fee=terms.fees.fee(amount, attempt.currency),
        currency=attempt.currency,
        type="charge",
        source=attempt.charge,
        available_on=terms.now if available_at_once else terms.now + AVAILABILITY_SECONDS,
        description=work.intent.description,
    )


def _event(event_type: str, subject: EventObject, work: OpenAttempt, terms: Terms, *, event_id: str | None = None) -> Event:
    return event_of(event_id or new_id("evt"), event_type, subject, created=terms.now, origin=work.attempt.origin)


def _answer(event_type: str, subject: EventObject, work: OpenAttempt, terms: Terms) -> Event:
    """Build the event that answers the request, under the id that its idempotency claim points at; what comes later has an id of its own."""
    return _event(event_type, subject, work, terms, event_id=None if work.answered else work.attempt.outcome_event)
