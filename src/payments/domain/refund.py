"""Money returned after a capture."""

from payments.domain.resource import Resource


class Refund(Resource, frozen=True, kw_only=True, omit_defaults=True):
    """A return of `amount` minor units of one charge."""

    OBJECT = "refund"

    amount: int
    currency: str
    status: str
    """`pending`, `requires_action`, `succeeded`, `failed` or `canceled`; `succeeded` may still become `failed`."""
    charge: str
    payment_intent: str
    payment_method: str | None = None
    customer: str | None = None
    reason: str | None = None
    balance_transaction: str | None = None
    failure_balance_transaction: str | None = None
    failure_reason: str | None = None
    metadata: dict[str, str] = {}
    releases: bool = False
    """It gives up a hold of a charge that was made without an intent: nothing was captured, so nothing is booked."""
