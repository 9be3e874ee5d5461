"""What is kept of an attempt is bounded, and has no secret in it, whatever a receiver sends."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from payments.notification_service.connections import SHOWN_BYTES_MAX, Answer
from payments.notification_service.exchange import exchange_of, masked
from payments.notification_service.signing import signature_headers

_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def kept(answer: Answer, *, url: str = "https://u:p@shop.example/hook?token=t0ken", headers: dict[str, str] | None = None) -> Any:
    return json.loads(exchange_of(url, headers or {}, b"{}", "2026-10-28.endive", answer))


def answered(body: bytes, *headers: tuple[bytes, bytes]) -> Answer:
    answer = Answer(200, headers=headers)
    answer.take(body)
    return answer


def test_of_a_signature_there_is_enough_to_tell_it_and_not_enough_to_use_it() -> None:
    headers = signature_headers("evt_1", b"{}", 1_800_000_000, [_SECRET, _SECRET])
    shown = kept(Answer(), headers=headers)["request"]
    given_stripe, shown_stripe = headers["Stripe-Signature"].split(","), shown["headers"]["Stripe-Signature"].split(",")
    assert shown_stripe == [given_stripe[0], given_stripe[1][:11] + "…", given_stripe[2][:11] + "…"]
    assert all(len(each) == len("v1,") + 8 + 1 for each in shown["headers"]["webhook-signature"].split())
    assert shown["url"] == "https://shop.example/hook?…"
    assert (shown["body_bytes"], shown["body_sha256"][:8]) == (2, "44136fa3")


def test_what_looks_like_a_secret_is_masked() -> None:
    body = (
        b"key sk_live_abcdefghijk card 4242 4242-4242 4242 order 4242424242424243 "
        + _SECRET.encode()
        + b" pi_3Abc_secret_Xyz123 Bearer abcdefg"
    )
    response = kept(answered(body, (b"Set-Cookie", b"session=1"), (b"X-A", b"4000056655665556"), (b"X-A", b"b")))["response"]
    assert response["body"] == "key sk_live_… card …4242 order 4242424242424243 whsec_… pi_3Abc_secret_… Bearer …"
    assert response["headers"] == {"set-cookie": "…", "x-a": "…5556, b"}


def test_a_card_number_that_is_cut_in_two_is_masked_as_well() -> None:
    for before in range(SHOWN_BYTES_MAX - 20, SHOWN_BYTES_MAX + 1):
        response = kept(answered(b"x" * before + b" 4242424242424242 " + b"y" * 5_000))["response"]
        assert "42424" not in response["body"]
        assert response["truncated"]


@given(st.binary(max_size=300), st.integers(0, 3 * SHOWN_BYTES_MAX))
def test_whatever_was_heard_fits_and_can_be_stored(part: bytes, size: int) -> None:
    body = (part * (size // max(len(part), 1) + 1))[:size]
    response = kept(answered(body, *[(b"x-%d" % number, part) for number in range(100)]))["response"]
    assert len(response["body"].encode()) <= SHOWN_BYTES_MAX
    assert len(json.dumps(response["headers"])) < 100_000
    assert "\0" not in json.dumps(response).encode().decode("unicode_escape")
    assert response["truncated"] or len(response["body"]) <= len(body)


def test_what_is_plain_stays() -> None:
    text = "Order 17 for 20.00 USD, phone +49 30 1234567, über 2026-11-28T00:47:21Z\n{}"
    assert masked(text) == text
