"""What follows from a capture, and from the release of a hold."""

from typing import assert_never

from msgspec.structs import replace

from payments.domain.outcome import Approved, AuthenticationRequired, Declined, Outcome, Unknown
from payments.domain.payment_intent import IntentStatus
from payments.domain.resource import next_version
from payments.ledger import postings
from payments.storage.attempts import OpenAttempt
from payments.storage.payments import Settlement
from payments.transaction_processor.settlement.terms import (
    Terms,
    advanced,
    answer,
    books_of,
    capture_transaction,
    details_after,
    event_about,
    loaded,
    still_held,
    told,
)

EXPIRED = "expired"
"""The cancellation reason of a hold that nobody captured in time. Source: Stripe, version 2025-03-31, which said `automatic` before."""


def settle_capture(work: OpenAttempt, outcome: Outcome, terms: Terms) -> Settlement | None:
    """Return what becomes of a hold that was to be captured."""
    match outcome:
        case Approved():
            return _captured(work, outcome, terms)
        case Declined():
            return still_held(work, outcome, terms)
        case AuthenticationRequired() | Unknown():
            return None
        case _ as never:
            assert_never(never)


def _captured(work: OpenAttempt, outcome: Approved, terms: Terms) -> Settlement:
    """The hold is claimed, in whole or in part."""
    attempt, intent, charge = work.attempt, work.intent, loaded(work.charge)
    change = capture_transaction(work, attempt.amount, outcome.funds_available_at_once, terms)
    released = intent.amount_capturable if attempt.final_capture else attempt.amount
    left = intent.amount_capturable - released
    charge = replace(
        charge,
        version=charge.version + 1,
        captured=True,
        amount_captured=charge.amount_captured + attempt.amount,
        balance_transaction=change.id,
        capture_before=charge.capture_before if left else None,
        failure_code=None,
        failure_message=None,
        decline_code=None,
    )
    intent = advanced(
        intent,
        IntentStatus.REQUIRES_CAPTURE if left else IntentStatus.SUCCEEDED,
        amount_capturable=left,
        amount_received=intent.amount_received + attempt.amount,
        capture_before=intent.capture_before if left else None,
        amount_details=details_after(work),
    )
    books = books_of(attempt, terms)
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
        events=told(
            "charge.captured",
            charge,
            "payment_intent.amount_capturable_updated" if left else "payment_intent.succeeded",
            intent,
            work,
            terms,
        ),
    )


def settle_void(work: OpenAttempt, outcome: Outcome, terms: Terms) -> Settlement | None:
    """The hold is given up or ran out; nothing is returned. An acquirer that declines to void has no hold left, which comes to the same."""
    if isinstance(outcome, Unknown | AuthenticationRequired):
        return None
    attempt, charge = work.attempt, loaded(work.charge)
    charge = replace(charge, version=charge.version + 1, capture_before=None)
    intent = advanced(
        work.intent,
        IntentStatus.CANCELED,
        amount_capturable=0,
        capture_before=None,
        canceled_at=terms.now,
        cancellation_reason=attempt.cancellation_reason,
    )
    refund = None
    if attempt.refund is not None:
        refund = next_version(loaded(work.refund), status="succeeded")
        events = [event_about("charge.refunded", charge, work, terms), answer("refund.created", refund, work, terms)]
    elif attempt.cancellation_reason == EXPIRED:
        events = told("charge.expired", charge, "payment_intent.canceled", intent, work, terms)
    else:
        events = [answer("payment_intent.canceled", intent, work, terms)]
    return Settlement(
        attempt=attempt,
        outcome=outcome,
        intent=intent,
        charge=charge,
        refund=refund,
        transfers=postings.hold_release(books_of(attempt, terms), attempt.id, work.intent.amount_capturable, terms.now),
        events=events,
    )
