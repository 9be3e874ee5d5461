"""Search, as the official SDKs have it: what was done is found within a minute."""

import json
import uuid
from typing import Any

import pytest
import stripe

from tests.support.running_tap import RunningTap
from tests.support.stripe_schema import violations
from tests.support.waiting import wait_until

RESOURCES = ("payment_intents", "charges", "customers", "products", "prices")


@pytest.fixture(scope="module")
def shop(tap: RunningTap) -> stripe.StripeClient:
    return tap.client(tap.create_key("--new-merchant", "Searched"))


def search(client: stripe.StripeClient, resource: str, **params: Any) -> Any:
    body = json.loads(client.raw_request("get", f"/v1/{resource}/search", **params).body)
    assert violations(body) == []
    assert (body["object"], body["url"]) == ("search_result", f"/v1/{resource}/search")
    assert body["has_more"] is (body["next_page"] is not None)
    return body


def ids(client: stripe.StripeClient, resource: str, query: str) -> list[str]:
    return [each["id"] for each in search(client, resource, query=query)["data"]]


def test_each_resource_is_searched_by_what_was_just_made(shop: stripe.StripeClient) -> None:
    order = uuid.uuid4().hex
    customer = shop.v1.customers.create({"name": "Ada Lovelace", "metadata": {"order": order}})
    price = shop.v1.prices.create(
        {"currency": "usd", "unit_amount": 100, "product_data": {"name": f"Hat {order}"}, "metadata": {"order": order}}
    )
    paid: Any = {"amount": 1000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True, "metadata": {"order": order}}
    paid["customer"] = customer.id
    intent = shop.v1.payment_intents.create(paid)
    query = f"metadata['order']:'{order}'"
    wait_until(lambda: ids(shop, "charges", query), "the charge is found")
    for resource, expected in (
        ("payment_intents", intent.id),
        ("charges", intent.latest_charge),
        ("customers", customer.id),
        ("prices", price.id),
    ):
        wait_until(lambda: ids(shop, resource, query) == [expected], f"{resource} are found")  # noqa: B023 - it is called here
    wait_until(lambda: ids(shop, "products", f"name~'{order}'") == [price.product], "the product is found")
    found = search(shop, "charges", query=query, expand=["total_count", "data.customer", "data.payment_intent"])
    assert (found["total_count"], found["data"][0]["customer"]["id"], found["data"][0]["payment_intent"]["id"]) == (
        1,
        customer.id,
        intent.id,
    )
    shop.v1.payment_intents.update(intent.id, {"metadata": {"order": "another"}})
    wait_until(lambda: ids(shop, "payment_intents", query) == [], "the change is known")


def test_the_sdk_reads_page_by_page(shop: stripe.StripeClient) -> None:
    group = uuid.uuid4().hex
    made = [shop.v1.customers.create({"email": f"{number}@{group}.example"}).id for number in range(5)]
    query = f"email~'{group}'"
    wait_until(lambda: len(ids(shop, "customers", query)) == len(made), "all are found")
    assert [each.id for each in shop.v1.customers.search({"query": query, "limit": 2}).auto_paging_iter()] == made[::-1]
    shop.v1.customers.delete(made[0])
    assert len(ids(shop, "customers", query)) == len(made) - 1, "who was deleted isn't shown, whatever the index knows"


@pytest.mark.parametrize("resource", RESOURCES)
@pytest.mark.parametrize(
    ("params", "param", "code"),
    [
        ({}, "query", "parameter_missing"),
        ({"query": ""}, "query", None),
        ({"query": "metadata['a':'b'"}, "query", None),
        ({"query": "id:'x'"}, "query", None),
        ({"query": "(" * 10_000}, "query", None),
        ({"query": "metadata['a']:'b'", "limit": "101"}, "limit", "parameter_invalid_integer"),
        ({"query": "metadata['a']:'b'", "page": "x"}, "page", None),
        ({"query": "metadata['a']:'b'", "starting_after": "x"}, "starting_after", "parameter_unknown"),
        ({"query": "metadata['a']:'b'", "expand": ["data.nothing"]}, "expand", None),
    ],
)
def test_what_cannot_be_searched_is_refused(
    shop: stripe.StripeClient, resource: str, params: dict[str, Any], param: str, code: str | None
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.raw_request("get", f"/v1/{resource}/search", **params)
    body = json.loads(str(refused.value.http_body))
    assert violations(body) == []
    assert (refused.value.http_status, body["error"]["param"], body["error"].get("code")) == (400, param, code)


def test_older_versions_are_shown_what_they_knew(shop: stripe.StripeClient) -> None:
    name = uuid.uuid4().hex
    shop.v1.products.create({"name": name, "marketing_features": [{"name": "Warm"}]})
    wait_until(lambda: ids(shop, "products", f"name:'{name}'"), "the product is found")
    (shown,) = json.loads(shop.raw_request("get", "/v1/products/search", query=f"name:'{name}'", stripe_version="2023-10-16").body)["data"]
    assert shown["features"] == [{"name": "Warm"}]
