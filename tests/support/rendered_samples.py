"""One of each kind of object that the API shows, with every field that it can have, in its states that look otherwise in other versions.

`python -m tests.support.rendered_samples` writes what they look like in each version to the golden documents. A change of those is a change of the API:
read it, line by line, before it is committed.
"""

import json
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from payments.domain.account import Account
from payments.domain.api_version import NEWEST, VERSIONS
from payments.domain.balance_transaction import BalanceTransaction
from payments.domain.bank_account import BankAccount
from payments.domain.card import Card
from payments.domain.charge import Charge, ChargeOutcome
from payments.domain.checkout import CheckoutSession, CustomText, IntentData, Item, PaymentLink, SessionStatus
from payments.domain.confirmation_token import ConfirmationToken
from payments.domain.customer import Customer
from payments.domain.customer_session import CustomerSession, PaymentElementFeatures
from payments.domain.dispute import Dispute, DisputeStatus, Evidence
from payments.domain.ephemeral_key import EphemeralKey
from payments.domain.event import Origin, event_of
from payments.domain.payment_intent import AutomaticPaymentMethods, IntentStatus, NextAction, PaymentError, PaymentIntent
from payments.domain.payment_method import PaymentMethod
from payments.domain.payout import Payout, PayoutStatus
from payments.domain.people import Address, BillingDetails, Shipping
from payments.domain.price import CustomUnitAmount, Price, TransformQuantity
from payments.domain.product import MarketingFeature, PackageDimensions, Product, TaxDetails
from payments.domain.refund import Refund
from payments.domain.token import Token
from payments.domain.webhook_endpoint import WebhookEndpoint
from payments.payment_api.customer_cards import as_source
from payments.wire.errors import payment_failed_body
from payments.wire.older_versions import in_version
from payments.wire.render import render_balance, render_balance_transaction, render_webhook_endpoint
from payments.wire.render_account import render_account
from payments.wire.rendering import render, render_event

GOLDEN = Path(__file__).parents[1] / "data" / "rendered-by-version.json"

