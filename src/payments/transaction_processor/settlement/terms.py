"""What every settlement is made with: its terms, and the parts that several kinds of attempt share."""

from dataclasses import dataclass
from typing import TypeVar

from msgspec.structs import replace

from payments.domain.attempt import Attempt
from payments.domain.balance_transaction import BalanceTransaction
from payments.domain.charge import Charge
from payments.domain.event import Event, EventObject, event_of
from payments.domain.fees import FeeSchedule
from payments.domain.outcome import Declined
from payments.domain.payment_intent import ALLOWED_TRANSITIONS, IntentStatus, PaymentIntent
from payments.domain.payment_method import PaymentMethod
from payments.domain.payment_options import AmountDetails
from payments.domain.resource import next_version
from payments.domain.settlement import UNTIL_SETTLED, Availability
from payments.ledger import postings
from payments.runtime.ids import new_id
from payments.storage.attempts import OpenAttempt
from payments.storage.payments import Settlement
from payments.transaction_processor.judgement import payment_error_of

T = TypeVar("T")

CAPTURE_WINDOW_SECONDS = 7 * 24 * 3600
"""How long a hold lasts."""
EXTENDED_CAPTURE_WINDOW_SECONDS = 30 * 24 * 3600
"""How long it lasts where more is asked for. Source: Stripe, "Place an extended hold on a payment method"."""
DAY_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Terms:
    """What a settlement depends on besides the attempt and its outcome."""

    now: int
    """Unix seconds."""
    fees: FeeSchedule
    acquirer: str
    public_url: str
    """Where our hosted pages are, for 3-D Secure."""
    available_by: Availability = Availability.SCHEDULE
    """When what the acquirer captures becomes available."""
    ahead_seconds: int = 0
    """How far deadlines are ahead of `now`, in a sandbox with a test clock."""

    @property
    def due_from(self) -> int:
        """What deadlines are counted from, unix seconds."""
        return self.now + self.ahead_seconds


def loaded(value: T | None) -> T:
    """Assert what the attempt's kind guarantees: its charge or refund was loaded with it."""
    if value is None:
        raise LookupError("the attempt was loaded without its charge or refund")
    return value


def books_of(attempt: Attempt, terms: Terms) -> postings.Books:
    """Return the accounts that an attempt touches."""
    return postings.Books(attempt.merchant_id, attempt.livemode, terms.acquirer, attempt.currency)


def advanced(intent: PaymentIntent, status: IntentStatus, **changes: object) -> PaymentIntent:
    """Take the intent a step further and close its attempt."""
    if status not in ALLOWED_TRANSITIONS[intent.status]:
        raise ValueError(f"a payment intent can't go from {intent.status} to {status}")
    return replace(intent, version=intent.version + 1, open_attempt=None, status=status, **changes)


def details_after(work: OpenAttempt) -> AmountDetails | None:
    """Return what an intent's amount is made of when its attempt is approved."""
    given = work.attempt.amount_details
    return work.intent.amount_details if given is None else None if given == AmountDetails() else given


def kept_card(work: OpenAttempt) -> PaymentMethod | None:
    """Return the card of an approved payment as it shall be if it is kept for later ones, one version on; None when it stays as it is."""
    intent, method = work.intent, work.payment_method
    if intent.future_usage is None or work.customer_gone:
        return None
    if method.consumed and method.paid_for != intent.id:  # it was detached meanwhile
        return None
    kept = replace(
        method,
        customer=method.customer or intent.customer,
        set_up=method.set_up or intent.future_usage == "off_session",
        consumed=False,
        paid_for=None,
    )
    return None if kept == method else replace(kept, version=method.version + 1)


def capture_transaction(work: OpenAttempt, amount: int, available_at_once: bool, terms: Terms) -> BalanceTransaction:
    """Build the change of the merchant's balance that a capture of `amount` minor units is."""
    attempt = work.attempt
    by_settlement = terms.available_by is Availability.SETTLEMENT and not available_at_once
    by_schedule = terms.now if available_at_once else terms.due_from + terms.fees.delay_days * DAY_SECONDS
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
        available_on=UNTIL_SETTLED if by_settlement else by_schedule,
        description=work.intent.description,
        attempt=attempt.id,
        by_settlement=by_settlement,
    )


def still_held(work: OpenAttempt, outcome: Declined, terms: Terms) -> Settlement:
    """Return what follows when something was refused that was asked of a hold: it stays what it was, and the intent says why."""
    intent = advanced(work.intent, IntentStatus.REQUIRES_CAPTURE, last_payment_error=payment_error_of(work, outcome))
    if intent.behind_charge:
        charge = next_version(
            loaded(work.charge), failure_code=outcome.code, failure_message=outcome.message, decline_code=outcome.decline_code
        )
        events = [answer("charge.updated", charge, work, terms)]
        return Settlement(attempt=work.attempt, outcome=outcome, intent=intent, charge=charge, events=events)
    return Settlement(
        attempt=work.attempt,
        outcome=outcome,
        intent=intent,
        events=[answer("payment_intent.payment_failed", intent, work, terms)],
    )


def told(of_charge: str, charge: Charge, of_intent: str, intent: PaymentIntent, work: OpenAttempt, terms: Terms) -> list[Event]:
    """Build the events of a step that its charge and its intent took: the intent's answers; of one that isn't shown, the charge's."""
    if intent.behind_charge:
        return [answer(of_charge, charge, work, terms)]
    return [event_about(of_charge, charge, work, terms), answer(of_intent, intent, work, terms)]


def event_about(event_type: str, subject: EventObject, work: OpenAttempt, terms: Terms, *, event_id: str | None = None) -> Event:
    """Build an event about an object as it is now."""
    return event_of(event_id or new_id("evt"), event_type, subject, created=terms.now, origin=work.attempt.origin)


def answer(event_type: str, subject: EventObject, work: OpenAttempt, terms: Terms) -> Event:
    """Build the event that answers the request, under the id that its idempotency claim points at; what comes later has an id of its own."""
    return event_about(event_type, subject, work, terms, event_id=None if work.answered else work.attempt.outcome_event)
