"""What an amount is made of, as a parameter: lines, tax, shipping and discounts, which must add up.

Source: Stripe, "Payment line items", "Use payment line items for flexible payments".
"""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from payments.domain.errors import InvalidRequest
from payments.domain.payment_intent import PaymentIntent
from payments.domain.payment_options import AmountDetails, LineItem, PaymentDetails
from payments.runtime.ids import new_id
from payments.wire.changes import HashParam
from payments.wire.params import ShortText

LINE_ITEMS_MAX = 200
_PART_MAX = 10**12
"""No part of an amount is larger than the largest amount there is."""
NonNegative = Annotated[int, Meta(ge=0)]
_Part = Annotated[int, Meta(ge=0, le=_PART_MAX)]
_Discount = Annotated[int, Meta(ge=1, le=_PART_MAX)]


class ShippingAmountParam(Struct, frozen=True, forbid_unknown_fields=True):
    """`amount_details[shipping]`."""

    amount: _Part | Literal[""] | None = None
    from_postal_code: ShortText | None = None
    to_postal_code: ShortText | None = None


class TaxParam(Struct, frozen=True, forbid_unknown_fields=True):
    """`amount_details[tax]`."""

    total_tax_amount: _Part


class LineItemOfCardParam(Struct, frozen=True, forbid_unknown_fields=True):
    """`amount_details[line_items][][payment_method_options][card]`."""

    commodity_code: ShortText | None = None


class LineItemOptionsParam(Struct, frozen=True, forbid_unknown_fields=True):
    """`amount_details[line_items][][payment_method_options]`."""

    card: LineItemOfCardParam | None = None


class LineItemParam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`amount_details[line_items][]`."""

    product_name: Annotated[str, Meta(min_length=1, max_length=1024)]
    quantity: Annotated[int, Meta(ge=1, le=_PART_MAX)]
    unit_cost: _Part
    discount_amount: _Discount | None = None
    payment_method_options: LineItemOptionsParam | None = None
    product_code: Annotated[str, Meta(max_length=12)] | None = None
    tax: TaxParam | None = None
    unit_of_measure: Annotated[str, Meta(max_length=12)] | None = None

    def value(self) -> LineItem:
        """Return the domain's form."""
        of_card = self.payment_method_options and self.payment_method_options.card
        return LineItem(
            id=new_id("uli"),
            product_name=self.product_name,
            quantity=self.quantity,
            unit_cost=self.unit_cost,
            discount_amount=self.discount_amount,
            total_tax_amount=None if self.tax is None else self.tax.total_tax_amount,
            product_code=self.product_code or None,
            unit_of_measure=self.unit_of_measure or None,
            commodity_code=(of_card.commodity_code or None) if of_card else None,
        )


class AmountDetailsParam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`amount_details`."""

    discount_amount: _Discount | Literal[""] | None = None
    enforce_arithmetic_validation: bool = True
    line_items: Annotated[list[LineItemParam], Meta(max_length=LINE_ITEMS_MAX)] | Literal[""] | None = None
    shipping: ShippingAmountParam | Literal[""] | None = None
    tax: TaxParam | Literal[""] | None = None

    def value(self) -> AmountDetails:
        """Return the domain's form; raises `InvalidRequest` for a part that is said of all and of a line as well."""
        items = self.line_items or []
        if self.discount_amount and any(item.discount_amount for item in items):
            raise _said_twice("[discount_amount]")
        if self.tax and any(item.tax for item in items):
            raise _said_twice("[tax][total_tax_amount]")
        shipping = self.shipping or ShippingAmountParam()
        return AmountDetails(
            discount_amount=self.discount_amount or None,
            shipping_amount=None if shipping.amount == "" else shipping.amount,
            shipping_from_postal_code=shipping.from_postal_code or None,
            shipping_to_postal_code=shipping.to_postal_code or None,
            total_tax_amount=self.tax.total_tax_amount if self.tax else None,
            line_items=[item.value() for item in items],
        )

    def of(self, amount: int) -> AmountDetails:
        """Return the domain's form of an amount; raises `InvalidRequest` for parts that don't agree with it, unless that shall only be told."""
        return agreeing(self.value(), amount, enforced=self.enforce_arithmetic_validation)


Given = AmountDetailsParam | Literal[""] | UnsetType
"""What a call says of an amount."""


class PaymentDetailsParam(HashParam, frozen=True, kw_only=True):
    """`payment_details`."""

    OF = PaymentDetails

    customer_reference: ShortText | UnsetType = UNSET
    order_reference: ShortText | UnsetType = UNSET


def agreeing(details: AmountDetails, amount: int, *, enforced: bool) -> AmountDetails:
    """Return details with what is wrong with them; raises `InvalidRequest` instead where that is `enforced`."""
    error = details.disagreement(amount)
    if error is not None and enforced:
        raise InvalidRequest(error.message, code=error.code, param="amount_details")
    return replace(details, error=error)


def with_details(intent: PaymentIntent, given: Given) -> PaymentIntent:
    """Return an intent with the details that a call gives, or takes away. What it has already is held against its amount, which may be another by now.

    Raises `InvalidRequest`.
    """
    if given == "":
        return replace(intent, amount_details=None)
    if given is not UNSET:
        return replace(intent, amount_details=given.of(intent.amount))
    kept = intent.amount_details
    return intent if kept is None else replace(intent, amount_details=agreeing(kept, intent.amount, enforced=kept.error is None))


def of_capture(intent: PaymentIntent, given: Given, amount: int) -> AmountDetails | None:
    """Return the details that an intent has when `amount` minor units of it are captured; None for what it has now, and without any that it has none.

    Lines of several captures add up. Raises `InvalidRequest` for those that aren't what is captured.
    """
    kept = intent.amount_details
    captured_before = intent.amount_received > 0
    if given is UNSET:
        if kept is not None and kept.line_items and (captured_before or amount != intent.amount):
            raise InvalidRequest(
                "This PaymentIntent has line items, which are not those of the amount that is captured. Provide amount_details of this capture, "
                "or an empty string to have none.",
                code="amount_details_amount_mismatch",
                param="amount_details",
            )
        return None
    if given == "":
        return AmountDetails()
    details = given.of(amount)
    return kept.and_of(details) if kept is not None and captured_before else details


def of_increment(intent: PaymentIntent, given: Given, amount: int) -> AmountDetails | None:
    """Return the details of a hold of `amount` minor units in all; the same as `of_capture` otherwise. Raises `InvalidRequest` as well where a part was captured:
    what is known then is of that part.
    """
    if given is not UNSET and intent.amount_received:
        raise InvalidRequest(
            "A part of this PaymentIntent was captured. Provide amount_details when you capture the rest.", param="amount_details"
        )
    if given == "":
        return AmountDetails()
    if given is not UNSET:
        return given.of(amount)
    kept = intent.amount_details
    return None if kept is None or intent.amount_received else agreeing(kept, amount, enforced=kept.error is None)


def _said_twice(part: str) -> InvalidRequest:
    return InvalidRequest(
        f"You may only specify one of these parameters: amount_details{part}, amount_details[line_items][#]{part}.",
        param=f"amount_details{part}",
    )
