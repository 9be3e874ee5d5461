"""Rows as the commits' statements take them: the columns that SQL needs, with the object's document beside them.

Each belongs to a unit of a commit, whose id comes last. They are made when they are handed in, so that a batch is joined, not encoded, while others wait.
"""

import msgspec

from payments.domain.attempt import Attempt
from payments.domain.balance_transaction import BalanceTransaction
from payments.domain.charge import Charge
from payments.domain.event import Event
from payments.domain.payment_intent import PaymentIntent
from payments.domain.payment_method import PaymentMethod
from payments.domain.refund import Refund
from payments.ledger.transfer import Transfer
from payments.storage.columns import Columns, Row

_encode = msgspec.json.Encoder().encode
_KEY = "merchant_id bigint, livemode boolean, id text, created bigint"
_DOCUMENT = "document json, unit text"

INTENTS = Columns(
    f"{_KEY}, version integer, status text, open_attempt text, amount bigint, amount_capturable bigint, amount_received bigint, "
    "currency text, customer text, capture_before bigint",
    _DOCUMENT,
)
PAYMENT_METHODS = Columns(f"{_KEY}, version integer, customer text", f"sealed_number text, {_DOCUMENT}")
ATTEMPTS = Columns(f"{_KEY}, payment_intent text", f"lease_seconds float8, {_DOCUMENT}")
CHARGES = Columns(
    f"{_KEY}, version integer, status text, payment_intent text, customer text, amount bigint, amount_captured bigint, amount_refunded bigint, "
    "currency text",
    _DOCUMENT,
)
REFUNDS = Columns(f"{_KEY}, version integer, status text, charge text, payment_intent text, amount bigint, currency text", _DOCUMENT)
BALANCE_TRANSACTIONS = Columns(
    f"{_KEY}, type text, source text, amount bigint, fee bigint, currency text, available_on bigint", f"released boolean, {_DOCUMENT}"
)
TRANSFERS = Columns(
    "posting text, kind text, phase text, amount bigint, occurred_at bigint, debit.currency text",
    "debit_account bigint, credit_account bigint, unit text",
)
EVENTS = Columns(
    f"{_KEY}, type text, object_type text, object_id text, object_version integer, snapshot json, origin.request_id text, "
    "origin.idempotency_key text",
    "previous_attributes json, unit text",
)


def intent_row(unit: str, intent: PaymentIntent) -> Row:
    """Make a row of `INTENTS`."""
    return (*INTENTS.values_of(intent), _encode(intent), unit)


def payment_method_row(unit: str, method: PaymentMethod, sealed_number: str | None = None) -> Row:
    """Make a row of `PAYMENT_METHODS`; only a new one comes with its sealed number."""
    return (*PAYMENT_METHODS.values_of(method), sealed_number, _encode(method), unit)


def attempt_row(unit: str, attempt: Attempt, lease_seconds: float) -> Row:
    """Make a row of `ATTEMPTS`; `lease_seconds`: how long whoever begins it may work on it."""
    return (*ATTEMPTS.values_of(attempt), lease_seconds, _encode(attempt), unit)


def charge_row(unit: str, charge: Charge) -> Row:
    """Make a row of `CHARGES`."""
    return (*CHARGES.values_of(charge), _encode(charge), unit)


def refund_row(unit: str, refund: Refund) -> Row:
    """Make a row of `REFUNDS`."""
    return (*REFUNDS.values_of(refund), _encode(refund), unit)


def balance_transaction_row(unit: str, change: BalanceTransaction, *, released: bool) -> Row:
    """Make a row of `BALANCE_TRANSACTIONS`; `released`: the ledger has made its net amount available already."""
    return (*BALANCE_TRANSACTIONS.values_of(change), released, _encode(change), unit)


def event_row(unit: str, event: Event) -> Row:
    """Make a row of `EVENTS`; the snapshot was encoded once, when the event was built."""
    previous = event.previous_attributes
    return (*EVENTS.values_of(event), None if previous is None else _encode(previous), unit)


def transfer_row(unit: str, transfer: Transfer, debit_account: int, credit_account: int) -> Row:
    """Make a row of `TRANSFERS`."""
    return (*TRANSFERS.values_of(transfer), debit_account, credit_account, unit)
