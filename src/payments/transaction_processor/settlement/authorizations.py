"""What follows from an authorization: a payment, a hold, a refusal, a challenge, or waiting."""

from typing import assert_never

from msgspec.structs import replace

from payments.domain.event import Event
from payments.domain.outcome import Approved, AuthenticationRequired, Declined, Outcome, Unknown
from payments.domain.payment_intent import IntentStatus
from payments.ledger import postings
from payments.storage.attempts import OpenAttempt
from payments.storage.payments import Settlement
from payments.transaction_processor.judgement import charge_of, payment_error_of
from payments.transaction_processor.settlement.terms import (
    CAPTURE_WINDOW_SECONDS,
    EXTENDED_CAPTURE_WINDOW_SECONDS,
    Terms,
    advanced,
    answer,
    books_of,
    capture_transaction,
    event_about,
    kept_card,
    told,
)
from payments.wire.challenge_link import challenge_of
from payments.wire.receipt_link import with_receipt

_UNAUTHENTICATED = Declined(
    code="authentication_required",
    decline_code="authentication_required",
    message="Your card was declined. This transaction requires authentication.",
)
_AUTHENTICATION_NOT_HANDLED = Declined(
    code="authentication_required",
    decline_code="authentication_not_handled",
    message="This payment required an authentication action to complete, but `error_on_requires_action` was set. When you're ready, you can "
    "upgrade your integration to handle actions at https://stripe.com/docs/payments/payment-intents/upgrade-to-handle-actions.",
)


def settle_authorization(work: OpenAttempt, outcome: Outcome, terms: Terms) -> Settlement | None:
    """Return what becomes of a payment by the answer to its authorization."""
    match outcome:
        case Approved() if work.intent.holds:
            return _held(work, outcome, terms)
        case Approved():
            return _purchased(work, outcome, terms)
        case Declined():
            return _declined(work, outcome, terms)
        case AuthenticationRequired() if work.attempt.off_session or work.attempt.moto:
            return _declined(work, _UNAUTHENTICATED, terms)
        case AuthenticationRequired() if work.attempt.error_on_requires_action:
            return _declined(work, _AUTHENTICATION_NOT_HANDLED, terms)
        case AuthenticationRequired():
            return _challenged(work, outcome, terms)
        case Unknown():
            return _processing(work, outcome, terms)
        case _ as never:
            assert_never(never)


def _purchased(work: OpenAttempt, outcome: Approved, terms: Terms) -> Settlement:
    """The issuer approved and the money is claimed in the same message."""
    attempt = work.attempt
    change = capture_transaction(work, attempt.amount, outcome.funds_available_at_once, terms)
    charge = with_receipt(charge_of(work, outcome, captured=True, balance_transaction=change.id), terms.public_url)
    intent = advanced(
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
        payment_method=kept_card(work),
        balance_transactions=[change],
        available_at_once=outcome.funds_available_at_once,
        transfers=postings.capture(
            books_of(attempt, terms), change.id, change.amount, change.fee, terms.now, available_at_once=outcome.funds_available_at_once
        ),
        events=[
            *_attached(work, terms),
            *told("charge.succeeded", charge, "payment_intent.succeeded", intent, work, terms),
        ],
    )


def _held(work: OpenAttempt, outcome: Approved, terms: Terms) -> Settlement:
    """The issuer approved a hold, to be captured later."""
    attempt = work.attempt
    options = work.intent.card_options
    extended = options is not None and options.request_extended_authorization == "if_available"
    capture_before = terms.due_from + (EXTENDED_CAPTURE_WINDOW_SECONDS if extended else CAPTURE_WINDOW_SECONDS)
    charge = with_receipt(charge_of(work, outcome, captured=False, capture_before=capture_before), terms.public_url)
    intent = advanced(
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
        payment_method=kept_card(work),
        transfers=postings.authorization(books_of(attempt, terms), attempt.id, attempt.amount, terms.now),
        events=[
            *_attached(work, terms),
            *told("charge.succeeded", charge, "payment_intent.amount_capturable_updated", intent, work, terms),
        ],
    )


def _attached(work: OpenAttempt, terms: Terms) -> list[Event]:
    kept = kept_card(work)
    if kept is None or kept.customer == work.payment_method.customer:
        return []
    return [event_about("payment_method.attached", kept, work, terms)]


def _declined(work: OpenAttempt, outcome: Declined, terms: Terms) -> Settlement:
    """The issuer, or a rule before it, said no: the intent wants another card."""
    attempt = work.attempt
    charge = charge_of(work, outcome, captured=False)
    intent = advanced(
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
        events=told("charge.failed", charge, "payment_intent.payment_failed", intent, work, terms),
    )


def _challenged(work: OpenAttempt, outcome: AuthenticationRequired, terms: Terms) -> Settlement:
    """The cardholder has to authenticate on our challenge page, for what this attempt was about: the link names it."""
    action = challenge_of(work.intent, work.attempt.id, terms.public_url)
    intent = advanced(work.intent, IntentStatus.REQUIRES_ACTION, next_action=action)
    return Settlement(
        attempt=work.attempt,
        outcome=outcome,
        intent=intent,
        events=[answer("payment_intent.requires_action", intent, work, terms)],
    )


def _processing(work: OpenAttempt, outcome: Unknown, terms: Terms) -> Settlement | None:
    """Silence: the attempt stays open, the merchant sees `processing`, or a charge that is `pending`."""
    if work.answered:
        return None
    intent = replace(work.intent, version=work.intent.version + 1)
    if intent.behind_charge:
        charge = charge_of(work, outcome, captured=False)
        events = [answer("charge.pending", charge, work, terms)]
        return Settlement(attempt=work.attempt, outcome=outcome, closes=False, intent=intent, charge=charge, events=events)
    return Settlement(
        attempt=work.attempt,
        outcome=outcome,
        closes=False,
        intent=intent,
        events=[answer("payment_intent.processing", intent, work, terms)],
    )
