"""A client of any version that Tap honours is answered, and told of events, in its own; and it learns who it is."""

import json
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any

import pytest

from payments.domain.api_version import CALLS_ONLY, NEWEST, OLDEST, VERSIONS
from tests.support.receiver import receiver
from tests.support.running_tap import RunningTap
from tests.support.stripe_schema import violations
from tests.support.waiting import wait_until

BEFORE_BASIL = "2025-02-24.acacia"
HELD = {"amount": 2000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True, "capture_method": "manual"}


@dataclass
class Answered:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def body(self) -> dict[str, Any]:
        return json.loads(self.text)


@dataclass
class Api:
    """The API as it is on the wire."""

    base_url: str
    key: str

    def call(self, method: str, path: str, params: dict[str, str] | None = None, **headers: str) -> Answered:
        query = urllib.parse.urlencode(params or {})
        url = f"{self.base_url}{path}" + (f"?{query}" if query and method == "GET" else "")
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(
            url,
            query.encode() if method == "POST" else None,
            {"Authorization": f"Bearer {self.key}", "Content-Type": "application/x-www-form-urlencoded", **named},
            method=method,
        )
        try:
            answer = urllib.request.urlopen(request, timeout=60)
        except urllib.error.HTTPError as refusal:
            answer = refusal
        with answer:
            return Answered(answer.status or 0, {name.lower(): value for name, value in answer.headers.items()}, answer.read().decode())


@pytest.fixture(scope="module")
def api(tap: RunningTap) -> Api:
    """A merchant of these tests' own."""
    return Api(tap.status()["base_url"], tap.create_key("--new-merchant", "Versions"))


@pytest.fixture(scope="module")
def other(tap: RunningTap) -> Api:
    """Another one."""
    return Api(tap.status()["base_url"], tap.create_key("--new-merchant", "Other"))


def cancelled_hold(api: Api, **headers: str) -> Answered:
    held = api.call("POST", "/v1/payment_intents", {name: str(value).lower() for name, value in HELD.items()}, **headers).body
    return api.call("POST", f"/v1/payment_intents/{held['id']}/cancel", {"expand[]": "latest_charge"}, **headers)


@pytest.mark.parametrize("version", [OLDEST, BEFORE_BASIL, "2025-03-31.basil", "2026-08-26.dahlia", NEWEST])
def test_a_request_is_answered_in_the_version_that_it_names(api: Api, version: str) -> None:
    answered = cancelled_hold(api, stripe_version=version)
    assert answered.headers["stripe-version"] == version
    charge = answered.body["latest_charge"]
    assert charge["refunded"] is (version < "2025-03-31.basil")
    assert ("invoice" in charge) is ("invoice" in answered.body) is (version < "2025-03-31.basil")
    listed = api.call("GET", "/v1/charges", {"limit": "1"}, stripe_version=version).body["data"][0]
    assert listed == charge
    expanded = api.call("GET", "/v1/payment_intents", {"limit": "1", "expand[]": "data.latest_charge.invoice"}, stripe_version=version)
    if version < "2025-03-31.basil":
        assert expanded.body["data"][0]["latest_charge"] == charge
    else:
        assert (expanded.status, expanded.body["error"]["param"]) == (400, "expand")
    refused = api.call("POST", f"/v1/payment_intents/{answered.body['id']}/cancel", {}, stripe_version=version)
    assert ("invoice" in refused.body["error"]["payment_intent"]) is (version < "2025-03-31.basil")


def test_a_version_that_is_not_honoured_is_refused(api: Api) -> None:
    unknown = api.call("GET", "/v1/customers", stripe_version="2024-01-01")
    assert (unknown.status, unknown.body["error"]["message"]) == (400, "Invalid Stripe API version: 2024-01-01")
    assert CALLS_ONLY[0] in api.call("GET", "/v1/customers", stripe_version="2020-03-02").body["error"]["message"]


