"""An attempt: one order to an acquirer, recorded before it leaves the house."""

from enum import StrEnum
from typing import Any

from msgspec import Struct

from payments.domain.acquirers import SANDBOX
from payments.domain.event import Origin
from payments.domain.payment_intent import PaymentIntent
from payments.domain.payment_options import AmountDetails, Authentication


class AttemptKind(StrEnum):
    """What the acquirer is asked to do."""

    AUTHORIZE = "authorize"
    """Hold the amount, or with automatic capture hold and claim it in one message."""
    INCREMENT = "increment"
    """Hold more than before: `amount` in all."""
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"
    REFUND_FAILURE = "refund_failure"
    """Not an order of ours: the acquirer reported that a refund which it had approved failed after all."""


class Tried(Struct, frozen=True, kw_only=True):
    """An acquirer that an authorization was meant for, and that doesn't have it."""

    acquirer: str
    reason: str
    """Why it went on: nothing had been sent there, or it was declined."""
    at: int
    """Unix seconds."""


class Attempt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One order to an acquirer. Its id is the acquirer's reference: whoever repeats it repeats that, and nothing is done twice."""

    id: str
    merchant_id: int
    livemode: bool
    created: int
    kind: AttemptKind
    payment_intent: str
    charge: str
    """For an authorization the id that its charge will have."""
    amount: int
    """Minor units to hold, claim or return; for a void the amount released, for an increment what is held in all then."""
    currency: str
    payment_method: str
    refund: str | None = None
    outcome_event: str
    """The id that the event with the outcome will have; the idempotency claim points at it."""
    acquirer: str = SANDBOX
    """Of an authorization: who gets it, chosen before it leaves the house. What follows goes to the acquirer of its charge."""
    route: str | None = None
    """The rule that chose it,"""
    fallbacks: tuple[str, ...] = ()
    """to whom it goes on while it is certain that nobody has it,"""
    retry_declines: tuple[str, ...] = ()
    """and after which declines."""
    tried: tuple[Tried, ...] = ()
    """For whom it was meant before."""
    final_capture: bool = True
    authenticated: bool = False
    """The cardholder has passed 3-D Secure for this payment."""
    authentication: Authentication | None = None
    """3-D Secure that the merchant brought along."""
    moto: bool = False
    """The card was told by mail or telephone: nobody can authenticate."""
    off_session: bool = False
    error_on_requires_action: bool = False
    cancellation_reason: str | None = None
    """For a void; `expired` is ours: nobody captured the hold in time."""
    amount_details: AmountDetails | None = None
    """Of a capture or an increment: what the intent's amount is made of when it is approved; None: as before, and nothing in it: of nothing."""
    origin: Origin = Origin()


def attempt_on(intent: PaymentIntent, kind: AttemptKind, attempt_id: str, **fields: Any) -> Attempt:
    """Build an attempt on a payment: merchant, mode, intent and currency are the intent's, everything else is in `fields`."""
    return Attempt(
        id=attempt_id,
        kind=kind,
        merchant_id=intent.merchant_id,
        livemode=intent.livemode,
        payment_intent=intent.id,
        currency=intent.currency,
        **fields,
    )
