"""The sandbox acquirer: decides by the card's number, and keeps a journal as a bank does.

The journal is its own, and outside of every transaction of ours. An answer is journalled before it is given, so that a repetition or an inquiry gets the
same one. It counts approvals per reference: more than one would be a double charge.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Protocol

import msgspec
from msgspec import Struct

from payments.acquirers.acquirer import FailedRefund, Order
from payments.acquirers.notices import DisputeAnswer, DisputeDecided, DisputeOpened, Notice
from payments.acquirers.simulated_disputes import decoded, dispute_of, verdict_on
from payments.acquirers.test_cards import BY_NUMBER, MESSAGES, Behaviour, TestCard
from payments.domain.acquirers import SANDBOX
from payments.domain.attempt import AttemptKind
from payments.domain.outcome import PENDING, Approved, AuthenticationRequired, Declined, Final, NotFound, Outcome, Unknown
from payments.runtime.clock import Clock

REFUND_PENDING_SECONDS = 5
"""How long the refund of the card that keeps refunds pending does so, and until the one that fails refunds fails."""


class JournalEntry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the bank remembers of an order. No card number: the behaviour is enough."""

    reference: str
    kind: AttemptKind
    amount: int
    currency: str
    behaviour: Behaviour
    answer: Final
    approvals: int = 0
    answered_at: int
    """Unix seconds."""
    original_reference: str | None = None
    merchant_id: int
    livemode: bool


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(JournalEntry).decode


class Journal(Protocol):
    """The bank's books: entries in their stored form, by reference."""

    async def record(
        self,
        reference: str,
        *,
        kind: str,
        amount: int,
        currency: str,
        approvals: int,
        answer: bytes,
        fails_at: int | None,
        notice: bytes | None,
    ) -> str | bytes:
        """Write an answer, and what will be told of it later, and return it; for a reference known already, return the first answer instead.

        `notice` is an `Announcement` in JSON.

        `fails_at`, unix seconds: when a refund that was approved fails after all.
        """
        ...

    async def find(self, reference: str) -> str | bytes | None:
        """Return the answer recorded for a reference."""
        ...

    async def failed(self, now: int) -> Sequence[str | bytes]:
        """Return the entries that failed until `now` and aren't acknowledged."""
        ...

    async def acknowledge(self, reference: str) -> None:
        """Report a failure no more."""
        ...

    async def announce(self, notice: bytes) -> None:
        """Have something told later, once per reference."""
        ...

    async def due_notices(self, now: int) -> Sequence[str | bytes]:
        """Return the notices that are due by `now` and aren't acknowledged."""
        ...

    async def acknowledge_notice(self, reference: str) -> None:
        """Tell a notice no more."""
        ...


class Simulator:
    """An `Acquirer` for test mode."""

    def __init__(self, journal: Journal, clock: Clock, *, latency_seconds: float = 0.0) -> None:
        """`latency_seconds` makes it as slow as a real one."""
        self._journal = journal
        self._clock = clock
        self._latency_seconds = latency_seconds

    @property
    def name(self) -> str:
        """The name that its accounts in the ledger carry."""
        return SANDBOX

    @property
    def needs_card(self) -> bool:
        """It has the behaviour in its journal."""
        return False

    async def execute(self, order: Order) -> Outcome:
        """Answer an order, once per reference."""
        if self._latency_seconds:
            await asyncio.sleep(self._latency_seconds)
        if order.kind is AttemptKind.AUTHORIZE:
            card = _card(order)
            behaviour, answer = card.behaviour, _authorize(order, card)
        else:
            original = await self._find(order.original_reference or "")
            if original is None:
                return Unknown(reason="the original order is not known")
            behaviour, answer = original.behaviour, _follow_up(order, original)
        entry = JournalEntry(
            reference=order.reference,
            kind=order.kind,
            amount=order.amount,
            currency=order.currency,
            behaviour=behaviour,
            answer=answer,
            approvals=1 if isinstance(answer, Approved) else 0,
            answered_at=int(self._clock.now()),
            original_reference=order.original_reference,
            merchant_id=order.merchant_id,
            livemode=order.livemode,
        )
        dispute = dispute_of(order, behaviour, entry.answered_at) if isinstance(answer, Approved) else None
        recorded = await self._journal.record(
            entry.reference,
            kind=entry.kind,
            amount=entry.amount,
            currency=entry.currency,
            approvals=entry.approvals,
            answer=_encode(entry),
            fails_at=entry.answered_at + REFUND_PENDING_SECONDS
            if entry.kind is AttemptKind.REFUND and behaviour is Behaviour.REFUND_FAILS
            else None,
            notice=None if dispute is None else _encode(dispute),
        )
        return self._visible(_decode(recorded))

    async def inquire(self, order: Order) -> Final | Unknown | NotFound:
        """Tell what became of an order."""
        entry = await self._find(order.reference)
        return NotFound() if entry is None else self._visible(entry)

    async def give_up(self, order: Order) -> NotFound:  # noqa: ARG002 - nothing is on its way: it is in here
        """Say that it can't be told so."""
        return NotFound()

    async def health(self) -> str | None:
        """Nothing is wrong: it is in here."""
        return None

    async def failed_refunds(self) -> list[FailedRefund]:
        """Return refunds that were approved and failed after all; each is reported until it is acknowledged."""
        entries = [_decode(answer) for answer in await self._journal.failed(int(self._clock.now()))]
        return [FailedRefund(reference=each.reference, merchant_id=each.merchant_id, livemode=each.livemode) for each in entries]

    async def acknowledge(self, report: FailedRefund) -> None:
        """Tell that a report was booked."""
        await self._journal.acknowledge(report.reference)

    async def notices(self) -> list[Notice]:
        """Return what cardholders and their banks had to say, until it is acknowledged."""
        told = [decoded(each) for each in await self._journal.due_notices(int(self._clock.now()))]
        return [each for each in told if isinstance(each, DisputeOpened | DisputeDecided)]

    async def acknowledge_notice(self, reference: str) -> None:
        """Tell that a notice was stored."""
        await self._journal.acknowledge_notice(reference)

    async def answer_dispute(self, answer: DisputeAnswer) -> None:
        """Take an answer; evidence that says how it ends decides the dispute, any other stays under review."""
        verdict = verdict_on(answer, int(self._clock.now()))
        if verdict is not None:
            await self._journal.announce(_encode(verdict))

    async def verify_card(self, order: Order) -> Outcome:
        """Check a card without moving money: plain declines are refused, those that only fail when charged pass."""
        card = _card(order)
        if order.sets_up and not order.authenticated and not order.moto and _asks_for_authentication(card.behaviour, order):
            return AuthenticationRequired()
        return _declined(card) if card.behaviour is Behaviour.DECLINE else Approved(authorization_code="000000")

    async def _find(self, reference: str) -> JournalEntry | None:
        recorded = await self._journal.find(reference)
        return None if recorded is None else _decode(recorded)

    def _visible(self, entry: JournalEntry) -> Final | Unknown:
        """What the bank tells now: a pending refund is not decided until its time has come."""
        pending = entry.kind is AttemptKind.REFUND and entry.behaviour is Behaviour.REFUND_PENDING
        if pending and self._clock.now() < entry.answered_at + REFUND_PENDING_SECONDS:
            return Unknown(reason=PENDING)
        return entry.answer


