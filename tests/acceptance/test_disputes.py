"""Disputes as the official SDKs handle them, each body in Stripe's shape."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import stripe

from tests.support.running_tap import RunningTap
from tests.support.stripe_schema import violations
from tests.support.waiting import wait_until

NODE_MODULES = Path(__file__).parents[2] / ".venv/cdk/node_modules"


def shaped(answer: Any) -> Any:
    assert violations(json.loads(answer.last_response.body)) == []
    return answer


def refusal(call: Any, *arguments: Any) -> Any:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        call(*arguments)
    assert violations(json.loads(str(refused.value.http_body))) == []
    return refused.value


def pay(client: stripe.StripeClient, card: str) -> Any:
    return client.v1.payment_intents.create({"amount": 2000, "currency": "usd", "confirm": True, "payment_method": card})


def dispute_of(client: stripe.StripeClient, intent: Any) -> Any:
    def found() -> list[Any]:
        return shaped(client.v1.disputes.list({"payment_intent": intent.id})).data

    wait_until(found, "the payment is disputed")
    return found()[0]


def told(client: stripe.StripeClient, dispute: str) -> list[str]:
    listed = json.loads(client.raw_request("get", "/v1/events", limit=100).body)
    assert violations(listed) == []
    return [each["type"] for each in reversed(listed["data"]) if each["data"]["object"]["id"] == dispute]


def in_state(client: stripe.StripeClient, dispute: str, status: str) -> Any:
    def now() -> Any:
        return shaped(client.v1.disputes.retrieve(dispute, {"expand": ["charge", "payment_intent"]}))

    wait_until(lambda: now().status == status, f"the dispute is {status}")
    return now()


def test_a_dispute_is_answered_and_won(client: stripe.StripeClient) -> None:
    intent = pay(client, "pm_card_createDispute")
    dispute = dispute_of(client, intent)
    assert (dispute.status, dispute.reason, dispute.amount, dispute.charge) == ("needs_response", "fraudulent", 2000, intent.latest_charge)
    assert refusal(client.v1.refunds.create, {"payment_intent": intent.id}).code == "charge_disputed"
    assert refusal(client.v1.disputes.update, dispute.id, {"evidence": {"receipt": "file_1"}}).param == "evidence[receipt]"
    assert refusal(client.v1.disputes.update, dispute.id, {"evidence": {"uncategorized_text": "x" * 20_001}}).param is not None
    staged: Any = {"evidence": {"customer_name": "Ada"}, "submit": False, "metadata": {"order": "7"}}
    assert shaped(client.v1.disputes.update(dispute.id, staged)).status == "needs_response"
    submitted: Any = {"evidence": {"uncategorized_text": "winning_evidence"}, "expand": ["charge"]}
    assert shaped(client.v1.disputes.update(dispute.id, submitted)).charge.disputed
    won = in_state(client, dispute.id, "won")
    assert [each.net for each in won.balance_transactions] == [-3500, 2000]
    assert won.evidence.customer_name == "Ada"
    for change in won.balance_transactions:
        found = shaped(client.v1.balance_transactions.retrieve(change.id, {"expand": ["source"]}))
        assert (found.source.id, found.type) == (dispute.id, "adjustment")
    assert told(client, dispute.id) == [
        f"charge.dispute.{each}" for each in ("created", "funds_withdrawn", "updated", "updated", "funds_reinstated", "closed")
    ]
    assert refusal(client.v1.disputes.close, dispute.id).user_message == "This dispute is already closed."


def test_a_dispute_is_lost_by_evidence_and_by_giving_in(client: stripe.StripeClient) -> None:
    first, second = (dispute_of(client, pay(client, "pm_card_createDisputeProductNotReceived")) for _ in range(2))
    assert first.reason == "product_not_received"
    client.v1.disputes.update(first.id, {"evidence": {"uncategorized_text": "losing_evidence"}})
    assert shaped(client.v1.disputes.close(second.id)).status == "lost"
    assert refusal(client.v1.disputes.close, second.id).user_message == "This dispute is already closed."
    assert in_state(client, first.id, "lost").charge.disputed
    assert told(client, second.id)[-1] == "charge.dispute.closed"


def test_an_inquiry_is_a_question(client: stripe.StripeClient) -> None:
    intent = pay(client, "pm_card_createDisputeInquiry")
    dispute = dispute_of(client, intent)
    assert (dispute.status, dispute.balance_transactions, dispute.is_charge_refundable) == ("warning_needs_response", [], True)
    assert shaped(client.v1.refunds.create({"payment_intent": intent.id})).status == "succeeded"
    client.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": "winning_evidence"}})
    in_state(client, dispute.id, "warning_closed")


def test_what_is_too_large_or_not_there_is_refused(client: stripe.StripeClient) -> None:
    assert refusal(client.v1.disputes.retrieve, "dp_none").code == "resource_missing"
    too_large: Any = {"evidence": {"uncategorized_text": "x" * 1_000_000}}
    assert refusal(client.v1.disputes.update, "dp_none", too_large).http_status in (400, 404, 413)
    smart: Any = {"intended_submission_method": "smart_disputes"}
    assert refusal(client.v1.disputes.update, "dp_none", smart).param == "intended_submission_method"


def test_the_sdk_for_node_does_the_same(tap: RunningTap, tmp_path: Path) -> None:
    status = tap.status()
    host, _, port = status["base_url"].removeprefix("http://").partition(":")
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    (tmp_path / "dispute.mjs").write_text(
        f"""import Stripe from "stripe";
const stripe = new Stripe({json.dumps(status["secret_key"])}, {{ host: {json.dumps(host)}, port: {port}, protocol: "http" }});
const intent = await stripe.paymentIntents.create({{ amount: 900, currency: "usd", confirm: true, payment_method: "pm_card_createDispute" }});
let found = [];
while (found.length === 0) found = (await stripe.disputes.list({{ payment_intent: intent.id }})).data;
await stripe.disputes.update(found[0].id, {{ evidence: {{ customer_name: "Ada" }}, submit: false }});
const lost = await stripe.disputes.close(found[0].id);
console.log(lost.status, lost.evidence.customer_name, lost.balance_transactions[0].net);
"""
    )
    done = subprocess.run([f"{sys.prefix}/bin/node", "dispute.mjs"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "lost Ada -2400\n"), done.stderr
