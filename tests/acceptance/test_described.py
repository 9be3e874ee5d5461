"""What the OpenAPI document says may be sent is answered as it says: with a status that it names, and a body that fits. `make fuzz` tries more of it."""

import json
import time
from base64 import b64encode
from collections.abc import Generator
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from stripe._encode import _api_encode

from tests.support.described_requests import FORM, Requests
from tests.support.documented import violations_of
from tests.support.openapi import kept
from tests.support.running_tap import RunningTap

EXAMPLES = 2
OPERATIONS: list[tuple[str, str]] = [
    (method.upper(), path)
    for path, methods in kept()["paths"].items()
    for method, each in methods.items()
    if "application/json" in each["responses"]["200"]["content"]
]
OPERATIONS.sort(key=lambda operation: operation[0] == "DELETE")


@dataclass(frozen=True)
class Merchant:
    connection: HTTPConnection
    key: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Basic {b64encode(f'{self.key}:'.encode()).decode()}"}

    def ask(self, method: str, path: str, params: dict[str, Any]) -> tuple[int, Any]:
        encoded = urlencode(list(_api_encode(params)), quote_via=quote)
        if method == "POST":
            self.connection.request(method, path, encoded, self.headers | {"Content-Type": FORM})
        else:
            self.connection.request(method, f"{path}?{encoded}", headers=self.headers)
        response = self.connection.getresponse()
        return response.status, json.loads(response.read())

    def made(self, path: str, **params: Any) -> dict[str, Any]:
        status, body = self.ask("POST", path, params)
        assert status == 200, body
        assert violations_of("POST", path, status, body) == []
        return body


@pytest.fixture(scope="module")
def merchant(tap: RunningTap) -> Generator[Merchant]:
    connection = HTTPConnection("127.0.0.1", tap.port, timeout=120)
    yield Merchant(connection, tap.create_key("--new-merchant", "Described"))
    connection.close()


@pytest.fixture(scope="module")
def requests(merchant: Merchant) -> Requests:
    """Draws from what the merchant has: one of each."""
    account = merchant.ask("GET", "/v1/account", {})[1]["id"]
    customer = merchant.made("/v1/customers", email="a@example.com", source="tok_visa")
    card = {"payment_method": "pm_card_visa", "confirm": True, "return_url": "https://example.com"}
    intent = merchant.made("/v1/payment_intents", amount=2_000, currency="usd", **card)
    product = merchant.made("/v1/products", name="Scarf")
    price = merchant.made("/v1/prices", product=product["id"], currency="usd", unit_amount=500)
    lines = [{"price": price["id"], "quantity": 1}]
    refund = merchant.made("/v1/refunds", payment_intent=intent["id"], amount=100)
    bank = {"object": "bank_account", "country": "US", "currency": "usd", "routing_number": "110000000", "account_number": "000123456789"}
    status, account_body = merchant.ask("POST", f"/v1/accounts/{account}/external_accounts", {"external_account": bank})
    assert status == 200, account_body
    there = {
        "customers": customer["id"],
        "charges": intent["latest_charge"],
        "payment_intents": merchant.made("/v1/payment_intents", amount=2_000, currency="usd")["id"],
        "refunds": refund["id"],
        "products": product["id"],
        "prices": price["id"],
        "payment_methods": merchant.made("/v1/payment_methods", type="card", card={"token": "tok_visa"})["id"],
        "setup_intents": merchant.made("/v1/setup_intents")["id"],
        "checkout/sessions": merchant.made("/v1/checkout/sessions", mode="payment", success_url="https://example.com", line_items=lines)[
            "id"
        ],
        "payment_links": merchant.made("/v1/payment_links", line_items=lines)["id"],
        "tokens": merchant.made("/v1/tokens", card={"number": "4242424242424242", "exp_month": 12, "exp_year": 2040})["id"],
        "webhook_endpoints": merchant.made("/v1/webhook_endpoints", url="https://example.com", enabled_events=["*"])["id"],
        "test_helpers/test_clocks": merchant.made("/v1/test_helpers/test_clocks", frozen_time=int(time.time()))["id"],
        "accounts": account,
        "accounts/{account}/external_accounts": account_body["id"],
        "events": merchant.ask("GET", "/v1/events", {})[1]["data"][0]["id"],
        "balance_transactions": merchant.ask("GET", "/v1/balance_transactions", {})[1]["data"][0]["id"],
    }
    named = {
        "customer": customer["id"],
        "charge": intent["latest_charge"],
        "payment_intent": intent["id"],
        "product": product["id"],
        "price": price["id"],
    }
    in_paths = {
        "account": account,
        "refund": refund["id"],
        "source": customer["default_source"],
        "payment_method": customer["default_source"],
    }
    return Requests({f"/v1/{collection}": each for collection, each in there.items()} | named | in_paths)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_an_operation_answers_as_it_is_described(merchant: Merchant, requests: Requests, method: str, path: str) -> None:
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
    @given(st.data())
    def answers(data: st.DataObject) -> None:
        at, params = data.draw(requests.of(method, path))
        status, body = merchant.ask(method, quote(at), params)
        assert status < 500, body
        assert violations_of(method, path, status, body) == []

    answers()


@pytest.mark.parametrize("path", ["/v1/balance", "/v1/customers", "/v1/events", "/v1/webhook_endpoints"])
def test_who_calls_with_another_method_learns_which_there_are(merchant: Merchant, path: str) -> None:
    """RFC 9110, 15.5.6."""
    merchant.connection.request("PUT", path, headers=merchant.headers)
    response = merchant.connection.getresponse()
    assert (response.status, json.loads(response.read())["error"]["type"]) == (405, "invalid_request_error")
    assert {each.lower() for each in str(response.headers["allow"]).split(", ")} == kept()["paths"][path].keys()
