"""Stripe's shape of what happens to money after a payment: disputes, payouts, and the accounts that they go to."""

from payments.domain.bank_account import BankAccount
from payments.domain.dispute import Dispute
from payments.domain.payment_intent import is_behind_charge
from payments.domain.payout import Payout, PayoutStatus
from payments.wire.render import render_balance_transaction
from payments.wire.render_people import Rendered

EVIDENCE_FILES = (
    "cancellation_policy",
    "customer_communication",
    "customer_signature",
    "duplicate_charge_documentation",
    "receipt",
    "refund_policy",
    "service_documentation",
    "shipping_documentation",
    "uncategorized_file",
)
"""Evidence in files, of which there are none."""


def render_dispute(dispute: Dispute) -> Rendered:
    """Render a dispute."""
    evidence: Rendered = {name: getattr(dispute.evidence, name) for name in dispute.evidence.__struct_fields__}
    return {
        "id": dispute.id,
        "object": "dispute",
        "amount": dispute.amount,
        "balance_transactions": [render_balance_transaction(change) for change in dispute.balance_transactions],
        "charge": dispute.charge,
        "created": dispute.created,
        "currency": dispute.currency,
        "enhanced_eligibility_types": [],
        "evidence": {**evidence, **dict.fromkeys(EVIDENCE_FILES), "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": dispute.due_by,
            "enhanced_eligibility": {},
            "has_evidence": bool(dispute.evidence.given()),
            "past_due": False,
            "submission_count": dispute.submission_count,
            "submission_method": "manual" if dispute.submission_count else "not_submitted",
        },
        "intended_submission_method": None,
        "is_charge_refundable": dispute.is_charge_refundable,
        "livemode": dispute.livemode,
        "metadata": dispute.metadata,
        "network_reason_code": dispute.network_reason_code,
        "payment_intent": None if is_behind_charge(dispute.payment_intent) else dispute.payment_intent,
        "payment_method_details": {
            "card": {
                "brand": dispute.brand,
                "case_type": "inquiry" if dispute.inquiry else "chargeback",
                "network": dispute.brand,
                "network_reason_code": dispute.network_reason_code,
            },
            "type": "card",
        },
        "reason": dispute.reason,
        "status": dispute.status,
    }


def render_payout(payout: Payout) -> Rendered:
    """Render a payout."""
    on_its_way = payout.status in (PayoutStatus.PENDING, PayoutStatus.IN_TRANSIT)
    traced = "supported" if payout.trace_id is not None else "pending" if on_its_way else "unsupported"
    return {
        "id": payout.id,
        "object": "payout",
        "amount": payout.amount,
        "application_fee": None,
        "application_fee_amount": None,
        "arrival_date": payout.arrival_date,
        "automatic": payout.automatic,
        "balance_transaction": payout.balance_transaction,
        "created": payout.created,
        "currency": payout.currency,
        "description": payout.description,
        "destination": payout.destination,
        "failure_balance_transaction": payout.failure_balance_transaction,
        "failure_code": payout.failure_code,
        "failure_message": payout.failure_message,
        "livemode": payout.livemode,
        "metadata": payout.metadata,
        "method": "standard",
        "original_payout": payout.original_payout,
        "payout_method": None,
        "reconciliation_status": "not_applicable",
        "reversed_by": payout.reversed_by,
        "source_type": "card",
        "statement_descriptor": payout.statement_descriptor,
        "status": payout.status,
        "trace_id": {"status": traced, "value": payout.trace_id},
        "type": "bank_account",
    }


def render_bank_account(account: BankAccount) -> Rendered:
    """Render a bank account."""
    return {
        "id": account.id,
        "object": "bank_account",
        "account": account.account,
        "account_holder_name": account.account_holder_name,
        "account_holder_type": account.account_holder_type,
        "account_type": None,
        "available_payout_methods": ["standard"],
        "bank_name": None,
        "country": account.country,
        "currency": account.currency,
        "default_for_currency": account.default_for_currency,
        "fingerprint": account.fingerprint,
        "last4": account.last4,
        "metadata": account.metadata,
        "routing_number": account.routing_number,
        "status": "errored" if account.errored else "new",
    }
