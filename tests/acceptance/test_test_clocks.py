"""A merchant tries out what takes days: by Stripe's own client, in a sandbox of their own, whose time jumps."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import stripe

from tests.support.paying import pay, shaped
from tests.support.running_tap import RunningTap
from tests.support.stripe_schema import violations
from tests.support.waiting import wait_until

DAY = 24 * 3600


@pytest.fixture
def sandbox(tap: RunningTap) -> stripe.StripeClient:
    """Of a merchant of its own: others' deadlines aren't moved."""
    key = tap.create_key("--new-merchant", "Clocks")
    return stripe.StripeClient(key, base_addresses={"api": tap.status()["base_url"]}, max_network_retries=2)


def advance(client: stripe.StripeClient, clock: str, days: int) -> Any:
    return shaped(client.v1.test_helpers.test_clocks.advance(clock, {"frozen_time": int(time.time()) + days * DAY}))


def ready(client: stripe.StripeClient, clock: str) -> None:
    wait_until(lambda: client.v1.test_helpers.test_clocks.retrieve(clock).status == "ready", "the clock is ready")


def refused(client: stripe.StripeClient, clock: str, frozen_time: int) -> stripe.InvalidRequestError:
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        client.v1.test_helpers.test_clocks.advance(clock, {"frozen_time": frozen_time})
    assert violations(json.loads(str(refusal.value.http_body))) == []
    return refusal.value


def test_what_takes_weeks_is_over_when_the_clock_says_so(tap: RunningTap, sandbox: stripe.StripeClient) -> None:
    v1 = sandbox.v1
    held = pay(sandbox, capture_method="manual")
    paid = pay(sandbox)
    disputed = pay(sandbox, payment_method="pm_card_createDispute")
    session = shaped(
        v1.checkout.sessions.create(
            {
                "mode": "payment",
                "success_url": "https://shop.example/paid",
                "line_items": [{"quantity": 1, "price_data": {"currency": "usd", "unit_amount": 900, "product_data": {"name": "Shoes"}}}],
            }
        )
    )
    wait_until(lambda: v1.disputes.list({"payment_intent": disputed.id}).data, "the cardholder disputes")
    assert v1.balance.retrieve().available[0].amount < 0, "the dispute's, until the payments are available"
    clock = shaped(v1.test_helpers.test_clocks.create({"frozen_time": int(time.time()), "name": "Weeks"}))
    assert advance(sandbox, clock.id, 40).status == "advancing"
    while_advancing = refused(sandbox, clock.id, int(time.time()) + 50 * DAY)
    assert while_advancing.code == "test_clock_advancing"
    with ThreadPoolExecutor(4) as pool:
        later = list(pool.map(lambda _: pay(sandbox, capture_method="manual"), range(8)))
    ready(sandbox, clock.id)
    canceled = shaped(v1.payment_intents.retrieve(held.id))
    assert (canceled.status, canceled.cancellation_reason) == ("canceled", "expired")
    (change,) = shaped(v1.balance_transactions.list({"source": str(paid.latest_charge)})).data
    assert change.status == "available"
    (dispute,) = shaped(v1.disputes.list({"payment_intent": disputed.id})).data
    assert dispute.status == "lost"
    assert shaped(v1.checkout.sessions.retrieve(session.id)).status == "expired"
    assert shaped(v1.balance.retrieve()).available[0].amount == 2 * (2000 - 88) - 2000 - 1500
    assert {each.status for each in (v1.payment_intents.retrieve(made.id) for made in later)} <= {"requires_capture", "canceled"}
    new = pay(sandbox, capture_method="manual")
    charge = shaped(v1.charges.retrieve(str(new.latest_charge)))
    assert charge.payment_method_details.card.capture_before > int(time.time()) + 46 * DAY
    told = {event.type for event in v1.events.list({"limit": 100}).data}
    assert {"charge.expired", "charge.dispute.closed", "checkout.session.expired", "test_helpers.test_clock.ready"} <= told
    books = tap.tap("verify", check=False)
    assert books.returncode == 0, books.stdout


def test_a_clock_says_what_it_cannot(sandbox: stripe.StripeClient) -> None:
    clock = sandbox.v1.test_helpers.test_clocks.create({"frozen_time": int(time.time())})
    for frozen_time, words in (
        (int(time.time()) - DAY, "forward"),
        (clock.frozen_time, "forward"),
        (int(time.time()) + 100 * 365 * DAY, "two years"),
        (10**15, "two years"),
    ):
        refusal = refused(sandbox, clock.id, frozen_time)
        assert (refusal.http_status, refusal.param) == (400, "frozen_time")
        assert words in str(refusal.user_message)
    assert refused(sandbox, "clock_none", int(time.time()) + DAY).http_status == 404
    with pytest.raises(stripe.InvalidRequestError, match="has a test clock already"):
        sandbox.v1.test_helpers.test_clocks.create({"frozen_time": int(time.time())})
    assert shaped(sandbox.v1.test_helpers.test_clocks.delete(clock.id)).deleted