_NOW = 1_790_000_000
_ADDRESS = Address(city="Graz", country="AT", line1="Ring 1", line2="2", postal_code="8010", state="St")
_DETAILS = BillingDetails(address=_ADDRESS, email="a@example.com", name="Ada", phone="+43", tax_id="ATU1")
_SHIPPING = Shipping(address=_ADDRESS, carrier="Post", name="Ada", phone="+43", tracking_number="T1")
# A merchant may call things as we do: what is in metadata is nobody's object.
_METADATA = {"object": "charge", "order": "1"}
_CARD = Card(
    brand="visa",
    last4="4242",
    exp_month=12,
    exp_year=2034,
    fingerprint="F",
    cvc_check="pass",
    address_line1_check="pass",
    address_postal_code_check="fail",
)
_METHOD = PaymentMethod(
    id="pm_1",
    merchant_id=1,
    livemode=False,
    created=_NOW,
    card=_CARD,
    customer="cus_1",
    billing_details=_DETAILS,
    metadata=_METADATA,
)
_CHARGE = Charge(
    id="ch_1",
    merchant_id=1,
    livemode=False,
    created=_NOW,
    amount=2000,
    currency="usd",
    status="succeeded",
    paid=True,
    captured=True,
    amount_captured=2000,
    amount_refunded=500,
    payment_intent="pi_1",
    payment_method="pm_1",
    customer="cus_1",
    card=_CARD,
    authorization="att_1",
    three_d_secure="authenticated",
    authorization_code="123456",
    network_transaction_id="123456789012345",
    outcome=ChargeOutcome(network_status="approved_by_network", seller_message="Payment complete.", type="authorized"),
    balance_transaction="txn_1",
    billing_details=_DETAILS,
    description="Order 1",
    metadata=_METADATA,
    receipt_email="a@example.com",
    shipping=_SHIPPING,
    statement_descriptor="A SHOP",
    transfer_group="G",
)
_HELD = replace(_CHARGE, captured=False, amount_captured=0, amount_refunded=0, balance_transaction=None, capture_before=_NOW + 1)
_INTENT = PaymentIntent(
    id="pi_1",
    merchant_id=1,
    livemode=False,
    created=_NOW,
    amount=2000,
    currency="usd",
    status=IntentStatus.SUCCEEDED,
    client_secret="pi_1_secret_x",
    amount_received=2000,
    customer="cus_1",
    payment_method="pm_1",
    latest_charge="ch_1",
    description="Order 1",
    metadata=_METADATA,
    receipt_email="a@example.com",
    shipping=_SHIPPING,
    statement_descriptor_suffix="ORDER 1",
    transfer_group="G",
    automatic_payment_methods=AutomaticPaymentMethods(enabled=True),
)
_EXPIRED = replace(
    _INTENT, status=IntentStatus.CANCELED, amount_received=0, canceled_at=_NOW, cancellation_reason="expired", capture_method="manual"
)
_DECLINED = replace(
    _INTENT,
    status=IntentStatus.REQUIRES_PAYMENT_METHOD,
    amount_received=0,
    payment_method=None,
    last_payment_error=PaymentError(
        code="card_declined", decline_code="generic_decline", message="Your card was declined.", charge="ch_1", payment_method=_METHOD
    ),
)
_REFUND = Refund(
    id="re_1",
    merchant_id=1,
    livemode=False,
    created=_NOW,
    amount=500,
    currency="usd",
    status="failed",
    charge="ch_1",
    payment_intent="pi_1",
    payment_method="pm_1",
    customer="cus_1",
    reason="duplicate",
    balance_transaction="txn_2",
    failure_balance_transaction="txn_3",
    failure_reason="unknown",
    metadata=_METADATA,
)
_CUSTOMER = Customer(
    id="cus_1",
    merchant_id=1,
    livemode=False,
    created=_NOW,
    address=_ADDRESS,
    description="Regular",
    email="a@example.com",
    invoice_prefix="A1",
    default_payment_method="pm_1",
    metadata=_METADATA,
    name="Ada",
    phone="+43",
    preferred_locales=["de"],
    shipping=_SHIPPING,
    business_name="Ada Ltd",
    individual_name="Ada",
)
_CHANGE = BalanceTransaction(
    id="txn_1",
    merchant_id=1,
    livemode=False,
    created=_NOW,
    amount=2000,
    fee=88,
    currency="usd",
    type="charge",
    source="ch_1",
    available_on=_NOW,
)
_PRODUCT = Product(
    id="prod_1",
    place="prod_1",
    merchant_id=1,
    livemode=False,
    created=_NOW,
    updated=_NOW,
    name="Scarf",
    default_price="price_1",
    description="Warm",
    images=["https://shop.example/scarf.png"],
    marketing_features=[MarketingFeature(name="Wool")],
    metadata=_METADATA,
    package_dimensions=PackageDimensions(height=1, length=2.5, weight=3, width=4),
    shippable=True,
    statement_descriptor="SCARF",
    tax_details=TaxDetails(tax_code="txcd_1"),
    unit_label="piece",
    url="https://shop.example/scarf",
)
_PRICE = Price(
    id="price_1",
    merchant_id=1,
    livemode=False,
    created=_NOW,
    currency="usd",
    lookup_key="scarf",
    metadata=_METADATA,
    nickname="Winter",
    product="prod_1",
    transform_quantity=TransformQuantity(divide_by=2, round="up"),
    unit_amount=1500,
    unit_amount_decimal="1500",
)
_WITHDRAWAL = replace(_CHANGE, id="txn_4", amount=-2000, fee=1500, type="adjustment", source="dp_1")
_DISPUTE = Dispute(
    id="dp_1",
    merchant_id=1,
    livemode=False,
    created=_NOW,
    amount=2000,
    currency="usd",
    charge="ch_1",
    payment_intent="pi_1",
    status=DisputeStatus.UNDER_REVIEW,
    reason="fraudulent",
    network_reason_code="10.4",
    brand="visa",
    due_by=_NOW + 1,
    acquirer_case="case_1",
    evidence=Evidence(customer_name="Ada"),
    submission_count=1,
    balance_transactions=[_WITHDRAWAL],
    metadata=_METADATA,
)
_PAYOUT = Payout(
    id="po_1",
    merchant_id=1,
    livemode=False,
    created=_NOW,
    amount=1000,
    currency="usd",
    status=PayoutStatus.FAILED,
    arrival_date=_NOW,
    destination="ba_1",
    balance_transaction="txn_5",
    failure_balance_transaction="txn_6",
    failure_code="no_account",
    failure_message="No bank account could be located.",
    description="Week 1",
    statement_descriptor="TAP",
    metadata=_METADATA,
)
_BANK_ACCOUNT = BankAccount(
    id="ba_1",
    merchant_id=1,
    livemode=False,
    created=_NOW,
    account="acct_1",
    country="US",
    currency="usd",
    last4="6789",
    routing_number="110000000",
    fingerprint="F",
    account_holder_name="A Shop",
    account_holder_type="company",
    default_for_currency=True,
)
_SESSION = CheckoutSession(
    id="cs_1",
    merchant_id=1,
    livemode=False,
    created=_NOW,
    mode="payment",
    url="https://tap.example/pay/c/test/1/cs_1/x",
    secret="x",
    expires_at=_NOW + 86_400,
    amount_total=3000,
    billing_address_collection="required",
    cancel_url="https://shop.example/cart",
    client_reference_id="cart-1",
    currency="usd",
    custom_text=CustomText(after_submit="Bye", shipping_address="No boxes", submit="Thanks"),
    customer_creation="always",
    customer_details=_DETAILS,
    customer_email="a@example.com",
    intent_data=IntentData(description="Order 1", metadata=_METADATA),
    locale="en",
    metadata=_METADATA,
    phone_number_collection=True,
    recovers=True,
    shipping=_SHIPPING,
    shipping_countries=["AT"],
    submit_type="book",
    success_url="https://shop.example/done",
)
_COMPLETE = replace(
    _SESSION, status=SessionStatus.COMPLETE, payment_status="paid", payment_intent="pi_1", customer="cus_1", payment_link="plink_1"
)
_LINK = PaymentLink(
    id="plink_1",
    merchant_id=1,
    livemode=False,
    created=_NOW,
    url="https://tap.example/pay/l/test/1/plink_1",
    completed_max=3,
    completed=1,
    currency="usd",
    confirmation="Bye",
    inactive_message="Gone",
    intent_data=IntentData(capture_method="manual", description="Order 1", metadata=_METADATA),
    metadata=_METADATA,
    payment_method_types=["card"],
    shipping_countries=["AT"],
)
_ITEM = Item(
    id="li_1",
    merchant_id=1,
    livemode=False,
    created=_NOW,
    owner="cs_1",
    price=_PRICE,
    quantity=2,
    description="Scarf",
    currency="usd",
    amount=3000,
    metadata=_METADATA,
)
_ALONE = replace(_CHARGE, payment_intent="chi_1", authorization_code=None)
_TOKEN = Token(id="tok_1", merchant_id=1, livemode=False, created=_NOW, card=replace(_METHOD, customer=None, token="tok_1"))
_CONFIRMATION_TOKEN = ConfirmationToken(
    id="ctoken_1",
    merchant_id=1,
    livemode=False,
    created=_NOW,
    card=replace(_METHOD, customer=None, token="ctoken_1"),
    return_url="https://shop.example/done",
    setup_future_usage="off_session",
)
_CUSTOMER_SESSION = CustomerSession(
    id="cuss_1",
    merchant_id=1,
    livemode=False,
    created=_NOW,
    customer="cus_1",
    secret="s3cret",
    features=PaymentElementFeatures(
        payment_method_redisplay="enabled", payment_method_allow_redisplay_filters=["always"], payment_method_save="enabled"
    ),
)
_EPHEMERAL_KEY = EphemeralKey(
    id="ephkey_1", merchant_id=1, livemode=False, created=_NOW, customer="cus_1", expires=_NOW + 3600, api_version=NEWEST
)
_ENDPOINT = WebhookEndpoint(
    id="we_1", merchant_id=1, livemode=False, created=_NOW, url="https://example.com", enabled_events=["*"], metadata=_METADATA
)


