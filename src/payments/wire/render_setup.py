"""Stripe's shape of what keeps a card for later: setup intents, their attempts, mandates."""

from payments.domain.setup_intent import Mandate, SetupAttempt, SetupIntent
from payments.wire.render import render_next_action, render_payment_error
from payments.wire.render_card import render_checks, render_three_d_secure
from payments.wire.render_people import Rendered


def render_setup_intent(intent: SetupIntent) -> Rendered:
    """Render a setup intent."""
    methods, options = intent.automatic_payment_methods, intent.card_options
    return {
        "id": intent.id,
        "object": "setup_intent",
        "allowed_payment_method_types": intent.allowed_payment_method_types,
        "application": None,
        "automatic_payment_methods": None if methods is None else {"allow_redirects": methods.allow_redirects, "enabled": methods.enabled},
        "cancellation_reason": intent.cancellation_reason,
        "client_secret": intent.client_secret,
        "created": intent.created,
        "customer": intent.customer,
        "customer_account": None,
        "description": intent.description,
        "excluded_payment_method_types": intent.excluded_payment_method_types,
        "flow_directions": None,
        "last_setup_error": None if intent.last_setup_error is None else render_payment_error(intent.last_setup_error),
        "latest_attempt": intent.latest_attempt,
        "livemode": intent.livemode,
        "managed_payments": None,
        "mandate": intent.mandate,
        "metadata": intent.metadata,
        "next_action": None if intent.next_action is None else render_next_action(intent.next_action),
        "on_behalf_of": None,
        "payment_method": intent.payment_method,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {
                "mandate_options": None,
                "network": None if options is None else options.network,
                "request_three_d_secure": "automatic" if options is None else options.request_three_d_secure,
            }
        },
        "payment_method_types": ["card"],
        "single_use_mandate": None,
        "status": intent.status,
        "usage": intent.usage,
    }


def render_setup_attempt(attempt: SetupAttempt) -> Rendered:
    """Render a try at keeping a card."""
    card = attempt.card
    return {
        "id": attempt.id,
        "object": "setup_attempt",
        "application": None,
        "created": attempt.created,
        "customer": attempt.customer,
        "customer_account": None,
        "flow_directions": None,
        "livemode": attempt.livemode,
        "on_behalf_of": None,
        "payment_method": attempt.payment_method,
        "payment_method_details": {
            "card": {
                "brand": card.brand,
                "checks": render_checks(card),
                "country": card.country,
                "exp_month": card.exp_month,
                "exp_year": card.exp_year,
                "fingerprint": card.fingerprint,
                "funding": card.funding,
                "last4": card.last4,
                "network": card.brand,
                "three_d_secure": None if attempt.three_d_secure is None else render_three_d_secure(attempt.three_d_secure),
                "wallet": None,
            },
            "type": "card",
        },
        "setup_error": None if attempt.setup_error is None else render_payment_error(attempt.setup_error),
        "setup_intent": attempt.setup_intent,
        "status": attempt.status,
        "usage": attempt.usage,
    }


def render_mandate(mandate: Mandate) -> Rendered:
    """Render what a customer agreed to."""
    given = mandate.customer_acceptance
    acceptance: Rendered = {"accepted_at": given.accepted_at, "type": given.type}
    acceptance[given.type] = {"ip_address": given.ip_address, "user_agent": given.user_agent} if given.type == "online" else {}
    return {
        "id": mandate.id,
        "object": "mandate",
        "customer_acceptance": acceptance,
        "livemode": mandate.livemode,
        "multi_use": {},
        "payment_method": mandate.payment_method,
        "payment_method_details": {"card": {}, "type": "card"},
        "status": mandate.status,
        "type": "multi_use",
    }
