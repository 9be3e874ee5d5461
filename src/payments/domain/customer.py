"""A merchant's customer."""

from payments.domain.people import Address, Shipping
from payments.domain.resource import Resource


class Customer(Resource, frozen=True, kw_only=True, omit_defaults=True):
    """Whom payments and cards belong to; every field but the identity is the merchant's own."""

    OBJECT = "customer"

    deleted: bool = False
    address: Address | None = None
    balance: int = 0
    """Minor units that a next invoice is credited or debited with."""
    business_name: str | None = None
    description: str | None = None
    email: str | None = None
    individual_name: str | None = None
    invoice_prefix: str | None = None
    default_payment_method: str | None = None
    default_source: str | None = None
    """The card that the charges API charges when it is told the customer only."""
    metadata: dict[str, str] = {}
    name: str | None = None
    next_invoice_sequence: int = 1
    phone: str | None = None
    preferred_locales: list[str] = []
    shipping: Shipping | None = None
    tax_exempt: str = "none"
