"""A repetition gets its first answer, whatever has become of the world since: the client must not believe that it wasn't paid."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
import stripe

Call = Callable[[stripe.RequestOptions], Any]
Story = Callable[[stripe.StripeClient], tuple[Call, Callable[[], object]]]


def _saved_card(client: stripe.StripeClient) -> tuple[str, str]:
    customer = client.v1.customers.create({})
    return customer.id, client.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id}).id


def a_payment_whose_card_is_detached(client: stripe.StripeClient) -> tuple[Call, Callable[[], object]]:
    customer, card = _saved_card(client)
    params: Any = {"amount": 1000, "currency": "usd", "customer": customer, "payment_method": card, "confirm": True}
    return lambda options: client.v1.payment_intents.create(params, options), lambda: client.v1.payment_methods.detach(card)


def a_payment_whose_customer_is_deleted(client: stripe.StripeClient) -> tuple[Call, Callable[[], object]]:
    customer, card = _saved_card(client)
    params: Any = {"amount": 1000, "currency": "usd", "customer": customer, "payment_method": card, "confirm": True}
    return lambda options: client.v1.payment_intents.create(params, options), lambda: client.v1.customers.delete(customer)


def a_confirmation(client: stripe.StripeClient) -> tuple[Call, Callable[[], object]]:
    intent = client.v1.payment_intents.create({"amount": 1000, "currency": "usd"})
    return lambda options: client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"}, options), lambda: None


def a_capture_that_was_refunded(client: stripe.StripeClient) -> tuple[Call, Callable[[], object]]:
    intent = client.v1.payment_intents.create(
        {"amount": 1000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True, "capture_method": "manual"}
    )
    return lambda options: client.v1.payment_intents.capture(intent.id, {}, options), lambda: client.v1.refunds.create(
        {"payment_intent": intent.id}
    )


def a_cancellation(client: stripe.StripeClient) -> tuple[Call, Callable[[], object]]:
    intent = client.v1.payment_intents.create({"amount": 1000, "currency": "usd"})
    return lambda options: client.v1.payment_intents.cancel(intent.id, {}, options), lambda: None


def a_refund_of_everything(client: stripe.StripeClient) -> tuple[Call, Callable[[], object]]:
    intent = client.v1.payment_intents.create({"amount": 1000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True})
    return lambda options: client.v1.refunds.create({"payment_intent": intent.id}, options), lambda: None


def an_attachment_to_someone_who_is_deleted(client: stripe.StripeClient) -> tuple[Call, Callable[[], object]]:
    customer = client.v1.customers.create({})
    card = client.v1.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}})
    return lambda options: client.v1.payment_methods.attach(
        card.id, {"customer": customer.id}, options
    ), lambda: client.v1.customers.delete(customer.id)


def a_detachment(client: stripe.StripeClient) -> tuple[Call, Callable[[], object]]:
    card = _saved_card(client)[1]
    return lambda options: client.v1.payment_methods.detach(card, {}, options), lambda: None


def an_update_of_a_customer_who_is_deleted(client: stripe.StripeClient) -> tuple[Call, Callable[[], object]]:
    customer = client.v1.customers.create({})
    return lambda options: client.v1.customers.update(customer.id, {"name": "A"}, options), lambda: client.v1.customers.delete(customer.id)


def an_update_of_an_intent_that_is_canceled(client: stripe.StripeClient) -> tuple[Call, Callable[[], object]]:
    intent = client.v1.payment_intents.create({"amount": 1000, "currency": "usd"})
    return lambda options: client.v1.payment_intents.update(intent.id, {"amount": 2000}, options), lambda: client.v1.payment_intents.cancel(
        intent.id
    )


STORIES: list[Story] = [
    a_payment_whose_card_is_detached,
    a_payment_whose_customer_is_deleted,
    a_confirmation,
    a_capture_that_was_refunded,
    a_cancellation,
    a_refund_of_everything,
    an_attachment_to_someone_who_is_deleted,
    a_detachment,
    an_update_of_a_customer_who_is_deleted,
    an_update_of_an_intent_that_is_canceled,
]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_repetition_is_answered_as_the_first_was(client: stripe.StripeClient, story: Story) -> None:
    call, meanwhile = story(client)
    options: stripe.RequestOptions = {"idempotency_key": uuid.uuid4().hex}
    first = call(options)
    meanwhile()
    again = call(options)
    assert again.to_dict() == first.to_dict()
    assert again.last_response.headers["idempotent-replayed"] == "true"


def test_a_decline_is_repeated_as_a_decline(client: stripe.StripeClient) -> None:
    options: stripe.RequestOptions = {"idempotency_key": uuid.uuid4().hex}
    refusals: list[str] = []
    for _ in range(2):
        with pytest.raises(stripe.CardError) as refused:
            client.v1.payment_intents.create(
                {"amount": 1000, "currency": "usd", "payment_method": "pm_card_chargeDeclined", "confirm": True}, options
            )
        refusals.append(refused.value.http_body or "")
    assert refusals[0] == refusals[1]


def test_another_request_under_the_key_is_refused_though_it_would_be_anyway(client: stripe.StripeClient) -> None:
    intent = client.v1.payment_intents.create({"amount": 1000, "currency": "usd"})
    options: stripe.RequestOptions = {"idempotency_key": uuid.uuid4().hex}
    client.v1.payment_intents.cancel(intent.id, {}, options)
    with pytest.raises(stripe.IdempotencyError, match="same parameters"):
        client.v1.payment_intents.cancel(intent.id, {"cancellation_reason": "abandoned"}, options)
    with pytest.raises(stripe.IdempotencyError, match="same endpoint"):
        client.v1.payment_intents.confirm(intent.id, {}, options)
