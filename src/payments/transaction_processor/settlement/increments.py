"""What follows from asking for a larger hold."""

from typing import assert_never

from msgspec.structs import replace

from payments.domain.outcome import Approved, AuthenticationRequired, Declined, Outcome, Unknown
from payments.domain.payment_intent import IntentStatus
from payments.ledger import postings
from payments.storage.attempts import OpenAttempt
from payments.storage.payments import Settlement
from payments.transaction_processor.settlement.terms import (
    Terms,
    advanced,
    answer,
    books_of,
    details_after,
    event_about,
    loaded,
    still_held,
)


def settle_increment(work: OpenAttempt, outcome: Outcome, terms: Terms) -> Settlement | None:
    """Return what becomes of a hold that was to be more; when that is refused, it stays what it was."""
    match outcome:
        case Approved():
            return _held(work, outcome, terms)
        case Declined():
            return still_held(work, outcome, terms)
        case AuthenticationRequired() | Unknown():
            return None
        case _ as never:
            assert_never(never)


def _held(work: OpenAttempt, outcome: Approved, terms: Terms) -> Settlement:
    attempt, charge = work.attempt, loaded(work.charge)
    added = attempt.amount - charge.amount
    charge = replace(charge, version=charge.version + 1, amount=attempt.amount, authorization=attempt.id)
    intent = advanced(
        work.intent,
        IntentStatus.REQUIRES_CAPTURE,
        amount=attempt.amount,
        amount_capturable=work.intent.amount_capturable + added,
        amount_details=details_after(work),
        last_payment_error=None,
    )
    return Settlement(
        attempt=attempt,
        outcome=outcome,
        intent=intent,
        charge=charge,
        transfers=postings.authorization(books_of(attempt, terms), attempt.id, added, terms.now),
        events=[
            event_about("charge.updated", charge, work, terms),
            answer("payment_intent.amount_capturable_updated", intent, work, terms),
        ],
    )
