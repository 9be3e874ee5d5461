"""The dispute: a cardholder has their bank take a payment back, or asks about it first, and the merchant answers.

Source: Stripe, "How disputes work" and "The Dispute object".
"""

from enum import StrEnum

from msgspec import Struct, structs

from payments.domain.acquirers import SANDBOX
from payments.domain.balance_transaction import BalanceTransaction
from payments.domain.errors import InvalidRequest
from payments.domain.resource import Resource

EVIDENCE_CHARACTERS_MAX = 150_000
"""Of all fields together. Source: Stripe, "Update a dispute"."""


class DisputeStatus(StrEnum):
    """Where a dispute stands; those that warn are inquiries, which move no money."""

    WARNING_NEEDS_RESPONSE = "warning_needs_response"
    WARNING_UNDER_REVIEW = "warning_under_review"
    WARNING_CLOSED = "warning_closed"
    NEEDS_RESPONSE = "needs_response"
    UNDER_REVIEW = "under_review"
    WON = "won"
    LOST = "lost"


ALLOWED_TRANSITIONS: dict[DisputeStatus, frozenset[DisputeStatus]] = {
    DisputeStatus.WARNING_NEEDS_RESPONSE: frozenset({DisputeStatus.WARNING_UNDER_REVIEW, DisputeStatus.WARNING_CLOSED}),
    DisputeStatus.WARNING_UNDER_REVIEW: frozenset({DisputeStatus.WARNING_CLOSED}),
    DisputeStatus.WARNING_CLOSED: frozenset(),
    DisputeStatus.NEEDS_RESPONSE: frozenset({DisputeStatus.UNDER_REVIEW, DisputeStatus.WON, DisputeStatus.LOST}),
    DisputeStatus.UNDER_REVIEW: frozenset({DisputeStatus.WON, DisputeStatus.LOST}),
    DisputeStatus.WON: frozenset(),
    DisputeStatus.LOST: frozenset(),
}
"""Every step that a dispute may take; the database lets none leave an end, either."""
ANSWERABLE = (DisputeStatus.NEEDS_RESPONSE, DisputeStatus.WARNING_NEEDS_RESPONSE)


class Evidence(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the merchant says to it; in words only, since there are no files."""

    access_activity_log: str | None = None
    billing_address: str | None = None
    cancellation_policy_disclosure: str | None = None
    cancellation_rebuttal: str | None = None
    customer_email_address: str | None = None
    customer_name: str | None = None
    customer_purchase_ip: str | None = None
    duplicate_charge_explanation: str | None = None
    duplicate_charge_id: str | None = None
    product_description: str | None = None
    refund_policy_disclosure: str | None = None
    refund_refusal_explanation: str | None = None
    service_date: str | None = None
    shipping_address: str | None = None
    shipping_carrier: str | None = None
    shipping_date: str | None = None
    shipping_tracking_number: str | None = None
    uncategorized_text: str | None = None

    def given(self) -> dict[str, str]:
        """Return what there is of it, by field."""
        return {name: value for name, value in structs.asdict(self).items() if value}


class Dispute(Resource, frozen=True, kw_only=True, omit_defaults=True):
    """A dispute of one charge; amounts in minor units."""

    OBJECT = "dispute"

    amount: int
    currency: str
    charge: str
    payment_intent: str
    status: DisputeStatus
    inquiry: bool = False
    """It began as a question, and moves no money."""
    reason: str
    """`fraudulent`, `product_not_received`, …"""
    network_reason_code: str | None = None
    brand: str
    """The card's scheme."""
    due_by: int
    """Unix seconds: an answer must be submitted before."""
    acquirer: str = SANDBOX
    """The charge's."""
    acquirer_case: str
    """Under which the acquirer knows it."""
    evidence: Evidence = Evidence()
    submission_count: int = 0
    balance_transactions: list[BalanceTransaction] = []
    """What was withdrawn, and what came back."""
    metadata: dict[str, str] = {}

    @property
    def answer_by(self) -> int | None:
        """Until when it waits for an answer, unix seconds; None when it doesn't."""
        return self.due_by if self.status in ANSWERABLE else None

    @property
    def is_charge_refundable(self) -> bool:
        """Whether the payment may still be refunded: not while its money is withdrawn."""
        return self.inquiry or self.status is DisputeStatus.WON

    def moved_to(self, status: DisputeStatus, **changes: object) -> "Dispute":
        """Return the dispute a step further, one version on; raises `ValueError` for a step that there is not."""
        if status not in ALLOWED_TRANSITIONS[self.status]:
            raise ValueError(f"a dispute can't go from {self.status} to {status}")
        return structs.replace(self, version=self.version + 1, status=status, **changes)


def check_evidence(evidence: Evidence) -> None:
    """Raise `InvalidRequest` for more than a bank reads."""
    characters = sum(map(len, evidence.given().values()))
    if characters > EVIDENCE_CHARACTERS_MAX:
        raise InvalidRequest(
            f"The combined character count of all evidence fields can be at most {EVIDENCE_CHARACTERS_MAX:,}; yours is {characters:,}.",
            param="evidence",
        )
