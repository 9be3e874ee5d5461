"""Stripe's shape of each object. Every field that Stripe always sends is sent, null included.

Source: Stripe's OpenAPI description, version 2026-10-28.endive; the tests hold each shape against it.
"""

import math

from payments.domain.balance_transaction import BalanceTransaction
from payments.domain.charge import Charge
from payments.domain.customer import Customer
from payments.domain.ephemeral_key import EphemeralKey
from payments.domain.payment_intent import NextAction, PaymentError, PaymentIntent, is_behind_charge
from payments.domain.payment_options import CardOptions
from payments.domain.refund import Refund
from payments.domain.webhook_endpoint import WebhookEndpoint
from payments.wire.render_account import STATEMENT_DESCRIPTOR
from payments.wire.render_amount import render_amount_details
from payments.wire.render_card import render_charged_card, render_payment_method, render_source
from payments.wire.render_people import Rendered, render_address, render_billing_details, render_shipping

_CARD_OPTIONS: Rendered = {"card": {"installments": None, "mandate_options": None, "network": None, "request_three_d_secure": "automatic"}}


def render_payment_intent(intent: PaymentIntent) -> Rendered:
    """Render a payment intent."""
    methods = intent.automatic_payment_methods
    body: Rendered = {
        "id": intent.id,
        "object": "payment_intent",
        "allowed_payment_method_types": intent.allowed_payment_method_types,
        "amount": intent.amount,
        "amount_capturable": intent.amount_capturable,
        "amount_details": render_amount_details(intent.amount_details),
        "amount_received": intent.amount_received,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None if methods is None else {"allow_redirects": methods.allow_redirects, "enabled": methods.enabled},
        "canceled_at": intent.canceled_at,
        "cancellation_reason": intent.cancellation_reason,
        "capture_method": intent.capture_method,
        "client_secret": intent.client_secret,
        "confirmation_method": intent.confirmation_method,
        "created": intent.created,
        "currency": intent.currency,
        "customer": intent.customer,
        "customer_account": None,
        "description": intent.description,
        "excluded_payment_method_types": intent.excluded_payment_method_types,
        "last_payment_error": None if intent.last_payment_error is None else render_payment_error(intent.last_payment_error),
        "latest_charge": intent.latest_charge,
        "livemode": intent.livemode,
        "managed_payments": None,
        "metadata": intent.metadata,
        "next_action": None if intent.next_action is None else render_next_action(intent.next_action),
        "on_behalf_of": None,
        "payment_method": intent.payment_method,
        "payment_method_configuration_details": None,
        "payment_method_options": _CARD_OPTIONS if intent.card_options is None else {"card": render_card_options(intent.card_options)},
        "payment_method_types": ["card"],
        "payment_record": None,
        "processing": None,
        "receipt_email": intent.receipt_email,
        "review": None,
        "setup_future_usage": intent.setup_future_usage,
        "shipping": render_shipping(intent.shipping),
        "source": None,
        "statement_descriptor": intent.statement_descriptor,
        "statement_descriptor_suffix": intent.statement_descriptor_suffix,
        "status": intent.status,
        "transfer_data": None,
        "transfer_group": intent.transfer_group,
    }
    if intent.payment_details is not None:
        references = intent.payment_details
        body["payment_details"] = {"customer_reference": references.customer_reference, "order_reference": references.order_reference}
    return body


_SHOWN_IF_GIVEN = (
    "capture_method",
    "request_extended_authorization",
    "request_incremental_authorization",
    "request_multicapture",
    "request_overcapture",
    "setup_future_usage",
    "statement_descriptor_suffix_kana",
    "statement_descriptor_suffix_kanji",
)


def render_card_options(options: CardOptions) -> Rendered:
    """Render how a card is to be charged."""
    body: Rendered = {
        "installments": {"available_plans": [], "enabled": True, "plan": None} if options.installments else None,
        "mandate_options": None,
        "network": options.network,
        "request_three_d_secure": options.request_three_d_secure,
    }
    if options.require_cvc_recollection:
        body["require_cvc_recollection"] = True
    return body | {name: value for name in _SHOWN_IF_GIVEN if (value := getattr(options, name)) is not None}


DECLINED_FOR = {"expired_card": "exp_month", "incorrect_cvc": "cvc", "incorrect_number": "number"}
"""What of the card an issuer's refusal is about. Source: answers of Stripe's to its test cards."""


