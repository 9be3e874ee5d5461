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

from payments.notification_service.retries import RETRY_SECONDS, after_attempt
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
    status, pause = after_attempt(attempt, status_code)
    assert status is DeliveryStatus.PENDING
    assert 0.8 * RETRY_SECONDS[attempt - 1] <= pause <= 1.2 * RETRY_SECONDS[attempt - 1]


@pytest.mark.parametrize("status_code", [200, 201, 204, 299])
def test_two_hundreds_are_success(status_code: int) -> None:
    assert after_attempt(1, status_code) == (DeliveryStatus.DELIVERED, 0)
    assert after_attempt(99, status_code) == (DeliveryStatus.DELIVERED, 0)


def test_an_exhausted_schedule_is_a_dead_letter() -> None:
    assert after_attempt(len(RETRY_SECONDS), 500)[0] is DeliveryStatus.PENDING
    assert after_attempt(len(RETRY_SECONDS) + 1, 500) == (DeliveryStatus.DEAD, 0)


def test_gone_is_not_tried_again() -> None:
    assert after_attempt(1, 410) == (DeliveryStatus.DEAD, 0)


def test_a_receiver_may_ask_for_more_time_but_not_for_ever_or_less() -> None:
    assert after_attempt(1, 503, "600")[1] == 600
    assert after_attempt(1, 503, "99999999")[1] == 24 * 3600
    assert after_attempt(2, 503, "1")[1] >= 240
    assert after_attempt(1, 503, "soon")[1] <= 6
