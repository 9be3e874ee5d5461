"""Charges without payment intents, and the tokens that they are made of, as the official SDK asks for them; every answer has Stripe's shape."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import stripe

from tests.support.paying import pay, shaped
from tests.support.running_tap import RunningTap
from tests.support.stripe_schema import violations

CDK = Path(__file__).parents[2] / ".venv/cdk/node_modules"
CARD = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123"}


def charge(client: stripe.StripeClient, **params: Any) -> Any:
    defaults = {"amount": 2000, "currency": "usd", "source": "tok_visa"}
    given: Any = {name: value for name, value in {**defaults, **params}.items() if value is not None}
    return shaped(client.v1.charges.create(given))


def token(client: stripe.StripeClient, **card: Any) -> Any:
    return shaped(client.v1.tokens.create({"card": {**CARD, **card}}))  # pyright: ignore[reportArgumentType]


def told(client: stripe.StripeClient, object_id: str) -> list[str]:
    """Types of the events about an object, oldest first."""
    events = shaped(client.v1.events.list({"limit": 100})).data
    return [event.type for event in reversed(events) if event.data.object["id"] == object_id]


def refused(call: Callable[..., Any], *args: Any) -> stripe.StripeError:
    with pytest.raises(stripe.StripeError) as refusal:
        call(*args)
    assert violations(json.loads(str(refusal.value.http_body))) == []
    return refusal.value


def verified(tap: RunningTap) -> None:
    books = tap.tap("verify", check=False)
    assert books.returncode == 0, books.stdout


def test_a_charge_is_made_of_a_token(client: stripe.StripeClient, tap: RunningTap) -> None:
    given = token(client, name="Ada", address_line1="Ring 1", address_zip="8010", address_country="AT")
    assert (given.type, given.used, given.card.brand, given.card.last4) == ("card", False, "Visa", "4242")
    assert (given.card.name, given.card.address_zip, given.card.cvc_check) == ("Ada", "8010", "pass")
    paid = charge(client, source=given.id, description="Order 7", metadata={"order": "7"}, receipt_email="ada@example.com")
    assert (paid.status, paid.paid, paid.captured, paid.amount_captured) == ("succeeded", True, True, 2000)
    assert paid.payment_intent is None
    assert (paid.source.object, paid.source.id, paid.source.name) == ("card", given.card.id, "Ada")
    assert (paid.description, paid.to_dict()["metadata"], paid.receipt_email) == ("Order 7", {"order": "7"}, "ada@example.com")
    assert shaped(client.v1.tokens.retrieve(given.id)).used
    assert told(client, paid.id) == ["charge.succeeded"]
    shown = shaped(client.v1.charges.retrieve(paid.id, {"expand": ["balance_transaction", "refunds"]}))
    assert (shown.balance_transaction.amount, shown.balance_transaction.fee, shown.refunds.data) == (2000, 88, [])
    again = refused(client.v1.charges.create, {"amount": 2000, "currency": "usd", "source": given.id})
    assert (again.http_status, again.code) == (400, "token_already_used")
    assert str(again.user_message) == f"You cannot use a Stripe token more than once: {given.id}."
    verified(tap)


def test_a_charge_is_refunded_in_the_older_spelling_and_reported(client: stripe.StripeClient) -> None:
    paid = charge(client, source="tok_visa", transfer_group="order_95", radar_options={"session": "rse_1"})
    answers = [
        client.raw_request("post", f"/v1/charges/{paid.id}/refund", amount=500, expand=["refunds"], idempotency_key=f"refund {paid.id}")
        for _ in range(2)
    ]
    for answer in answers:
        body = json.loads(answer.body)
        assert violations(body) == []
        assert (body["object"], body["id"], body["amount_refunded"]) == ("charge", paid.id, 500)
        assert [each["amount"] for each in body["refunds"]["data"]] == [500]
    assert [each.id for each in client.v1.charges.list({"transfer_group": "order_95"}).data] == [paid.id]
    (refund,) = client.v1.refunds.list({"charge": paid.id}).data
    assert "requires_action" in str(refused(client.v1.refunds.cancel, refund.id).user_message)
    assert refused(client.v1.refunds.cancel, "re_none").http_status == 404
    reported = shaped(client.v1.charges.update(paid.id, {"fraud_details": {"user_report": "fraudulent"}}))
    assert reported.to_dict()["fraud_details"] == {"user_report": "fraudulent"}
    assert shaped(client.v1.charges.update(paid.id, {"fraud_details": {"user_report": ""}})).to_dict()["fraud_details"] == {}
    with pytest.raises(stripe.InvalidRequestError, match="transfer_group already"):
        client.v1.charges.update(paid.id, {"transfer_group": "another"})


def test_the_intent_behind_a_charge_is_nobodys(client: stripe.StripeClient) -> None:
    seen = pay(client)
    paid = charge(client)
    assert shaped(client.v1.refunds.create({"charge": paid.id, "amount": 100})).payment_intent is None
    assert [intent.id for intent in client.v1.payment_intents.list({"limit": 1}).data] == [seen.id]
    assert paid.id in [each.id for each in client.v1.charges.list().data]
    events = client.v1.events.list({"limit": 100, "type": "payment_intent.*"}).data
    assert {event.data.object["id"][:3] for event in events} == {"pi_"}
    assert "chi_" not in json.dumps([paid.to_dict(), *(each.to_dict() for each in client.v1.events.list({"limit": 100}).data)], default=str)


@pytest.mark.parametrize(
    ("source", "code", "decline_code"),
    [
        ("tok_chargeDeclined", "card_declined", "generic_decline"),
        ("tok_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("tok_chargeDeclinedExpiredCard", "expired_card", None),
        ("tok_chargeDeclinedIncorrectCvc", "incorrect_cvc", None),
        ("tok_radarBlock", "card_declined", "fraudulent"),
        ("tok_threeDSecure2Required", "authentication_required", "authentication_required"),
    ],
)
def test_a_declined_charge_is_told_of(client: stripe.StripeClient, source: str, code: str, decline_code: str | None) -> None:
    error = refused(client.v1.charges.create, {"amount": 2000, "currency": "usd", "source": source})
    assert isinstance(error, stripe.CardError)
    body = json.loads(str(error.http_body))["error"]
    assert (error.http_status, error.code, body.get("decline_code")) == (402, code, decline_code)
    failed = shaped(client.v1.charges.retrieve(body["charge"]))
    assert (failed.status, failed.paid, failed.captured, failed.failure_code) == ("failed", False, False, code)
    assert told(client, failed.id) == ["charge.failed"]


def test_a_hold_is_captured_in_part(client: stripe.StripeClient, tap: RunningTap) -> None:
    held = charge(client, capture=False, statement_descriptor_suffix="ONE")
    assert (held.captured, held.paid, held.amount_captured) == (False, True, 0)
    too_much = refused(client.v1.charges.capture, held.id, {"amount": 2001})
    assert (too_much.code, too_much.error and too_much.error.param) == ("amount_too_large", "amount")
    captured = shaped(
        client.v1.charges.capture(held.id, {"amount": 1500, "statement_descriptor_suffix": "TWO", "receipt_email": "b@example.com"})
    )
    assert (captured.captured, captured.amount, captured.amount_captured, captured.refunded) == (True, 2000, 1500, False)
    assert (captured.statement_descriptor_suffix, captured.receipt_email) == ("TWO", "b@example.com")
    assert told(client, held.id) == ["charge.succeeded", "charge.captured"]
    assert refused(client.v1.charges.capture, held.id).code == "charge_already_captured"
    refund = shaped(client.v1.refunds.create({"charge": held.id}))
    assert (refund.amount, refund.status, refund.payment_intent) == (1500, "succeeded", None)
    assert told(client, held.id)[-1] == "charge.refunded"
    verified(tap)


def test_a_hold_is_given_up_by_a_refund(client: stripe.StripeClient, tap: RunningTap) -> None:
    held = charge(client, capture=False)
    assert refused(client.v1.refunds.create, {"charge": held.id, "amount": 100}).error.param == "amount"  # pyright: ignore[reportOptionalMemberAccess]
    refund = shaped(client.v1.refunds.create({"charge": held.id, "reason": "requested_by_customer"}))
    assert (refund.status, refund.amount, refund.balance_transaction, refund.reason) == ("succeeded", 2000, None, "requested_by_customer")
    released = shaped(client.v1.charges.retrieve(held.id, {"expand": ["refunds"]}))
    assert (released.captured, released.refunded, released.amount_refunded) == (False, True, 2000)
    assert [each.id for each in released.refunds.data] == [refund.id]
    assert told(client, held.id) == ["charge.succeeded", "charge.refunded"]
    assert told(client, refund.id) == ["refund.created"]
    for again in (client.v1.charges.capture, lambda charge_id: client.v1.refunds.create({"charge": charge_id})):
        assert refused(again, held.id).code == "charge_already_refunded"
    verified(tap)


def test_a_charge_of_an_intent_is_captured_with_it(client: stripe.StripeClient) -> None:
    intent = pay(client, capture_method="manual")
    assert "PaymentIntent" in str(refused(client.v1.charges.capture, str(intent.latest_charge)).user_message)


def test_a_repetition_gets_the_first_answer(client: stripe.StripeClient) -> None:
    given = token(client)
    options: Any = {"idempotency_key": given.id}
    first, second = (shaped(client.v1.charges.create({"amount": 2000, "currency": "usd", "source": given.id}, options)) for _ in range(2))
    assert first.to_dict() == second.to_dict()
    declined: Any = {"idempotency_key": f"{given.id}-declined"}
    asked: Any = {"amount": 2000, "currency": "usd", "source": "tok_chargeDeclined"}
    bodies = [str(refused(client.v1.charges.create, asked, declined).http_body) for _ in range(2)]
    assert bodies[0] == bodies[1]


def test_a_number_may_be_given_at_once(client: stripe.StripeClient) -> None:
    for name in ("card", "source"):
        paid = charge(client, **{"source": None, name: {**CARD, "name": "Ada", "object": "card"}})
        assert (paid.status, paid.source.name, paid.source.cvc_check) == ("succeeded", "Ada", "pass")
    wrong = refused(client.v1.charges.create, {"amount": 2000, "currency": "usd", "source": {**CARD, "number": "4242424242424241"}})
    assert (wrong.http_status, wrong.code) == (402, "incorrect_number")


def test_what_makes_no_sense_is_refused(client: stripe.StripeClient) -> None:
    asked = {"amount": 2000, "currency": "usd"}
    assert refused(client.v1.charges.create, asked).code == "parameter_missing"
    customer = client.v1.customers.create().id
    nothing = refused(client.v1.charges.create, {**asked, "customer": customer})
    assert (nothing.http_status, nothing.code) == (402, "missing")
    stranger = refused(client.v1.charges.create, {**asked, "customer": customer, "source": "tok_visa"})
    assert (stranger.http_status, stranger.code) == (404, "missing")
    assert refused(client.v1.charges.create, {**asked, "source": "tok_nobody"}).code == "resource_missing"
    for name in ("application_fee_amount", "on_behalf_of", "transfer_data"):
        refusal = refused(
            client.v1.charges.create, {**asked, "source": "tok_visa", name: {"destination": "x"} if name == "transfer_data" else "1"}
        )
        assert refusal.code == "parameter_unknown"
        assert str(refusal.user_message) == f"The parameter {name} is not supported by Tap."


def test_a_token_stands_for_a_card_wherever_one_is_given(client: stripe.StripeClient, tap: RunningTap) -> None:
    method = shaped(
        client.v1.payment_methods.create({"type": "card", "card": {"token": token(client, name="Ada").id}, "metadata": {"a": "1"}})
    )
    assert (method.billing_details.name, method.to_dict()["metadata"]) == ("Ada", {"a": "1"})
    assert pay(client, payment_method=method.id).status == "succeeded"
    data = {"type": "card", "card": {"token": token(client).id}}
    assert pay(client, payment_method=None, payment_method_data=data).status == "succeeded"
    used = refused(client.v1.payment_intents.create, {"amount": 2000, "currency": "usd", "payment_method_data": data})
    assert used.code == "token_already_used"
    data = {"type": "card", "card": {"token": token(client).id}}
    intent = shaped(client.v1.payment_intents.create({"amount": 2000, "currency": "usd", "payment_method_data": data}))  # pyright: ignore[reportArgumentType]
    assert shaped(client.v1.payment_intents.confirm(intent.id)).status == "succeeded"
    customer = client.v1.customers.create().id
    data = {"type": "card", "card": {"token": token(client).id}}
    kept: Any = {"customer": customer, "payment_method_data": data, "confirm": True}
    setup = shaped(client.v1.setup_intents.create(kept))
    assert setup.status == "succeeded"
    assert [each.id for each in client.v1.customers.payment_methods.list(customer).data] == [setup.payment_method]
    verified(tap)


def test_a_browser_makes_tokens_and_sees_no_fingerprint(tap: RunningTap, client: stripe.StripeClient) -> None:
    browser = tap.client(tap.status()["publishable_key"])
    made = browser.v1.tokens.create({"card": CARD})  # pyright: ignore[reportArgumentType]
    assert made.card is not None
    assert (made.card.last4, "fingerprint" in made.card.to_dict()) == ("4242", False)
    with pytest.raises(stripe.PermissionError):
        browser.v1.tokens.retrieve(made.id)
    assert charge(client, source=made.id).status == "succeeded"


def test_the_sdk_for_node_does_the_same(tap: RunningTap, tmp_path: Path) -> None:
    status = tap.status()
    host, _, port = status["base_url"].removeprefix("http://").partition(":")
    (tmp_path / "node_modules").symlink_to(CDK)
    (tmp_path / "charge.mjs").write_text(
        f"""import Stripe from "stripe";
