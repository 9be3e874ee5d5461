"""Each kind of object that the API has, declared once: its table, its path, its shape, what of it expands.

What can be expanded is what Stripe's schema says (`x-expandableFields`), whether Tap has such objects or not: what is null stays null.
"""

from typing import Any

from payments.domain.api_version import LISTS_UNASKED_BEFORE
from payments.domain.balance_transaction import BalanceTransaction
from payments.domain.bank_account import BankAccount
from payments.domain.charge import Charge
from payments.domain.checkout import CheckoutSession, Item, PaymentLink
from payments.domain.confirmation_token import ConfirmationToken
from payments.domain.customer import Customer
from payments.domain.customer_session import CustomerSession
from payments.domain.destination import Destination
from payments.domain.dispute import Dispute
from payments.domain.ephemeral_key import EphemeralKey
from payments.domain.money import CURRENCIES
from payments.domain.payment_intent import PaymentIntent
from payments.domain.payment_method import CardSource, PaymentMethod
from payments.domain.payout import Payout
from payments.domain.price import Price
from payments.domain.product import Product
from payments.domain.refund import Refund
from payments.domain.replay import Replay
from payments.domain.sandbox_clock import SandboxClock
from payments.domain.setup_intent import Mandate, SetupAttempt, SetupIntent
from payments.domain.token import Token
from payments.domain.webhook_endpoint import WebhookEndpoint
from payments.storage.nouns import Filters, Noun
from payments.wire import render as shapes
from payments.wire.kind import Expandable, Kind
from payments.wire.render_amount import render_line_items
from payments.wire.render_card import render_card, render_confirmation_token, render_customer_session, render_payment_method, render_token
from payments.wire.render_catalog import render_currency_options, render_price, render_product
from payments.wire.render_checkout import render_breakdown, render_item, render_none_of_them, render_payment_link, render_session
from payments.wire.render_destination import render_destination
from payments.wire.render_money import EVIDENCE_FILES, render_bank_account, render_dispute, render_payout
from payments.wire.render_replay import render_replay
from payments.wire.render_sandbox_clock import render_sandbox_clock
from payments.wire.render_setup import render_mandate, render_setup_attempt, render_setup_intent

_NEVER = Expandable()
_EMPTY = Expandable(listed=True)
_CUSTOMER = Expandable(("customer",))
_PAYMENT_INTENT = Expandable(("payment_intent",))
_PAYMENT_METHOD = Expandable(("payment_method",))
_CHARGE = Expandable(("charge",))
_MANDATE = Expandable(("mandate",))
_SETUP_ATTEMPT = Expandable(("setup_attempt",))
_BALANCE_TRANSACTION = Expandable(("balance_transaction",))
_TURNED_INTO_DEBITS = ("bancontact", "ideal", "sofort")
"""Payment methods that leave a direct debit behind: Tap has none of them, Stripe's schema has."""


def _never(*fields: str) -> dict[str, Expandable]:
    """Fields that are always null or absent here."""
    return dict.fromkeys(fields, _NEVER)