@pytest.mark.parametrize("version", CALLS_ONLY)
def test_the_versions_before_show_charges_and_refunds_unasked(api: Api, version: str) -> None:
    paying = {"amount": "2000", "currency": "usd", "payment_method": "pm_card_visa", "confirm": "true"}
    paid = api.call("POST", "/v1/payment_intents", paying, stripe_version=version, idempotency_key=f"unasked-{version}")
    intent, (charge,) = paid.body["id"], paid.body["charges"]["data"]
    listed = {"object": "list", "has_more": False}
    assert paid.body["charges"] == {**listed, "data": [charge], "url": f"/v1/charges?payment_intent={intent}"}
    assert charge["id"] == paid.body["latest_charge"]
    assert charge["refunds"] == {**listed, "data": [], "url": f"/v1/charges/{charge['id']}/refunds"}
    again = api.call("POST", "/v1/payment_intents", paying, stripe_version=version, idempotency_key=f"unasked-{version}")
    assert again.body == paid.body
    refund = api.call("POST", "/v1/refunds", {"payment_intent": intent, "expand[]": "payment_intent"}, stripe_version=version).body
    assert [each["id"] for each in refund["payment_intent"]["charges"]["data"][0]["refunds"]["data"]] == [refund["id"]]
    for path, shown in [
        (f"/v1/payment_intents/{intent}", lambda body: body["charges"]["data"][0]),
        ("/v1/payment_intents", lambda body: body["data"][0]["charges"]["data"][0]),
        (f"/v1/charges/{charge['id']}", lambda body: body),
        ("/v1/charges", lambda body: body["data"][0]),
        (f"/v1/charges/{charge['id']}?expand[]=payment_intent", lambda body: body["payment_intent"]["charges"]["data"][0]),
    ]:
        old = shown(api.call("GET", path, stripe_version=version).body)
        assert (old["id"], old["refunds"]["data"][0]["id"]) == (charge["id"], refund["id"]), path
    newer = api.call("GET", f"/v1/payment_intents/{intent}", stripe_version=OLDEST)
    assert "charges" not in newer.body
    asked = api.call("GET", f"/v1/payment_intents/{intent}?expand[]=charges", stripe_version=OLDEST)
    assert (asked.status, asked.body["error"]["param"]) == (400, "expand")


def test_a_checkout_session_is_of_a_version_that_defers_its_intent(api: Api) -> None:
    price = {"[currency]": "usd", "[unit_amount]": "2000", "[product_data][name]": "Hat"}
    buying = {"mode": "payment", "success_url": "https://example.com/", "line_items[0][quantity]": "1"}
    buying |= {f"line_items[0][price_data]{name}": value for name, value in price.items()}
    refused, made = (api.call("POST", "/v1/checkout/sessions", buying, stripe_version=version) for version in CALLS_ONLY)
    assert (refused.status, made.status) == (400, 200)
    assert refused.body["error"]["message"] == "Tap makes checkout sessions in version 2022-08-01 and later."


def test_a_repetition_gets_the_first_answer_byte_for_byte_whatever_version_it_names(api: Api) -> None:
    for path, params in [
        ("/v1/payment_intents", {**{name: str(value).lower() for name, value in HELD.items()}, "expand[]": "latest_charge"}),
        ("/v1/payment_intents", {"amount": "100", "currency": "usd", "payment_method": "pm_card_chargeDeclined", "confirm": "true"}),
        ("/v1/customers", {"name": "Ada"}),
    ]:
        key = f"{path} {len(params)}"
        first = api.call("POST", path, params, stripe_version=BEFORE_BASIL, idempotency_key=key)
        again = api.call("POST", path, params, stripe_version=NEWEST, idempotency_key=key)
        assert (again.status, again.text, again.headers["stripe-version"]) == (first.status, first.text, BEFORE_BASIL)
        assert again.headers["idempotent-replayed"] == "true"


def test_who_names_no_version_gets_the_default_that_is_set(tap: RunningTap, other: Api) -> None:
    assert other.call("GET", "/v1/account").headers["stripe-version"] == NEWEST
    lines = tap.tap("keys", "list").stdout.splitlines()
    merchant = next(line.split("│")[2].strip() for line in lines if other.key[-4:] in line)
    try:
        shown = tap.tap("settings", "--merchant", merchant, "--api-version", BEFORE_BASIL).stdout
        account = other.call("GET", "/v1/account")
        assert BEFORE_BASIL in shown
        assert account.body["id"] in shown
        assert account.headers["stripe-version"] == BEFORE_BASIL
        assert cancelled_hold(other).body["latest_charge"]["refunded"] is True
        assert other.call("GET", "/v1/events", {"limit": "1"}).body["data"][0]["api_version"] == BEFORE_BASIL
    finally:
        tap.tap("settings", "--merchant", merchant, "--api-version", NEWEST)
    refused = tap.tap("settings", "--api-version", "2020-01-01", check=False)
    assert refused.returncode == 1
    assert OLDEST in refused.stderr


