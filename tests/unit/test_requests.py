"""What a request says, read as RFC 9110 has it, and its parameters from wherever they are."""

from collections.abc import Iterator
from typing import Any

import pytest

from payments.domain.errors import InvalidRequest, NotFound
from payments.wire.browser import shown_to_browser
from payments.wire.errors import BodyTooLarge
from payments.wire.request import BODY_BYTES_MAX, Headers, check_ids, path_of, read_params

FORM = b"application/x-www-form-urlencoded"


async def read(method: str, query: bytes = b"", body: bytes = b"", *, chunks: int = 1, **fields: bytes) -> dict[str, object]:
    headers = [(name.replace("_", "-").encode(), value) for name, value in fields.items()]
    if body:
        headers.append((b"content-length", str(len(body)).encode()))
    size = -(-len(body) // chunks) or 1
    parts: Iterator[bytes] = iter([body[start : start + size] for start in range(0, len(body), size)] or [b""])
    left = chunks

    async def receive() -> dict[str, Any]:
        nonlocal left
        left -= 1
        return {"type": "http.request", "body": next(parts), "more_body": left > 0}

    return await read_params({"type": "http", "method": method, "query_string": query}, receive, Headers(headers))


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize(
    ("query", "body", "content_type", "params"),
    [
        (b"a=1", b"", FORM, {"a": "1"}),
        (b"", b"a=1", FORM, {"a": "1"}),
        (b"a=1", b"b=2", FORM, {"a": "1", "b": "2"}),
        (b"a=1", b"a=2", FORM, {"a": "2"}),
        (b"expand[]=x", b"expand[]=y", FORM, {"expand": ["x", "y"]}),
        (b"a=1", b'{"a": 2, "b": 3}', b"application/json", {"a": 2, "b": 3}),
        (b"", b'{"a": 1}', b"Application/JSON", {"a": 1}),
        (b"", b'{"a": 1}', b" application/json ;charset=UTF-8 ", {"a": 1}),
        (b"", b"a=1", b'APPLICATION/x-www-form-urlencoded; charset="utf-8"', {"a": "1"}),
        (b"a=1", b"", b"multipart/form-data; boundary=x", {"a": "1"}),
    ],
)
async def test_parameters_are_taken_from_query_and_body(
    method: str, query: bytes, body: bytes, content_type: bytes, params: dict[str, object]
) -> None:
    for chunks in (1, 3):
        assert await read(method, query, body, chunks=chunks if body else 1, content_type=content_type) == params


async def test_a_body_without_a_type_is_a_form() -> None:
    assert await read("POST", body=b"a=1") == {"a": "1"}


@pytest.mark.parametrize(
    "fields",
    [
        {"content_type": b"multipart/form-data; boundary=x"},
        {"content_type": b"text/plain"},
        {"content_type": b""},
        {"content_type": b"application/jsonp"},
        {"content_type": FORM + b"; charset=latin1"},
        {"content_type": FORM, "content_encoding": b"gzip"},
    ],
)
async def test_a_body_of_another_kind_is_refused(fields: dict[str, bytes]) -> None:
    with pytest.raises(InvalidRequest):
        await read("POST", body=b"a=1", **fields)  # pyright: ignore[reportArgumentType] - header fields all


@pytest.mark.parametrize("length", [str(BODY_BYTES_MAX + 1).encode(), b"9" * 5000])
async def test_a_body_that_says_that_it_is_too_large_is_not_read(length: bytes) -> None:
    async def receive() -> dict[str, Any]:
        raise AssertionError("read")

    with pytest.raises(BodyTooLarge):
        await read_params({"type": "http", "method": "POST", "query_string": b""}, receive, Headers([(b"content-length", length)]))


@pytest.mark.parametrize("name", [b"authorization", b"idempotency-key", b"content-type", b"stripe-account", b"stripe-version"])
def test_what_is_said_once_is_not_said_twice(name: bytes) -> None:
    with pytest.raises(InvalidRequest, match="more than once"):
        Headers([(name, b"a"), (b"accept", b"x"), (name, b"b")])
    assert Headers([(b"accept", b"x"), (b"accept", b"y"), (name, b" \ta \t")]).get(name) == "a"


@pytest.mark.parametrize("sent", ["pi_1", "pi%5F1", "%70i_1"])
def test_an_id_is_one_segment(sent: str) -> None:
    params = {"id": sent}
    check_ids(params, "/v1/payment_intents/{id}/confirm")
    assert params == {"id": "pi_1"}


def test_a_deliverys_id_is_that_of_its_event_and_of_its_endpoint() -> None:
    params = {"id": "evt_1.we_1"}
    check_ids(params, "/v1/notifications/deliveries/{id}")
    assert params == {"id": "evt_1.we_1"}
    with pytest.raises(NotFound, match="No such delivery: '"):
        check_ids({"id": "evt_1..we_1"}, "/v1/notifications/deliveries/{id}")


@pytest.mark.parametrize(
    "sent",
    [
        "pi_1%2Fcancel",
        "pi_1%2fcancel",
        "..",
        ".",
        "pi_1.",
        ".pi_1",
        "pi_1\n",
        "%2e%2e",
        "pi_1%00",
        "pi_1;a=b",
        "pi_1%3Bx",
        "pi 1",
        "pi_1%20",
        "%E2%82%AC",
        "%ff",
        "pi_1%252Fcancel",
        "%",
        "*",
        "a" * 256,
    ],
)
def test_what_is_no_id_names_nothing(sent: str) -> None:
    with pytest.raises(NotFound, match="No such payment_intent: '") as refused:
        check_ids({"id": sent}, "/v1/payment_intents/{id}/confirm")
    assert refused.value.code == "resource_missing"
    assert len(refused.value.message) < 140


def test_a_path_is_taken_as_it_was_sent() -> None:
    assert path_of({"type": "http", "raw_path": b"/v1/a%2Fb", "path": "/v1/a/b"}) == "/v1/a%2Fb"


def test_a_browser_sees_what_is_its_own() -> None:
    method = b'{"object":"payment_method","id":"pm_1","metadata":{"a":"1"},"card":{"last4":"4242","fingerprint":"F"}}'
    intent = (
        b'{"object":"payment_intent","id":"pi_1","amount":5,"metadata":{"margin":"31"},"customer":"cus_1","last_payment_error":{"payment_method":%s}}'
        % method
    )
    for body in (
        intent,
        b'{"error":{"code":"c","payment_intent":%s,"payment_method":%s}}' % (intent, method),
        b'{"object":"list","data":[%s]}' % intent,
    ):
        shown = shown_to_browser(body)
        for hidden in (b"margin", b"metadata", b"cus_1", b"fingerprint"):
            assert hidden not in shown
        if b"list" not in body:
            assert b"pi_1" in shown
            assert b"4242" in shown