PAYMENT_INTENT = Kind(
    noun=Noun(
        "payments.payment_intents",
        "pi",
        PaymentIntent,
        Filters(indexed=("customer",)),
        columns=("status", "amount", "currency", "customer"),
        compares=("open_attempt",),
    ),
    path="/v1/payment_intents",
    render=shapes.render_payment_intent,
    param="intent",
    expandable={
        "charges": Expandable(
            ("charge",),
            listed=True,
            column="payment_intent",
            path="/v1/charges?payment_intent=",
            unasked_before=LISTS_UNASKED_BEFORE,
            gone=True,
        ),
        "customer": _CUSTOMER,
        "latest_charge": _CHARGE,
        "payment_method": _PAYMENT_METHOD,
        "source": Expandable(("card",)),
        **_never("application", "on_behalf_of", "payment_record", "review"),
        "amount_details.line_items": Expandable(own=render_line_items),
        **_never("transfer_data.destination"),
    },
)
CHARGE = Kind(
    noun=Noun(
        "payments.charges",
        "ch",
        Charge,
        Filters(indexed=("payment_intent", "customer"), compared={"transfer_group": "document ->> 'transfer_group'"}),
    ),
    path="/v1/charges",
    render=shapes.render_charge,
    expandable={
        "balance_transaction": _BALANCE_TRANSACTION,
        "customer": _CUSTOMER,
        "failure_balance_transaction": _BALANCE_TRANSACTION,
        "payment_intent": _PAYMENT_INTENT,
        "refunds": Expandable(("refund",), listed=True, column="charge", unasked_before=LISTS_UNASKED_BEFORE),
        **_never("application", "application_fee", "on_behalf_of", "review", "source_transfer", "transfer", "transfer_data.destination"),
        "payment_method_details.card.mandate": _MANDATE,
        "payment_method_details.us_bank_account.mandate": _MANDATE,
        **{f"payment_method_details.{name}.generated_sepa_debit": _PAYMENT_METHOD for name in _TURNED_INTO_DEBITS},
        **{f"payment_method_details.{name}.generated_sepa_debit_mandate": _MANDATE for name in _TURNED_INTO_DEBITS},
    },
)
REFUND = Kind(
    noun=Noun("payments.refunds", "re", Refund, Filters(indexed=("charge", "payment_intent"))),
    path="/v1/refunds",
    render=shapes.render_refund,
    param="refund",
    expandable={
        "balance_transaction": _BALANCE_TRANSACTION,
        "charge": _CHARGE,
        "customer": _CUSTOMER,
        "failure_balance_transaction": _BALANCE_TRANSACTION,
        "payment_intent": _PAYMENT_INTENT,
        "payment_method": _PAYMENT_METHOD,
        **_never("source_transfer_reversal", "transfer_reversal"),
    },
)
PAYMENT_METHOD = Kind(
    noun=Noun(
        "payments.payment_methods",
        "pm",
        PaymentMethod,
        Filters(indexed=("customer",), compared={"allow_redisplay": "coalesce(document ->> 'allow_redisplay', 'unspecified')"}),
        columns=("customer",),
    ),
    path="/v1/payment_methods",
    render=render_payment_method,
    title="PaymentMethod",
    param="payment_method",
    expandable={
        "customer": _CUSTOMER,
        "sepa_debit.generated_from.charge": _CHARGE,
        "card.generated_from.setup_attempt": _SETUP_ATTEMPT,
        "sepa_debit.generated_from.setup_attempt": _SETUP_ATTEMPT,
    },
)
CUSTOMER = Kind(
    noun=Noun("payments.customers", "cus", Customer, Filters(indexed=("email",)), columns=("email", "deleted"), condition="NOT deleted"),
    path="/v1/customers",
    shows_deleted=True,
    render=shapes.render_customer,
    expandable={
        "invoice_settings.default_payment_method": _PAYMENT_METHOD,
        "default_source": Expandable(("card",)),
        "sources": Expandable(("card",), listed=True, column="customer"),
        "subscriptions": _EMPTY,
        "tax_ids": _EMPTY,
        "test_clock": Expandable(("test_helpers.test_clock",)),
        **_never("cash_balance", "invoice_credit_balance", "tax"),
    },
)
BALANCE_TRANSACTION = Kind(
    noun=Noun(
        "payments.balance_transactions",
        "txn",
        BalanceTransaction,
        Filters(
            indexed=("source", "payout"),
            few={
                "currency": tuple(CURRENCIES),
                "type": ("charge", "refund", "refund_failure", "adjustment", "payout", "payout_cancel", "payout_failure"),
            },
        ),
    ),
    path="/v1/balance_transactions",
    render=shapes.render_balance_transaction,
    render_at=shapes.render_balance_transaction,
    expandable={"source": Expandable(("charge", "refund", "dispute", "payout"))},
)
DISPUTE = Kind(
    noun=Noun(
        "payments.disputes",
        "dp",
        Dispute,
        Filters(indexed=("charge", "payment_intent")),
        columns=("status", "answer_by"),
    ),
    path="/v1/disputes",
    render=render_dispute,
    param="dispute",
    expandable={
        "charge": _CHARGE,
        "payment_intent": _PAYMENT_INTENT,
        **_never(*(f"evidence.{name}" for name in EVIDENCE_FILES)),
    },
)
PAYOUT = Kind(
    noun=Noun(
        "payments.payouts",
        "po",
        Payout,
        Filters(indexed=("destination", "status"), compared={"arrival_date": "(document ->> 'arrival_date')::bigint"}),
        columns=("status",),
    ),
    path="/v1/payouts",
    render=render_payout,
    param="payout",
    expandable={
        "balance_transaction": _BALANCE_TRANSACTION,
        "destination": Expandable(("bank_account", "card")),
        "failure_balance_transaction": _BALANCE_TRANSACTION,
        "original_payout": Expandable(("payout",)),
        "reversed_by": Expandable(("payout",)),
        **_never("application_fee"),
    },
)
BANK_ACCOUNT = Kind(
    noun=Noun(
        "payments.bank_accounts",
        "ba",
        BankAccount,
        columns=("currency", "default_for_currency", "deleted"),
        condition="NOT deleted",
    ),
    path="/v1/accounts/{account}/external_accounts",
    render=render_bank_account,
    title="external account",
    expandable={"customer": _CUSTOMER, **_never("account")},
)
PRODUCT = Kind(
    noun=Noun(
        "payments.products",
        "prod",
        Product,
        Filters(
            indexed=("id", "active"),
            compared={
                "shippable": "(document ->> 'shippable')::boolean",
                "type": "coalesce(document ->> 'type', 'service')",
                "url": "document ->> 'url'",
            },
        ),
        columns=("active", "deleted"),
        place="place",
        condition="NOT deleted",
    ),
    path="/v1/products",
    render=render_product,
    expandable={"default_price": Expandable(("price",)), **_never("tax_code")},
)
PRICE = Kind(
    noun=Noun(
        "payments.prices",
        "price",
        Price,
        Filters(indexed=("lookup_key", "product", "active"), compared={"currency": "document ->> 'currency'"}),
        columns=("active", "lookup_key"),
    ),
    path="/v1/prices",
    render=render_price,
    param="price",
    expandable={
        "currency_options": Expandable(own=render_currency_options),
        "product": Expandable(("product",)),
        **_never("tiers"),
    },
)
WEBHOOK_ENDPOINT = Kind(
    noun=Noun(
        "notifications.webhook_endpoints",
        "we",
        WebhookEndpoint,
        columns=("enabled", "enabled_events", "ordered"),
        condition="NOT id LIKE 'ed\\_%'",
    ),
    path="/v1/webhook_endpoints",
    render=shapes.render_webhook_endpoint,
    title="webhook endpoint",
    param="webhook_endpoint",
)
DESTINATION = Kind(
    noun=Noun(
        "notifications.webhook_endpoints",
        "ed",
        Destination,
        columns=("enabled", "enabled_events", "ordered", "receipts"),
        condition="id LIKE 'ed\\_%'",
    ),
    path="/v1/notifications/destinations",
    render=render_destination,
    title="destination",
    param="destination",
)
"""In the table of webhook endpoints, since all that is delivered is delivered alike; which of the two a row is, its id says."""
REPLAY = Kind(
    noun=Noun("notifications.replays", "rpl", Replay, columns=("status",)),
    path="/v1/notifications/replays",
    render=render_replay,
    title="replay",
)

