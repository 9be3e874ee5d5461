"""The rows that commits write, by table: the columns that SQL needs, with the object's document beside them.

Each belongs to a unit of a commit, by whose id the parts of a statement are correlated.
"""

from payments.storage.columns import Columns

_KEY = "merchant_id bigint, livemode boolean, id text, created bigint"

_COMPARES = "compares integer"
"""How many rows must be locked as they were read."""
BEGINNINGS = Columns("unit text, merchant_id bigint, livemode boolean", f"key text, {_COMPARES}")
"""The units of commit 1."""
CLAIMS = Columns(
    "merchant_id bigint, livemode boolean, key text, path text, fingerprint text, created bigint, api_version text, response_event text",
    "unit text",
)
"""The idempotency keys that they claim."""
OUTCOMES = Columns(
    "attempt.id text, attempt.merchant_id bigint, attempt.livemode boolean, closes boolean, outcome json", f"advances boolean, {_COMPARES}"
)
"""The units of commit 2."""
INTENTS = Columns(
    f"{_KEY}, version integer, status text, open_attempt text, amount bigint, amount_capturable bigint, amount_received bigint, "
    "currency text, customer text, capture_before bigint",
    "unit text",
    document=True,
)
PAYMENT_METHODS = Columns(f"{_KEY}, version integer, customer text", "sealed_number text, unit text", document=True)
CUSTOMERS = Columns(f"{_KEY}, version integer, email text, deleted boolean", "unit text", document=True)
CHECKOUT_SESSIONS = Columns(
    f"{_KEY}, version integer, status text, customer text, email text, payment_intent text, due_at bigint", "unit text", document=True
)
PAYMENT_LINKS = Columns(f"{_KEY}, version integer", "unit text", document=True)
ATTEMPTS = Columns(f"{_KEY}, payment_intent text", "lease_seconds float8, unit text", document=True)
CHARGES = Columns(
    f"{_KEY}, version integer, status text, payment_intent text, customer text, amount bigint, amount_captured bigint, amount_refunded bigint, "
    "currency text",
    "unit text",
    document=True,
)
REFUNDS = Columns(
    f"{_KEY}, version integer, status text, charge text, payment_intent text, amount bigint, currency text", "unit text", document=True
)
BALANCE_TRANSACTIONS = Columns(
    f"{_KEY}, type text, source text, amount bigint, fee bigint, currency text, available_on bigint",
    "released boolean, unit text",
    document=True,
)
TRANSFERS = Columns(
    "posting text, kind text, phase text, amount bigint, occurred_at bigint, debit.currency text",
    "debit_account bigint, credit_account bigint, unit text",
)
EVENTS = Columns(
    f"{_KEY}, type text, object_type text, object_id text, object_version integer, snapshot json, previous_attributes json, "
    "origin.request_id text, origin.idempotency_key text",
    "unit text",
)
