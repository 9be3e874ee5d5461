"""What there is not: 404 where the path names it, 400 where a parameter or a filter does."""

from collections.abc import AsyncGenerator

import pytest

from tests.support.in_process import InProcess, in_process

PAYMENT = {"amount": "500", "currency": "usd"}
IN_PARAMETERS = [
    ("charges", {**PAYMENT, "customer": "cus_none"}, 400, "customer"),
    ("charges", {**PAYMENT, "source": "tok_none"}, 400, "source"),
    (
        "checkout/sessions",
        {"mode": "setup", "success_url": "https://a.example", "customer": "cus_none", "currency": "usd"},
        400,
        "customer",
    ),
    ("customers", {"payment_method": "pm_none"}, 400, "payment_method"),
    ("customers", {"payment_method": "pm_card_none"}, 400, "payment_method"),
    ("customers", {"source": "tok_none"}, 400, "source"),
    ("payment_intents", {**PAYMENT, "customer": "cus_none"}, 400, "customer"),
    ("payment_intents", {**PAYMENT, "payment_method": "pm_none"}, 400, "payment_method"),
    (
        "payment_intents",
        {**PAYMENT, "payment_method_data[type]": "card", "payment_method_data[card][token]": "tok_none"},
        400,
        "payment_method_data[card][token]",
    ),
    ("payment_links", {"line_items[0][price]": "price_none", "line_items[0][quantity]": "1"}, 400, "line_items[0][price]"),
    ("payment_methods/pm_card_visa/attach", {"customer": "cus_none"}, 400, "customer"),
    ("prices", {"currency": "usd", "unit_amount": "1", "product": "prod_none"}, 400, "product"),
    ("refunds", {"payment_intent": "pi_none"}, 400, "payment_intent"),
    ("refunds", {"charge": "ch_none"}, 404, "id"),
    ("setup_intents", {"customer": "cus_none"}, 400, "customer"),
]
IN_FILTERS = [
    ("charges", "customer", "cus_none"),
    ("charges", "payment_intent", "pi_none"),
    ("charges", "payment_intent", "cus_none"),
    ("checkout/sessions", "payment_link", "plink_none"),
    ("payment_intents", "customer", "cus_none"),
    ("payment_methods", "customer", "cus_none"),
    ("prices", "product", "prod_none"),
    ("refunds", "charge", "ch_none"),
    ("setup_attempts", "setup_intent", "seti_none"),
    ("setup_intents", "payment_method", "pm_none"),
]


@pytest.fixture
async def tap(database_url: str) -> AsyncGenerator[InProcess]:
    async with in_process(database_url) as made:
        yield made


async def test_a_parameter_that_names_nothing_is_named(tap: InProcess) -> None:
    for path, params, status, param in IN_PARAMETERS:
        refused = await tap.post(path, **params)
        assert (refused.status, refused.body["error"]["code"], refused.body["error"]["param"]) == (status, "resource_missing", param), path


async def test_a_path_that_names_nothing_is_404(tap: InProcess) -> None:
    customer = (await tap.post("customers")).id
    for path, params in (
        ("payment_methods/pm_none/attach", {"customer": customer}),
        ("payment_methods/pm_card_none/attach", {"customer": customer}),
        ("charges/ch_none/refunds", {}),
        ("customers/cus_none", {"name": "x"}),
    ):
        refused = await tap.post(path, **params)
        assert (refused.status, refused.body["error"]["code"]) == (404, "resource_missing"), path


async def test_a_filter_that_names_nothing_is_named(tap: InProcess) -> None:
    for path, param, value in IN_FILTERS:
        refused = await tap.call("GET", f"/v1/{path}", **{param: value})
        assert (refused.status, refused.body["error"]["code"], refused.body["error"]["param"]) == (400, "resource_missing", param), path


async def test_what_a_deleted_customer_had_is_still_listed(tap: InProcess) -> None:
    customer = (await tap.post("customers", payment_method="pm_card_visa")).id
    assert (await tap.get("charges", customer=customer))["data"] == []
    paid = await tap.post("payment_intents", **PAYMENT, customer=customer)
    await tap.call("DELETE", f"/v1/customers/{customer}")
    assert [each["id"] for each in (await tap.get("payment_intents", customer=customer))["data"]] == [paid.id]
    assert (await tap.call("GET", "/v1/payment_methods", customer=customer)).status == 400
