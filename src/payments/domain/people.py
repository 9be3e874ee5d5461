"""Postal addresses and who a payment is for."""

from msgspec import Struct


class Address(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A postal address; every part is optional."""

    city: str | None = None
    country: str | None = None
    """Two letters, ISO 3166-1 alpha-2."""
    line1: str | None = None
    line2: str | None = None
    postal_code: str | None = None
    state: str | None = None


class BillingDetails(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The cardholder as the merchant knows them."""

    address: Address | None = None
    email: str | None = None
    name: str | None = None
    phone: str | None = None
    tax_id: str | None = None


class Shipping(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where the goods go."""

    address: Address | None = None
    carrier: str | None = None
    name: str | None = None
    phone: str | None = None
    tracking_number: str | None = None
