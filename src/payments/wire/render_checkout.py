"""Stripe's shape of checkout sessions, of their lines, and of payment links."""

from payments.domain.checkout import CheckoutSession, CustomText, IntentData, Item, PaymentLink, SessionStatus
from payments.wire.render_catalog import render_price
from payments.wire.render_people import Rendered, render_address

RECOVERABLE_SECONDS = 30 * 24 * 3600
"""How long a buyer may begin anew after a session has expired. Source: Stripe, "Recover abandoned carts"."""


def render_item(item: Item) -> Rendered:
    """Render a line."""
    return {
        "id": item.id,
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": item.amount,
        "amount_tax": 0,
        "amount_total": item.amount,
        "currency": item.currency,
        "description": item.description,
        "metadata": item.metadata,
        "price": render_price(item.price),
        "quantity": item.quantity,
    }


def render_none_of_them(_: Item) -> list[Rendered]:
    """Render what the discounts, or the taxes, of a line are: none."""
    return []


def render_breakdown(session: CheckoutSession) -> Rendered | None:
    """Render what the discounts and taxes of a total are, which has none; None where there is no total."""
    return {"discounts": [], "taxes": []} if session.mode == "payment" else None


def render_session(session: CheckoutSession) -> Rendered:
    """Render a session. Its page has an address while it is open."""
    paid = session.mode == "payment"
    body: Rendered = {
        "id": session.id,
        "object": "checkout.session",
        "adaptive_pricing": None,
        "after_expiration": _after_expiration(session),
        "allow_promotion_codes": None,
        "allowed_payment_method_types": session.allowed_payment_method_types,
        "amount_subtotal": session.amount_total,
        "amount_total": session.amount_total,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "billing_address_collection": session.billing_address_collection,
        "cancel_url": session.cancel_url,
        "client_reference_id": session.client_reference_id,
        "client_secret": session.client_secret if session.status is SessionStatus.OPEN else None,
        "collected_information": _collected(session),
        "consent": None,
        "consent_collection": None,
        "created": session.created,
        "currency": session.currency,
        "currency_conversion": None,
        "custom_fields": [],
        "custom_text": _custom_text(session.custom_text),
        "customer": session.customer,
        "customer_account": None,
        "customer_creation": session.customer_creation,
        "customer_details": _customer_details(session),
        "customer_email": session.customer_email,
        "discounts": None,
        "expires_at": session.expires_at,
        "integration_identifier": None,
        "invoice": None,
        "invoice_creation": {"enabled": False, "invoice_data": _NO_INVOICE} if paid else None,
        "livemode": session.livemode,
        "locale": session.locale,
        "managed_payments": None,
        "metadata": session.metadata,
        "mode": session.mode,
        "origin_context": None,
        "payment_intent": session.payment_intent,
        "payment_link": session.payment_link,
        "payment_method_collection": "always" if session.payment_link is not None else None,
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "payment_status": session.payment_status,
        "permissions": None,
        "phone_number_collection": {"enabled": session.phone_number_collection},
        "recovered_from": session.recovered_from,
        "saved_payment_method_options": None,
        "setup_intent": session.setup_intent,
        "shipping_address_collection": _countries(session.shipping_countries),
        "shipping_cost": None,
        "shipping_options": [],
        "status": session.status,
        "submit_type": session.submit_type,
        "subscription": None,
        "success_url": session.success_url,
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0} if paid else None,
        "ui_mode": "embedded_page" if session.embedded else "hosted_page",
        "url": session.url if session.status is SessionStatus.OPEN and not session.embedded else None,
        "wallet_options": None,
    }
    for name in ("return_url", "redirect_on_completion"):
        if (value := getattr(session, name)) is not None:
            body[name] = value
    if session.excluded_payment_method_types is not None:
        body["excluded_payment_method_types"] = session.excluded_payment_method_types
    return body


