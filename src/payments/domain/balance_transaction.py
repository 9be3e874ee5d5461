"""What a capture, a refund, a dispute or a payout did to a merchant's balance."""

from payments.domain.resource import Resource


class BalanceTransaction(Resource, frozen=True, kw_only=True, omit_defaults=True):
    """One change of a merchant's balance, in signed minor units: charges are positive, refunds and payouts negative; `net = amount - fee`."""

    OBJECT = "balance_transaction"

    amount: int
    fee: int = 0
    currency: str
    type: str
    """`charge`, `refund`, `refund_failure`, or `adjustment` for disputes."""
    source: str
    """The charge, refund or dispute."""
    available_on: int
    """Unix seconds: from then on the net amount can be paid out."""
    description: str | None = None
    attempt: str | None = None
    """Of captures and refunds: the attempt, under whose id the acquirer knows it. None: an earlier version wrote it."""
    by_settlement: bool = False
    """It becomes available when the acquirer settled it; until then `available_on` says never."""

    @property
    def net(self) -> int:
        """What the merchant gains, or loses."""
        return self.amount - self.fee
