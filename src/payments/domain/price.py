"""What a product costs."""

from typing import Literal

from msgspec import Struct

from payments.domain.resource import Resource


class CustomUnitAmount(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Bounds of what the customer chooses to pay, in minor units."""

    maximum: int | None = None
    minimum: int | None = None
    preset: int | None = None


class TransformQuantity(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a quantity becomes how many units are paid."""

    divide_by: int
    round: Literal["up", "down"]


class Price(Resource, frozen=True, kw_only=True, omit_defaults=True):
    """A one-time price of one product, in one currency. How much it is never changes."""

    OBJECT = "price"

    active: bool = True
    currency: str
    custom_unit_amount: CustomUnitAmount | None = None
    lookup_key: str | None = None
    """By which the merchant finds it: no two prices have the same."""
    metadata: dict[str, str] = {}
    nickname: str | None = None
    product: str
    tax_behavior: str = "unspecified"
    transform_quantity: TransformQuantity | None = None
    unit_amount: int | None = None
    """Minor units; None where it isn't whole, or the customer chooses."""
    unit_amount_decimal: str | None = None
    """Minor units with at most twelve decimals."""
