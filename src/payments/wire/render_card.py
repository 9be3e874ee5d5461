"""Stripe's shape of cards: as a payment method, and as what was charged."""

from msgspec.structs import asdict

from payments.domain.card import Card
from payments.domain.charge import Charge
from payments.domain.confirmation_token import ConfirmationToken
from payments.domain.customer_session import CustomerSession
from payments.domain.payment_method import PaymentMethod
from payments.domain.payment_options import Authentication, CardOptions
from payments.domain.people import Address, BillingDetails
from payments.domain.token import Token
from payments.wire.render_people import Rendered, render_billing_details, render_shipping


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
            "checks": render_checks(card),
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


_BRANDS = {
    "amex": "American Express",
    "diners": "Diners Club",
    "discover": "Discover",
    "jcb": "JCB",
    "mastercard": "MasterCard",
    "unionpay": "UnionPay",
    "visa": "Visa",
}
"""What the older object calls them."""


def render_card(method: PaymentMethod) -> Rendered:
    """Render a card as the older API has it."""
    return {
        **_source(method.id, method.card, method.billing_details),
        "allow_redisplay": method.allow_redisplay,
        "customer": method.customer,
        "metadata": method.metadata,
    }


def render_confirmation_token(
    token: ConfirmationToken, *, is_used: bool = False, payment_intent: str | None = None, setup_intent: str | None = None
) -> Rendered:
    """Render a confirmation token, with what it was used for."""
    card = render_payment_method(token.card)
    return {
        "id": token.id,
        "object": "confirmation_token",
        "created": token.created,
        "expires_at": None if is_used else token.expires_at,
        "livemode": token.livemode,
        "mandate_data": None,
        "metadata": {},
        "payment_intent": payment_intent,
        "payment_method_options": None,
        "payment_method_preview": {
            name: card[name] for name in ("allow_redisplay", "billing_details", "card", "customer", "customer_account", "type")
        },
        "return_url": token.return_url,
        "setup_future_usage": token.setup_future_usage,
        "setup_intent": setup_intent,
        "shipping": render_shipping(token.shipping),
        "use_stripe_sdk": True,
    }


def render_customer_session(session: CustomerSession) -> Rendered:
    """Render a customer session. Components that Tap hasn't are never enabled."""
    element: Rendered = {"enabled": session.features is not None, "features": None}
    if session.features is not None:
        element["features"] = asdict(session.features)
    return {
        "object": "customer_session",
        "client_secret": session.client_secret,
        "components": {"buy_button": {"enabled": False}, "payment_element": element, "pricing_table": {"enabled": False}},
        "created": session.created,
        "customer": session.customer,
        "customer_account": None,
        "expires_at": session.expires_at,
        "livemode": session.livemode,
    }


def render_token(token: Token) -> Rendered:
    """Render a token with the card that it stands for."""
    return {
        "id": token.id,
        "object": "token",
        "card": render_card(token.card),
        "client_ip": None,
        "created": token.created,
        "livemode": token.livemode,
        "type": "card",
        "used": token.used,
    }


def render_source(charge: Charge) -> Rendered | None:
    """Render what a charge was made of without a payment intent; None of one that has one."""
    if not charge.alone:
        return None
    return {**_source(charge.payment_method, charge.card, charge.billing_details), "customer": charge.customer, "metadata": {}}


def _source(card_id: str, card: Card, details: BillingDetails) -> Rendered:
    address = details.address or _NO_ADDRESS
    return {
        "id": card_id,
        "object": "card",
        "address_city": address.city,
        "address_country": address.country,
        "address_line1": address.line1,
        "address_line1_check": card.address_line1_check,
        "address_line2": address.line2,
        "address_state": address.state,
        "address_zip": address.postal_code,
        "address_zip_check": card.address_postal_code_check,
        "brand": _BRANDS.get(card.brand, "Unknown"),
        "country": card.country,
        "cvc_check": card.cvc_check,
        "dynamic_last4": None,
        "exp_month": card.exp_month,
        "exp_year": card.exp_year,
        "fingerprint": card.fingerprint,
        "funding": card.funding,
        "last4": card.last4,
        "name": details.name,
        "regulated_status": "unregulated",
        "tokenization_method": None,
    }


_NO_ADDRESS = Address()
_NOTHING_ASKED = CardOptions()
_WANTED = "if_available"
_ECI: dict[bool, dict[str, str]] = {
    True: {"visa": "05", "mastercard": "02"},
    False: {"visa": "07", "mastercard": "00"},
}
"""Electronic commerce indicators of the networks, by whether the cardholder authenticated. Source: EMV 3-D Secure."""


def render_charged_card(charge: Charge) -> Rendered:
    """Render the card of a charge: `payment_method_details.card`."""
    card = charge.card
    held = charge.paid and not charge.captured
    asked = charge.options or _NOTHING_ASKED
    rendered: Rendered = {
        "amount_authorized": charge.amount if charge.paid else None,
        "authorization_code": charge.authorization_code,
        "brand": card.brand,
        "checks": render_checks(card),
        "country": card.country,
        "electronic_commerce_indicator": _indicator(charge) if charge.paid else None,
        "exp_month": card.exp_month,
        "exp_year": card.exp_year,
        "extended_authorization": {"status": "enabled" if asked.request_extended_authorization == _WANTED and charge.paid else "disabled"},
        "fingerprint": card.fingerprint,
        "funding": card.funding,
        "incremental_authorization": {
            "status": "available" if held and asked.request_incremental_authorization == _WANTED else "unavailable"
        },
        "installments": None,
        "last4": card.last4,
        "mandate": None,
        "multicapture": {"status": "available" if held else "unavailable"},
        "network": asked.network or card.brand,
        "network_token": {"used": False},
        "network_transaction_id": charge.network_transaction_id,
        "overcapture": {"maximum_amount_capturable": charge.amount, "status": "unavailable"},
        "regulated_status": "unregulated",
        "three_d_secure": None if charge.three_d_secure is None else render_three_d_secure(charge.three_d_secure, charge.authentication),
        "transaction_link_id": None,
        "wallet": None,
    }
    if charge.moto:
        rendered["moto"] = True
    if charge.capture_before is not None:
        rendered["capture_before"] = charge.capture_before
    return rendered


def _indicator(charge: Charge) -> str | None:
    """Return the electronic commerce indicator: what the merchant brought along, or the network's."""
    brought = None if charge.authentication is None else charge.authentication.electronic_commerce_indicator
    return brought or _ECI[charge.three_d_secure is not None].get(charge.card.brand)


def render_three_d_secure(result: str, brought: Authentication | None = None) -> Rendered:
    """Render what came of 3-D Secure."""
    return {
        "authentication_flow": "challenge" if brought is None else None,
        "electronic_commerce_indicator": "05" if brought is None else brought.electronic_commerce_indicator,
        "exemption_indicator": None if brought is None else brought.exemption_indicator,
        "result": result,
        "result_reason": None,
        "transaction_id": None if brought is None else brought.transaction_id,
        "version": "2.2.0" if brought is None else brought.version,
    }


def render_checks(card: Card) -> Rendered:
    """Render what the issuer said of what was given with a card."""
    return {
        "address_line1_check": card.address_line1_check,
        "address_postal_code_check": card.address_postal_code_check,
        "cvc_check": card.cvc_check,
    }
