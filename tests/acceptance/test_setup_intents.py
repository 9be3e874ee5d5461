"""Cards are kept for later payments without one now, as the official SDK asks for it; every answer has Stripe's shape."""

import json
from typing import Any

import pytest
import stripe

from tests.support.paying import pay, press, shaped
from tests.support.running_tap import RunningTap
from tests.support.stripe_schema import violations

RETURN = "https://shop.example/done"
SECURE = "pm_card_threeDSecure2Required"
ONLINE = {"customer_acceptance": {"type": "online", "online": {"ip_address": "203.0.113.7", "user_agent": "Mozilla/5.0"}}}


def keep(client: stripe.StripeClient, **params: Any) -> stripe.SetupIntent:
    defaults = {"payment_method": "pm_card_visa", "confirm": True}
    return shaped(client.v1.setup_intents.create({**defaults, **params}))  # pyright: ignore[reportArgumentType]


def asked(intent: stripe.SetupIntent) -> str:
    assert intent.status == "requires_action"
    assert intent.next_action is not None
    assert intent.next_action.redirect_to_url is not None
    return str(intent.next_action.redirect_to_url.url)


def attempts(client: stripe.StripeClient, intent: stripe.SetupIntent) -> list[Any]:
    return shaped(client.v1.setup_attempts.list({"setup_intent": intent.id})).data


def told(client: stripe.StripeClient, object_id: str) -> list[str]:
    """Types of the events about an object, oldest first."""
    events = shaped(client.v1.events.list({"limit": 100})).data
    return [event.type for event in reversed(events) if event.data.object["id"] == object_id]


@pytest.fixture
def customer(client: stripe.StripeClient) -> str:
    return client.v1.customers.create().id


def test_a_card_is_kept_at_once(client: stripe.StripeClient, customer: str) -> None:
    intent = keep(client, customer=customer, mandate_data=ONLINE, metadata={"order": "7"}, description="Season ticket")
    assert (intent.status, intent.usage, intent.to_dict()["metadata"]) == ("succeeded", "off_session", {"order": "7"})
    (kept,) = client.v1.customers.payment_methods.list(customer).data
    assert kept.id == intent.payment_method
    (attempt,) = attempts(client, intent)
    assert (attempt.id, attempt.status, attempt.payment_method) == (intent.latest_attempt, "succeeded", kept.id)
    mandate = shaped(client.v1.mandates.retrieve(str(intent.mandate)))
    assert (mandate.payment_method, mandate.status) == (kept.id, "active")
    assert mandate.customer_acceptance.online.ip_address == "203.0.113.7"
    assert mandate.customer_acceptance.accepted_at is not None, "it was now, where nobody says when"
    assert told(client, intent.id) == ["setup_intent.created", "setup_intent.succeeded"]
    assert told(client, kept.id) == ["payment_method.attached"]
    assert pay(client, customer=customer, payment_method=kept.id, off_session=True).status == "succeeded"


def test_the_steps_one_by_one(client: stripe.StripeClient, customer: str) -> None:
    intent = shaped(client.v1.setup_intents.create({"usage": "on_session"}))
    assert (intent.status, intent.payment_method, intent.usage) == ("requires_payment_method", None, "on_session")
    with pytest.raises(stripe.InvalidRequestError, match="missing a payment method"):
        client.v1.setup_intents.confirm(intent.id)
    card: Any = {"customer": customer, "payment_method": "pm_card_mastercard", "metadata": {"a": "1"}}
    intent = shaped(client.v1.setup_intents.update(intent.id, card))
    assert (intent.status, intent.customer) == ("requires_confirmation", customer)
    assert client.v1.customers.payment_methods.list(customer).data == []
    intent = shaped(client.v1.setup_intents.confirm(intent.id))
    assert intent.status == "succeeded"
    assert [each.id for each in client.v1.customers.payment_methods.list(customer).data] == [intent.payment_method]
    assert (
        shaped(
            client.v1.setup_intents.retrieve(intent.id, {"expand": ["latest_attempt", "payment_method", "customer"]})
        ).latest_attempt.status
        == "succeeded"
    )
    assert [each.id for each in shaped(client.v1.setup_intents.list({"customer": customer})).data] == [intent.id]
    assert [each.id for each in client.v1.setup_intents.list({"payment_method": str(intent.payment_method)}).data] == [intent.id]
    for refused in (client.v1.setup_intents.confirm, client.v1.setup_intents.cancel):
        with pytest.raises(stripe.InvalidRequestError) as late:
            refused(intent.id)
        assert late.value.code == "setup_intent_unexpected_state"
        assert violations(json.loads(str(late.value.http_body))) == []
        assert late.value.error is not None
        assert late.value.error.setup_intent is not None


