"""The cards of customers as the older API has them, as the official SDK asks for them; every answer has Stripe's shape."""

from functools import partial
from typing import Any

import pytest
import stripe

from tests.acceptance.test_charges import charge, refused, token, told, verified
from tests.support.paying import pay, shaped
from tests.support.running_tap import RunningTap


def new_customer(client: stripe.StripeClient, **params: Any) -> Any:
    return shaped(client.v1.customers.create({**params}))  # pyright: ignore[reportArgumentType]


def listed(client: stripe.StripeClient, customer: str, **params: Any) -> list[str]:
    return [each.id for each in shaped(client.v1.customers.payment_sources.list(customer, {**params})).data]  # pyright: ignore[reportArgumentType]


def test_a_customer_comes_with_a_card_and_is_charged(client: stripe.StripeClient, tap: RunningTap) -> None:
    customer = new_customer(client, source=token(client, name="Ada").id, email="ada@example.com", expand=["sources", "default_source"])
    card = customer.default_source
    assert (card.object, card.brand, card.last4, card.name, card.customer) == ("card", "Visa", "4242", "Ada", customer.id)
    assert [each.id for each in customer.sources.data] == [card.id]
    assert told(client, customer.id) == ["customer.created"]
    assert set(told(client, card.id)) == {"payment_method.attached", "customer.source.created"}
    paid = charge(client, source=None, customer=customer.id)
    assert (paid.status, paid.customer, paid.source.id) == ("succeeded", customer.id, card.id)
    named = charge(client, source=card.id, customer=customer.id)
    assert (named.status, named.payment_method) == ("succeeded", card.id)
    assert pay(client, customer=customer.id, payment_method=card.id, off_session=True).status == "succeeded"
    verified(tap)


def test_a_declined_card_makes_no_customer(client: stripe.StripeClient) -> None:
    before = [each.id for each in client.v1.customers.list({"limit": 1}).data]
    error = refused(client.v1.customers.create, {"source": "tok_chargeDeclined"})
    assert (error.http_status, error.code) == (402, "card_declined")
    for source, param in [
        ("tok_chargeDeclined", ""),
        ("tok_chargeDeclinedIncorrectCvc", "cvc"),
        ("tok_chargeDeclinedExpiredCard", "exp_month"),
    ]:
        error = refused(client.v1.customers.create, {"source": source})
        assert isinstance(error, stripe.CardError)
        assert error.param == param, source
    assert [each.id for each in client.v1.customers.list({"limit": 1}).data] == before
    failing = new_customer(client, source="tok_chargeCustomerFail")
    declined = refused(client.v1.charges.create, {"amount": 2000, "currency": "usd", "customer": failing.id})
    assert (declined.http_status, declined.code) == (402, "card_declined")


def test_cards_come_and_go(client: stripe.StripeClient, tap: RunningTap) -> None:
    customer = new_customer(client).id
    sources = client.v1.customers.payment_sources
    first = shaped(sources.create(customer, {"source": "tok_visa", "metadata": {"a": "1"}}))
    second = shaped(sources.create(customer, {"source": token(client, number="5555555555554444").id}))
    assert (first.to_dict()["metadata"], second.brand) == ({"a": "1"}, "MasterCard")
    assert listed(client, customer) == [second.id, first.id]
    assert (listed(client, customer, object="card", limit=1), listed(client, customer, object="bank_account")) == ([second.id], [])
    assert shaped(client.v1.customers.retrieve(customer)).default_source == first.id, "the first one, until another is chosen"
    assert shaped(client.v1.customers.update(customer, {"default_source": second.id})).default_source == second.id
    changed = shaped(sources.update(customer, first.id, {"name": "Ada", "address_city": "Graz", "exp_year": "2041", "exp_month": "6"}))
    assert (changed.name, changed.address_city, changed.exp_year, changed.exp_month) == ("Ada", "Graz", 2041, 6)
    assert shaped(sources.update(customer, first.id, {"name": ""})).name is None
    assert shaped(sources.retrieve(customer, first.id)).address_city == "Graz"
    gone: Any = shaped(sources.delete(customer, second.id))
    assert (gone.id, gone.deleted) == (second.id, True)
    assert shaped(client.v1.customers.retrieve(customer)).default_source == first.id, "the newest that is left"
    assert refused(sources.retrieve, customer, second.id).code == "resource_missing"
    assert set(told(client, second.id)) == {
        "payment_method.attached",
        "customer.source.created",
        "payment_method.detached",
        "customer.source.deleted",
    }
    client.v1.payment_methods.detach(first.id)
    assert shaped(client.v1.customers.retrieve(customer)).default_source is None
    verified(tap)


