"""Stripe's shape of cards: as a payment method, and as what was charged."""

from payments.domain.card import Card
from payments.domain.charge import Charge
from payments.domain.payment_method import PaymentMethod
from payments.wire.render_people import Rendered, render_billing_details


def render_payment_method(method: PaymentMethod) -> Rendered:
    """Render a payment method."""
    card = method.card
    return {
        "id": method.id,
        "object": "payment_method",
        "allow_redisplay": method.allow_redisplay,
        "billing_details": render_billing_details(method.billing_details),
        "card": {
            "brand": card.brand,
            "checks": _checks(card),
            "country": card.country,
            "display_brand": card.brand,
            "exp_month": card.exp_month,
            "exp_year": card.exp_year,
            "fingerprint": card.fingerprint,
            "funding": card.funding,
            "generated_from": None,
            "last4": card.last4,
            "networks": {"available": [card.brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        },
        "created": method.created,
        "customer": method.customer,
        "customer_account": None,
        "livemode": method.livemode,
        "metadata": method.metadata,
        "type": "card",
    }


_ECI: dict[bool, dict[str, str]] = {
    True: {"visa": "05", "mastercard": "02"},
    False: {"visa": "07", "mastercard": "00"},
}
"""Electronic commerce indicators of the networks, by whether the cardholder authenticated. Source: EMV 3-D Secure."""


def render_charged_card(charge: Charge) -> Rendered:
    """Render the card of a charge: `payment_method_details.card`."""
    card = charge.card
    held = charge.paid and not charge.captured
    rendered: Rendered = {
        "amount_authorized": charge.amount if charge.paid else None,
        "authorization_code": charge.authorization_code,
        "brand": card.brand,
        "checks": _checks(card),
        "country": card.country,
        "electronic_commerce_indicator": _ECI[charge.three_d_secure is not None].get(card.brand) if charge.paid else None,
        "exp_month": card.exp_month,
        "exp_year": card.exp_year,
        "extended_authorization": {"status": "disabled"},
        "fingerprint": card.fingerprint,
        "funding": card.funding,
        "incremental_authorization": {"status": "unavailable"},
        "installments": None,
        "last4": card.last4,
        "mandate": None,
        "multicapture": {"status": "available" if held else "unavailable"},
        "network": card.brand,
        "network_token": {"used": False},
        "network_transaction_id": charge.network_transaction_id,
        "overcapture": {"maximum_amount_capturable": charge.amount, "status": "unavailable"},
        "regulated_status": "unregulated",
        "three_d_secure": None
        if charge.three_d_secure is None
        else {
            "authentication_flow": "challenge",
            "electronic_commerce_indicator": "05",
            "exemption_indicator": None,
            "result": charge.three_d_secure,
            "result_reason": None,
            "transaction_id": None,
            "version": "2.2.0",
        },
        "transaction_link_id": None,
        "wallet": None,
    }
    if charge.capture_before is not None:
        rendered["capture_before"] = charge.capture_before
    return rendered


def _checks(card: Card) -> Rendered:
    return {
        "address_line1_check": card.address_line1_check,
        "address_postal_code_check": card.address_postal_code_check,
        "cvc_check": card.cvc_check,
    }
