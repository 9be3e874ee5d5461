"""Rows as the set-based statements take them: the columns that SQL needs, with the object's document beside them.

Rows are encoded when they are handed in, so that a batch is joined, not encoded, while others wait for it.
"""

from collections.abc import Iterable

import msgspec

from payments.domain.attempt import Attempt
from payments.domain.balance_transaction import BalanceTransaction
from payments.domain.charge import Charge
from payments.domain.event import Event
from payments.domain.outcome import Outcome
from payments.domain.payment_intent import PaymentIntent
from payments.domain.payment_method import PaymentMethod
from payments.domain.refund import Refund

_encode = msgspec.json.Encoder().encode


def intent_row(unit: str, intent: PaymentIntent) -> bytes:
    """Encode a row of `payment_intents`."""
    return _encode(
        {
            "unit": unit,
            "merchant_id": intent.merchant_id,
            "livemode": intent.livemode,
            "id": intent.id,
            "created": intent.created,
            "version": intent.version,
            "status": intent.status,
            "open_attempt": intent.open_attempt,
            "amount": intent.amount,
            "amount_capturable": intent.amount_capturable,
            "amount_received": intent.amount_received,
            "currency": intent.currency,
            "customer": intent.customer,
            "capture_before": intent.capture_before,
            "document": intent,
        }
    )


def settled_row(attempt: Attempt, intent: PaymentIntent | None, *, outcome: Outcome, closes: bool) -> bytes:
    """Encode an attempt with its outcome, and the intent that it advances, if any."""
    row: dict[str, object] = {
        "unit": attempt.id,
        "merchant_id": attempt.merchant_id,
        "livemode": attempt.livemode,
        "outcome": outcome,
        "closes": closes,
    }
    if intent is not None:
        row |= {
            "id": intent.id,
            "version": intent.version,
            "status": intent.status,
            "open_attempt": intent.open_attempt,
            "amount_capturable": intent.amount_capturable,
            "amount_received": intent.amount_received,
            "capture_before": intent.capture_before,
            "document": intent,
        }
    return _encode(row)


def payment_method_row(unit: str, method: PaymentMethod, sealed_number: str | None = None) -> bytes:
    """Encode a row of `payment_methods`; only a new one comes with its sealed number."""
    return _encode(
        {
            "unit": unit,
            "merchant_id": method.merchant_id,
            "livemode": method.livemode,
            "id": method.id,
            "created": method.created,
            "version": method.version,
            "customer": method.customer,
            "sealed_number": sealed_number,
            "document": method,
        }
    )


def attempt_row(unit: str, attempt: Attempt) -> bytes:
    """Encode a row of `attempts`."""
    return _encode(
        {
            "unit": unit,
            "merchant_id": attempt.merchant_id,
            "livemode": attempt.livemode,
            "id": attempt.id,
            "payment_intent": attempt.payment_intent,
            "created": attempt.created,
            "document": attempt,
        }
    )


def charge_row(unit: str, charge: Charge) -> bytes:
    """Encode a row of `charges`."""
    return _encode(
        {
            "unit": unit,
            "merchant_id": charge.merchant_id,
            "livemode": charge.livemode,
            "id": charge.id,
            "created": charge.created,
            "version": charge.version,
            "status": charge.status,
            "payment_intent": charge.payment_intent,
            "customer": charge.customer,
            "amount": charge.amount,
            "amount_captured": charge.amount_captured,
            "amount_refunded": charge.amount_refunded,
            "currency": charge.currency,
            "document": charge,
        }
    )


def refund_row(unit: str, refund: Refund) -> bytes:
    """Encode a row of `refunds`."""
    return _encode(
        {
            "unit": unit,
            "merchant_id": refund.merchant_id,
            "livemode": refund.livemode,
            "id": refund.id,
            "created": refund.created,
            "version": refund.version,
            "status": refund.status,
            "charge": refund.charge,
            "payment_intent": refund.payment_intent,
            "amount": refund.amount,
            "currency": refund.currency,
            "document": refund,
        }
    )


def balance_transaction_row(unit: str, change: BalanceTransaction, *, released: bool) -> bytes:
    """Encode a row of `balance_transactions`; `released`: the ledger has made its net amount available already."""
    return _encode(
        {
            "unit": unit,
            "merchant_id": change.merchant_id,
            "livemode": change.livemode,
            "id": change.id,
            "created": change.created,
            "type": change.type,
            "source": change.source,
            "amount": change.amount,
            "fee": change.fee,
            "currency": change.currency,
            "available_on": change.available_on,
            "released": released,
            "document": change,
        }
    )


def event_row(unit: str, event: Event) -> bytes:
    """Encode a row of `events`; the snapshot was encoded once, when the event was built."""
    return _encode(
        {
            "unit": unit,
            "merchant_id": event.merchant_id,
            "livemode": event.livemode,
            "id": event.id,
            "created": event.created,
            "type": event.type,
            "object_type": event.object_type,
            "object_id": event.object_id,
            "object_version": event.object_version,
            "snapshot": event.snapshot,
            "previous_attributes": event.previous_attributes,
            "request_id": event.origin.request_id,
            "idempotency_key": event.origin.idempotency_key,
        }
    )


NO_ROWS = "[]"


def json_array(rows: Iterable[bytes]) -> str:
    """Join encoded rows to the JSON array that a statement takes."""
    return "[" + b",".join(rows).decode() + "]"
