"""What a customer's app may do with a key of theirs, and what it sees; every answer has Stripe's shape."""

import urllib.error
import urllib.request
from typing import Any

import pytest
import stripe

from payments.domain.ephemeral_key import EPHEMERAL_KEY_SECONDS
from tests.acceptance.test_charges import refused
from tests.support.paying import pay, shaped
from tests.support.running_tap import RunningTap
from tests.support.waiting import wait_until

CARD: Any = {"type": "card", "card": {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040}}


def key_of(client: stripe.StripeClient, customer: str) -> Any:
    return shaped(client.v1.ephemeral_keys.create({"customer": customer}, {"stripe_version": stripe.api_version}))


@pytest.fixture
def customer(client: stripe.StripeClient) -> str:
    return client.v1.customers.create({"email": "ada@example.com", "metadata": {"rating": "bad"}, "source": "tok_visa"}).id


@pytest.fixture
def app(client: stripe.StripeClient, tap: RunningTap, customer: str) -> stripe.StripeClient:
    return tap.client(key_of(client, customer).secret)


def test_a_key_is_a_customers_for_an_hour(client: stripe.StripeClient, customer: str) -> None:
    key = key_of(client, customer)
    assert key.expires - key.created == EPHEMERAL_KEY_SECONDS
    assert key.to_dict()["associated_objects"] == [{"id": customer, "type": "customer"}]
    assert key.secret.startswith("ek_test_")
    assert refused(client.v1.ephemeral_keys.create, {"customer": "cus_nobody"}).code == "resource_missing"
    for other in ("issuing_card", "verification_session", "nonce"):
        refusal = refused(client.v1.ephemeral_keys.create, {"customer": customer, other: "x"})
        assert str(refusal.user_message) == f"The parameter {other} is not supported by Tap."


def test_an_app_sees_its_customer_and_not_what_is_noted_of_them(app: stripe.StripeClient, customer: str) -> None:
    seen = app.v1.customers.retrieve(customer, {"expand": ["sources", "default_source"]}).to_dict()
    assert (seen["email"], seen["default_source"]["last4"], len(seen["sources"]["data"])) == ("ada@example.com", "4242", 1)
    assert {"metadata", "balance", "description"} & seen.keys() == set()
    assert "fingerprint" not in seen["default_source"]


def test_an_app_lists_attaches_and_detaches_cards(client: stripe.StripeClient, app: stripe.StripeClient, customer: str) -> None:
    card = client.v1.payment_methods.create(CARD)
    assert app.v1.payment_methods.attach(card.id, {"customer": customer}).customer == customer
    listed = app.v1.payment_methods.list({"customer": customer, "type": "card"}).data
    assert (listed[0].id, len(listed)) == (card.id, 2)
    assert "fingerprint" not in listed[0].to_dict()["card"]
    assert len(app.v1.customers.payment_methods.list(customer).data) == 2
    assert app.v1.payment_methods.detach(card.id).customer is None
    assert len(app.v1.payment_methods.list({"customer": customer}).data) == 1


def test_an_app_reaches_nothing_else(client: stripe.StripeClient, app: stripe.StripeClient, customer: str) -> None:
    other = client.v1.customers.create({"source": "tok_visa"})
    theirs, free, intent = str(other.default_source), client.v1.payment_methods.create(CARD).id, pay(client).id
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("get", f"/v1/customers/{other.id}", {}),
        ("get", f"/v1/customers/{other.id}/payment_methods", {}),
        ("get", "/v1/customers", {}),
        ("post", f"/v1/customers/{customer}", {"email": "x@example.com"}),
        ("delete", f"/v1/customers/{customer}", {}),
        ("get", "/v1/payment_methods", {"customer": other.id}),
        ("get", "/v1/payment_methods", {}),
        ("post", f"/v1/payment_methods/{free}/attach", {"customer": other.id}),
        ("get", f"/v1/payment_intents/{intent}", {}),
        ("post", "/v1/payment_intents", {"amount": 2000, "currency": "usd", "customer": customer}),
        ("post", "/v1/charges", {"amount": 2000, "currency": "usd", "customer": customer}),
        ("post", "/v1/ephemeral_keys", {"customer": customer}),
        ("get", "/v1/balance", {}),
        ("get", "/v1/events", {}),
    ]
    for method, path, params in calls:
        with pytest.raises(stripe.PermissionError):
            app.raw_request(method, path, **params)
    assert refused(app.v1.payment_methods.detach, theirs).code == "resource_missing"
    assert client.v1.payment_methods.retrieve(theirs).customer == other.id


def test_an_apps_idempotency_key_is_its_own(client: stripe.StripeClient, tap: RunningTap, customer: str) -> None:
    other = client.v1.customers.create().id
    key: Any = {"idempotency_key": f"k-{customer}"}
    attached = {
        each: tap.client(key_of(client, each).secret).v1.payment_methods.attach("pm_card_visa", {"customer": each}, key).customer
        for each in (customer, other)
    }
    assert attached == {customer: customer, other: other}
    assert client.v1.payment_methods.attach("pm_card_visa", {"customer": customer}, key).customer == customer


def test_a_key_ends(client: stripe.StripeClient, tap: RunningTap, customer: str) -> None:
    key = key_of(client, customer)
    app = tap.client(key.secret)
    assert app.v1.customers.retrieve(customer).id == customer
    ended = shaped(client.v1.ephemeral_keys.delete(key.id))
    assert (ended.id, ended.to_dict().get("secret")) == (key.id, None)
    assert ended.expires < key.expires

    def is_refused() -> bool:
        try:
            app.v1.customers.retrieve(customer)
        except stripe.AuthenticationError:
            return True
        return False

    wait_until(is_refused, "the key is refused, a second later at most")
    assert refused(client.v1.ephemeral_keys.delete, key.id).code == "resource_missing"


def test_an_app_says_which_version_it_speaks(tap: RunningTap, customer: str) -> None:
    status = tap.status()
    asked = urllib.request.Request(
        f"{status['base_url']}/v1/ephemeral_keys",
        data=f"customer={customer}".encode(),
        headers={"Authorization": f"Bearer {status['secret_key']}"},
    )
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(asked)
    assert refusal.value.code == 400
    assert b"Stripe-Version" in refusal.value.read()
    refusal.value.close()