def test_another_source_takes_the_place_of_the_default(client: stripe.StripeClient, tap: RunningTap) -> None:
    customer = new_customer(client, source="tok_visa")
    updated = shaped(client.v1.customers.update(customer.id, {"source": "tok_mastercard", "description": "Regular"}))
    assert updated.description == "Regular"
    assert updated.default_source not in (None, customer.default_source)
    assert listed(client, customer.id) == [updated.default_source]
    assert told(client, customer.id) == ["customer.created", "customer.updated"]
    for wrong, code in (("pm_nobody", "resource_missing"), (customer.default_source, "resource_missing")):
        assert refused(client.v1.customers.update, customer.id, {"default_source": wrong}).code == code
    verified(tap)


@pytest.mark.parametrize("method", ["pm_card_visa", None])
def test_a_customer_comes_with_a_payment_method(client: stripe.StripeClient, tap: RunningTap, method: str | None) -> None:
    card: Any = {"type": "card", "card": {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040}}
    method = method or client.v1.payment_methods.create(card).id
    customer = new_customer(client, payment_method=method, invoice_settings={"default_payment_method": method})
    (attached,) = client.v1.customers.payment_methods.list(customer.id).data
    assert customer.invoice_settings.default_payment_method == attached.id
    assert customer.default_source is None
    assert charge(client, source=None, customer=customer.id).payment_method == attached.id
    if method != "pm_card_visa":
        again = refused(client.v1.customers.create, {"payment_method": method})
        assert again.code == "resource_already_exists"
    verified(tap)


def test_card_is_the_older_name_of_source(client: stripe.StripeClient) -> None:
    number = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123"}
    unnamed: Any = client.raw_request
    customer = shaped(client.deserialize(unnamed("post", "/v1/customers", card=number), api_mode="V1"))
    first: Any = customer.default_source
    second = client.deserialize(unnamed("post", f"/v1/customers/{customer.id}/sources", card=token(client).id), api_mode="V1")
    assert listed(client, customer.id) == [second.id, first]  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue]
    updated: Any = client.deserialize(unnamed("post", f"/v1/customers/{customer.id}", card="tok_mastercard"), api_mode="V1")
    assert updated.default_source not in (first, None)
    error: Any
    for path in ("", f"/{customer.id}", f"/{customer.id}/sources", f"/{customer.id}/cards"):
        error = refused(partial(unnamed, card="tok_visa", source="tok_visa"), "post", f"/v1/customers{path}")
        assert (error.http_status, error.param) == (400, "card")


def test_the_older_path_leads_to_the_same(client: stripe.StripeClient) -> None:
    customer = new_customer(client).id
    answer = client.raw_request(
        "post", f"/v1/customers/{customer}/cards", card={"number": "4242424242424242", "exp_month": 12, "exp_year": 2040}
    )
    card = client.deserialize(answer, api_mode="V1")
    assert card["object"] == "card"
    assert listed(client, customer) == [card["id"]]
    assert "/cards" in client.deserialize(client.raw_request("get", f"/v1/customers/{customer}/cards"), api_mode="V1")["url"]


def test_a_repetition_keeps_a_card_once(client: stripe.StripeClient) -> None:
    customer = new_customer(client).id
    given = token(client).id
    options: Any = {"idempotency_key": given}
    first, second = (shaped(client.v1.customers.payment_sources.create(customer, {"source": given}, options)) for _ in range(2))
    assert first.id == second.id
    assert listed(client, customer) == [first.id]
    made = [client.v1.customers.create({"source": "tok_visa"}, {"idempotency_key": f"{given}-c"}).id for _ in range(2)]
    assert made[0] == made[1]
    assert len(listed(client, made[0])) == 1
