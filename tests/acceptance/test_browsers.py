"""What a customer's browser may do with a publishable key, from any page, and what it sees."""

import http.client
import json
import uuid
from functools import cache
from typing import Any
from urllib.parse import urlencode

import pytest
import stripe

from payments.domain.api_version import NEWEST, OLDEST
from tests.support.running_tap import RunningTap

PAGE = {"Origin": "https://shop.example"}
OPEN = {
    ("GET", "/v1/payment_intents/{intent}"),
    ("POST", "/v1/payment_intents/{intent}/confirm"),
    ("POST", "/v1/payment_methods"),
    ("POST", "/v1/tokens"),
}
"""Everything that a publishable key may call."""
RETRIEVABLE_WITH_PUBLISHABLE_KEY = {
    "amount",
    "automatic_payment_methods",
    "canceled_at",
    "cancellation_reason",
    "capture_method",
    "client_secret",
    "confirmation_method",
    "created",
    "currency",
    "description",
    "id",
    "last_payment_error",
    "livemode",
    "next_action",
    "object",
    "payment_method",
    "payment_method_types",
    "processing",
    "receipt_email",
    "setup_future_usage",
    "shipping",
    "status",
}
"""So marked in Stripe's reference of the PaymentIntent object."""
CLOSED = [
    ("GET", "/v1/payment_intents"),
    ("POST", "/v1/payment_intents"),
    ("POST", "/v1/payment_intents/{intent}"),
    ("POST", "/v1/payment_intents/{intent}/capture"),
    ("POST", "/v1/payment_intents/{intent}/cancel"),
    ("GET", "/v1/payment_methods"),
    ("POST", "/v1/payment_methods/{method}/attach"),
    ("GET", "/v1/customers"),
    ("GET", "/v1/tokens/{method}"),
    ("POST", "/v1/charges"),
    ("POST", "/v1/ephemeral_keys"),
    ("POST", "/v1/refunds"),
    ("GET", "/v1/charges"),
    ("GET", "/v1/balance"),
    ("GET", "/v1/events"),
    ("POST", "/v1/webhook_endpoints"),
    ("GET", "/v1/notifications/deliveries"),
]


@cache
def status_of(tap: RunningTap) -> dict[str, Any]:
    """It costs a process to ask, and doesn't change while all runs."""
    return tap.status()


