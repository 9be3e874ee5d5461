"""Where the money is, what takes it back and where it goes."""

from payments.domain.balance_transaction import BalanceTransaction
from payments.domain.bank_account import BankAccount
from payments.domain.dispute import Dispute
from payments.domain.money import CURRENCIES
from payments.domain.payout import Payout
from payments.storage.nouns import Filters, Noun
from payments.wire import render as shapes
from payments.wire.kind import Kind
from payments.wire.kinds.expandables import id_of, never
from payments.wire.render_money import EVIDENCE_FILES, render_bank_account, render_dispute, render_payout

BALANCE_TRANSACTION = Kind(
    noun=Noun(
        "payments.balance_transactions",
        "txn",
        BalanceTransaction,
        Filters(
            indexed=("source", "payout"),
            few={
                "currency": tuple(CURRENCIES),
                "type": ("charge", "refund", "refund_failure", "adjustment", "payout", "payout_cancel", "payout_failure"),
            },
        ),
    ),
    path="/v1/balance_transactions",
    render=shapes.render_balance_transaction,
    render_at=shapes.render_balance_transaction,
    expandable={"source": id_of("charge", "refund", "dispute", "payout")},
)
DISPUTE = Kind(
    noun=Noun(
        "payments.disputes",
        "dp",
        Dispute,
        Filters(indexed=("charge", "payment_intent")),
        columns=("status", "answer_by"),
    ),
    path="/v1/disputes",
    render=render_dispute,
    param="dispute",
    expandable={
        "charge": id_of("charge"),
        "payment_intent": id_of("payment_intent"),
        **never(*(f"evidence.{name}" for name in EVIDENCE_FILES)),
    },
)
PAYOUT = Kind(
    noun=Noun(
        "payments.payouts",
        "po",
        Payout,
        Filters(indexed=("destination", "status"), compared={"arrival_date": "(document ->> 'arrival_date')::bigint"}),
        columns=("status",),
    ),
    path="/v1/payouts",
    render=render_payout,
    param="payout",
    expandable={
        "balance_transaction": id_of("balance_transaction"),
        "destination": id_of("bank_account", "card"),
        "failure_balance_transaction": id_of("balance_transaction"),
        "original_payout": id_of("payout"),
        "reversed_by": id_of("payout"),
        **never("application_fee"),
    },
)
BANK_ACCOUNT = Kind(
    noun=Noun(
        "payments.bank_accounts",
        "ba",
        BankAccount,
        columns=("currency", "default_for_currency", "deleted"),
        condition="NOT deleted",
    ),
    path="/v1/accounts/{account}/external_accounts",
    render=render_bank_account,
    title="external account",
    expandable={"customer": id_of("customer"), **never("account")},
)
