"""What is sold, and the pages that sell it."""

from payments.domain.checkout import CheckoutSession, Item, PaymentLink
from payments.domain.price import Price
from payments.domain.product import Product
from payments.storage.nouns import Filters, Noun
from payments.wire.kind import Expandable, Kind
from payments.wire.kinds.expandables import id_of, never
from payments.wire.render_catalog import render_currency_options, render_price, render_product
from payments.wire.render_checkout import render_breakdown, render_item, render_none_of_them, render_payment_link, render_session

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
    expandable={"default_price": id_of("price"), **never("tax_code")},
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
        "product": id_of("product"),
        **never("tiers"),
    },
)

_LINES = Expandable(("item",), listed=True, column="owner")

ITEM = Kind(
    noun=Noun("payments.checkout_items", "li", Item, Filters(indexed=("owner",)), columns=("owner",)),
    path="/v1/checkout/items",
    render=render_item,
    expandable={
        "discounts": Expandable(own=render_none_of_them),
        "price.product": id_of("product"),
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
        "customer": id_of("customer"),
        "line_items": _LINES,
        "payment_intent": id_of("payment_intent"),
        "payment_link": id_of("payment_link"),
        "setup_intent": id_of("setup_intent"),
        "total_details.breakdown": Expandable(own=render_breakdown),
        **never("invoice", "subscription"),
        **never("automatic_tax.liability.account", "invoice_creation.invoice_data.issuer.account", "shipping_cost.shipping_rate"),
    },
)
PAYMENT_LINK = Kind(
    noun=Noun("payments.payment_links", "plink", PaymentLink, Filters(indexed=("active",)), columns=("active",)),
    path="/v1/payment_links",
    render=render_payment_link,
    param="payment_link",
    expandable={
        "line_items": _LINES,
        **never("application", "on_behalf_of", "transfer_data.destination"),
        **never("automatic_tax.liability.account", "invoice_creation.invoice_data.issuer.account"),
        **never("subscription_data.invoice_settings.issuer.account"),
    },
)
