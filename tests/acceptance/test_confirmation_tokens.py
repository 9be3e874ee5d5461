"""What a merchant's page gave is confirmed with by their server, once, with the official SDK."""

from typing import Any

import pytest
import stripe

from tests.support.paying import shaped

SHIPPING: Any = {"name": "Ada", "address": {"line1": "1 Main St", "country": "IE"}}


def a_token(client: stripe.StripeClient, **params: Any) -> Any:
    given: Any = {"payment_method": "pm_card_visa", **params}
    return shaped(client.v1.test_helpers.confirmation_tokens.create(given))


def pay(client: stripe.StripeClient, token: str, **params: Any) -> Any:
    given: Any = {"amount": 1_000, "currency": "usd", "confirm": True, "confirmation_token": token, **params}
    return shaped(client.v1.payment_intents.create(given))


def read(client: stripe.StripeClient, token: Any) -> Any:
    return shaped(client.v1.confirmation_tokens.retrieve(token.id))


def test_a_token_says_how_it_is_paid_and_pays_once(client: stripe.StripeClient) -> None:
    token = a_token(client, return_url="https://shop.example/done", setup_future_usage="off_session", shipping=SHIPPING)
    assert (token.payment_method_preview.type, token.payment_method_preview.card.last4) == ("card", "4242")
    assert token.expires_at == token.created + 12 * 3600
    customer = shaped(client.v1.customers.create({}))
    paid = pay(client, token.id, customer=customer.id)
    assert (paid.status, paid.setup_future_usage, paid.shipping.name) == ("succeeded", "off_session", "Ada")
    assert [each.id for each in shaped(client.v1.customers.payment_methods.list(customer.id)).data] == [paid.payment_method]
    used = read(client, token)
    assert (used.payment_intent, used.setup_intent, used.expires_at) == (paid.id, None, None)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        pay(client, token.id)
    assert (refused.value.code, refused.value.param) == ("token_already_used", "confirmation_token")


def test_what_the_call_says_itself_comes_before_what_the_token_says(client: stripe.StripeClient) -> None:
    token = a_token(client, shipping=SHIPPING)
    paid = pay(client, token.id, payment_method="pm_card_mastercard", shipping={**SHIPPING, "name": "Bob"})
    assert paid.shipping.name == "Bob"
    assert read(client, token).payment_intent is None, "another card has paid"


def test_a_card_is_kept_by_a_token(client: stripe.StripeClient) -> None:
    token = a_token(client, return_url="https://shop.example/done")
    intent = shaped(client.v1.setup_intents.create({}))
    kept = shaped(client.v1.setup_intents.confirm(intent.id, {"confirmation_token": token.id}))
    assert kept.status == "succeeded"
    used = read(client, token)
    assert (used.payment_intent, used.setup_intent) == (None, kept.id)
    with pytest.raises(stripe.InvalidRequestError, match="already used"):
        client.v1.setup_intents.create({"confirm": True, "confirmation_token": token.id})


def test_a_declined_card_has_used_its_token(client: stripe.StripeClient) -> None:
    token = a_token(client, payment_method="pm_card_visa_chargeDeclined")
    intent = shaped(client.v1.payment_intents.create({"amount": 1_000, "currency": "usd"}))
    with pytest.raises(stripe.CardError):
        client.v1.payment_intents.confirm(intent.id, {"confirmation_token": token.id})
    assert read(client, token).payment_intent == intent.id
    with pytest.raises(stripe.InvalidRequestError, match="already used"):
        client.v1.payment_intents.confirm(intent.id, {"confirmation_token": token.id})


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({}, "payment_method_data"),
        ({"payment_method": "pm_0"}, "payment_method"),
        ({"payment_method": "pm_card_visa", "return_url": "javascript:alert(1)"}, "return_url"),
        ({"payment_method": "pm_card_visa", "setup_future_usage": "never"}, "setup_future_usage"),
    ],
)
def test_what_is_no_token_is_refused(client: stripe.StripeClient, params: Any, param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.test_helpers.confirmation_tokens.create(params)
    assert refused.value.param == param


def test_a_token_is_for_confirming_only(client: stripe.StripeClient) -> None:
    token = a_token(client)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.create({"amount": 1_000, "currency": "usd", "confirmation_token": token.id})
    assert refused.value.param == "confirmation_token"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.setup_intents.create({"confirmation_token": token.id})
    assert refused.value.param == "confirmation_token"
