"""A token: a card that a browser or an app gave, to be used once by the merchant's server."""

from payments.domain.payment_method import PaymentMethod
from payments.domain.resource import Resource

TOKEN_SECONDS_MAX = 600
"""How long a token may be used: it is made on the page where a payment is, and is used right after that."""


class Token(Resource, frozen=True, kw_only=True, omit_defaults=True):
    """A name for a card that was just made. Whether it was used is for the card to say, so that one comparison keeps it from being used twice."""

    OBJECT = "token"

    card: PaymentMethod
    """As it was given."""
    used: bool = False
    """Never stored as true."""