def send(
    tap: RunningTap,
    method: str,
    path: str,
    key: str | None,
    form: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, Any, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", tap.port, timeout=30)
    try:
        given = PAGE | {"Content-Type": "application/x-www-form-urlencoded"} | (headers or {})
        if key is not None:
            given["Authorization"] = f"Bearer {key}"
        connection.request(method, path, urlencode(form or {}) if method == "POST" else None, given)
        response = connection.getresponse()
        text = response.read()
        return response.status, json.loads(text) if text else None, {name.lower(): value for name, value in response.getheaders()}
    finally:
        connection.close()


@pytest.mark.parametrize(("method", "path"), sorted(OPEN))
@pytest.mark.parametrize("key", ["publishable", "secret", "wrong", None])
def test_a_page_may_call_what_a_publishable_key_may(tap: RunningTap, method: str, path: str, key: str | None) -> None:
    path = path.format(intent="pi_none")
    keys = {"publishable": status_of(tap)["publishable_key"], "secret": status_of(tap)["secret_key"], "wrong": "pk_test_wrong", None: None}
    preflight = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": "authorization"}
    status, _, headers = send(tap, "OPTIONS", path, None, headers=preflight)
    assert status == 204
    assert headers["access-control-allow-origin"] == "*"
    assert method in headers["access-control-allow-methods"]
    assert "authorization" in headers["access-control-allow-headers"]
    status, _, headers = send(tap, method, path, keys[key])
    assert status >= 400
    assert headers["access-control-allow-origin"] == "*", "a page reads errors, too"


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_a_page_may_call_nothing_else(tap: RunningTap, method: str, path: str) -> None:
    path = path.format(intent="pi_none", method="pm_none")
    status, _, headers = send(tap, "OPTIONS", path, None, headers={"Access-Control-Request-Method": method})
    assert status in (404, 405) or method not in headers.get("access-control-allow-methods", "")
    status, refused, headers = send(tap, method, path, status_of(tap)["publishable_key"])
    assert (status, refused["error"]["code"]) == (403, "secret_key_required")
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_a_browser_sees_nothing_of_the_merchants_business(tap: RunningTap, client: stripe.StripeClient, version: str) -> None:
    customer = client.v1.customers.create({})
    intent = client.v1.payment_intents.create(
        {
            "amount": 1000,
            "currency": "usd",
            "payment_method": "pm_card_visa",
            "confirm": True,
            "customer": customer.id,
            "metadata": {"margin": "31"},
            "description": "A scarf",
            "statement_descriptor_suffix": "SCARF",
            "transfer_group": "margins",
        }
    )
    key, secret = status_of(tap)["publishable_key"], str(intent.client_secret)
    named = {"Stripe-Version": version}
    retrieved = send(tap, "GET", f"/v1/payment_intents/{intent.id}?client_secret={secret}", key, headers=named)
    refused = send(tap, "POST", f"/v1/payment_intents/{intent.id}/confirm", key, {"client_secret": secret}, headers=named)
    assert (retrieved[0], refused[0]) == (200, 400)
    for seen in (retrieved[1], refused[1]["error"]["payment_intent"]):
        assert seen["id"] == intent.id
        assert seen.keys() == RETRIEVABLE_WITH_PUBLISHABLE_KEY
        assert seen["description"] == "A scarf"
    assert "margin" not in json.dumps([retrieved[1], refused[1]])


@pytest.mark.parametrize(
    ("made", "given", "refused"),
    [
        ({}, {"capture_method": "manual"}, "capture_method"),
        ({}, {"off_session": "true"}, "off_session"),
        ({"confirmation_method": "manual"}, {}, None),
    ],
)
def test_a_browser_confirms_what_was_set_up_for_it(
    tap: RunningTap, client: stripe.StripeClient, made: dict[str, Any], given: dict[str, str], refused: str | None
) -> None:
    params: Any = {"amount": 1000, "currency": "usd", **made}
    intent = client.v1.payment_intents.create(params)
    form = {"client_secret": str(intent.client_secret), "payment_method": "pm_card_visa", **given}
    status, answer, _ = send(tap, "POST", f"/v1/payment_intents/{intent.id}/confirm", status_of(tap)["publishable_key"], form)
    assert (status, answer["error"].get("param")) == (400, refused)
    assert client.v1.payment_intents.retrieve(intent.id).status == "requires_payment_method"


def test_a_browser_takes_no_idempotency_key_that_the_merchant_will_use(tap: RunningTap) -> None:
    key = {"Idempotency-Key": uuid.uuid4().hex}
    card = {"type": "card", "card[token]": "tok_visa"}
    for _ in range(2):
        assert send(tap, "POST", "/v1/payment_methods", status_of(tap)["publishable_key"], card, key)[0] == 200
    payment = {"amount": "1000", "currency": "usd", "payment_method": "pm_card_visa", "confirm": "true"}
    status, paid, headers = send(tap, "POST", "/v1/payment_intents", status_of(tap)["secret_key"], payment, key)
    assert (status, headers["idempotency-key"]) == (200, key["Idempotency-Key"])
    assert send(tap, "POST", "/v1/payment_intents", status_of(tap)["secret_key"], payment, key)[1]["id"] == paid["id"]


def test_a_browser_learns_no_answer_that_the_merchant_got(tap: RunningTap, client: stripe.StripeClient) -> None:
    intent = client.v1.payment_intents.create({"amount": 1000, "currency": "usd", "payment_method": "pm_card_visa"})
    key, path = {"Idempotency-Key": uuid.uuid4().hex}, f"/v1/payment_intents/{intent.id}/confirm"
    assert send(tap, "POST", path, status_of(tap)["secret_key"], {}, key)[0] == 200
    status, refused, _ = send(tap, "POST", path, status_of(tap)["publishable_key"], {}, key)
    assert (status, refused["error"].get("param")) == (403, "client_secret")
    assert str(intent.client_secret) not in json.dumps(refused)


def test_a_browsers_repetition_is_answered_as_its_first_call_was(tap: RunningTap, client: stripe.StripeClient) -> None:
    intent = client.v1.payment_intents.create({"amount": 1000, "currency": "usd", "payment_method": "pm_card_visa"})
    key, form = {"Idempotency-Key": uuid.uuid4().hex}, {"client_secret": str(intent.client_secret)}
    path = f"/v1/payment_intents/{intent.id}/confirm"
    first, again = (send(tap, "POST", path, status_of(tap)["publishable_key"], form, key) for _ in range(2))
    assert (first[0], first[1]["status"]) == (200, "succeeded")
    assert (again[1], again[2].get("idempotent-replayed")) == (first[1], "true")


def test_a_browser_sees_the_card_that_a_payment_is_about_and_expands_nothing_else(tap: RunningTap, client: stripe.StripeClient) -> None:
    intent = client.v1.payment_intents.create(
        {"amount": 1000, "currency": "usd", "payment_method": "pm_card_visa", "metadata": {"margin": "7"}}
    )
    path = f"/v1/payment_intents/{intent.id}?client_secret={intent.client_secret}&expand[]="
    status, seen, _ = send(tap, "GET", f"{path}payment_method", status_of(tap)["publishable_key"])
    assert (status, seen["payment_method"]["card"]["last4"]) == (200, "4242")
    assert "fingerprint" not in seen["payment_method"]["card"]
    assert "metadata" not in json.dumps(seen)
    for other in ("customer", "latest_charge", "payment_method.customer"):
        assert send(tap, "GET", f"{path}{other}", status_of(tap)["publishable_key"])[0] == 403