def test_a_cardholder_authenticates(client: stripe.StripeClient, customer: str) -> None:
    card = {"number": "4000002500003155", "exp_month": 12, "exp_year": 2040}
    intent = keep(client, customer=customer, payment_method=None, payment_method_data={"type": "card", "card": card}, return_url=RETURN)
    assert client.v1.customers.payment_methods.list(customer).data == []
    location = press(asked(intent), "complete")
    assert location.startswith(f"{RETURN}?setup_intent={intent.id}&setup_intent_client_secret=")
    assert location.endswith("redirect_status=succeeded")
    intent = shaped(client.v1.setup_intents.retrieve(intent.id))
    assert intent.status == "succeeded"
    (attempt,) = attempts(client, intent)
    assert attempt.payment_method_details.card.three_d_secure.result == "authenticated"
    away: Any = {"customer": customer, "payment_method": intent.payment_method, "off_session": True}
    assert pay(client, **away).status == "succeeded", "what was agreed to needs no cardholder any more"
    assert press(asked_before(client, intent), "fail", shown=b"").endswith("redirect_status=succeeded"), "a challenge is over once"


def asked_before(client: stripe.StripeClient, intent: stripe.SetupIntent) -> str:
    (event,) = client.v1.events.list({"type": "setup_intent.requires_action", "limit": 1}).data
    assert event.data.object["id"] == intent.id
    return event.data.object["next_action"]["redirect_to_url"]["url"]


def test_a_cardholder_fails_to_authenticate(client: stripe.StripeClient, customer: str) -> None:
    intent = keep(client, customer=customer, payment_method=SECURE, return_url=RETURN)
    assert press(asked(intent), "fail").endswith("redirect_status=failed")
    intent = shaped(client.v1.setup_intents.retrieve(intent.id))
    assert (intent.status, intent.payment_method) == ("requires_payment_method", None)
    assert intent.last_setup_error is not None
    assert intent.last_setup_error.code == "setup_intent_authentication_failure"
    (attempt,) = attempts(client, intent)
    assert (attempt.status, attempt.payment_method_details.card.three_d_secure.result) == ("failed", "failed")
    assert client.v1.customers.payment_methods.list(customer).data == []
    assert shaped(client.v1.setup_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})).status == "succeeded"
    assert [each.status for each in attempts(client, intent)] == ["succeeded", "failed"]


def test_an_issuer_refuses(client: stripe.StripeClient, customer: str) -> None:
    with pytest.raises(stripe.CardError) as declined:
        keep(client, customer=customer, payment_method="pm_card_visa_chargeDeclinedInsufficientFunds")
    error = declined.value
    assert violations(json.loads(str(error.http_body))) == []
    assert (error.http_status, error.code) == (402, "card_declined")
    assert error.error is not None
    assert error.error.decline_code == "insufficient_funds"
    intent = error.error.setup_intent
    assert intent is not None
    assert intent.status == "requires_payment_method"
    assert told(client, intent.id) == ["setup_intent.created", "setup_intent.setup_failed"]
    assert client.v1.customers.payment_methods.list(customer).data == []


def test_a_repetition_gets_the_first_answer(client: stripe.StripeClient, customer: str) -> None:
    for method in ("pm_card_visa", "pm_card_visa_chargeDeclined"):
        answers: list[Any] = []
        for _ in range(2):
            try:
                answers.append(keep_with_key(client, f"{customer}-{method}", customer, method))
            except stripe.CardError as declined:
                assert declined.headers is not None
                assert declined.headers["Stripe-Should-Retry"] == "false"
                answers.append(json.loads(str(declined.http_body)))
        assert answers[0] == answers[1]


