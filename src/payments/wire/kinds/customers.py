"""Who pays, and by what."""

from payments.domain.confirmation_token import ConfirmationToken
from payments.domain.customer import Customer
from payments.domain.customer_session import CustomerSession
from payments.domain.ephemeral_key import EphemeralKey
from payments.domain.payment_method import CardSource, PaymentMethod
from payments.domain.token import Token
from payments.storage.nouns import Filters, Noun
from payments.wire import render as shapes
from payments.wire.kind import Expandable, Kind
from payments.wire.kinds.expandables import EMPTY, id_of, never
from payments.wire.render_card import render_card, render_confirmation_token, render_customer_session, render_payment_method, render_token

CUSTOMER = Kind(
    noun=Noun("payments.customers", "cus", Customer, Filters(indexed=("email",)), columns=("email", "deleted"), condition="NOT deleted"),
    path="/v1/customers",
    shows_deleted=True,
    render=shapes.render_customer,
    expandable={
        "invoice_settings.default_payment_method": id_of("payment_method"),
        "default_source": id_of("card"),
        "sources": Expandable(("card",), listed=True, column="customer"),
        "subscriptions": EMPTY,
        "tax_ids": EMPTY,
        "test_clock": id_of("test_helpers.test_clock"),
        **never("cash_balance", "invoice_credit_balance", "tax"),
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
        "customer": id_of("customer"),
        "sepa_debit.generated_from.charge": id_of("charge"),
        "card.generated_from.setup_attempt": id_of("setup_attempt"),
        "sepa_debit.generated_from.setup_attempt": id_of("setup_attempt"),
    },
)
CARD = Kind(
    noun=Noun("payments.payment_methods", "pm", CardSource, Filters(indexed=("customer",)), columns=("customer",)),
    path="/v1/customers",
    render=render_card,
    title="source",
    expandable={"customer": id_of("customer"), **never("account")},
)
"""Cards once more, as the older API has them."""
TOKEN = Kind(noun=Noun("payments.tokens", "tok", Token), path="/v1/tokens", render=render_token, param="token")
CONFIRMATION_TOKEN = Kind(
    noun=Noun("payments.confirmation_tokens", "ctoken", ConfirmationToken),
    path="/v1/confirmation_tokens",
    render=render_confirmation_token,
    title="ConfirmationToken",
    param="confirmation_token",
    expandable={
        "payment_method_preview.customer": id_of("customer"),
        "payment_method_preview.card.generated_from.setup_attempt": id_of("setup_attempt"),
        "payment_method_preview.sepa_debit.generated_from.charge": id_of("charge"),
        "payment_method_preview.sepa_debit.generated_from.setup_attempt": id_of("setup_attempt"),
    },
)
CUSTOMER_SESSION = Kind(
    noun=Noun("payments.customer_sessions", "cuss", CustomerSession),
    path="/v1/customer_sessions",
    render=render_customer_session,
    title="customer session",
    param="client_secret",
    expandable={"customer": id_of("customer")},
)
EPHEMERAL_KEY = Kind(
    noun=Noun("payments.ephemeral_keys", "ephkey", EphemeralKey, columns=("customer", "expires")),
    path="/v1/ephemeral_keys",
    render=shapes.render_ephemeral_key,
    title="ephemeral key",
    param="key",
)