_NO_INVOICE: Rendered = {
    "account_tax_ids": None,
    "custom_fields": None,
    "description": None,
    "footer": None,
    "issuer": None,
    "metadata": {},
    "rendering_options": None,
}


def _after_expiration(session: CheckoutSession) -> Rendered | None:
    if not session.recovers:
        return None
    expired = session.status is SessionStatus.EXPIRED
    recovery: Rendered = {
        "allow_promotion_codes": False,
        "enabled": True,
        "expires_at": session.expires_at + RECOVERABLE_SECONDS if expired else None,
        "url": session.url if expired else None,
    }
    return {"recovery": recovery}


def _collected(session: CheckoutSession) -> Rendered | None:
    shipping = session.shipping
    if shipping is None:
        return None
    details: Rendered = {"address": render_address(shipping.address), "name": shipping.name}
    return {"business_name": None, "individual_name": None, "shipping_details": details}


def _customer_details(session: CheckoutSession) -> Rendered | None:
    details = session.customer_details
    if details is None:
        return None
    return {
        "address": render_address(details.address),
        "business_name": None,
        "email": details.email,
        "individual_name": None,
        "name": details.name,
        "phone": details.phone,
        "tax_exempt": "none",
        "tax_ids": [],
    }


def _countries(countries: list[str] | None) -> Rendered | None:
    return None if countries is None else {"allowed_countries": countries}


def _custom_text(text: CustomText) -> Rendered:
    said = {"after_submit": text.after_submit, "shipping_address": text.shipping_address, "submit": text.submit}
    return {
        **{name: None if message is None else {"message": message} for name, message in said.items()},
        "terms_of_service_acceptance": None,
    }


def render_payment_link(link: PaymentLink) -> Rendered:
    """Render a payment link."""
    limit = link.completed_max
    confirmation: Rendered = {"type": "hosted_confirmation", "hosted_confirmation": {"custom_message": link.confirmation}}
    redirect: Rendered = {"type": "redirect", "redirect": {"url": link.redirect_url}}
    return {
        "id": link.id,
        "object": "payment_link",
        "active": link.active,
        "after_completion": confirmation if link.redirect_url is None else redirect,
        "allow_promotion_codes": False,
        "application": None,
        "application_fee_amount": None,
        "application_fee_percent": None,
        "automatic_tax": {"enabled": False, "liability": None},
        "billing_address_collection": link.billing_address_collection or "auto",
        "consent_collection": None,
        "currency": link.currency,
        "custom_fields": [],
        "custom_text": _custom_text(link.custom_text),
        "customer_creation": link.customer_creation or "if_required",
        "inactive_message": link.inactive_message,
        "invoice_creation": {"enabled": False, "invoice_data": _NO_INVOICE},
        "livemode": link.livemode,
        "managed_payments": None,
        "metadata": link.metadata,
        "on_behalf_of": None,
        "optional_items": None,
        "payment_intent_data": None if link.intent_data is None else _intent_data(link.intent_data),
        "payment_method_collection": "always",
        "payment_method_options": None,
        "payment_method_types": link.payment_method_types,
        "phone_number_collection": {"enabled": link.phone_number_collection},
        "restrictions": None if limit is None else {"completed_sessions": {"count": link.completed, "limit": limit}},
        "shipping_address_collection": _countries(link.shipping_countries),
        "shipping_options": [],
        "submit_type": link.submit_type or "auto",
        "subscription_data": None,
        "tax_id_collection": {"enabled": False, "required": "never"},
        "transfer_data": None,
        "url": link.url,
    }


def _intent_data(data: IntentData) -> Rendered:
    return {
        "capture_method": data.capture_method,
        "description": data.description,
        "metadata": data.metadata,
        "setup_future_usage": data.setup_future_usage,
        "statement_descriptor": data.statement_descriptor,
        "statement_descriptor_suffix": data.statement_descriptor_suffix,
        "transfer_group": data.transfer_group,
    }
