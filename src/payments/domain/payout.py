"""The payout: available funds go to the merchant's bank account. Source: Stripe, "The Payout object"."""

from enum import StrEnum
from typing import Any

from msgspec.structs import replace

from payments.domain.resource import Resource


class PayoutStatus(StrEnum):
    """Where a payout stands."""

    PENDING = "pending"
    IN_TRANSIT = "in_transit"
    """The bank has it, or is about to."""
    PAID = "paid"
    FAILED = "failed"
    CANCELED = "canceled"


ALLOWED_TRANSITIONS: dict[PayoutStatus, frozenset[PayoutStatus]] = {
    PayoutStatus.PENDING: frozenset({PayoutStatus.IN_TRANSIT, PayoutStatus.CANCELED}),
    PayoutStatus.IN_TRANSIT: frozenset({PayoutStatus.PAID, PayoutStatus.FAILED}),
    PayoutStatus.PAID: frozenset({PayoutStatus.FAILED}),
    PayoutStatus.FAILED: frozenset(),
    PayoutStatus.CANCELED: frozenset(),
}
"""Every step that a payout may take; a bank may send back what it said was paid."""


class Payout(Resource, frozen=True, kw_only=True, omit_defaults=True):
    """A payout in minor units, or what takes one back: then the amount is negative."""

    OBJECT = "payout"

    amount: int
    currency: str
    status: PayoutStatus
    arrival_date: int
    """Unix seconds: the day on which the bank is expected to have it."""
    destination: str
    automatic: bool = False
    """Made by the merchant's schedule."""
    balance_transaction: str | None = None
    failure_balance_transaction: str | None = None
    failure_code: str | None = None
    failure_message: str | None = None
    description: str | None = None
    statement_descriptor: str | None = None
    original_payout: str | None = None
    reversed_by: str | None = None
    trace_id: str | None = None
    """The bank's own reference."""
    metadata: dict[str, str] = {}

    @property
    def takes_back(self) -> bool:
        """Whether it brings money back from the bank."""
        return self.amount < 0

    def moved_to(self, status: PayoutStatus, **changes: Any) -> "Payout":
        """Return the payout a step further, one version on; raises `ValueError` for a step that there is not."""
        if status not in ALLOWED_TRANSITIONS[self.status]:
            raise ValueError(f"a payout can't go from {self.status} to {status}")
        return replace(self, version=self.version + 1, status=status, **changes)
