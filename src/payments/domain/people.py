"""Postal addresses and who a payment is for."""

import re

from msgspec import Struct

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_NEVER = re.compile(r"[\x00-\x1f\x7f-\x9f()<>\[\]:;,\\\"]")
"""What stands in no address that isn't quoted (RFC 5322, 3.2.3), and does in headers: control characters, and what separates addresses."""


def is_email(text: str) -> bool:
    """Tell whether something may be an email address. Which ones there are, only their servers know."""
    return _EMAIL.fullmatch(text) is not None and _NEVER.search(text) is None


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
