"""A hold is made larger, and captured as what it is then."""

from typing import Any

import pytest
import stripe

from tests.support.paying import pay, shaped

HELD: dict[str, Any] = {
    "capture_method": "manual",
    "payment_method_options": {"card": {"request_incremental_authorization": "if_available"}},
}


def test_a_hold_grows_and_is_captured_whole(client: stripe.StripeClient) -> None:
    intent = pay(client, amount=1000, **HELD)
    charge = shaped(client.v1.charges.retrieve(str(intent.latest_charge)))
    assert charge.payment_method_details.card.incremental_authorization.status == "available"
    for amount in (1500, 2750):
        intent = shaped(client.v1.payment_intents.increment_authorization(intent.id, {"amount": amount, "description": "More"}))
        assert (intent.status, intent.amount, intent.amount_capturable) == ("requires_capture", amount, amount)
    assert intent.description == "More"
    intent = shaped(client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 2700}))
    charge = shaped(client.v1.charges.retrieve(str(intent.latest_charge)))
    assert (intent.status, intent.amount_received, charge.amount, charge.amount_captured) == ("succeeded", 2700, 2750, 2700)
    assert shaped(client.v1.refunds.create({"payment_intent": intent.id})).amount == 2700


def test_what_was_captured_in_part_may_grow_too_and_the_rest_be_released(client: stripe.StripeClient) -> None:
    intent = pay(client, amount=1000, **HELD)
    client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 400, "final_capture": False})
    intent = shaped(client.v1.payment_intents.increment_authorization(intent.id, {"amount": 1200}))
    assert (intent.amount, intent.amount_received, intent.amount_capturable) == (1200, 400, 800)
    assert shaped(client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 500})).amount_received == 900


@pytest.mark.parametrize(
    ("held", "amount", "code"),
    [
        (HELD, 1000, "amount_too_small"),
        (HELD, 999_999_999, "amount_too_large"),
        ({"capture_method": "manual"}, 2000, "charge_not_incrementable"),
        ({}, 2000, "payment_intent_unexpected_state"),
    ],
)
def test_what_cannot_grow_is_refused(client: stripe.StripeClient, held: dict[str, Any], amount: int, code: str) -> None:
    intent = pay(client, amount=1000, **held)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.increment_authorization(intent.id, {"amount": amount})
    assert refused.value.code == code


def test_a_hold_grows_ten_times(client: stripe.StripeClient) -> None:
    intent = pay(client, amount=1000, **HELD)
    for more in range(1, 11):
        client.v1.payment_intents.increment_authorization(intent.id, {"amount": 1000 + more})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.increment_authorization(intent.id, {"amount": 2000})
    assert refused.value.code == "increments_exhausted"
    assert client.v1.payment_intents.cancel(intent.id).status == "canceled"


def test_a_repetition_makes_it_no_larger_twice(client: stripe.StripeClient) -> None:
    intent = pay(client, amount=1000, **HELD)
    answers = [
        client.v1.payment_intents.increment_authorization(intent.id, {"amount": 1100}, {"idempotency_key": f"more-{intent.id}"}).to_dict()
        for _ in range(2)
    ]
    assert answers[0] == answers[1]