def test_an_endpoint_gets_its_events_in_the_version_that_it_was_made_with(tap: RunningTap, api: Api) -> None:
    client = tap.client(api.key)
    with receiver() as old, receiver() as new:
        for received, version in ((old, BEFORE_BASIL), (new, None)):
            params: Any = {"url": received.url, "enabled_events": ["payment_intent.canceled", "charge.succeeded"]}
            if version is not None:
                params["api_version"] = version
            endpoint = client.v1.webhook_endpoints.create(params)
            assert endpoint.api_version == version
            received.secret = str(endpoint.secret)
        cancelled_hold(api, stripe_version=NEWEST)
        wait_until(lambda: len(old.deliveries) == len(new.deliveries) == 2, "both got both")
    for received, version in ((old, BEFORE_BASIL), (new, NEWEST)):
        assert {delivery.event["api_version"] for delivery in received.deliveries} == {version}
        assert {"invoice" in delivery.event["data"]["object"] for delivery in received.deliveries} == {version < "2025-03-31.basil"}
    assert [fault for delivery in new.deliveries for fault in violations(delivery.event)] == []


def test_an_endpoint_may_have_every_version_that_is_honoured_and_no_other(tap: RunningTap, api: Api) -> None:
    client = tap.client(api.key)
    for version in VERSIONS:
        made = client.v1.webhook_endpoints.create(
            {"url": "http://127.0.0.1:9/", "enabled_events": ["*"], "api_version": version}  # pyright: ignore[reportArgumentType]
        )
        assert made.api_version == version
        client.v1.webhook_endpoints.delete(made.id)
    for version in ("2020-08-27", "2024-01-01", "endive"):
        refused = api.call("POST", "/v1/webhook_endpoints", {"url": "http://127.0.0.1:9/", "enabled_events[]": "*", "api_version": version})
        assert (refused.status, refused.body["error"]["param"]) == (400, "api_version")
    update = api.call("POST", "/v1/webhook_endpoints/we_1", {"api_version": NEWEST})
    assert update.body["error"]["code"] == "parameter_unknown", "it is chosen once"


def test_the_account_of_a_key_is_the_same_however_it_is_asked_for(tap: RunningTap, api: Api, other: Api) -> None:
    client = tap.client(api.key)
    account = client.v1.accounts.retrieve_current()
    assert violations(json.loads(str(account.last_response.body))) == []  # pyright: ignore[reportOptionalMemberAccess]
    assert account.settings is not None
    assert account.settings.dashboard.display_name == "Versions"
    assert account.capabilities is not None
    assert account.capabilities.card_payments == "active"
    assert client.v1.accounts.retrieve(account.id).id == account.id
    assert client.v1.accounts.list().data == []
    theirs = other.call("GET", "/v1/account").body["id"]
    assert theirs != account.id
    for stranger in (theirs, "acct_1032D82eZvKYlo2C", "acct_"):
        refused = api.call("GET", f"/v1/accounts/{stranger}")
        assert (refused.status, refused.body["error"]["code"]) == (403, "account_invalid")


@pytest.mark.parametrize("header", ["stripe_account", "stripe_context"])
def test_a_request_on_behalf_of_oneself_is_ones_own_and_on_behalf_of_others_refused(api: Api, other: Api, header: str) -> None:
    mine = api.call("GET", "/v1/account").body["id"]
    theirs = other.call("GET", "/v1/account").body["id"]
    made = api.call("POST", "/v1/customers", {"name": "Ada"}, **{header: mine})
    assert api.call("GET", f"/v1/customers/{made.body['id']}").status == 200
    for stranger in (theirs, "acct_x", mine.lower()):
        refused = api.call("POST", "/v1/customers", {"name": "Ada"}, **{header: stranger})
        assert (refused.status, refused.body["error"]["code"]) == (403, "account_invalid")
