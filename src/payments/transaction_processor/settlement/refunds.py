"""What follows from a refund, and from one that failed after it had succeeded."""

from typing import assert_never

from msgspec.structs import replace

from payments.domain.balance_transaction import BalanceTransaction
from payments.domain.charge import Charge
from payments.domain.event import Event
from payments.domain.outcome import Approved, AuthenticationRequired, Declined, Outcome, Unknown
from payments.domain.payment_intent import PaymentIntent
from payments.domain.refund import Refund
from payments.ledger import postings
from payments.runtime.ids import new_id
from payments.storage.attempts import OpenAttempt
from payments.storage.payments import Settlement
from payments.transaction_processor.settlement.terms import Terms, answer, books_of, event_about, loaded


def settle_refund(work: OpenAttempt, outcome: Outcome, terms: Terms) -> Settlement | None:
    """What becomes of a refund that its charge counts since it was recorded."""
    attempt, refund, charge = work.attempt, loaded(work.refund), loaded(work.charge)
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
                transfers=postings.refund(books_of(attempt, terms), change.id, attempt.amount, terms.now),
                events=_refund_told(refund, charge if intent is not None or not work.answered else None, work, terms),
            )
        case Declined():
            refund = replace(refund, version=refund.version + 1, status="failed", failure_reason="declined")
            return Settlement(
                attempt=attempt,
                outcome=outcome,
                intent=intent,
                charge=charge.with_refunded(-attempt.amount) if intent is None else None,
                refund=refund,
                events=[*_refund_told(refund, None, work, terms), event_about("refund.failed", refund, work, terms)],
            )
        case Unknown() | AuthenticationRequired():
            if work.answered:
                return None
            counted = charge if intent is None else None
            return Settlement(attempt=attempt, outcome=outcome, closes=False, events=_refund_told(refund, counted, work, terms))
        case _ as never:
            assert_never(never)


def _refund_told(refund: Refund, charge: Charge | None, work: OpenAttempt, terms: Terms) -> list[Event]:
    """Build the events of a refund, with its charge where that begins to count it: what is new at first, what changed later."""
    shown = [] if charge is None else [event_about("charge.refunded", charge, work, terms)]
    if work.answered:
        return [*shown, event_about("charge.refund.updated", refund, work, terms), answer("refund.updated", refund, work, terms)]
    return [*shown, answer("refund.created", refund, work, terms)]


def settle_refund_failure(work: OpenAttempt, outcome: Outcome, terms: Terms) -> Settlement:
    """A refund that was booked didn't reach the cardholder: the merchant gets the amount back, by a reversing transfer."""
    attempt, refund, charge = work.attempt, loaded(work.refund), loaded(work.charge)
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
        transfers=postings.refund_reversal(books_of(attempt, terms), change.id, attempt.amount, terms.now),
        events=[event_about("charge.refund.updated", refund, work, terms), answer("refund.failed", refund, work, terms)],
    )


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
        attempt=attempt.id,
    )
