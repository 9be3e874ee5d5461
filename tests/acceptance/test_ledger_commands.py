"""`tap ledger` and `tap verify`, as an operator types them."""

import csv
import json

from tests.support.running_tap import RunningTap


def test_an_account_that_there_is_not_is_one_line(tap: RunningTap) -> None:
    refused = tap.tap("ledger", "export", "--format", "csv", "--account", "merchant:0", check=False)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert refused.stderr.startswith("There is no account 'merchant:0'.")


def test_each_transfer_is_exported_and_seals_are_shown(tap: RunningTap) -> None:
    intent = tap.client().v1.payment_intents.create(
        {"amount": 2000, "currency": "usd", "confirm": True, "payment_method": "pm_card_visa", "return_url": "https://shop.example/"}
    )
    change = tap.client().v1.charges.retrieve(str(intent.latest_charge)).balance_transaction
    rows = list(csv.DictReader(tap.tap("ledger", "export", "--format", "csv").stdout.splitlines()))
    assert {(row["kind"], row["amount"]) for row in rows if row["posting"] == change} >= {("capture", "20.00")}
    shown = json.loads(tap.tap("ledger", "seals", "--json").stdout)
    assert 0 <= shown["sealed"] <= shown["transfers"]
