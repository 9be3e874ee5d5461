"""Each kind of object that the API has, declared once: its table, its path, its shape, what of it expands."""

from typing import Any

from payments.wire.kind import Kind
from payments.wire.kinds.customers import CARD, CONFIRMATION_TOKEN, CUSTOMER, CUSTOMER_SESSION, EPHEMERAL_KEY, PAYMENT_METHOD, TOKEN
from payments.wire.kinds.money import BALANCE_TRANSACTION, BANK_ACCOUNT, DISPUTE, PAYOUT
from payments.wire.kinds.operating import DESTINATION, REPLAY, SANDBOX_CLOCK, WEBHOOK_ENDPOINT
from payments.wire.kinds.payments import CHARGE, MANDATE, PAYMENT_INTENT, REFUND, SETUP_ATTEMPT, SETUP_INTENT
from payments.wire.kinds.selling import CHECKOUT_SESSION, ITEM, PAYMENT_LINK, PRICE, PRODUCT

KINDS: dict[str, Kind[Any]] = {
    kind.name: kind
    for kind in (
        PAYMENT_INTENT,
        CHARGE,
        REFUND,
        PAYMENT_METHOD,
        CUSTOMER,
        BALANCE_TRANSACTION,
        DISPUTE,
        PAYOUT,
        BANK_ACCOUNT,
        PRODUCT,
        PRICE,
        WEBHOOK_ENDPOINT,
        DESTINATION,
        REPLAY,
        SETUP_INTENT,
        SETUP_ATTEMPT,
        MANDATE,
        CARD,
        TOKEN,
        CONFIRMATION_TOKEN,
        CUSTOMER_SESSION,
        EPHEMERAL_KEY,
        ITEM,
        CHECKOUT_SESSION,
        PAYMENT_LINK,
        SANDBOX_CLOCK,
    )
}
"""By what their objects say that they are."""
