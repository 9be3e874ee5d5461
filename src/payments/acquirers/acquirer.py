"""The protocol that every acquirer is spoken to through."""

from dataclasses import dataclass, field
from typing import Protocol

from payments.acquirers.notices import DisputeAnswer, Notice, NoticeSource
from payments.domain.attempt import AttemptKind
from payments.domain.card import Pan
from payments.domain.outcome import Final, NotFound, Outcome, Unknown
from payments.domain.payment_options import Authentication


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What an acquirer is asked to do. Its reference makes a repetition recognisable."""

    reference: str
    """The attempt's id: recorded before the order is sent, the same in every repetition and inquiry."""
    original_reference: str | None = None
    """For what follows an authorization: its reference, or that of the last increment of it."""
    created: int = 0
    """Unix seconds: when it was recorded; the same in every repetition and inquiry."""
    original_created: int = 0
    """For what follows an authorization: when that was recorded,"""
    original_capture: bool = True
    """whether it claimed the money in the same message,"""
    original_amount: int = 0
    """how much it held,"""
    authorization_code: str | None = None
    """what the issuer approved it with,"""
    acquirer_reference: str | None = None
    """and under which the acquirer itself knows it, if it said so."""
    final_capture: bool = True
    """Of a capture: what it leaves of the hold is given up."""
    kind: AttemptKind
    merchant_id: int
    livemode: bool
    amount: int
    """Minor units; for a void the amount released, for an increment what is to be held in all."""
    currency: str
    capture: bool = True
    """An authorization that claims the money in the same message."""
    pan: Pan | None = None
    """Of authorizations; of what follows one where the acquirer `needs_card` for it."""
    exp_month: int = 0
    exp_year: int = 0
    cvc: str | None = field(default=None, repr=False)
    """As the cardholder typed it; it exists in memory only, so a repeated order is without it."""
    authenticated: bool = False
    """The cardholder passed 3-D Secure."""
    authentication: Authentication | None = None
    """3-D Secure that the merchant brought along, and its proof."""
    asks_for_authentication: bool = False
    """The merchant wants 3-D Secure even where the issuer doesn't."""
    moto: bool = False
    """Told by mail or telephone: nobody can authenticate, and the issuer doesn't ask."""
    off_session: bool = False
    """The cardholder isn't there."""
    sets_up: bool = False
    """No payment: the card is to be kept for later ones."""
    set_up: bool = False
    """They agreed to that before, authenticated where the issuer wanted it."""


class NotSent(Exception):
    """Nobody was there: nothing went out that could hold or move money, so it may be sent again, or to somebody else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRefund:
    """An acquirer's report that a refund which it had approved didn't reach the cardholder."""

    reference: str
    """The refund's attempt."""
    merchant_id: int
    livemode: bool


class Acquirer(NoticeSource, Protocol):
    """A bank or processor. Implementations never raise for what the network does to them: silence and nonsense are `Unknown`."""

    @property
    def name(self) -> str:
        """The name that its accounts in the ledger carry."""
        ...

    @property
    def needs_card(self) -> bool:
        """Whether it wants the card's number in everything that follows an authorization, and to tell what became of an order."""
        ...

    async def execute(self, order: Order) -> Outcome:
        """Carry out an order, once per reference, however often it is repeated. Raises `NotSent`."""
        ...

    async def inquire(self, order: Order) -> Final | Unknown | NotFound:
        """Tell what became of an order. One that can't be asked undoes it, and answers that it was declined. Raises `NotSent`."""
        ...

    async def give_up(self, order: Order) -> Final | Unknown | NotFound:
        """Have an authorization that it doesn't know never be carried out, however late it comes.

        `Declined`: so it is. `NotFound`: it can't be told so. `Unknown`: perhaps it knows it by now, and is to be asked again. Raises `NotSent`.
        """
        ...

    async def health(self) -> str | None:
        """Return what is wrong, None when nothing is."""
        ...

    async def failed_refunds(self) -> list[FailedRefund]:
        """Return refunds that were approved and failed after all; each is reported until it is acknowledged."""
        ...

    async def acknowledge(self, report: FailedRefund) -> None:
        """Tell that a report was booked."""
        ...

    async def answer_dispute(self, answer: DisputeAnswer) -> None:
        """Hand in the merchant's answer to a dispute, once per case, however often it is repeated; raises when it may not have arrived."""
        ...

    async def verify_card(self, order: Order) -> Outcome:
        """Ask the issuer whether a card is good, without moving money (zero-amount authorization)."""
        ...


class SaysNothing:
    """For acquirers that tell nothing of their own accord: no failed refunds, no disputes."""

    async def failed_refunds(self) -> list[FailedRefund]:
        """None: a refund that was approved stays so."""
        return []

    async def acknowledge(self, report: FailedRefund) -> None:
        """Raise `LookupError`: nothing was reported."""
        raise LookupError(report.reference)

    async def notices(self) -> list[Notice]:
        """None."""
        return []

    async def acknowledge_notice(self, reference: str) -> None:
        """Raise `LookupError`: nothing was told."""
        raise LookupError(reference)

    async def answer_dispute(self, answer: DisputeAnswer) -> None:
        """Raise `LookupError`: none was begun."""
        raise LookupError(answer.case)
