"""A card on file, or one that is used once."""

from msgspec import Struct

from payments.domain.card import Card
from payments.domain.people import BillingDetails


class PaymentMethod(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A card that can be charged. The sealed number is stored beside this, never in it."""

    id: str
    merchant_id: int
    livemode: bool
    created: int
    version: int = 1
    card: Card
    customer: str | None = None
    billing_details: BillingDetails = BillingDetails()
    allow_redisplay: str = "unspecified"
    metadata: dict[str, str] = {}
    consumed: bool = False
    """It was detached, or paid once without a customer: it can't be attached any more."""
