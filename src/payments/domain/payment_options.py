"""What a merchant says of how a card is to be charged, and of what is bought."""

from typing import Literal

from msgspec import Struct

FutureUsage = Literal["on_session", "off_session"]
"""The card is kept for later payments: of a customer who is there, or also of one who isn't."""
IfAvailable = Literal["if_available", "never"]


class CardOptions(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How cards are charged, where it differs from what the payment says of all methods."""

    capture_method: Literal["manual"] | None = None
    setup_future_usage: Literal["none"] | FutureUsage | None = None
    request_three_d_secure: Literal["automatic", "any", "challenge"] = "automatic"
    """`any` and `challenge` ask for 3-D Secure wherever the card knows it, `automatic` where the issuer wants it."""
    network: str | None = None
    """The customer's choice, for a card of two networks."""
    request_extended_authorization: IfAvailable | None = None
    request_incremental_authorization: IfAvailable | None = None
    request_multicapture: IfAvailable | None = None
    request_overcapture: IfAvailable | None = None
    require_cvc_recollection: bool = False
    installments: bool = False
    """Plans may be offered; there are none."""
    statement_descriptor_suffix_kana: str | None = None
    statement_descriptor_suffix_kanji: str | None = None

    @property
    def asks_for_authentication(self) -> bool:
        """Whether 3-D Secure is asked for even where the issuer doesn't."""
        return self.request_three_d_secure != "automatic"


class Authentication(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """3-D Secure that the merchant carried out with somebody else. The cryptogram proves it to the issuer: it is kept with the attempt, and shown nowhere."""

    version: str
    transaction_id: str
    cryptogram: str
    electronic_commerce_indicator: str | None = None
    exemption_indicator: str | None = None
    ares_trans_status: str | None = None

    def __repr__(self) -> str:
        return f"Authentication(version={self.version!r}, …)"


class Acceptance(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the customer agreed to later payments."""

    type: Literal["online", "offline"]
    accepted_at: int | None = None
    """Unix seconds."""
    ip_address: str | None = None
    user_agent: str | None = None


class AmountDetails(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an amount is made of, in minor units."""

    discount_amount: int | None = None
    shipping_amount: int | None = None
    shipping_from_postal_code: str | None = None
    shipping_to_postal_code: str | None = None
    total_tax_amount: int | None = None


class PaymentDetails(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The merchant's own references."""

    customer_reference: str | None = None
    order_reference: str | None = None


class RadarOptions(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a browser told of itself, for whoever judges risk."""

    session: str | None = None
    referrer: str | None = None
