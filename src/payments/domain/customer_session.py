"""A customer session: what a merchant's page may show a customer of their own cards, and what they may do with them, for a while."""

from typing import Literal

from msgspec import Struct

from payments.domain.resource import Resource

CUSTOMER_SESSION_SECONDS = 1800
CARDS_SHOWN_MAX = 10

Redisplay = Literal["always", "limited", "unspecified"]
Switch = Literal["enabled", "disabled"]


class PaymentElementFeatures(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the payment element does with the customer's cards. The defaults are Stripe's."""

    payment_method_redisplay: Switch = "disabled"
    payment_method_allow_redisplay_filters: list[Redisplay]
    payment_method_redisplay_limit: int = CARDS_SHOWN_MAX
    payment_method_save: Switch = "disabled"
    payment_method_save_usage: Literal["off_session", "on_session"] | None = None
    payment_method_remove: Switch = "disabled"


class CustomerSession(Resource, frozen=True, kw_only=True, omit_defaults=True):
    """It has no id of its own for merchants: its secret names it, and entitles to it."""

    OBJECT = "customer_session"

    customer: str
    secret: str
    features: PaymentElementFeatures | None = None
    """None: the payment element isn't enabled."""

    @property
    def client_secret(self) -> str:
        """What the merchant's page is given."""
        return f"{self.id}_secret_{self.secret}"

    @property
    def expires_at(self) -> int:
        """Unix seconds."""
        return self.created + CUSTOMER_SESSION_SECONDS
