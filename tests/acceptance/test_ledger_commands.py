"""`tap ledger` and `tap verify`, as an operator types them."""

import csv
import json

import pytest

from tests.support.running_tap import RunningTap


@pytest.mark.parametrize("arguments", [("--from", "tomorrow"), ("--account", "merchant:0"), ("--from", "2026-11-02", "--to", "2026-11-01")])
def test_what_makes_no_sense_is_one_line(tap: RunningTap, arguments: tuple[str, ...]) -> None:
    refused = tap.tap("ledger", "export", "--format", "csv", *arguments, check=False)
    assert (refused.returncode, refused.stdout.count("\n") <= 1, refused.stderr.count("\n")) == (1, True, 1)


def test_each_transfer_is_exported_and_seals_are_shown(tap: RunningTap) -> None:
    intent = tap.client.v1.payment_intents.create(
        {"amount": 2000, "currency": "usd", "confirm": True, "payment_method": "pm_card_visa", "return_url": "https://shop.example/"}
    )
    change = tap.client.v1.charges.retrieve(str(intent.latest_charge)).balance_transaction
    rows = list(csv.DictReader(tap.tap("ledger", "export", "--format", "csv").stdout.splitlines()))
    assert {(row["kind"], row["amount"]) for row in rows if row["posting"] == change} >= {("capture", "20.00")}
    shown = json.loads(tap.tap("ledger", "seals", "--json").stdout)
    assert 0 <= shown["sealed"] <= shown["transfers"]
