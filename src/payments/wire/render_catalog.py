"""Stripe's shape of products and prices."""

from msgspec import to_builtins

from payments.domain.price import Price
from payments.domain.product import Product
from payments.wire.render_people import Rendered


def render_product(product: Product) -> Rendered:
    """Render a product, or what is left of one."""
    if product.deleted:
        return {"id": product.id, "object": "product", "deleted": True}
    tax = product.tax_details
    return {
        "id": product.id,
        "object": "product",
        "active": product.active,
        "created": product.created,
        "default_price": product.default_price,
        "description": product.description,
        "images": product.images,
        "livemode": product.livemode,
        "marketing_features": [{"name": feature.name} for feature in product.marketing_features],
        "metadata": product.metadata,
        "name": product.name,
        "package_dimensions": to_builtins(product.package_dimensions),
        "shippable": product.shippable,
        "statement_descriptor": product.statement_descriptor,
        "tax_code": product.tax_code,
        "tax_details": None if tax is None else {"performance_location": tax.performance_location, "tax_code": tax.tax_code},
        "type": product.type,
        "unit_label": product.unit_label,
        "updated": product.updated,
        "url": product.url,
    }


def render_currency_options(price: Price) -> Rendered:
    """Render a price by its currencies, of which it has one."""
    names = ("custom_unit_amount", "tax_behavior", "unit_amount", "unit_amount_decimal")
    shown = render_price(price)
    return {price.currency: {name: shown[name] for name in names}}


def render_price(price: Price) -> Rendered:
    """Render a price."""
    chosen = price.custom_unit_amount
    return {
        "id": price.id,
        "object": "price",
        "active": price.active,
        "billing_scheme": "per_unit",
        "created": price.created,
        "currency": price.currency,
        "custom_unit_amount": None if chosen is None else {"maximum": chosen.maximum, "minimum": chosen.minimum, "preset": chosen.preset},
        "livemode": price.livemode,
        "lookup_key": price.lookup_key,
        "metadata": price.metadata,
        "nickname": price.nickname,
        "product": price.product,
        "recurring": None,
        "tax_behavior": price.tax_behavior,
        "tiers_mode": None,
        "transform_quantity": to_builtins(price.transform_quantity),
        "type": "one_time",
        "unit_amount": price.unit_amount,
        "unit_amount_decimal": price.unit_amount_decimal,
    }
