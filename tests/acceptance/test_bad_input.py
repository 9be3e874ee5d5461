"""Whatever is sent: a clear error in Stripe's shape, and nothing saved."""

import http.client
import json
import os
import socket
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from payments.runtime.topology import Service
from tests.support.running_tap import RunningTap
from tests.support.stripe_schema import violations

FORM = "application/x-www-form-urlencoded"
PAYMENT = {"amount": "2000", "currency": "usd"}


@pytest.fixture(scope="module")
def key(tap: RunningTap) -> str:
    return tap.create_key("--new-merchant", "Bad input")


def send(
    tap: RunningTap,
    key: str | None,
    method: str,
    path: str,
    body: bytes | str | dict[str, Any] | None = None,
    content_type: str = FORM,
    **headers: str,
) -> tuple[int, dict[str, Any], http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", tap.port, timeout=30)
    try:
        encoded = urlencode(body) if isinstance(body, dict) else body
        given = {"Content-Type": content_type, **({"Authorization": f"Bearer {key}"} if key else {}), **headers}
        connection.request(method, path, encoded, given)
        response = connection.getresponse()
        return response.status, json.loads(response.read()), response.headers
    finally:
        connection.close()


def error(tap: RunningTap, key: str | None, status: int, method: str, path: str, *args: Any, **headers: str) -> dict[str, Any]:
    """The error of a call that must fail with `status` and save nothing."""
    found, body, answered = send(tap, key, method, path, *args, **headers)
    assert found == status, body
    assert violations(body) == []
    assert answered["Request-Id"].startswith("req_")
    return body["error"]


CASES: list[tuple[dict[str, str], str | None, str | None]] = [
    ({"amount": "0", "currency": "usd"}, "parameter_invalid_integer", "amount"),
    ({"amount": "-5", "currency": "usd"}, "parameter_invalid_integer", "amount"),
    ({"amount": "123456789", "currency": "usd"}, "amount_too_large", "amount"),
    ({"amount": "49", "currency": "usd"}, "amount_too_small", "amount"),
    ({"amount": "49", "currency": "jpy"}, "amount_too_small", "amount"),
    ({"amount": "9950", "currency": "isk"}, "invalid_charge_amount", "amount"),
    ({"amount": "5124", "currency": "kwd"}, "invalid_charge_amount", "amount"),
    ({"amount": "2000", "currency": "mga"}, "amount_too_small", "amount"),
    ({"amount": "1000000000000", "currency": "idr"}, "amount_too_large", "amount"),
    ({"amount": "10.5", "currency": "usd"}, "parameter_invalid_integer", "amount"),
    ({"amount": "ten", "currency": "usd"}, "parameter_invalid_integer", "amount"),
    ({"amount": "1e3", "currency": "usd"}, "parameter_invalid_integer", "amount"),
    ({"amount": "9" * 400, "currency": "usd"}, None, "amount"),
    ({"amount": "", "currency": "usd"}, "parameter_invalid_empty", "amount"),
    ({"amount": "2000", "currency": "xxx"}, None, "currency"),
    ({"amount": "2000", "currency": ""}, None, "currency"),
    ({"currency": "usd"}, "parameter_missing", "amount"),
    ({"amount": "2000"}, "parameter_missing", "currency"),
    ({**PAYMENT, "amuont": "1"}, "parameter_unknown", "amuont"),
    ({**PAYMENT, "confirm": "perhaps"}, None, "confirm"),
    ({**PAYMENT, "capture_method": "sometimes"}, None, "capture_method"),
    ({**PAYMENT, "metadata[k]": "v" * 501}, None, "metadata[k]"),
    ({**PAYMENT, f"metadata[{'k' * 41}]": "v"}, None, f"metadata[{'k' * 41}]"),
    ({**PAYMENT, **{f"metadata[k{i}]": "v" for i in range(51)}}, None, "metadata"),
    ({**PAYMENT, "metadata": "v"}, None, "metadata"),
    ({**PAYMENT, "description": "a\0b"}, None, None),
    ({**PAYMENT, "description": "x" * 5001}, None, "description"),
    ({**PAYMENT, "shipping[name]": "A"}, "parameter_missing", "shipping[address]"),
    ({**PAYMENT, "a[b][c][d][e][f][g][h][i]": "1"}, None, None),
    ({**PAYMENT, "transfer_data[destination]": "acct_1"}, "parameter_unknown", "transfer_data"),
    ({**PAYMENT, "return_url": "javascript:alert(1)", "confirm": "true", "payment_method": "pm_card_visa"}, "url_invalid", "return_url"),
    ({**PAYMENT, "confirm": "true"}, "parameter_missing", "payment_method"),
    ({**PAYMENT, "expand[]": "nothing"}, None, "expand"),
    ({**PAYMENT, "payment_method_types[]": "card"}, "payment_method_types_no_longer_supported", "payment_method_types"),
]


@pytest.mark.parametrize(("params", "code", "param"), CASES, ids=[str(case[0])[:60] for case in CASES])
def test_a_wrong_parameter_is_named_and_nothing_is_saved(
    tap: RunningTap, key: str, params: dict[str, str], code: str | None, param: str | None
) -> None:
    refused = error(tap, key, 400, "POST", "/v1/payment_intents", params)
    assert refused["type"] == "invalid_request_error"
    if code is not None:
        assert refused.get("code") == code
    assert refused.get("param") == param
    assert send(tap, key, "GET", "/v1/payment_intents")[1]["data"] == []


@pytest.mark.parametrize(
    ("card", "code"),
    [
        ({"number": "4242424242424241", "exp_month": "12", "exp_year": "2034"}, "incorrect_number"),
        ({"number": "1234", "exp_month": "12", "exp_year": "2034"}, "invalid_number"),
        ({"number": "4242424242424242", "exp_month": "13", "exp_year": "2034"}, "invalid_expiry_month"),
        ({"number": "4242424242424242", "exp_month": "12", "exp_year": "2019"}, "invalid_expiry_year"),
        ({"number": "4242424242424242", "exp_month": "12", "exp_year": "2034", "cvc": "12"}, "invalid_cvc"),
    ],
)
def test_a_wrong_card_is_a_card_error(tap: RunningTap, key: str, card: dict[str, str], code: str) -> None:
    params = {"type": "card", **{f"card[{name}]": value for name, value in card.items()}}
    refused = error(tap, key, 402, "POST", "/v1/payment_methods", params)
    assert (refused["type"], refused["code"]) == ("card_error", code)
    assert card["number"] not in json.dumps(refused)


def test_malformed_bodies_are_refused(tap: RunningTap, key: str) -> None:
    for body, content_type in (
        (b"amount=%ff%fe&currency=usd", FORM),
        (b"[[[=1&&&==", FORM),
        (b"amount[=1", FORM),
        (b"{not json", "application/json"),
        (b"[1, 2]", "application/json"),
        (b'{"description": "\\ud800", "amount": 2000, "currency": "usd"}', "application/json"),
        (b'{"a":' * 100_000, "application/json"),
        (b"&".join(b"a%d=1" % i for i in range(5000)), FORM),
    ):
        assert error(tap, key, 400, "POST", "/v1/payment_intents", body, content_type)["type"] == "invalid_request_error"
    assert send(tap, key, "GET", "/v1/payment_intents")[1]["data"] == []


def test_json_bodies_are_accepted(tap: RunningTap, key: str) -> None:
    body = json.dumps({"email": "a@example.com", "metadata": {"a": 1}})
    status, customer, _ = send(tap, key, "POST", "/v1/customers", body, "application/json")
    assert (status, customer["metadata"]) == (200, {"a": "1"})


def test_a_body_over_a_megabyte_is_too_large(tap: RunningTap, key: str) -> None:
    error(tap, key, 413, "POST", "/v1/payment_intents", b"description=" + b"x" * 1_100_000)


def test_unknown_paths_and_methods_say_so(tap: RunningTap, key: str) -> None:
    assert "Unrecognized request URL (GET: /v1/nothing)" in error(tap, key, 404, "GET", "/v1/nothing")["message"]
    error(tap, key, 404, "GET", "/v1/payment_intents/")
    error(tap, key, 405, "DELETE", "/v1/payment_intents/pi_1")
    error(tap, key, 405, "PUT", "/v1/balance")
    error(tap, key, 404, "GET", "/v1/events/evt_none")
    error(tap, key, 404, "GET", "/v1/customers/" + "x" * 3000)
    error(tap, key, 404, "GET", "/v1/customers/%00")
    assert send(tap, key, "POST", "/internal/attempts", b"{}")[0] == 404


@pytest.mark.parametrize(
    ("service", "path"),
    [
        (Service.PAYMENT_API, "/v1/payment_intents/{id}"),
        (Service.PAYMENT_API, "/v1/customers/{id}/payment_methods/{payment_method}"),
        (Service.TRANSACTION_PROCESSOR, "/v1/balance_transactions/{id}"),
        (Service.NOTIFICATION_SERVICE, "/v1/events/{id}"),
    ],
)
def test_the_name_of_an_id_is_no_id(tap: RunningTap, key: str, service: Service, path: str) -> None:
    """As a client sends it that fills nothing in; the load balancer passes it on."""
    asked = urllib.request.Request(tap.status()["services"][service]["url"] + path, headers={"Authorization": f"Bearer {key}"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(asked, timeout=30)
    with refused.value as answer:
        assert (answer.status, json.loads(answer.read())["error"]["type"]) == (404, "invalid_request_error")


def test_a_key_is_needed_and_must_be_valid(tap: RunningTap) -> None:
    assert "You did not provide an API key" in error(tap, None, 401, "GET", "/v1/balance")["message"]
    wrong = f"sk_test_{os.urandom(24).hex()}"
    message = error(tap, wrong, 401, "GET", "/v1/payment_intents")["message"]
    assert message.startswith("Invalid API Key provided: sk_test_****")
    assert wrong not in message


def test_a_revoked_key_is_refused_at_once(tap: RunningTap) -> None:
    made = tap.tap("keys", "create", "--new-merchant", "Revoked").stdout
    key, key_id = made.strip().splitlines()[-1], made.split("key ")[1].split(".")[0]
    assert send(tap, key, "GET", "/v1/customers")[0] == 200
    tap.tap("keys", "revoke", key_id)
    error(tap, key, 401, "GET", "/v1/customers")


def test_an_idempotency_key_has_at_most_255_characters(tap: RunningTap, key: str) -> None:
    error(tap, key, 400, "POST", "/v1/customers", {}, **{"Idempotency-Key": "k" * 256})
    assert send(tap, key, "POST", "/v1/customers", {}, **{"Idempotency-Key": "k" * 255})[0] == 200


def test_a_refused_request_frees_its_idempotency_key(tap: RunningTap, key: str) -> None:
    headers = {"Idempotency-Key": os.urandom(8).hex()}
    error(tap, key, 400, "POST", "/v1/payment_intents", {"amount": "1", "currency": "usd"}, **headers)
    status, intent, _ = send(tap, key, "POST", "/v1/payment_intents", PAYMENT, **headers)
    assert (status, intent["status"]) == (200, "requires_payment_method")


def test_an_older_version_may_still_name_payment_method_types(tap: RunningTap, key: str) -> None:
    params = {**PAYMENT, "payment_method_types[]": "card"}
    status, intent, headers = send(tap, key, "POST", "/v1/payment_intents", params, **{"Stripe-Version": "2026-08-26.dahlia"})
    assert (status, intent["payment_method_types"]) == (200, ["card"])
    assert headers["Stripe-Version"] == "2026-08-26.dahlia"
    error(tap, key, 400, "GET", "/v1/payment_intents", None, FORM, **{"Stripe-Version": "yesterday"})


def test_half_a_request_harms_nobody(tap: RunningTap, key: str) -> None:
    parts = urlsplit(tap.status()["services"]["payment-api"]["url"])
    with socket.create_connection((str(parts.hostname), parts.port or 0)) as half:
        half.sendall(b"POST /v1/payment_intents HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\namount=")
    assert send(tap, key, "GET", "/v1/payment_intents?limit=1")[0] == 200
