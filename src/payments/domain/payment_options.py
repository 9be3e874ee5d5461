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


class LineItem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of what is bought; amounts in minor units, of the whole line but for `unit_cost`."""

    id: str
    product_name: str
    quantity: int
    unit_cost: int
    discount_amount: int | None = None
    total_tax_amount: int | None = None
    product_code: str | None = None
    unit_of_measure: str | None = None
    commodity_code: str | None = None

    @property
    def amount(self) -> int:
        """What the line costs."""
        return self.unit_cost * self.quantity + (self.total_tax_amount or 0) - (self.discount_amount or 0)


class AmountDetailsError(Struct, frozen=True, kw_only=True):
    """In what the parts of an amount don't agree with it."""

    code: Literal["amount_details_amount_mismatch", "amount_details_tax_shipping_discount_greater_than_amount"]
    message: str


class AmountDetails(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an amount is made of, in minor units."""

    discount_amount: int | None = None
    shipping_amount: int | None = None
    shipping_from_postal_code: str | None = None
    shipping_to_postal_code: str | None = None
    total_tax_amount: int | None = None
    line_items: list[LineItem] = []
    error: AmountDetailsError | None = None
    """Where the merchant would rather be paid than be told."""

    @property
    def beside_lines(self) -> int:
        """What comes to the lines."""
        return (self.total_tax_amount or 0) + (self.shipping_amount or 0) - (self.discount_amount or 0)

    def disagreement(self, amount: int) -> AmountDetailsError | None:
        """Return in what the parts don't agree with an amount. Source: Stripe, "Payment line items", and the codes of `amount_details.error`."""
        if self.line_items:
            total = sum(item.amount for item in self.line_items) + self.beside_lines
            if total == amount:
                return None
            return AmountDetailsError(
                code="amount_details_amount_mismatch",
                message=f"The line items, with tax and shipping and without discounts, are {total} in all, and the amount is {amount}.",
            )
        if self.beside_lines <= amount:
            return None
        return AmountDetailsError(
            code="amount_details_tax_shipping_discount_greater_than_amount",
            message=f"Tax and shipping without the discount are {self.beside_lines}, which is more than the amount of {amount}.",
        )

    def and_of(self, next_capture: "AmountDetails") -> "AmountDetails":
        """Return the details of what was captured before together with those of what is captured next."""
        return AmountDetails(
            discount_amount=_sum(self.discount_amount, next_capture.discount_amount),
            shipping_amount=_sum(self.shipping_amount, next_capture.shipping_amount),
            shipping_from_postal_code=next_capture.shipping_from_postal_code or self.shipping_from_postal_code,
            shipping_to_postal_code=next_capture.shipping_to_postal_code or self.shipping_to_postal_code,
            total_tax_amount=_sum(self.total_tax_amount, next_capture.total_tax_amount),
            line_items=[*self.line_items, *next_capture.line_items],
            error=next_capture.error or self.error,
        )


def _sum(before: int | None, added: int | None) -> int | None:
    return None if before is None and added is None else (before or 0) + (added or 0)


class PaymentDetails(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The merchant's own references."""

    customer_reference: str | None = None
    order_reference: str | None = None


class RadarOptions(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a browser told of itself, for whoever judges risk."""

    session: str | None = None
    referrer: str | None = None