def keep_with_key(client: stripe.StripeClient, key: str, customer: str, method: str) -> Any:
    params: Any = {"customer": customer, "payment_method": method, "confirm": True}
    return client.v1.setup_intents.create(params, {"idempotency_key": key}).to_dict()


def test_another_attempt_abandons_what_waits_and_so_does_canceling(client: stripe.StripeClient, customer: str) -> None:
    intent = keep(client, customer=customer, payment_method=SECURE, return_url=RETURN)
    first = asked(intent)
    intent = shaped(client.v1.setup_intents.confirm(intent.id, {"payment_method": SECURE}))
    assert press(first, "complete", shown=b"").endswith("redirect_status=failed"), "it was for another attempt"
    assert [each.status for each in attempts(client, intent)] == ["requires_action", "abandoned"]
    intent = shaped(client.v1.setup_intents.cancel(intent.id, {"cancellation_reason": "abandoned"}))
    assert (intent.status, intent.cancellation_reason, intent.next_action) == ("canceled", "abandoned", None)
    assert [each.status for each in attempts(client, intent)] == ["abandoned", "abandoned"]


@pytest.mark.parametrize("asked_for", ["any", "challenge"])
def test_authentication_is_asked_for_where_the_merchant_wants_it(client: stripe.StripeClient, asked_for: str) -> None:
    optional: dict[str, Any] = {"payment_method": "pm_card_threeDSecureOptional", "return_url": RETURN}
    assert keep(client, **optional).status == "succeeded"
    options = {"card": {"request_three_d_secure": asked_for}}
    assert keep(client, **optional, payment_method_options=options).status == "requires_action"
    options = {"card": {"moto": True}}
    assert keep(client, payment_method=SECURE, payment_method_options=options).status == "succeeded"


def test_a_card_of_somebody_else_is_not_kept(client: stripe.StripeClient, customer: str) -> None:
    other = client.v1.customers.create().id
    method = client.v1.payment_methods.attach("pm_card_visa", {"customer": other}).id
    with pytest.raises(stripe.InvalidRequestError):
        keep(client, customer=customer, payment_method=method)
    with pytest.raises(stripe.InvalidRequestError):
        keep(client, customer="cus_none")


def test_a_browser_keeps_a_card_with_the_client_secret_only(tap: RunningTap, client: stripe.StripeClient, customer: str) -> None:
    status = tap.status()
    browser = stripe.StripeClient(status["publishable_key"], base_addresses={"api": status["base_url"]})
    intent = client.v1.setup_intents.create({"customer": customer, "metadata": {"internal": "yes"}})
    with pytest.raises(stripe.PermissionError):
        browser.v1.setup_intents.retrieve(intent.id)
    with pytest.raises(stripe.PermissionError):
        browser.v1.setup_intents.create()
    secret: Any = {"client_secret": intent.client_secret}
    with pytest.raises(stripe.InvalidRequestError):
        browser.v1.setup_intents.retrieve(intent.id, {"client_secret": f"{intent.id}_secret_guess"})
    seen = browser.v1.setup_intents.retrieve(intent.id, secret).to_dict()
    assert seen["status"] == "requires_payment_method"
    assert "metadata" not in seen
    with pytest.raises(stripe.InvalidRequestError):
        browser.v1.setup_intents.confirm(
            intent.id, secret | {"payment_method": "pm_card_visa", "payment_method_options": {"card": {"moto": True}}}
        )
    inferred: Any = {"customer_acceptance": {"type": "online", "online": {"infer_from_client": True}}}
    kept = browser.v1.setup_intents.confirm(intent.id, secret | {"payment_method": "pm_card_visa", "mandate_data": inferred})
    assert kept.status == "succeeded"
    assert len(client.v1.customers.payment_methods.list(customer).data) == 1
