"""Bank accounts and payouts as the official SDKs handle them, each body in Stripe's shape."""

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


@pytest.fixture
def merchant(tap: RunningTap, request: pytest.FixtureRequest) -> stripe.StripeClient:
    """A merchant who has 19.12 USD."""
    client = tap.client(tap.create_key("--new-merchant", request.node.name))
    paid: Any = {"amount": 2000, "currency": "usd", "confirm": True, "payment_method": "pm_card_bypassPending"}
    client.v1.payment_intents.create(paid)
    return client


def bank_account(client: stripe.StripeClient, number: str = "000123456789") -> Any:
    given: Any = {
        "external_account": {
            "object": "bank_account",
            "account_number": number,
            "account_holder_name": "A Shop",
            "account_holder_type": "company",
            "country": "US",
            "currency": "usd",
            "routing_number": "110000000",
        },
        "metadata": {"for": "wages"},
    }
    return shaped(client.v1.accounts.external_accounts.create(own(client), given))


def own(client: stripe.StripeClient) -> str:
    return client.v1.accounts.retrieve_current().id


def available(client: stripe.StripeClient) -> int:
    return shaped(client.v1.balance.retrieve()).available[0].amount


def in_state(client: stripe.StripeClient, payout: str, status: str) -> Any:
    def now() -> Any:
        return shaped(client.v1.payouts.retrieve(payout, {"expand": ["destination", "balance_transaction", "failure_balance_transaction"]}))

    wait_until(lambda: now().status == status, f"the payout is {status}")
    return now()


def told(client: stripe.StripeClient, subject: str) -> list[str]:
    listed = json.loads(client.raw_request("get", "/v1/events", limit=100).body)
    assert violations(listed) == []
    return [each["type"] for each in reversed(listed["data"]) if each["data"]["object"]["id"] == subject]


def test_a_bank_account_is_kept_and_shown_by_its_last_characters(merchant: stripe.StripeClient) -> None:
    external = merchant.v1.accounts.external_accounts
    account, mine = bank_account(merchant), own(merchant)
    assert (account.last4, account.status, account.default_for_currency, account.account) == ("6789", "new", True, mine)
    assert "000123456789" not in str(account)
    other = bank_account(merchant, "000111111116")
    changed: Any = {"default_for_currency": True, "metadata": {"for": ""}, "account_holder_name": "Ada"}
    after = shaped(external.update(mine, other.id, changed))
    assert (after.default_for_currency, after.metadata.to_dict(), after.account_holder_name) == (True, {}, "Ada")
    assert not shaped(external.retrieve(mine, account.id)).default_for_currency
    assert [each.id for each in shaped(external.list(mine, {"object": "bank_account"})).data] == [other.id, account.id]
    assert external.delete(mine, account.id).deleted
    assert refusal(external.retrieve, mine, account.id).code == "resource_missing"
    assert told(merchant, account.id) == [f"account.external_account.{each}" for each in ("created", "updated", "deleted")]


def test_a_payout_is_made_and_arrives(merchant: stripe.StripeClient) -> None:
    account = bank_account(merchant)
    given: Any = {"amount": 1912, "currency": "usd", "statement_descriptor": "TAP", "metadata": {"week": "1"}}
    assert refusal(merchant.v1.payouts.create, {**given, "amount": 1913}).code == "balance_insufficient"
    payout = shaped(merchant.v1.payouts.create(given))
    assert (payout.status, payout.destination, payout.method, available(merchant)) == ("pending", account.id, "standard", 0)
    assert shaped(merchant.v1.payouts.update(payout.id, {"metadata": {"week": "2"}})).metadata.to_dict() == {"week": "2"}
    paid = in_state(merchant, payout.id, "paid")
    assert (paid.destination.last4, paid.balance_transaction.net, paid.balance_transaction.type) == ("6789", -1912, "payout")
    (change,) = shaped(merchant.v1.balance_transactions.list({"source": payout.id, "expand": ["data.source"]})).data
    assert change.source.id == payout.id
    assert [each.id for each in shaped(merchant.v1.payouts.list({"status": "paid", "destination": account.id})).data] == [payout.id]
    assert told(merchant, payout.id) == ["payout.created", "payout.updated", "payout.updated", "payout.paid"]
    back = shaped(merchant.v1.payouts.reverse(payout.id))
    assert (back.amount, back.original_payout) == (-1912, payout.id)
    assert in_state(merchant, back.id, "paid").balance_transaction.net == 1912
    assert available(merchant) == 1912
    assert refusal(merchant.v1.payouts.reverse, payout.id).http_status == 400


def test_a_payout_that_fails_comes_back(merchant: stripe.StripeClient) -> None:
    bank_account(merchant, "000111111116")
    payout = shaped(merchant.v1.payouts.create({"amount": 1000, "currency": "usd"}))
    failed = in_state(merchant, payout.id, "failed")
    assert (failed.failure_code, failed.failure_balance_transaction.net, failed.destination.status) == ("no_account", 1000, "errored")
    assert available(merchant) == 1912
    assert told(merchant, payout.id)[-1] == "payout.failed"


def test_a_payout_is_canceled_in_time(merchant: stripe.StripeClient) -> None:
    bank_account(merchant)
    payout = merchant.v1.payouts.create({"amount": 1000, "currency": "usd"})
    canceled = shaped(merchant.v1.payouts.cancel(payout.id, {"expand": ["failure_balance_transaction"]}))
    assert (canceled.status, canceled.failure_balance_transaction.type) == ("canceled", "payout_cancel")
    assert available(merchant) == 1912
    assert refusal(merchant.v1.payouts.cancel, payout.id).http_status == 400


def test_the_sdk_for_node_does_the_same(tap: RunningTap, tmp_path: Path) -> None:
    host, _, port = tap.status()["base_url"].removeprefix("http://").partition(":")
    key = tap.create_key("--new-merchant", "Node")
    tap.client(key).v1.payment_intents.create(
        {"amount": 2000, "currency": "usd", "confirm": True, "payment_method": "pm_card_bypassPending"}
    )
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    (tmp_path / "payout.mjs").write_text(
        f"""import Stripe from "stripe";
const stripe = new Stripe({json.dumps(key)}, {{ host: {json.dumps(host)}, port: {port}, protocol: "http" }});
const account = await stripe.accounts.retrieveCurrent();
const bank = {{ object: "bank_account", account_number: "000123456789", country: "US", currency: "usd", routing_number: "110000000" }};
const made = await stripe.accounts.createExternalAccount(account.id, {{ external_account: bank }});
const payout = await stripe.payouts.create({{ amount: 500, currency: "usd", destination: made.id }});
const canceled = await stripe.payouts.cancel(payout.id);
console.log(made.last4, payout.status, canceled.status);
"""
    )
    done = subprocess.run([f"{sys.prefix}/bin/node", "payout.mjs"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "6789 pending canceled\n"), done.stderr
