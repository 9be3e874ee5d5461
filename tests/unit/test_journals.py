"""Journals: each transfer balances in them, names are what each format takes, and amounts have their currency's decimals."""

import csv
import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.ledger.chart import AccountKind
from payments.ledger.journals import JournalAccount, JournalFormat, JournalTransfer, decimal, journal
from payments.ledger.transfer import Phase, TransferKind

PENDING = JournalAccount("merchant:1", "pending", "usd", "credit")
RECEIVABLE = JournalAccount("acquirer:acme-2", "receivable", "usd", "debit")
DAY = 1_790_000_000
"""In September of 2026."""
transfers = st.builds(
    JournalTransfer,
    posting=st.just("txn_1"),
    kind=st.sampled_from(TransferKind),
    phase=st.sampled_from(Phase),
    debit=st.just(RECEIVABLE),
    credit=st.just(PENDING),
    amount=st.integers(1, 10**12),
    currency=st.sampled_from(["usd", "jpy", "kwd"]),
    occurred_at=st.integers(0, 2**33),
)


@pytest.mark.parametrize(
    ("minor_units", "currency", "shown"),
    [(5, "usd", "0.05"), (-5, "usd", "-0.05"), (2000, "jpy", "2000"), (-1234567, "kwd", "-1234.567"), (0, "usd", "0.00")],
)
def test_an_amount_has_the_decimals_of_its_currency(minor_units: int, currency: str, shown: str) -> None:
    assert decimal(minor_units, currency) == shown


@given(transfers, st.sampled_from([JournalFormat.HLEDGER, JournalFormat.BEANCOUNT]))
def test_each_transfer_is_a_transaction_that_balances(transfer: JournalTransfer, journal_format: JournalFormat) -> None:
    text = journal(journal_format).transfer(transfer)
    amounts = re.findall(r"^ +\S+  (-?)([\d.]+) ([A-Z]{3})$", text, re.MULTILINE)
    assert len(amounts) == 2
    assert {currency for _, _, currency in amounts} == {transfer.currency.upper()}
    (one, amount, _), (other, same, _) = amounts
    assert (amount, {one, other}) == (same, {"", "-"})


@given(transfers)
def test_a_hold_adds_nothing_to_what_moved(transfer: JournalTransfer) -> None:
    is_hold = transfer.phase is not Phase.POSTED
    assert all(name.startswith("equity:holds:") == is_hold for name, _ in transfer.sides)
    assert sum(amount for _, amount in transfer.sides) == 0


@pytest.mark.parametrize("kind", AccountKind)
@pytest.mark.parametrize("held", [False, True])
def test_a_name_of_beancounts_has_parts_that_begin_with_a_capital_or_a_digit(kind: AccountKind, held: bool) -> None:
    accounts = [JournalAccount(holder, kind, "usd", "credit") for holder in ("merchant:12", "acquirer:acme-2", "platform")]
    lines = [line for line in journal(JournalFormat.BEANCOUNT).begin(accounts) if " open " in line]
    names = [line.split()[2] for line in lines]
    assert all(re.fullmatch(r"(Assets|Liabilities|Equity|Income|Expenses)(:[A-Z0-9][A-Za-z0-9-]*)+", name) for name in names)
    assert len(set(names)) == len(names) == 7
    assert all(account.name(held=held).lower().replace("_", "-") in map(str.lower, names) for account in accounts)


def test_balances_that_do_not_add_up_are_completed_by_an_opening_account() -> None:
    lines = list(journal(JournalFormat.HLEDGER).opening(date(2026, 1, 1), {("assets:a", "usd"): 100, ("liabilities:b", "usd"): -40}))
    assert lines[-1] == "    equity:opening-balances  -0.60 USD\n"
    assert len(list(journal(JournalFormat.HLEDGER).opening(date(2026, 1, 1), {("assets:a", "usd"): 5, ("liabilities:b", "usd"): -5}))) == 3


def test_a_line_of_csv_is_a_transfer() -> None:
    writer = journal(JournalFormat.CSV)
    transfer = JournalTransfer("txn_1", "capture", "posted", RECEIVABLE, PENDING, 2000, "usd", DAY)
    (row,) = csv.DictReader([*writer.begin([]), writer.transfer(transfer)])
    assert row == {
        "posting": "txn_1",
        "kind": "capture",
        "phase": "posted",
        "occurred_at": "2026-09-21T14:13:20Z",
        "debit": "acquirer:acme-2:receivable",
        "credit": "merchant:1:pending",
        "amount": "20.00",
        "currency": "USD",
        "minor_units": "2000",
    }