def render_payment_error(failure: PaymentError) -> Rendered:
    """Render why a confirm failed."""
    body: Rendered = {
        "type": failure.type,
        "code": failure.code,
        "doc_url": f"https://stripe.com/docs/error-codes/{failure.code.replace('_', '-')}",
        "message": failure.message,
    }
    if failure.decline_code is not None:
        body["decline_code"] = failure.decline_code
    if failure.code in DECLINED_FOR:
        body["param"] = DECLINED_FOR[failure.code]
    if failure.charge is not None:
        body["charge"] = failure.charge
    if failure.payment_method is not None:
        body["payment_method"] = render_payment_method(failure.payment_method)
    return body


def render_next_action(action: NextAction) -> Rendered:
    """Render what the customer has to do."""
    if action.type == "redirect_to_url":
        return {"type": "redirect_to_url", "redirect_to_url": {"return_url": action.return_url, "url": action.url}}
    return {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": action.url}}


def render_charge(charge: Charge) -> Rendered:
    """Render a charge."""
    body: Rendered = {
        "id": charge.id,
        "object": "charge",
        "amount": charge.amount,
        "amount_captured": charge.amount_captured,
        "amount_refunded": charge.amount_refunded,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": charge.balance_transaction,
        "billing_details": render_billing_details(charge.billing_details),
        "calculated_statement_descriptor": _printed(charge),
        "captured": charge.captured,
        "created": charge.created,
        "currency": charge.currency,
        "customer": charge.customer,
        "description": charge.description,
        "disputed": charge.disputed,
        "failure_balance_transaction": None,
        "failure_code": charge.failure_code,
        "failure_message": charge.failure_message,
        "fraud_details": {} if charge.fraud_report is None else {"user_report": charge.fraud_report},
        "livemode": charge.livemode,
        "metadata": charge.metadata,
        "on_behalf_of": None,
        "outcome": None
        if charge.status == "pending"
        else {
            "advice_code": None,
            "network_advice_code": None,
            "network_decline_code": None,
            "network_status": charge.outcome.network_status,
            "reason": charge.outcome.reason,
            "risk_level": charge.outcome.risk_level,
            "risk_score": charge.outcome.risk_score,
            "seller_message": charge.outcome.seller_message,
            "type": charge.outcome.type,
        },
        "paid": charge.paid,
        "payment_intent": None if charge.alone else charge.payment_intent,
        "payment_method": charge.payment_method,
        "payment_method_details": {"card": render_charged_card(charge), "type": "card"},
        "receipt_email": charge.receipt_email,
        "receipt_number": None,
        "receipt_url": charge.receipt_url,
        "refunded": charge.refunded,
        "review": None,
        "shipping": render_shipping(charge.shipping),
        "source": render_source(charge),
        "source_transfer": None,
        "statement_descriptor": charge.statement_descriptor,
        "statement_descriptor_suffix": charge.statement_descriptor_suffix,
        "status": charge.status,
        "transfer_data": None,
        "transfer_group": charge.transfer_group,
    }
    if charge.radar_options is not None and charge.radar_options.session is not None:
        body["radar_options"] = {"session": charge.radar_options.session}
    return body


def _printed(charge: Charge) -> str:
    """Return what stands on the cardholder's statement: 22 characters of the merchant's text, or of the account's with what the payment adds."""
    if charge.statement_descriptor is not None:
        return charge.statement_descriptor
    suffix = charge.statement_descriptor_suffix
    return STATEMENT_DESCRIPTOR if suffix is None else f"{STATEMENT_DESCRIPTOR}* {suffix}"[:22]


def render_customer(customer: Customer) -> Rendered:
    """Render a customer."""
    if customer.deleted:
        return {"id": customer.id, "object": "customer", "deleted": True}
    body: Rendered = {
        "id": customer.id,
        "object": "customer",
        "address": render_address(customer.address),
        "balance": customer.balance,
        "created": customer.created,
        "currency": None,
        "customer_account": None,
        "default_source": customer.default_source,
        "delinquent": False,
        "description": customer.description,
        "discount": None,
        "email": customer.email,
        "invoice_prefix": customer.invoice_prefix,
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": customer.default_payment_method,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": customer.livemode,
        "metadata": customer.metadata,
        "name": customer.name,
        "next_invoice_sequence": customer.next_invoice_sequence,
        "phone": customer.phone,
        "preferred_locales": customer.preferred_locales,
        "shipping": render_shipping(customer.shipping),
        "tax_exempt": customer.tax_exempt,
        "test_clock": None,
    }
    if customer.business_name is not None:
        body["business_name"] = customer.business_name
    if customer.individual_name is not None:
        body["individual_name"] = customer.individual_name
    return body


def render_refund(refund: Refund) -> Rendered:
    """Render a refund."""
    body: Rendered = {
        "id": refund.id,
        "object": "refund",
        "amount": refund.amount,
        "balance_transaction": refund.balance_transaction,
        "charge": refund.charge,
        "created": refund.created,
        "currency": refund.currency,
        "customer": refund.customer,
        "customer_account": None,
        "destination_details": {
            "card": {"reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund"},
            "type": "card",
        },
        "metadata": refund.metadata,
        "payment_intent": None if is_behind_charge(refund.payment_intent) else refund.payment_intent,
        "payment_method": refund.payment_method,
        "reason": refund.reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": refund.status,
        "transfer_reversal": None,
    }
    if refund.status == "pending":
        body["pending_reason"] = "processing"
    if refund.failure_reason is not None:
        body["failure_reason"] = refund.failure_reason
    if refund.failure_balance_transaction is not None:
        body["failure_balance_transaction"] = refund.failure_balance_transaction
    return body


def _reporting_category(change: BalanceTransaction) -> str:
    """Source: Stripe, "Reporting categories"."""
    match change.type:
        case "adjustment":
            return "dispute" if change.amount < 0 else "dispute_reversal"
        case "payout_cancel" | "payout_failure":
            return "payout_reversal"
        case itself:
            return itself


def render_balance_transaction(change: BalanceTransaction, now: float = math.inf) -> Rendered:
    """Render a balance transaction as it stands at `now`, unix seconds, or in the end: its funds are pending until they are available."""
    return {
        "id": change.id,
        "object": "balance_transaction",
        "amount": change.amount,
        "available_on": change.available_on,
        "balance_type": "payments",
        "created": change.created,
        "currency": change.currency,
        "description": change.description,
        "exchange_rate": None,
        "fee": change.fee,
        "fee_details": [
            {
                "amount": change.fee,
                "application": None,
                "currency": change.currency,
                "description": "Dispute fee" if change.type == "adjustment" else "Tap processing fees",
                "type": "stripe_fee",
            }
        ]
        if change.fee
        else [],
        "net": change.net,
        "reporting_category": _reporting_category(change),
        "source": change.source,
        "status": "available" if change.available_on <= now else "pending",
        "type": change.type,
    }


def render_balance(livemode: bool, pending: dict[str, int], available: dict[str, int]) -> Rendered:
    """Render a merchant's funds, given in minor units by currency."""

    def funds(amounts: dict[str, int]) -> list[Rendered]:
        listed = sorted(pending.keys() | available.keys()) or ["usd"]
        return [{"amount": amounts.get(code, 0), "currency": code, "source_types": {"card": amounts.get(code, 0)}} for code in listed]

    return {"object": "balance", "available": funds(available), "livemode": livemode, "pending": funds(pending)}


def render_webhook_endpoint(endpoint: WebhookEndpoint, secret: str | None = None) -> Rendered:
    """Render a webhook endpoint; its signing secret is given at creation only."""
    body: Rendered = {
        "id": endpoint.id,
        "object": "webhook_endpoint",
        "api_version": endpoint.api_version,
        "application": None,
        "created": endpoint.created,
        "description": endpoint.description,
        "enabled_events": endpoint.enabled_events,
        "livemode": endpoint.livemode,
        "metadata": endpoint.metadata,
        "status": "enabled" if endpoint.enabled else "disabled",
        "url": endpoint.url,
    }
    if secret is not None:
        body["secret"] = secret
    return body


def render_ephemeral_key(key: EphemeralKey, secret: str | None = None) -> Rendered:
    """Render an ephemeral key; the key itself is given at creation only."""
    body: Rendered = {
        "id": key.id,
        "object": "ephemeral_key",
        "associated_objects": [{"id": key.customer, "type": "customer"}],
        "created": key.created,
        "expires": key.expires,
        "livemode": key.livemode,
    }
    if secret is not None:
        body["secret"] = secret
    return body