def _card(order: Order) -> TestCard:
    if order.pan is None:
        raise ValueError("an authorization needs a card number")
    return BY_NUMBER.get(order.pan.reveal(), _NO_TEST_CARD)


_NO_TEST_CARD = TestCard(number="", behaviour=Behaviour.DECLINE, decline_code="test_mode_live_card")


def _authorize(order: Order, card: TestCard) -> Final:
    match card.behaviour:
        case Behaviour.DECLINE | Behaviour.DECLINE_ON_CHARGE:
            return _declined(card)
        case Behaviour.BLOCK:
            return Declined(
                code=card.code,
                decline_code=card.decline_code,
                message=MESSAGES["card_declined"],
                network_status="not_sent_to_network",
            )
        case Behaviour.FAILS_IF_ASKED if order.asks_for_authentication and not order.authenticated:
            return _declined(card)
        case Behaviour.AUTHENTICATE if order.moto and not order.authenticated:
            return AuthenticationRequired()  # which nobody can give: at Stripe such a card is declined, however its number came
        case behaviour if not order.authenticated and not order.moto and _asks_for_authentication(behaviour, order):
            return AuthenticationRequired()
        case Behaviour.AUTHENTICATE if card.decline_code is not None:
            return _declined(card)
        case _:
            return Approved(
                authorization_code=_authorization_code(order.reference),
                network_transaction_id=_network_transaction_id(order.reference),
                risk_level=card.risk_level,
                cvc_check=card.cvc_check if order.cvc is not None else None,
                funds_available_at_once=card.behaviour is Behaviour.AVAILABLE_AT_ONCE,
            )


def _asks_for_authentication(behaviour: Behaviour, order: Order) -> bool:
    match behaviour:
        case Behaviour.AUTHENTICATE:
            return True
        case Behaviour.AUTHENTICATE_UNLESS_SET_UP:
            return not (order.off_session and order.set_up)
        case Behaviour.AUTHENTICATE_UNLESS_OFF_SESSION:
            return not order.off_session
        case Behaviour.AUTHENTICATE_IF_ASKED:
            return order.asks_for_authentication
        case _:
            return False


def _follow_up(order: Order, original: JournalEntry) -> Final:
    """Captures, increments, voids and refunds follow an approved authorization."""
    fits = order.amount > original.amount if order.kind is AttemptKind.INCREMENT else order.amount <= original.amount
    if not isinstance(original.answer, Approved) or not fits:
        return Declined(code="processing_error", message=MESSAGES["processing_error"])
    return Approved(
        authorization_code=_authorization_code(order.reference),
        funds_available_at_once=original.answer.funds_available_at_once and order.kind in (AttemptKind.CAPTURE, AttemptKind.INCREMENT),
    )


def _declined(card: TestCard) -> Declined:
    message = MESSAGES.get(card.decline_code or "") or MESSAGES[card.code]
    return Declined(
        code=card.code, decline_code=card.decline_code, message=message, cvc_check="fail" if card.code == "incorrect_cvc" else None
    )


def _network_transaction_id(reference: str) -> str:
    """Fifteen digits that follow from the reference, as Visa's."""
    return f"{int.from_bytes(hashlib.blake2b(reference.encode(), digest_size=8, person=b'network').digest()) % 10**15:015d}"


def _authorization_code(reference: str) -> str:
    """Six digits that follow from the reference."""
    return f"{int.from_bytes(hashlib.blake2b(reference.encode(), digest_size=4).digest()) % 1_000_000:06d}"
