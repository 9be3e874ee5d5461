"""What an acquirer may answer.

Declined (the issuer said no) is not failed (never processed) and not unknown (the outcome wasn't learned). Silence is `Unknown`, never `Declined`.
"""

from typing import Literal

from msgspec import Struct

RiskLevel = Literal["normal", "elevated", "highest"]
"""How likely it is that the cardholder disputes the payment as fraudulent."""


class Approved(Struct, frozen=True, kw_only=True, tag="approved", omit_defaults=True):
    """The issuer said yes: the money is held, moved or returned."""

    authorization_code: str
    network_transaction_id: str | None = None
    """Under which the card network knows the authorization."""
    acquirer_reference: str | None = None
    """Under which the acquirer itself does, where what follows must name it so."""
    risk_level: RiskLevel = "normal"
    cvc_check: str | None = None
    funds_available_at_once: bool = False
    """The acquirer settles in real time, so that the merchant's share is available now."""


class Declined(Struct, frozen=True, kw_only=True, tag="declined", omit_defaults=True):
    """The issuer, or a rule before it, said no."""

    code: str
    """Stripe's error code: `card_declined`, `expired_card`, …"""
    decline_code: str | None = None
    message: str
    network_status: str = "declined_by_network"
    """`declined_by_network`, or `not_sent_to_network` when a rule blocked it."""
    cvc_check: str | None = None


class AuthenticationRequired(Struct, frozen=True, kw_only=True, tag="authentication_required"):
    """The issuer wants the cardholder to authenticate (3-D Secure) first; nothing was held."""


class Unknown(Struct, frozen=True, kw_only=True, tag="unknown"):
    """No answer, or one that says nothing: the attempt may have gone through. It is inquired about, never repeated blindly."""

    reason: str


class NotFound(Struct, frozen=True, kw_only=True, tag="not_found"):
    """Answer to an inquiry only: the acquirer never saw the reference."""


PENDING = "pending at the bank"
"""Why an order that was clearly taken has no outcome yet."""

Outcome = Approved | Declined | AuthenticationRequired | Unknown
"""The answer to an order."""

Final = Approved | Declined | AuthenticationRequired
"""The answers that close an attempt."""