SETUP_INTENT = Kind(
    noun=Noun(
        "payments.setup_intents",
        "seti",
        SetupIntent,
        Filters(indexed=("payment_method", "customer")),
        columns=("customer", "payment_method"),
    ),
    path="/v1/setup_intents",
    render=render_setup_intent,
    title="setupintent",
    param="intent",
    expandable={
        "customer": _CUSTOMER,
        "latest_attempt": _SETUP_ATTEMPT,
        "mandate": _MANDATE,
        "single_use_mandate": _MANDATE,
        "payment_method": _PAYMENT_METHOD,
        **_never("application", "on_behalf_of"),
    },
)
SETUP_ATTEMPT = Kind(
    noun=Noun("payments.setup_attempts", "setatt", SetupAttempt, Filters(indexed=("setup_intent",)), columns=("setup_intent",)),
    path="/v1/setup_attempts",
    render=render_setup_attempt,
    expandable={
        "customer": _CUSTOMER,
        "payment_method": _PAYMENT_METHOD,
        "setup_intent": Expandable(("setup_intent",)),
        "payment_method_details.card_present.generated_card": _PAYMENT_METHOD,
        **{f"payment_method_details.{name}.generated_sepa_debit": _PAYMENT_METHOD for name in _TURNED_INTO_DEBITS},
        **{f"payment_method_details.{name}.generated_sepa_debit_mandate": _MANDATE for name in _TURNED_INTO_DEBITS},
        **_never("application", "on_behalf_of"),
    },
)
MANDATE = Kind(
    noun=Noun("payments.mandates", "mandate", Mandate),
    path="/v1/mandates",
    render=render_mandate,
    param="mandate",
    expandable={"payment_method": _PAYMENT_METHOD},
)

