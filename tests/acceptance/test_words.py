"""What clients branch on is said in Stripe's words: codes, messages, headers, and what cards are named for."""

import json
from typing import Any

import pytest
import stripe

from tests.acceptance.test_stripe_sdk import pay, shaped


def refused(client: stripe.StripeClient, **params: Any) -> stripe.CardError:
    with pytest.raises(stripe.CardError) as declined:
        pay(client, **params)
    return declined.value


def test_authentication_that_nobody_handles_is_said_to_be_that(client: stripe.StripeClient) -> None:
    for option, decline_code in (("error_on_requires_action", "authentication_not_handled"), ("off_session", "authentication_required")):
        error = refused(client, payment_method="pm_card_authenticationRequired", **{option: True})
        body = json.loads(str(error.http_body))["error"]
        assert (error.http_status, body["type"], body["code"], body["decline_code"]) == (
            402,
            "card_error",
            "authentication_required",
            decline_code,
        )
        assert ("`error_on_requires_action` was set" in body["message"]) is (option == "error_on_requires_action")
        assert body["payment_intent"]["last_payment_error"]["decline_code"] == decline_code


def test_a_decline_is_not_to_be_retried_and_neither_is_its_repetition(client: stripe.StripeClient) -> None:
    for _ in range(2):
        with pytest.raises(stripe.CardError) as declined:
            client.v1.payment_intents.create(
                {"amount": 100, "currency": "usd", "payment_method": "pm_card_chargeDeclined", "confirm": True},
                {"idempotency_key": "declined once"},
            )
        assert declined.value.headers is not None
        assert declined.value.headers["stripe-should-retry"] == "false"
    with pytest.raises(stripe.CardError) as wrong:
        client.v1.payment_methods.create({"type": "card", "card": {"number": "4242424242424241", "exp_month": 1, "exp_year": 2050}})
    assert wrong.value.headers is not None
    assert wrong.value.headers["stripe-should-retry"] == "false"


def test_a_refused_cancellation_names_stripes_statuses(client: stripe.StripeClient) -> None:
    paid = pay(client)
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        client.v1.payment_intents.cancel(paid.id)
    assert refusal.value.user_message == (
        "You cannot cancel this PaymentIntent because it has a status of succeeded. Only a PaymentIntent with one of the following statuses "
        "may be canceled: requires_payment_method, requires_capture, requires_confirmation, requires_action, processing."
    )


@pytest.mark.parametrize(
    ("name", "checks", "risk"),
    [
        ("avsFail", ("fail", "fail", None), "normal"),
        ("avsZipFail", (None, "fail", None), "normal"),
        ("avsUnchecked", ("unavailable", "unavailable", None), "normal"),
        ("cvcCheckFail", (None, None, "fail"), "normal"),
        ("riskLevelElevated", (None, None, None), "elevated"),
        ("gb", (None, None, None), "normal"),
    ],
)
def test_a_card_is_on_its_charge_what_it_is_named_for(
    client: stripe.StripeClient, name: str, checks: tuple[str | None, str | None, str | None], risk: str
) -> None:
    intent = pay(client, payment_method=f"pm_card_{name}", expand=["latest_charge", "payment_method"])
    assert isinstance(intent.latest_charge, stripe.Charge)
    assert isinstance(intent.payment_method, stripe.PaymentMethod)
    charged: Any = intent.latest_charge.payment_method_details
    method: Any = intent.payment_method
    for card in (charged.card, method.card):
        assert (card.checks.address_line1_check, card.checks.address_postal_code_check, card.checks.cvc_check) == checks
        assert card.country == ("GB" if name == "gb" else "US")
    assert charged.card.network_transaction_id.isdigit()
    assert intent.latest_charge.outcome is not None
    assert intent.latest_charge.outcome.risk_level == risk


def test_payment_methods_are_automatic_unless_they_are_chosen(client: stripe.StripeClient) -> None:
    automatic = pay(client).automatic_payment_methods
    assert automatic is not None
    assert (automatic.enabled, automatic.allow_redirects) == (True, "always")
    chosen = client.v1.payment_intents.create(
        {"amount": 100, "currency": "usd", "payment_method_types": ["card"]},  # pyright: ignore[reportArgumentType] - of older versions
        {"stripe_version": "2026-08-26.dahlia"},
    )
    assert chosen.automatic_payment_methods is None


def test_what_a_statement_says_is_what_schemes_print(client: stripe.StripeClient) -> None:
    for params in ({"statement_descriptor": "A*SHOP"}, {"statement_descriptor_suffix": "12"}, {"description": "x" * 1001}):
        with pytest.raises(stripe.InvalidRequestError) as refusal:
            client.v1.payment_intents.create({"amount": 100, "currency": "usd", **params})  # pyright: ignore[reportArgumentType]
        assert refusal.value.param == next(iter(params))
    intent = pay(client, statement_descriptor_suffix="ORDER 1", expand=["latest_charge"])
    assert isinstance(intent.latest_charge, stripe.Charge)
    assert intent.latest_charge.calculated_statement_descriptor == "TAP* ORDER 1"
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.update(intent.id, {"statement_descriptor": "<b>"})
    assert shaped(client.v1.payment_intents.retrieve(intent.id)).statement_descriptor_suffix == "ORDER 1"