const at = {{ host: {json.dumps(host)}, port: {port}, protocol: "http" }};
const browser = new Stripe({json.dumps(status["publishable_key"])}, at);
const stripe = new Stripe({json.dumps(status["secret_key"])}, at);
const card = {{ number: "4242424242424242", exp_month: "12", exp_year: "2040", cvc: "123", name: "Ada" }};
const token = await browser.tokens.create({{ card }});
const customer = await stripe.customers.create({{ source: token.id, expand: ["default_source"] }});
const held = await stripe.charges.create({{ amount: 2000, currency: "usd", customer: customer.id, capture: false }});
const paid = await stripe.charges.capture(held.id, {{ amount: 1500 }});
const refund = await stripe.refunds.create({{ charge: paid.id }});
const declined = await stripe.charges.create({{ amount: 2000, currency: "usd", source: "tok_chargeDeclined" }}).catch((error) => error);
const key = await stripe.ephemeralKeys.create({{ customer: customer.id }}, {{ apiVersion: Stripe.API_VERSION ?? "2026-10-28.endive" }});
console.log(customer.default_source.name, paid.amount_captured, paid.source.id === customer.default_source.id, refund.amount, refund.status);
console.log(declined.type, declined.code, declined.charge.slice(0, 3), key.secret.slice(0, 8));
"""
    )
    done = subprocess.run([f"{sys.prefix}/bin/node", "charge.mjs"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    expected = "Ada 1500 true 1500 succeeded\nStripeCardError card_declined ch_ ek_test_\n"
    assert (done.returncode, done.stdout) == (0, expected), done.stderr
