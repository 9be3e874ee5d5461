"""What is sold and what it costs, as the official SDKs handle it."""

import json
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
import stripe

from tests.support.running_tap import RunningTap
from tests.support.stripe_schema import violations

CDK = Path(__file__).parents[2] / ".venv/cdk/node_modules"


def shaped(answer: Any) -> Any:
    assert violations(json.loads(answer.last_response.body)) == []
    return answer


def refusal(call: Any, *arguments: Any) -> Any:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        call(*arguments)
    assert violations(json.loads(str(refused.value.http_body))) == []
    return refused.value


@pytest.fixture(scope="module")
def shop(tap: RunningTap) -> stripe.StripeClient:
    """A merchant who sells nothing yet."""
    return tap.client(tap.create_key("--new-merchant", "Shop"))


def events_about(client: stripe.StripeClient, object_id: str) -> list[tuple[str, Any]]:
    """What was told of an object, newest first, with what it was before."""
    listed = json.loads(client.raw_request("get", "/v1/events", limit=100).body)
    assert violations(listed) == []
    about = [each for each in listed["data"] if each["data"]["object"]["id"] == object_id]
    return [(each["type"], each["data"].get("previous_attributes")) for each in about]


def test_a_product_is_made_with_its_default_price(client: stripe.StripeClient) -> None:
    price: Any = {"currency": "EUR", "unit_amount": 1500, "metadata": {"season": "winter"}}
    given: Any = {
        "name": "Scarf",
        "default_price_data": price,
        "images": ["https://shop.example/scarf.png"],
        "marketing_features": [{"name": "Wool"}],
        "package_dimensions": {"height": 1, "length": 2.5, "weight": 3, "width": 4},
        "shippable": True,
        "metadata": {"sku": "7"},
        "expand": ["default_price.product"],
    }
    product = shaped(client.v1.products.create(given))
    assert (product.default_price.unit_amount, str(product.default_price.unit_amount_decimal)) == (1500, "1500")
    assert product.default_price.currency == "eur"
    assert product.default_price.product.id == product.id
    assert events_about(client, product.id) == [("product.created", None)]
    assert events_about(client, product.default_price.id) == [("price.created", None)]
    assert refusal(client.v1.products.delete, product.id).user_message.startswith(
        "This product cannot be deleted because it has one or more"
    )
    archived: Any = {"active": False}
    assert refusal(client.v1.prices.update, product.default_price.id, archived).param == "active"


def test_a_product_is_changed_field_by_field(client: stripe.StripeClient) -> None:
    product = shaped(
        client.v1.products.create(
            {"name": "Hat", "description": "Warm", "url": "https://shop.example/hat", "metadata": {"a": "1", "b": "2"}}
        )
    )
    given: Any = {"description": "", "name": "Cap", "metadata": {"a": ""}, "images": ["https://shop.example/cap.png"]}
    changed = shaped(client.v1.products.update(product.id, given))
    assert (changed.name, changed.description, changed.metadata.to_dict(), changed.url) == ("Cap", None, {"b": "2"}, product.url)
    (told, _) = events_about(client, product.id)
    assert told[0] == "product.updated"
    assert {name: told[1][name] for name in ("name", "description", "images")} == {"name": "Hat", "description": "Warm", "images": []}
    cleared: Any = {"images": "", "url": "", "metadata": ""}
    changed = shaped(client.v1.products.update(product.id, cleared))
    assert (changed.images, changed.url, changed.metadata.to_dict()) == ([], None, {})
    other = client.v1.prices.create({"currency": "usd", "unit_amount": 100, "product_data": {"name": "Other"}})
    assert refusal(client.v1.products.update, product.id, {"default_price": other.id}).param == "default_price"
    assert refusal(client.v1.products.update, product.id, {"name": ""}).code == "parameter_invalid_empty"


def test_a_deleted_product_is_gone(client: stripe.StripeClient) -> None:
    own: Any = {"id": f"own-{uuid.uuid4().hex}", "name": "Glove"}
    product = shaped(client.v1.products.create(own))
    assert product.id == own["id"]
    assert refusal(client.v1.products.create, own).code == "resource_already_exists"
    assert shaped(client.v1.products.delete(product.id)).deleted
    assert refusal(client.v1.products.retrieve, product.id).code == "resource_missing"
    assert refusal(client.v1.products.update, product.id, {"name": "x"}).http_status == 404
    assert refusal(client.v1.prices.create, {"currency": "usd", "unit_amount": 1, "product": product.id}).code == "resource_missing"
    assert [each[0] for each in events_about(client, product.id)] == ["product.deleted", "product.created"]


