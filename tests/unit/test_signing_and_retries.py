"""Deliveries are signed in both schemes, and tried again by the schedule."""

import base64
import hashlib
import hmac
import json
import time

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from payments.notification_service.channels.channel import Verdict
from payments.notification_service.channels.webhook import verdict_of
from payments.notification_service.retries import RETRY_SECONDS, after_attempt, parse_retry_after
from payments.notification_service.signing import new_secret, signature_headers
from payments.storage.deliveries import DeliveryStatus

BODY = json.dumps({"id": "evt_1", "object": "event", "data": {"object": {"object": "charge"}}}).encode()


def test_the_official_library_accepts_it() -> None:
    secret = new_secret()
    headers = signature_headers("evt_1", BODY, int(time.time()), [secret])
    event = stripe.Webhook.construct_event(BODY, headers["Stripe-Signature"], secret)
    assert event.id == "evt_1"
    for body, key in ((BODY + b" ", secret), (BODY, new_secret())):
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(body, headers["Stripe-Signature"], key)


def test_an_old_timestamp_is_refused_by_the_library() -> None:
    secret = new_secret()
    headers = signature_headers("evt_1", BODY, int(time.time()) - 3600, [secret])
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(BODY, headers["Stripe-Signature"], secret)


def test_standard_webhooks_accepts_it() -> None:
    secret = new_secret()
    headers = signature_headers("evt_1", BODY, 1_700_000_000, [secret])
    key = base64.b64decode(secret.removeprefix("whsec_"))
    assert len(key) == 32
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + BODY
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


def test_both_secrets_sign_while_one_is_rotated() -> None:
    old, new = new_secret(), new_secret()
    headers = signature_headers("evt_1", BODY, int(time.time()), [new, old])
    for secret in (old, new):
        assert stripe.Webhook.construct_event(BODY, headers["Stripe-Signature"], secret).id == "evt_1"
    assert len(headers["webhook-signature"].split(" ")) == 2


@given(st.integers(1, len(RETRY_SECONDS)), st.sampled_from([None, 300, 302, 400, 404, 429, 500, 503]))
def test_a_failed_attempt_is_followed_by_the_schedules_pause(attempt: int, status_code: int | None) -> None:
    status, pause = after_attempt(attempt, verdict_of(status_code))
    assert status is DeliveryStatus.PENDING
    assert 0.8 * RETRY_SECONDS[attempt - 1] <= pause <= 1.2 * RETRY_SECONDS[attempt - 1]


@pytest.mark.parametrize("status_code", [200, 201, 204, 299])
def test_two_hundreds_are_success(status_code: int) -> None:
    assert after_attempt(1, verdict_of(status_code)) == (DeliveryStatus.DELIVERED, 0)
    assert after_attempt(99, verdict_of(status_code)) == (DeliveryStatus.DELIVERED, 0)


def test_an_exhausted_schedule_is_a_dead_letter() -> None:
    assert after_attempt(len(RETRY_SECONDS), Verdict.LATER)[0] is DeliveryStatus.PENDING
    assert after_attempt(len(RETRY_SECONDS) + 1, Verdict.LATER) == (DeliveryStatus.DEAD, 0)


def test_gone_is_not_tried_again() -> None:
    assert after_attempt(1, verdict_of(410)) == (DeliveryStatus.DEAD, 0)


def test_a_receiver_may_ask_for_more_time_but_not_for_ever_or_less() -> None:
    assert after_attempt(1, Verdict.LATER, 600)[1] == 600
    assert after_attempt(1, Verdict.LATER, 99999999)[1] == 24 * 3600
    assert after_attempt(2, Verdict.LATER, 1)[1] >= 240
    assert after_attempt(1, Verdict.LATER, None)[1] <= 6
    assert after_attempt(1, Verdict.DELIVERED, 600) == (DeliveryStatus.DELIVERED, 0)


NOW = 784111777.0  # Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110, 5.6.7


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 120\t", 120),
        ("0000000000000000000000000000000120", 120),
        ("9" * 18, 24 * 3600),
        ("9" * 5000, 24 * 3600),
        ("0" * 5000, 0),
        ("Sun, 06 Nov 1994 08:50:37 GMT", 60),
        ("Sunday, 06-Nov-94 08:50:37 GMT", 60),
        ("Sun Nov  6 08:50:37 1994", 60),
        ("Sun, 06 Nov 1994 08:48:37 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 24 * 3600),
        ("Mon, 01 Jan 0001 00:00:00 GMT", 0),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("+1", None),
        ("1.5", None),
        ("1_0", None),
        ("1e3", None),
        ("0x10", None),
        ("1, 2", None),
        ("\xb2", None),  # superscript two is a digit to Python, and no number
        ("\uff11\uff12", None),
        ("\u0663", None),
        ("inf", None),
        ("nan", None),
        ("Sun, 06 Nov 1994 08:50:37", None),
        ("Sun, 06 Nov 1994 08:50:37 +0100", None),
        ("Sun, 06 Nov 1994 24:00:00 GMT", None),
        ("Sun, 31 Feb 1994 08:50:37 GMT", None),
    ],
)
def test_retry_after_is_read_as_the_standard_says(value: str, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == seconds


@given(st.text() | st.text("0123456789\xb2\u0663 ,:GMTSunNov-") | st.from_regex(r"\d+"), st.floats(0, 1e12))
def test_whatever_a_receiver_asks_for_there_is_a_pause_or_none(value: str, now: float) -> None:
    seconds = parse_retry_after(value, now)
    assert seconds is None or 0 <= seconds <= 24 * 3600
