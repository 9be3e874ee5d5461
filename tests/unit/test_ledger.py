"""An unbalanced transfer can't be built, and every posting balances."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.ledger import postings
from payments.ledger.chart import Account, AccountKind, acquirer_account, merchant_account, platform_account
from payments.ledger.transfer import Phase, Transfer, TransferKind

BOOKS = postings.Books(1, False, "simulator", "usd")
amounts = st.integers(1, 99_999_999)
fees = st.integers(0, 3_000_000)


def balances(transfers: list[Transfer], phase: Phase = Phase.POSTED) -> Counter[Account]:
    """Each account's balance on its normal side."""
    total: Counter[Account] = Counter()
    for transfer in transfers:
        if transfer.phase is phase:
            total[transfer.debit] += transfer.amount * (1 if transfer.debit.normal_side == "debit" else -1)
            total[transfer.credit] += transfer.amount * (1 if transfer.credit.normal_side == "credit" else -1)
    return total


@pytest.mark.parametrize("amount", [0, -1])
def test_a_transfer_moves_a_positive_amount(amount: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        Transfer("txn_1", TransferKind.CAPTURE, BOOKS.receivable, BOOKS.pending, amount, 0)


def test_a_transfer_needs_two_accounts() -> None:
    with pytest.raises(ValueError, match="two accounts"):
        Transfer("txn_1", TransferKind.CAPTURE, BOOKS.pending, BOOKS.pending, 1, 0)


@pytest.mark.parametrize(
    "other", [merchant_account(1, False, AccountKind.PENDING, "eur"), merchant_account(1, True, AccountKind.PENDING, "usd")]
)
def test_a_transfer_stays_in_one_currency_and_mode(other: Account) -> None:
    with pytest.raises(ValueError, match="one currency and one mode"):
        Transfer("txn_1", TransferKind.CAPTURE, BOOKS.receivable, other, 1, 0)


def test_equal_accounts_are_the_same_account() -> None:
    assert Account("platform", False, AccountKind.FEES, "usd") == platform_account(False, AccountKind.FEES, "usd")
    assert hash(Account("acquirer:x", False, AccountKind.RECEIVABLE, "usd")) == hash(
        acquirer_account("x", False, AccountKind.RECEIVABLE, "usd")
    )
    assert merchant_account(1, False, AccountKind.PENDING, "usd") != merchant_account(2, False, AccountKind.PENDING, "usd")


@given(amounts, fees)
def test_a_capture_leaves_the_merchant_the_net_amount(amount: int, fee: int) -> None:
    total = balances(postings.capture(BOOKS, "txn_1", amount, fee, 0))
    assert total[BOOKS.receivable] == amount
    assert total[BOOKS.pending] == amount - fee
    assert total[BOOKS.fees] == fee


@given(amounts, fees)
def test_funds_that_become_available_are_no_longer_pending(amount: int, fee: int) -> None:
    total = balances([*postings.capture(BOOKS, "txn_1", amount, fee, 0), *postings.availability(BOOKS, "txn_1", amount - fee, 0)])
    assert total[BOOKS.pending] == 0
    assert total[BOOKS.available] == amount - fee
    assert total == balances(postings.capture(BOOKS, "txn_1", amount, fee, 0, available_at_once=True))


@given(amounts)
def test_a_hold_that_is_released_leaves_nothing(amount: int) -> None:
    held = postings.authorization(BOOKS, "att_1", amount, 0)
    released = postings.hold_release(BOOKS, "att_2", amount, 0)
    assert balances(held, Phase.HELD) == balances(released, Phase.RELEASED)
    assert balances([*held, *released]) == Counter()


@given(amounts)
def test_a_refund_that_fails_is_undone(amount: int) -> None:
    assert not any(balances([*postings.refund(BOOKS, "txn_1", amount, 0), *postings.refund_reversal(BOOKS, "txn_2", amount, 0)]).values())


@given(amounts, fees)
def test_no_posting_has_two_transfers_of_one_kind(amount: int, fee: int) -> None:
    made = postings.capture(BOOKS, "txn_1", amount, fee, 0, available_at_once=True)
    assert len({(transfer.posting, transfer.kind) for transfer in made}) == len(made)


@given(amounts, fees)
def test_a_dispute_ends_in_one_of_two_ways(amount: int, fee: int) -> None:
    begun = postings.dispute(BOOKS, "txn_1", amount, fee, 0)
    assert balances(begun)[BOOKS.reserved] == amount
    won = balances([*begun, *postings.dispute_reversal(BOOKS, "txn_2", amount, 0)])
    lost = balances([*begun, *postings.dispute_loss(BOOKS, "txn_1", amount, 0)])
    assert (won[BOOKS.reserved], won[BOOKS.available], won[BOOKS.fees]) == (0, -fee, fee)
    assert (lost[BOOKS.reserved], lost[BOOKS.available], lost[BOOKS.receivable]) == (0, -amount - fee, -amount)


@given(amounts)
def test_a_payout_that_comes_back_is_undone(amount: int) -> None:
    begun = postings.payout(BOOKS, "txn_1", amount, 0)
    assert balances(begun)[BOOKS.paid_out] == amount
    assert not any(balances([*begun, *postings.payout_reversal(BOOKS, "txn_2", amount, 0)]).values())
