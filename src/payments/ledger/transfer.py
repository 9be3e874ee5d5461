"""Transfers: immutable, balanced movements between two accounts."""

from dataclasses import dataclass
from enum import StrEnum

from payments.ledger.chart import Account


class TransferKind(StrEnum):
    """Why money moves."""

    AUTHORIZATION = "authorization"
    """A hold: money that the issuer has promised."""
    HOLD_RELEASE = "hold_release"
    """The end of a hold, whether by capture, void or expiry."""
    CAPTURE = "capture"
    FEE = "fee"
    REFUND = "refund"
    REFUND_REVERSAL = "refund_reversal"
    """A refund that failed after it had succeeded."""
    AVAILABILITY = "availability"
    """Pending funds become available."""
    DISPUTE = "dispute"
    """Funds are withheld until a dispute is decided."""
    DISPUTE_FEE = "dispute_fee"
    DISPUTE_LOSS = "dispute_loss"
    """The cardholder keeps what was withheld."""
    DISPUTE_REVERSAL = "dispute_reversal"
    """The merchant gets it back."""
    PAYOUT = "payout"
    PAYOUT_REVERSAL = "payout_reversal"
    """What was paid out, or was to be, is the merchant's again."""
    SETTLEMENT = "settlement"
    """The acquirer paid us what it captured, or took back what it returned."""
    ACQUIRER_FEE = "acquirer_fee"
    """What the acquirer kept of it."""
    SUSPENSE = "suspense"
    """What the acquirer's file and our books disagree about is put aside,"""
    SUSPENSE_RELEASE = "suspense_release"
    """until it is known what it is."""


class Phase(StrEnum):
    """Which balance of the two accounts a transfer changes."""

    POSTED = "posted"
    """Money that moved."""
    HELD = "held"
    """Money that is promised."""
    RELEASED = "released"
    """A promise that ended: takes off what `HELD` put on."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """One debit and one credit of the same amount in the same currency: an unbalanced transfer can't be built."""

    posting: str
    """What caused it: the attempt of a hold, the line or the difference of a settlement, else the balance transaction. A posting has at most one transfer of each kind."""
    kind: TransferKind
    debit: Account
    credit: Account
    amount: int
    """Minor units, above zero: direction is the side, never the sign."""
    occurred_at: int
    """Unix seconds."""
    phase: Phase = Phase.POSTED

    def __post_init__(self) -> None:
        """Refuse what would unbalance the books."""
        if self.amount <= 0:
            raise ValueError("a transfer moves a positive amount; direction is the side, not the sign")
        if self.debit == self.credit:
            raise ValueError("a transfer needs two accounts")
        if self.debit.currency != self.credit.currency or self.debit.livemode != self.credit.livemode:
            raise ValueError("a transfer stays in one currency and one mode")
