"""Stripe's shape of addresses and of whom they belong to."""

from payments.domain.people import Address, BillingDetails, Shipping

Rendered = dict[str, object]
"""An object of the API, ready to be encoded."""


def render_address(address: Address | None) -> Rendered | None:
    """Render a postal address, or its absence."""
    if address is None:
        return None
    return {
        "city": address.city,
        "country": address.country,
        "line1": address.line1,
        "line2": address.line2,
        "postal_code": address.postal_code,
        "state": address.state,
    }


_NO_ADDRESS = render_address(Address())


def render_billing_details(details: BillingDetails) -> Rendered:
    """Render who owns a card."""
    return {
        "address": render_address(details.address) or _NO_ADDRESS,
        "email": details.email,
        "name": details.name,
        "phone": details.phone,
        "tax_id": details.tax_id,
    }


def render_shipping(shipping: Shipping | None) -> Rendered | None:
    """Render where the goods go, or nothing."""
    if shipping is None:
        return None
    return {
        "address": render_address(shipping.address) or _NO_ADDRESS,
        "carrier": shipping.carrier,
        "name": shipping.name,
        "phone": shipping.phone,
        "tracking_number": shipping.tracking_number,
    }
