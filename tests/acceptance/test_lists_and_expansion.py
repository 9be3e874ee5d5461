"""Lists and expansion, as an SDK sees them."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest
import stripe

from payments.domain.api_version import NEWEST
from payments.wire.kinds import KINDS
from tests.support.running_tap import RunningTap
from tests.support.stripe_schema import violations

LISTS = {
    "/v1/accounts": ("starting_after", "limit"),
    "/v1/payment_intents": ("customer", "starting_after", "created", "created[gt]"),
    "/v1/charges": ("customer", "payment_intent", "ending_before"),
    "/v1/refunds": ("charge", "payment_intent"),
    "/v1/customers": ("email", "limit"),
    "/v1/payment_methods": ("customer", "type", "allow_redisplay"),
    "/v1/balance_transactions": ("currency", "source", "type"),
    "/v1/events": ("type", "types[0]", "delivery_success"),
    "/v1/webhook_endpoints": ("starting_after",),
    "/v1/notifications/deliveries": ("event", "endpoint", "status", "starting_after"),
}
FILTERS = [(path, name) for path, names in LISTS.items() for name in names]


@pytest.fixture(scope="module")
def merchant(tap: RunningTap) -> tuple[str, str]:
    """Tap's address, and a key."""
    return tap.status()["base_url"], tap.create_key("--new-merchant", "Lists")


async def get(merchant: tuple[str, str], path: str, params: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    base_url, key = merchant
    async with (
        aiohttp.ClientSession(base_url, headers={"Authorization": f"Bearer {key}"}) as session,
        session.get(path, params=params or {}) as response,
    ):
        body = await response.json()
        assert violations(body) == []
        return response.status, body


@pytest.mark.parametrize(("path", "name"), FILTERS)
async def test_a_filter_cannot_be_empty(merchant: tuple[str, str], path: str, name: str) -> None:
    status, body = await get(merchant, path, {name: ""})
    assert status == 400
    assert (body["error"]["code"], body["error"]["param"]) == ("parameter_invalid_empty", name)


@pytest.mark.parametrize(("path", "name"), [(path, name) for path, name in FILTERS if "created" not in name])
async def test_a_filter_may_be_anything_and_is_never_a_failure_of_ours(merchant: tuple[str, str], path: str, name: str) -> None:
    for value in ("x", "x" * 200, "x" * 5_000, "é%_*'\\", "evt_1.we_1", "-1", "zzz.*", "*"):
        status, body = await get(merchant, path, {name: value})
        assert status in {200, 400, 404}
        assert status == 200 or len(body["error"]["message"]) < 500


@pytest.mark.parametrize(
    "path", ["/v1/payment_intents", "/v1/charges", "/v1/refunds", "/v1/customers", "/v1/balance_transactions", "/v1/events"]
)
@pytest.mark.parametrize("seconds", ["9" * 12, "9" * 16, str(2**53), str(2**63 - 1), "9" * 19, "9" * 30, "-1", f"-{2**63}"])
async def test_a_time_that_never_comes_is_a_time(merchant: tuple[str, str], path: str, seconds: str) -> None:
    for name in ("created", "created[gt]", "created[gte]", "created[lt]", "created[lte]"):
        status, _ = await get(merchant, path, {name: seconds})
        assert status in {200, 400}


@pytest.mark.parametrize("path", LISTS)
async def test_what_a_list_cannot_be_expanded_by_is_refused_even_when_it_is_empty(merchant: tuple[str, str], path: str) -> None:
    status, body = await get(merchant, path, {"expand[0]": "data.nothing"})
    assert (status, body["error"]["param"]) == (400, "expand")


async def test_a_merchant_that_reads_many_lists_at_once_gets_each_or_is_told_to_come_again(merchant: tuple[str, str]) -> None:
    answers = await asyncio.gather(*(get(merchant, "/v1/events", {"type": "charge.*", "delivery_success": "true"}) for _ in range(60)))
    assert {status for status, _ in answers} <= {200, 429}
    assert {body["error"]["code"] for status, body in answers if status == 429} <= {"rate_limit"}


def test_the_refunds_of_a_charge_are_read_page_by_page(client: stripe.StripeClient) -> None:
    intent = client.v1.payment_intents.create({"amount": 2_000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True})
    made = [client.v1.refunds.create({"payment_intent": intent.id, "amount": 100}).id for _ in range(12)]
    charge = client.v1.charges.retrieve(str(intent.latest_charge), {"expand": ["refunds.data.balance_transaction"]})
    assert violations(charge.to_dict()) == []
    assert charge.refunds is not None
    assert (len(charge.refunds.data), charge.refunds.has_more, charge.refunds.url) == (10, True, f"/v1/charges/{charge.id}/refunds")
    assert charge.refunds.data[0].balance_transaction.amount == -100  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]
    assert [refund.id for refund in charge.refunds.auto_paging_iter()] == made[::-1]
    one = client.raw_request("get", f"/v1/charges/{charge.id}/refunds/{made[0]}")
    assert one.code == 200
    other = client.v1.payment_intents.create({"amount": 2_000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True})
    with pytest.raises(stripe.InvalidRequestError):
        client.raw_request("get", f"/v1/charges/{other.latest_charge}/refunds/{made[0]}")
    through = client.v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge.refunds.data.charge"]})
    assert through.latest_charge.refunds.data[0].charge.id == charge.id  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]
    listed = client.v1.charges.list({"payment_intent": intent.id, "expand": ["data.refunds", "data.customer", "data.review"]})
    assert listed.data[0].refunds.data[0].id == made[-1]  # pyright: ignore[reportOptionalMemberAccess]