def test_a_lookup_key_finds_one_price_and_moves_when_asked(client: stripe.StripeClient) -> None:
    key = uuid.uuid4().hex
    given: Any = {"currency": "usd", "unit_amount": 100, "product_data": {"name": "Sock"}, "lookup_key": key}
    first = shaped(client.v1.prices.create(given))
    again: Any = {"currency": "usd", "unit_amount": 200, "product": first.product, "lookup_key": key}
    assert refusal(client.v1.prices.create, again).user_message == f"A price (`{first.id}`) already uses that lookup key."
    moved: Any = {**again, "transfer_lookup_key": True}
    second = shaped(client.v1.prices.create(moved))
    assert [price.id for price in client.v1.prices.list({"lookup_keys": [key, "none"]}).data] == [second.id]
    assert client.v1.prices.retrieve(first.id).lookup_key is None
    assert events_about(client, first.id)[0] == ("price.updated", {"lookup_key": key})
    back: Any = {"lookup_key": key, "transfer_lookup_key": True, "nickname": "Old"}
    assert shaped(client.v1.prices.update(first.id, back)).lookup_key == key
    assert client.v1.prices.retrieve(second.id).lookup_key is None


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"currency": "usd", "unit_amount": 1, "product_data": {"name": "x"}, "recurring": {"interval": "month"}}, "recurring"),
        (
            {"currency": "usd", "unit_amount": 1, "product_data": {"name": "x"}, "currency_options": {"eur": {"unit_amount": 1}}},
            "currency_options",
        ),
        ({"currency": "usd", "product_data": {"name": "x"}}, "unit_amount"),
        ({"currency": "usd", "unit_amount": 1, "unit_amount_decimal": "1", "product_data": {"name": "x"}}, "unit_amount"),
        ({"currency": "usd", "unit_amount": -1, "product_data": {"name": "x"}}, "unit_amount"),
        ({"currency": "usd", "unit_amount": 10**13, "product_data": {"name": "x"}}, "unit_amount"),
        ({"currency": "usd", "unit_amount_decimal": "1e3", "product_data": {"name": "x"}}, "unit_amount_decimal"),
        ({"currency": "xxx", "unit_amount": 1, "product_data": {"name": "x"}}, "currency"),
        ({"currency": "isk", "unit_amount": 150, "product_data": {"name": "x"}}, "unit_amount"),
        ({"currency": "usd", "unit_amount": 1}, "product"),
        ({"currency": "usd", "unit_amount": 1, "product": "prod_none"}, "product"),
        (
            {"currency": "usd", "custom_unit_amount": {"enabled": True, "minimum": 5, "maximum": 4}, "product_data": {"name": "x"}},
            "custom_unit_amount",
        ),
    ],
)
def test_a_price_that_can_be_none_is_refused_by_name(client: stripe.StripeClient, given: Any, param: str) -> None:
    assert refusal(client.v1.prices.create, given).param == param


@pytest.mark.parametrize(
    ("given", "shown"), [("1500", (1500, "1500")), ("0.5", (None, "0.5")), ("12.50", (None, "12.5")), ("7.000", (7, "7")), ("0", (0, "0"))]
)
def test_a_price_is_a_decimal_of_minor_units(client: stripe.StripeClient, given: str, shown: tuple[int | None, str]) -> None:
    params: Any = {"currency": "usd", "unit_amount_decimal": given, "product_data": {"name": "Nail"}}
    price = json.loads(shaped(client.v1.prices.create(params)).last_response.body)
    assert (price["unit_amount"], price["unit_amount_decimal"]) == shown


def test_a_price_shows_its_currencies_and_a_session_what_its_total_is_made_of_when_asked(client: stripe.StripeClient) -> None:
    product = client.v1.products.create({"name": "Scarf"}).id
    asked: Any = {"unit_amount": 2500, "currency": "eur", "product": product, "expand": ["currency_options", "tiers"]}
    price = shaped(client.v1.prices.create(asked))
    of_euros = {"custom_unit_amount": None, "tax_behavior": "unspecified", "unit_amount": 2500, "unit_amount_decimal": "2500"}
    assert price.to_dict()["currency_options"] == {"eur": of_euros}
    assert "currency_options" not in shaped(client.v1.prices.retrieve(price.id))
    lines = {"mode": "payment", "success_url": "https://example.com/", "line_items": [{"price": price.id, "quantity": 1}]}
    asked = {**lines, "expand": ["line_items.data.discounts", "line_items.data.taxes", "total_details.breakdown"]}
    session = shaped(client.v1.checkout.sessions.create(asked)).to_dict()
    assert session["total_details"]["breakdown"] == {"discounts": [], "taxes": []}
    assert [(each["discounts"], each["taxes"]) for each in session["line_items"]["data"]] == [([], [])]