CARD = Kind(
    noun=Noun("payments.payment_methods", "pm", CardSource, Filters(indexed=("customer",)), columns=("customer",)),
    path="/v1/customers",
    render=render_card,
    title="source",
    expandable={"customer": _CUSTOMER, **_never("account")},
)
"""Cards once more, as the older API has them."""
EPHEMERAL_KEY = Kind(
    noun=Noun("payments.ephemeral_keys", "ephkey", EphemeralKey, columns=("customer", "expires")),
    path="/v1/ephemeral_keys",
    render=shapes.render_ephemeral_key,
    title="ephemeral key",
    param="key",
)
TOKEN = Kind(noun=Noun("payments.tokens", "tok", Token), path="/v1/tokens", render=render_token, param="token")
CONFIRMATION_TOKEN = Kind(
    noun=Noun("payments.confirmation_tokens", "ctoken", ConfirmationToken),
    path="/v1/confirmation_tokens",
    render=render_confirmation_token,
    title="ConfirmationToken",
    param="confirmation_token",
    expandable={
        "payment_method_preview.customer": _CUSTOMER,
        "payment_method_preview.card.generated_from.setup_attempt": _SETUP_ATTEMPT,
        "payment_method_preview.sepa_debit.generated_from.charge": _CHARGE,
        "payment_method_preview.sepa_debit.generated_from.setup_attempt": _SETUP_ATTEMPT,
    },
)
CUSTOMER_SESSION = Kind(
    noun=Noun("payments.customer_sessions", "cuss", CustomerSession),
    path="/v1/customer_sessions",
    render=render_customer_session,
    title="customer session",
    param="client_secret",
    expandable={"customer": _CUSTOMER},
)
_LINES = Expandable(("item",), listed=True, column="owner")

ITEM = Kind(
    noun=Noun("payments.checkout_items", "li", Item, Filters(indexed=("owner",)), columns=("owner",)),
    path="/v1/checkout/items",
    render=render_item,
    expandable={
        "discounts": Expandable(own=render_none_of_them),
        "price.product": Expandable(("product",)),
        "taxes": Expandable(own=render_none_of_them),
    },
)
CHECKOUT_SESSION = Kind(
    noun=Noun(
        "payments.checkout_sessions",
        "cs",
        CheckoutSession,
        Filters(indexed=("payment_intent", "email", "customer", "payment_link", "status")),
        columns=("status", "customer", "email", "payment_intent", "due_at"),
    ),
    path="/v1/checkout/sessions",
    render=render_session,
    title="checkout.session",
    param="session",
    expandable={
        "customer": _CUSTOMER,
        "line_items": _LINES,
        "payment_intent": _PAYMENT_INTENT,
        "payment_link": Expandable(("payment_link",)),
        "setup_intent": Expandable(("setup_intent",)),
        "total_details.breakdown": Expandable(own=render_breakdown),
        **_never("invoice", "subscription"),
        **_never("automatic_tax.liability.account", "invoice_creation.invoice_data.issuer.account", "shipping_cost.shipping_rate"),
    },
)
PAYMENT_LINK = Kind(
    noun=Noun("payments.payment_links", "plink", PaymentLink, Filters(indexed=("active",)), columns=("active",)),
    path="/v1/payment_links",
    render=render_payment_link,
    param="payment_link",
    expandable={
        "line_items": _LINES,
        **_never("application", "on_behalf_of", "transfer_data.destination"),
        **_never("automatic_tax.liability.account", "invoice_creation.invoice_data.issuer.account"),
        **_never("subscription_data.invoice_settings.issuer.account"),
    },
)
SANDBOX_CLOCK = Kind(
    noun=Noun("payments.test_clocks", "clock", SandboxClock, columns=("status", "deleted"), condition="NOT deleted"),
    path="/v1/test_helpers/test_clocks",
    render=render_sandbox_clock,
    title="test_clock",
    param="test_clock",
)

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
