"""Destinations by the command line and the API of a running Tap."""

import pytest

from tests.support.belongings import A_QUEUE, Merchant
from tests.support.running_tap import RunningTap

PATH = "/v1/notifications/destinations"


@pytest.fixture(scope="module")
def merchant(tap: RunningTap) -> Merchant:
    return Merchant(tap.create_key("--new-merchant", "With a queue"), tap.status()["base_url"])


def test_a_destination_is_made_changed_shown_and_removed(merchant: Merchant) -> None:
    made = merchant.post(PATH, type="sqs", arn=A_QUEUE, enabled_events=["topup.created"], metadata={"team": "a"})
    assert (made["object"], made["type"], made["arn"], made["status"]) == ("notification.destination", "sqs", A_QUEUE, "enabled")
    one = f"{PATH}/{made['id']}"
    changed = merchant.post(one, enabled_events=["payout.paid"], disabled="true", metadata={"team": ""})
    assert (changed["enabled_events"], changed["status"], changed["metadata"]) == (["payout.paid"], "disabled", {})
    assert merchant.get(one) == changed
    assert merchant.get(PATH)["data"] == [changed]
    assert merchant.get("/v1/webhook_endpoints")["data"] == [], "it is no webhook endpoint"
    for path in (f"/v1/webhook_endpoints/{made['id']}", f"{PATH}/we_0"):
        assert merchant.call("GET", path)[0] == 404
    refused, _ = merchant.call("POST", "/v1/notifications/replays", {"webhook_endpoint": made["id"]})
    assert refused == 400, "it is disabled"
    merchant.post(one, disabled="false")
    assert merchant.post("/v1/notifications/replays", webhook_endpoint=made["id"])["webhook_endpoint"] == made["id"]
    assert merchant.call("DELETE", one)[1] == {"id": made["id"], "object": "notification.destination", "deleted": True}
    assert merchant.get(PATH)["data"] == []


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"type": "sqs", "arn": "arn:aws:sqs:eu-central-1:123456789012:not-allowed", "enabled_events": ["*"]}, "arn"),
        ({"type": "sns", "arn": A_QUEUE, "enabled_events": ["*"]}, "arn"),
        ({"type": "sqs", "enabled_events": ["*"]}, "arn"),
        ({"type": "sqs", "arn": A_QUEUE}, "enabled_events"),
        ({"type": "sqs", "arn": A_QUEUE, "enabled_events": ["no.such"]}, "enabled_events[0]"),
        ({"type": "sqs", "arn": A_QUEUE, "email": "a@b.example", "enabled_events": ["*"]}, "email"),
        ({"type": "email", "email": "a@b.example", "enabled_events": ["*"]}, "type"),
        ({"type": "receipts"}, "type"),
        ({"type": "pigeon"}, "type"),
        ({}, "type"),
    ],
)
def test_what_is_no_destination_here_is_refused_by_name(merchant: Merchant, params: dict[str, object], param: str) -> None:
    status, body = merchant.call("POST", PATH, params)
    assert (status, body["error"]["param"]) == (400, param), body


@pytest.mark.parametrize("address", ["a@b.example\nBcc: c@d.example", "a@b.example, c@d.example", "nobody"])
def test_a_receipt_goes_to_one_address(merchant: Merchant, address: str) -> None:
    paid = {"amount": "100", "currency": "usd", "receipt_email": address}
    status, body = merchant.call("POST", "/v1/payment_intents", paid)
    assert (status, body["error"]["code"], body["error"]["param"]) == (400, "email_invalid", "receipt_email")


def test_the_command_line_adds_lists_and_removes(tap: RunningTap) -> None:
    added = tap.tap("destinations", "add", "--type", "sqs", "--arn", A_QUEUE, "--events", "topup.created, topup.failed").stdout
    name = next(word for word in added.split() if word.startswith("ed_"))
    assert "topup.created,topup.failed" in added
    assert name in tap.tap("destinations", "list").stdout
    assert tap.tap("destinations", "remove", name).stdout.split() == ["removed", name]
    refused = tap.tap("destinations", "add", "--type", "email", "--email", "a@b.example", "--events", "*", check=False)
    assert refused.returncode != 0
    assert "TAP_SMTP_URL" in refused.stdout + refused.stderr