def test_a_card_that_is_none_stays_an_id(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({"email": "foo@example.com"})
    expand = [
        "data.invoice_settings.default_payment_method",
        "data.sources",
        "data.subscriptions",
        "data.tax_ids",
        "data.default_source",
        "data.test_clock",
    ]
    found: Any = client.v1.customers.list({"email": "foo@example.com", "expand": expand}).data[0]
    assert found.id == customer.id
    assert found.sources.to_dict() == {"object": "list", "data": [], "has_more": False, "url": f"/v1/customers/{customer.id}/sources"}


SHOWN_LISTS = [(kind.path, name) for kind in KINDS.values() for name, expandable in kind.expandable_in(NEWEST).items() if expandable.listed]


@pytest.mark.parametrize(("path", "name"), SHOWN_LISTS)
def test_a_list_that_an_object_shows_is_found_where_it_says(client: stripe.StripeClient, path: str, name: str) -> None:
    customer = client.v1.customers.create({"email": "ada@example.com"})
    payment: Any = {"amount": 2_000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
    price = {"currency": "usd", "unit_amount": 100, "product_data": {"name": "Hat"}}
    session: Any = {"mode": "payment", "success_url": "https://shop.example/", "line_items": [{"price_data": price, "quantity": 1}]}
    link: Any = {"line_items": [{"price": client.v1.prices.create(price).id, "quantity": 1}]}  # pyright: ignore[reportArgumentType]
    made = {
        "/v1/charges": str(client.v1.payment_intents.create(payment).latest_charge),
        "/v1/customers": customer.id,
        "/v1/checkout/sessions": client.v1.checkout.sessions.create(session).id,
        "/v1/payment_links": client.v1.payment_links.create(link).id,
    }
    shown = json.loads(client.raw_request("get", f"{path}/{made[path]}", expand=[name]).body)[name]
    listed = client.raw_request("get", shown["url"], limit=10)
    assert json.loads(listed.body) == shown
    for cursor in ("starting_after", "ending_before"):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            client.raw_request("get", shown["url"], **{cursor: "x_1"})
        assert (refused.value.code, refused.value.param) == ("resource_missing", cursor)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.raw_request("get", shown["url"].replace(made[path], "x_1"))
    assert refused.value.http_status == 404
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.raw_request("get", shown["url"], nothing="x")
    assert refused.value.code == "parameter_unknown"


def test_the_cards_and_bank_accounts_among_the_sources_of_a_customer_are_none(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({"email": "ada@example.com"})
    for kind in ("card", "bank_account"):
        assert list(client.v1.customers.payment_sources.list(customer.id, {"object": kind}).auto_paging_iter()) == []


def test_lists_are_narrowed_by_time(client: stripe.StripeClient) -> None:
    intent = client.v1.payment_intents.create({"amount": 2_000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True})
    at = intent.created
    for resource in (client.v1.payment_intents, client.v1.charges, client.v1.events, client.v1.balance_transactions):
        assert resource.list({"created": {"gte": at}}).data  # pyright: ignore[reportUnknownMemberType, reportArgumentType]
        assert not resource.list({"created": {"gt": at + 3_600}}).data  # pyright: ignore[reportUnknownMemberType, reportArgumentType]
        for each in resource.list({"created": {"lt": at}, "limit": 100}).data:  # pyright: ignore[reportUnknownMemberType, reportArgumentType]
            assert each.created < at
    assert [each.id for each in client.v1.payment_intents.list({"created": at, "limit": 100}).data if each.id == intent.id] == [intent.id]


def test_events_are_listed_by_a_group_of_types(client: stripe.StripeClient) -> None:
    client.v1.payment_intents.create({"amount": 2_000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True})
    groups = {each.type.split(".")[0] for each in client.v1.events.list({"type": "payment_intent.*", "limit": 100}).data}
    assert groups == {"payment_intent"}
    assert client.v1.events.list({"types": ["charge.succeeded"]}).data[0].type == "charge.succeeded"
    assert client.v1.events.list({"type": "no_such.*"}).data == []
