"""A confirmation token: what a buyer said on the merchant's page, for the merchant's server to confirm a payment with, once."""

from payments.domain.payment_method import PaymentMethod
from payments.domain.payment_options import FutureUsage
from payments.domain.people import Shipping
from payments.domain.resource import Resource

CONFIRMATION_TOKEN_SECONDS = 12 * 3600
"""How long it may be used. Source: Stripe, "The ConfirmationToken object", expires_at."""


class ConfirmationToken(Resource, frozen=True, kw_only=True, omit_defaults=True):
    """A name for a card that was just made, and what was said beside it. Whether it was used is for the card to say, as with a token."""

    OBJECT = "confirmation_token"

    card: PaymentMethod
    """As it was given."""
    return_url: str | None = None
    setup_future_usage: FutureUsage | None = None
    shipping: Shipping | None = None

    @property
    def expires_at(self) -> int:
        """Unix seconds."""
        return self.created + CONFIRMATION_TOKEN_SECONDS
