"""What pays, and what keeps a card to pay with later."""

from payments.domain.api_version import LISTS_UNASKED_BEFORE
from payments.domain.charge import Charge
from payments.domain.payment_intent import PaymentIntent
from payments.domain.refund import Refund
from payments.domain.setup_intent import Mandate, SetupAttempt, SetupIntent
from payments.storage.nouns import Filters, Noun
from payments.wire import render as shapes
from payments.wire.kind import Expandable, Kind
from payments.wire.kinds.expandables import TURNED_INTO_DEBITS, id_of, never
from payments.wire.render_amount import render_line_items
from payments.wire.render_setup import render_mandate, render_setup_attempt, render_setup_intent

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
        "customer": id_of("customer"),
        "latest_charge": id_of("charge"),
        "payment_method": id_of("payment_method"),
        "source": id_of("card"),
        **never("application", "on_behalf_of", "payment_record", "review"),
        "amount_details.line_items": Expandable(own=render_line_items),
        **never("transfer_data.destination"),
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
        "balance_transaction": id_of("balance_transaction"),
        "customer": id_of("customer"),
        "failure_balance_transaction": id_of("balance_transaction"),
        "payment_intent": id_of("payment_intent"),
        "refunds": Expandable(("refund",), listed=True, column="charge", unasked_before=LISTS_UNASKED_BEFORE),
        **never("application", "application_fee", "on_behalf_of", "review", "source_transfer", "transfer", "transfer_data.destination"),
        "payment_method_details.card.mandate": id_of("mandate"),
        "payment_method_details.us_bank_account.mandate": id_of("mandate"),
        **{f"payment_method_details.{name}.generated_sepa_debit": id_of("payment_method") for name in TURNED_INTO_DEBITS},
        **{f"payment_method_details.{name}.generated_sepa_debit_mandate": id_of("mandate") for name in TURNED_INTO_DEBITS},
    },
)
REFUND = Kind(
    noun=Noun("payments.refunds", "re", Refund, Filters(indexed=("charge", "payment_intent"))),
    path="/v1/refunds",
    render=shapes.render_refund,
    param="refund",
    expandable={
        "balance_transaction": id_of("balance_transaction"),
        "charge": id_of("charge"),
        "customer": id_of("customer"),
        "failure_balance_transaction": id_of("balance_transaction"),
        "payment_intent": id_of("payment_intent"),
        "payment_method": id_of("payment_method"),
        **never("source_transfer_reversal", "transfer_reversal"),
    },
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
        "customer": id_of("customer"),
        "latest_attempt": id_of("setup_attempt"),
        "mandate": id_of("mandate"),
        "single_use_mandate": id_of("mandate"),
        "payment_method": id_of("payment_method"),
        **never("application", "on_behalf_of"),
    },
)
SETUP_ATTEMPT = Kind(
    noun=Noun("payments.setup_attempts", "setatt", SetupAttempt, Filters(indexed=("setup_intent",)), columns=("setup_intent",)),
    path="/v1/setup_attempts",
    render=render_setup_attempt,
    expandable={
        "customer": id_of("customer"),
        "payment_method": id_of("payment_method"),
        "setup_intent": id_of("setup_intent"),
        "payment_method_details.card_present.generated_card": id_of("payment_method"),
        **{f"payment_method_details.{name}.generated_sepa_debit": id_of("payment_method") for name in TURNED_INTO_DEBITS},
        **{f"payment_method_details.{name}.generated_sepa_debit_mandate": id_of("mandate") for name in TURNED_INTO_DEBITS},
        **never("application", "on_behalf_of"),
    },
)
MANDATE = Kind(
    noun=Noun("payments.mandates", "mandate", Mandate),
    path="/v1/mandates",
    render=render_mandate,
    param="mandate",
    expandable={"payment_method": id_of("payment_method")},
)