def samples(version: str) -> dict[str, Any]:
    """What Tap renders, before it is put into `version`; events say which version they are in."""
    asks = NextAction(type="redirect_to_url", url="https://tap.example/pay", return_url="https://shop.example")
    charge = render(_CHARGE)
    origin = Origin(request_id="req_1", idempotency_key="key-1")
    event = event_of("evt_1", "charge.updated", _HELD, created=_NOW, origin=origin, previous_attributes={"description": "Order 0"})
    released = event_of("evt_2", "charge.expired", replace(_HELD, capture_before=None), created=_NOW, origin=Origin())
    return {
        "payment_intent": render(_INTENT),
        "payment_intent that waits for the cardholder": render(replace(_INTENT, status=IntentStatus.REQUIRES_ACTION, next_action=asks)),
        "payment_intent whose hold expired": render(_EXPIRED),
        "payment_intent that was declined": render(_DECLINED),
        "payment_intent with its charge": {**render(_INTENT), "latest_charge": charge},
        "charge": charge,
        "charge that is held": render(_HELD),
        "charge whose hold was released": render(replace(_HELD, capture_before=None)),
        "charge captured in part": render(replace(_CHARGE, amount_captured=1500)),
        "charge captured in part and more to come": render(replace(_CHARGE, amount_captured=1500, capture_before=_NOW + 1)),
        "charge that failed": render(
            replace(_HELD, status="failed", paid=False, capture_before=None, failure_code="card_declined", failure_message="No.")
        ),
        "charge without an intent": render(_ALONE),
        "charge without an intent whose hold was given up": render(
            replace(_ALONE, captured=False, amount_captured=0, amount_refunded=2000, refunded=True, balance_transaction=None)
        ),
        "charge that is pending": render(
            replace(_ALONE, status="pending", paid=False, captured=False, amount_captured=0, amount_refunded=0)
        ),
        "refund": render(_REFUND),
        "refund of a charge without an intent": render(replace(_REFUND, payment_intent="chi_1")),
        "payment_method": render(_METHOD),
        "card": render(as_source(_METHOD)),
        "token": render(_TOKEN),
        "customer_session": render(_CUSTOMER_SESSION),
        "confirmation_token": render(_CONFIRMATION_TOKEN),
        "ephemeral_key": render(_EPHEMERAL_KEY),
        "customer": render(_CUSTOMER),
        "product": render(_PRODUCT),
        "price": render(_PRICE),
        "price that the customer chooses": render(
            replace(_PRICE, unit_amount=None, unit_amount_decimal=None, custom_unit_amount=CustomUnitAmount(minimum=100))
        ),
        "dispute": render(_DISPUTE),
        "payout": render(_PAYOUT),
        "bank_account": render(_BANK_ACCOUNT),
        "checkout.session": render(_SESSION),
        "checkout.session that is complete": render(_COMPLETE),
        "checkout.session that has expired": render(replace(_SESSION, status=SessionStatus.EXPIRED)),
        "checkout.session that keeps a card": render(
            replace(_SESSION, mode="setup", currency=None, amount_total=None, setup_intent="seti_1")
        ),
        "payment_link": render(_LINK),
        "payment_link that leads on": render(replace(_LINK, redirect_url="https://shop.example", completed_max=None, intent_data=None)),
        "item": render(_ITEM),
        "balance_transaction": render_balance_transaction(_CHANGE, _NOW),
        "balance": render_balance(False, {"usd": 1}, {"usd": 2}),
        "webhook_endpoint": render_webhook_endpoint(_ENDPOINT, "whsec_x"),
        "account": render_account(Account(id="acct_1", name="A Shop", created=_NOW, api_version=NEWEST)),
        "event": render_event(event, 1, version),
        "event about a released hold": render_event(released, 0, version),
        "list": {"object": "list", "url": "/v1/charges", "has_more": False, "data": [charge]},
        "error": json.loads(payment_failed_body(_DECLINED)),
    }


def rendered_in(version: str) -> dict[str, Any]:
    """The samples in `version`, as they go over the wire."""
    return {name: json.loads(json.dumps(in_version(body, version))) for name, body in samples(version).items()}


def without_version(body: dict[str, Any]) -> dict[str, Any]:
    """A body without the version that an event says it is in, which is another in each."""
    return {name: value for name, value in body.items() if body.get("object") != "event" or name != "api_version"}


def _shapes() -> dict[str, dict[str, Any]]:
    """Each sample by the versions from which on it looks otherwise than before."""
    shapes: dict[str, dict[str, Any]] = {}
    for version in VERSIONS:
        for name, body in rendered_in(version).items():
            known = shapes.setdefault(name, {})
            if next(reversed(known.values()), None) != without_version(body):
                known[version] = without_version(body)
    return shapes


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(_shapes(), indent=1) + "\n")
