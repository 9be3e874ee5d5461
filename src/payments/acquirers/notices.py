"""What acquirers and banks tell of their own accord: a notice comes at least once, and whoever stores it by its reference makes one of it."""

from typing import Protocol

from msgspec import Struct


class DisputeOpened(Struct, frozen=True, kw_only=True, tag="dispute_opened"):
    """A cardholder disputes a payment, or asks about it."""

    reference: str
    """The notice's own: the same whenever it comes again."""
    merchant_id: int
    livemode: bool
    case: str
    """Under which the acquirer knows the dispute."""
    order: str
    """Our reference of what is disputed: an authorization with capture, or a capture."""
    amount: int
    """Minor units."""
    currency: str
    reason: str
    """`fraudulent`, `product_not_received`, …; source: Stripe, "Dispute categories"."""
    network_reason_code: str | None = None
    inquiry: bool = False
    """A question only: no money is withdrawn."""
    due_by: int
    """Unix seconds: until when the acquirer takes an answer."""


class DisputeDecided(Struct, frozen=True, kw_only=True, tag="dispute_decided"):
    """The issuer decided a dispute, or was content with the answer to a question."""

    reference: str
    merchant_id: int
    livemode: bool
    case: str
    won: bool
    """By the merchant."""


class PayoutPaid(Struct, frozen=True, kw_only=True, tag="payout_paid"):
    """A payout is in the merchant's account, or one that takes back has come."""

    reference: str
    merchant_id: int
    livemode: bool
    payout: str
    trace_id: str | None = None
    """The bank's own reference."""


class PayoutFailed(Struct, frozen=True, kw_only=True, tag="payout_failed"):
    """A payout couldn't be carried out, or came back after it was paid."""

    reference: str
    merchant_id: int
    livemode: bool
    payout: str
    code: str
    """`no_account`, `account_closed`, …; source: Stripe, "Payout failures"."""
    message: str


Notice = DisputeOpened | DisputeDecided | PayoutPaid | PayoutFailed


class NoticeSource(Protocol):
    """Whoever sends notices."""

    @property
    def name(self) -> str:
        """Who it is: references are unique for each."""
        ...

    async def notices(self) -> list[Notice]:
        """Return notices that aren't acknowledged yet, the oldest first."""
        ...

    async def acknowledge_notice(self, reference: str) -> None:
        """Tell that a notice was stored."""
        ...


class DisputeAnswer(Struct, frozen=True, kw_only=True):
    """The merchant's answer to a dispute."""

    case: str
    merchant_id: int
    livemode: bool
    accepted: bool
    """The merchant gives in; else there is evidence."""
    evidence: dict[str, str]
