"""The shapes of the ledger, which are Tap's own."""

from payments.domain.ledger import LedgerAccount, LedgerTransfer, TrialBalance
from payments.wire.render_people import Rendered


def render_ledger_account(account: LedgerAccount) -> Rendered:
    """Render an account with its balances."""
    return {
        "id": account.id,
        "object": account.OBJECT,
        "balance": account.balance,
        "credits": account.sums.credits,
        "currency": account.currency,
        "debits": account.sums.debits,
        "held": account.held,
        "kind": account.kind,
        "livemode": account.livemode,
    }


def render_ledger_transfer(transfer: LedgerTransfer) -> Rendered:
    """Render a transfer; an account that isn't the merchant's is null."""
    return {
        "id": transfer.id,
        "object": transfer.OBJECT,
        "amount": transfer.amount,
        "created": transfer.occurred_at,
        "credit_account": transfer.credit_account,
        "currency": transfer.currency,
        "debit_account": transfer.debit_account,
        "kind": transfer.kind,
        "livemode": transfer.livemode,
        "phase": transfer.phase,
        "posting": transfer.posting,
    }


def render_trial_balance(trial: TrialBalance) -> Rendered:
    """Render all accounts at a time."""
    return {
        "object": trial.OBJECT,
        "accounts": [render_ledger_account(account) for account in trial.accounts],
        "as_of": trial.as_of,
        "livemode": trial.livemode,
    }
