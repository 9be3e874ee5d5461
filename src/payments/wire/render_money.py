"""Stripe's shape of what happens to money after a payment: disputes."""

from payments.domain.dispute import Dispute
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
        "payment_intent": dispute.payment_intent,
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
