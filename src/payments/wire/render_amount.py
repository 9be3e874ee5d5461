"""Stripe's shape of what an amount is made of."""

from payments.domain.payment_intent import PaymentIntent
from payments.domain.payment_options import AmountDetails, LineItem
from payments.wire.render_people import Rendered

LINE = "payment_intent_amount_details_line_item"
_NO_DETAILS: Rendered = {"tip": {}}


def render_amount_details(details: AmountDetails | None) -> Rendered:
    """Render what an amount is made of, without its lines."""
    if details is None:
        return _NO_DETAILS
    body: Rendered = {"tip": {}}
    if details.discount_amount is not None:
        body["discount_amount"] = details.discount_amount
    places = (details.shipping_from_postal_code, details.shipping_to_postal_code)
    if details.shipping_amount is not None or any(places):
        body["shipping"] = {"amount": details.shipping_amount, "from_postal_code": places[0], "to_postal_code": places[1]}
    if details.total_tax_amount is not None:
        body["tax"] = {"total_tax_amount": details.total_tax_amount}
    if details.error is not None:
        body["error"] = {"code": details.error.code, "message": details.error.message}
    return body


def render_line_items(intent: PaymentIntent) -> Rendered | None:
    """Render what is bought, which is shown only to whoever expands it; None where nothing was said of that."""
    data = render_lines(intent)
    return {"object": "list", "data": data, "has_more": False, "url": lines_url(intent)} if data else None


def lines_url(intent: PaymentIntent) -> str:
    """Return where what is bought can be listed."""
    return f"/v1/payment_intents/{intent.id}/amount_details_line_items"


def render_lines(intent: PaymentIntent) -> list[Rendered]:
    """Render each line of what is bought."""
    return [] if intent.amount_details is None else [render_line(each) for each in intent.amount_details.line_items]


def render_line(line: LineItem) -> Rendered:
    """Render a line of what is bought."""
    return {
        "id": line.id,
        "object": LINE,
        "discount_amount": line.discount_amount,
        "payment_method_options": None if line.commodity_code is None else {"card": {"commodity_code": line.commodity_code}},
        "product_code": line.product_code,
        "product_name": line.product_name,
        "quantity": line.quantity,
        "tax": None if line.total_tax_amount is None else {"total_tax_amount": line.total_tax_amount},
        "unit_cost": line.unit_cost,
        "unit_of_measure": line.unit_of_measure,
    }