def test_lists_are_filtered_and_read_page_by_page_whatever_the_ids(shop: stripe.StripeClient) -> None:
    made = [shop.v1.products.create({"id": name, "name": name, "active": name != "b"}).id for name in ("z", "b", "m", "a")]
    assert [each.id for each in shop.v1.products.list({"limit": 1}).auto_paging_iter()] == made[::-1]
    assert [each.id for each in shop.v1.products.list({"ending_before": "a"}).data] == []
    assert [each.id for each in shop.v1.products.list({"active": False}).data] == ["b"]
    assert {each.id for each in shop.v1.products.list({"ids": ["z", "a", "none"]}).data} == {"z", "a"}
    assert shop.v1.products.list({"url": "https://none.example"}).data == []
    assert len(shop.v1.products.list({"created": {"gte": shop.v1.products.retrieve("z").created}}).data) == len(made)
    prices = [shop.v1.prices.create({"currency": code, "unit_amount": 100, "product": "z"}).id for code in ("usd", "eur")]
    assert [each.id for each in shop.v1.prices.list({"product": "z"}).auto_paging_iter()] == prices[::-1]
    assert [each.id for each in shop.v1.prices.list({"currency": "usd", "type": "one_time", "active": True}).data] == prices[:1]
    assert shop.v1.prices.list({"type": "recurring"}).data == []
    expanded: Any = shop.v1.prices.list({"product": "z", "expand": ["data.product"]}).data[0].product
    assert expanded.id == "z"


def test_another_merchant_and_a_browser_get_nothing(tap: RunningTap, client: stripe.StripeClient, shop: stripe.StripeClient) -> None:
    price = client.v1.prices.create({"currency": "usd", "unit_amount": 100, "product_data": {"name": "Coat"}})
    product = str(price.product)
    for call in (shop.v1.products.retrieve, shop.v1.products.delete):
        assert refusal(call, product).http_status == 404
    assert refusal(shop.v1.prices.retrieve, price.id).http_status == 404
    assert refusal(shop.v1.prices.create, {"currency": "usd", "unit_amount": 1, "product": product}).code == "resource_missing"
    assert refusal(shop.v1.products.list, {"starting_after": product}).code == "resource_missing"
    assert shop.v1.products.list({"ids": [product]}).data == []
    assert refusal(shop.v1.prices.list, {"product": product}).code == "resource_missing"
    browser = tap.client(tap.status()["publishable_key"])
    for method, path in (
        ("get", "products"),
        ("post", "products"),
        ("get", f"products/{product}"),
        ("delete", f"products/{product}"),
        ("get", "prices"),
        ("post", f"prices/{price.id}"),
    ):
        with pytest.raises(stripe.PermissionError):
            browser.raw_request(method, f"/v1/{path}")  # pyright: ignore[reportArgumentType]


def test_an_older_version_shows_features_under_their_former_name(client: stripe.StripeClient) -> None:
    product = client.v1.products.create({"name": "Belt", "marketing_features": [{"name": "Leather"}]})
    older = json.loads(client.raw_request("get", f"/v1/products/{product.id}", stripe_version="2023-10-16").body)
    assert older["features"] == [{"name": "Leather"}]
    assert "marketing_features" not in older


def test_a_repetition_makes_no_second_product(client: stripe.StripeClient) -> None:
    options: stripe.RequestOptions = {"idempotency_key": uuid.uuid4().hex}
    first, again = (client.v1.products.create({"name": "Shoe"}, options) for _ in range(2))
    assert first.id == again.id


def test_the_sdk_for_node_does_the_same(tap: RunningTap, tmp_path: Path) -> None:
    status = tap.status()
    host, _, port = status["base_url"].removeprefix("http://").partition(":")
    (tmp_path / "node_modules").symlink_to(CDK)
    (tmp_path / "shop.mjs").write_text(
        f"""import Stripe from "stripe";
const stripe = new Stripe({json.dumps(status["secret_key"])}, {{ host: {json.dumps(host)}, port: {port}, protocol: "http" }});
const product = await stripe.products.create({{ name: "Scarf", default_price_data: {{ currency: "usd", unit_amount: 1500 }} }});
const price = await stripe.prices.create({{ product: product.id, currency: "usd", unit_amount: 900 }});
await stripe.products.update(product.id, {{ default_price: price.id }});
await stripe.prices.update(product.default_price, {{ active: false }});
const active = await stripe.prices.list({{ product: product.id, active: true, expand: ["data.product"] }});
console.log(active.data.length, active.data[0].unit_amount, active.data[0].product.name);
"""
    )
    done = subprocess.run([f"{sys.prefix}/bin/node", "shop.mjs"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "1 900 Scarf\n"), done.stderr
