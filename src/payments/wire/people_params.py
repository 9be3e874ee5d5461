"""Addresses, and whom they belong to, as parameters."""

from typing import Literal

from msgspec import UNSET, UnsetType

from payments.domain.errors import InvalidRequest
from payments.domain.people import Address, BillingDetails, Shipping, is_email
from payments.wire.changes import HashParam
from payments.wire.params import ShortText, Text


def check_email(text: str, param: str) -> str:
    """Return an address; raises `InvalidRequest` for what can't be one."""
    if not is_email(text):
        raise InvalidRequest(f"Invalid email address: {text[:100]}", code="email_invalid", param=param)
    return text


class AddressParam(HashParam, frozen=True, kw_only=True):
    """A postal address."""

    OF = Address
    MERGES = True

    city: ShortText | UnsetType = UNSET
    country: ShortText | UnsetType = UNSET
    line1: ShortText | UnsetType = UNSET
    line2: ShortText | UnsetType = UNSET
    postal_code: ShortText | UnsetType = UNSET
    state: ShortText | UnsetType = UNSET


class ShippingParam(HashParam, frozen=True, kw_only=True):
    """Where the goods go."""

    OF = Shipping
    MERGES = True

    address: AddressParam
    name: Text
    carrier: Text | UnsetType = UNSET
    phone: Text | UnsetType = UNSET
    tracking_number: Text | UnsetType = UNSET


class BillingDetailsParam(HashParam, frozen=True, kw_only=True):
    """Who owns a payment method."""

    OF = BillingDetails
    MERGES = True

    address: AddressParam | Literal[""] | UnsetType = UNSET
    email: ShortText | UnsetType = UNSET
    name: Text | UnsetType = UNSET
    phone: Text | UnsetType = UNSET
    tax_id: ShortText | UnsetType = UNSET
