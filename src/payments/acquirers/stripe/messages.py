"""What is said to Stripe, and what is read of its answers."""

from typing import Any

import msgspec
from msgspec import Struct

from payments.acquirers.acquirer import Order
from payments.acquirers.declines import AUTHENTICATION_REQUIRED, DECLINE_CODES, declined
from payments.domain.outcome import Declined

ATTEMPT = "tap_attempt"
"""The key of the metadata that has our reference."""
_OF_AUTHENTICATION = frozenset({"authentication_not_handled", "authentication_required", "payment_intent_authentication_failure"})


class Checks(Struct, frozen=True, kw_only=True):
    """What the issuer checked."""

    cvc_check: str | None = None


class ChargedCard(Struct, frozen=True, kw_only=True):
    """What is known of an authorization."""

    authorization_code: str | None = None
    network_transaction_id: str | None = None
    checks: Checks | None = None


class Details(Struct, frozen=True, kw_only=True):
    """Of how it was paid."""

    card: ChargedCard | None = None


class StripeCharge(Struct, frozen=True, kw_only=True):
    """A charge there."""

    payment_method_details: Details | None = None


class StripeFault(Struct, frozen=True, kw_only=True):
    """Why a card was refused."""

    code: str | None = None
    decline_code: str | None = None


class Intent(Struct, frozen=True, kw_only=True):
    """A payment intent, or a setup intent, there."""

    id: str
    status: str
    amount: int = 0
    amount_received: int = 0
    amount_capturable: int = 0
    currency: str = ""
    metadata: dict[str, str] | None = None
    latest_charge: StripeCharge | str | None = None
    last_payment_error: StripeFault | None = None

    @property
    def attempt(self) -> str | None:
        """Our reference, None of what isn't ours."""
        return (self.metadata or {}).get(ATTEMPT)

    @property
    def card(self) -> ChargedCard:
        """What is known of its authorization."""
        charge = self.latest_charge
        details = charge.payment_method_details if isinstance(charge, StripeCharge) else None
        return (None if details is None else details.card) or ChargedCard()


class StripeRefund(Struct, frozen=True, kw_only=True):
    """A refund there."""

    id: str
    status: str | None = None
    amount: int
    currency: str
    metadata: dict[str, str] | None = None

    @property
    def attempt(self) -> str | None:
        """Our reference, None of what isn't ours."""
        return (self.metadata or {}).get(ATTEMPT)


class Refunds(Struct, frozen=True, kw_only=True):
    """A page of them."""

    data: list[StripeRefund]


class Found(Struct, frozen=True, kw_only=True):
    """What a search found."""

    data: list[Intent]


read_intent = msgspec.json.Decoder(Intent).decode
read_refund = msgspec.json.Decoder(StripeRefund).decode
read_refunds = msgspec.json.Decoder(Refunds).decode
read_found = msgspec.json.Decoder(Found).decode


def begin(order: Order) -> dict[str, Any]:
    """Begin a payment, without its card: the same in every repetition."""
    params: dict[str, Any] = {
        "amount": order.amount,
        "currency": order.currency,
        "capture_method": "automatic" if order.capture else "manual",
        # Never to a page of Stripe's: whoever pays is on ours.
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        "metadata": {ATTEMPT: order.reference, "tap_merchant": str(order.merchant_id)},
    }
    if not order.capture:
        params["payment_method_options"] = {
            "card": {"request_incremental_authorization": "if_available", "request_multicapture": "if_available"}
        }
    return params


def confirm(order: Order) -> dict[str, Any]:
    """Pay with the card."""
    options: dict[str, Any] = {"request_three_d_secure": "automatic"}
    if order.moto:
        options = {"moto": True}
    elif (proof := order.authentication) is not None:
        options["three_d_secure"] = {
            "version": proof.version,
            "cryptogram": proof.cryptogram,
            "transaction_id": proof.transaction_id,
            **(
                {}
                if proof.electronic_commerce_indicator is None
                else {"electronic_commerce_indicator": proof.electronic_commerce_indicator}
            ),
        }
    params: dict[str, Any] = {
        "payment_method_data": card(order),
        "payment_method_options": {"card": options},
        # A challenge would be Stripe's, on a page that our customer's browser isn't on.
        "error_on_requires_action": True,
        "expand": ["latest_charge"],
    }
    if order.off_session:
        params["off_session"] = True
    return params


def card(order: Order) -> dict[str, Any]:
    """Return the card of an order; raises `ValueError` without one."""
    if order.pan is None:
        raise ValueError("an authorization needs a card number")
    given: dict[str, Any] = {"number": order.pan.reveal(), "exp_month": order.exp_month, "exp_year": order.exp_year}
    if order.cvc is not None:
        given["cvc"] = order.cvc
    return {"type": "card", "card": given}


def refusal(fault: StripeFault | None) -> Declined:
    """Return what a refusal is with us: the same codes."""
    codes = [] if fault is None else [each for each in (fault.decline_code, fault.code) if each]
    if any(each in _OF_AUTHENTICATION for each in codes):
        return declined(AUTHENTICATION_REQUIRED)
    return declined(next((each for each in codes if each in DECLINE_CODES), codes[0] if codes else "generic_decline"))
