"""Takes an open attempt to its end: asks the acquirer, then commits the outcome.

Nothing here holds a lock or a transaction while the acquirer thinks. If this process dies at any point, the attempt's lease runs out and another
copy goes on from what is recorded.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from payments.acquirers.acquirer import Order
from payments.acquirers.declines import PROCESSING_ERROR, declined
from payments.acquirers.registry import Acquirers
from payments.acquirers.sealed_card import CardSealer
from payments.domain.acquirers import NOBODY
from payments.domain.attempt import Attempt, AttemptKind
from payments.domain.card import Pan
from payments.domain.event import Event
from payments.domain.outcome import Approved, Declined, NotFound, Outcome, Unknown
from payments.domain.payment_method import PaymentMethod
from payments.domain.settlement import Availability
from payments.runtime.clock import Clock
from payments.runtime.logging import Logger
from payments.storage.accounts import Accounts
from payments.storage.attempts import Attempts, OpenAttempt
from payments.storage.commit import EncodedUnit
from payments.storage.database import CONNECTION_FAILURES, Pool
from payments.storage.events import find_event
from payments.storage.fees import FeeSchedules
from payments.storage.group_commit import GroupCommit
from payments.storage.payments import Settlement, encode_settlement
from payments.storage.sandbox_clocks import SandboxTimes
from payments.storage.wakeup import Waker
from payments.transaction_processor.sending import NOBODY_TOOK_IT, Sender
from payments.transaction_processor.settlement import Terms, settlement_of

ATTEMPT_AGE_SECONDS_MAX = 600
"""An order that never reached the acquirer is not sent any more when it is older: the customer has left."""
MOVED_TRIES_MAX = 200
"""To settle on an object that others are changing: about twenty seconds. Then the attempt stays open, and the sweeper asks the acquirer again."""
_MOVED_PAUSE_SECONDS_MIN = 0.002
_MOVED_PAUSE_SECONDS_MAX = 0.1
"""Between two of them: about as long as a commit takes, and ever longer."""
_COMMIT_RETRY_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)


class NeverStill(Exception):
    """What an outcome changes was changed by others at every try to settle it."""


@dataclass(slots=True)
class Tally:
    """Counts the outcomes since it was last taken."""

    approved: int = 0
    declined: int = 0

    def take(self) -> tuple[int, int]:
        """Return approved and declined, and start anew."""
        taken = self.approved, self.declined
        self.approved = self.declined = 0
        return taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor:
    """Finishes attempts."""

    sender: Sender
    sealer: CardSealer
    attempts: Attempts
    accounts: Accounts
    fees: FeeSchedules
    times: SandboxTimes
    settlements: GroupCommit[EncodedUnit, bool]
    pool: Pool
    waker: Waker
    clock: Clock
    log: Logger
    public_url: str
    tally: Tally
    availability: Mapping[str, Availability] = field(default_factory=dict[str, Availability])
    """When what an acquirer captures becomes available, by its name; by the schedule where none is said."""

    @property
    def acquirers(self) -> Acquirers:
        """Who is asked."""
        return self.sender.acquirers

    async def process(self, work: OpenAttempt, lease_end: float) -> Event | None:
        """Carry out a new attempt; returns the event that answers the request, None when there is none yet.

        Raises `LeaseOver` when the acquirer could not answer before `lease_end`, unix seconds: nothing was sent, and whoever has the lease next goes on;
        `NeverStill` when the outcome is known and could not be recorded yet.
        """
        if work.attempt.kind is not AttemptKind.AUTHORIZE:
            return await self._send(work, lease_end)
        order = await self.order(work, with_card=True)
        attempt, outcome = await self.sender.authorize(work.attempt, order, lease_end, fingerprint=work.payment_method.card.fingerprint)
        return await self._settle(replace(work, attempt=attempt), outcome)

    async def _send(self, work: OpenAttempt, lease_end: float) -> Event | None:
        """Send an attempt to its acquirer, and to no other."""
        acquirer = self.acquirers.named(work.acquirer)
        order = await self.order(work, with_card=work.attempt.kind is AttemptKind.AUTHORIZE or acquirer.needs_card)
        self.sender.check_lease(lease_end)
        return await self._settle(work, await self.sender.ask(acquirer.name, lambda: acquirer.execute(order)))

    async def resolve(self, attempt: Attempt, lease_end: float) -> Event | None:
        """Finish an attempt whose owner is gone: learn first whether the acquirer knows it, and never send it twice otherwise.

        Raises `LeaseOver` and `NeverStill`, as `process` does.
        """
        work = await self.attempts.load(attempt)
        if work is None:
            return None
        if attempt.kind is AttemptKind.REFUND_FAILURE:
            return await self._settle(work, _REFUND_FAILED)
        if work.acquirer == NOBODY:
            return await self._settle(work, NOBODY_TOOK_IT)
        acquirer = self.acquirers.named(work.acquirer)
        order = await self.order(work, with_card=acquirer.needs_card)
        answer = await self.sender.ask(acquirer.name, lambda: acquirer.inquire(order))
        if not isinstance(answer, NotFound):
            return await self._settle(work, answer)
        if attempt.kind is AttemptKind.AUTHORIZE and self.clock.now() - attempt.created > ATTEMPT_AGE_SECONDS_MAX:
            given_up = await self.sender.ask(acquirer.name, lambda: acquirer.give_up(order))
            return await self._settle(work, given_up if isinstance(given_up, Unknown) else _TOO_LATE)
        # It may be with this acquirer by now, sent by whoever stood still until now: so it goes to no other.
        return await self._send(work, lease_end)

    async def verify_card(self, name: str, order: Order) -> Outcome:
        """Ask the issuer whether a card is good; raises `UnknownAcquirer`."""
        acquirer = self.acquirers.named(name)
        answer = await self.sender.ask(name, lambda: acquirer.verify_card(order))
        return _known(answer)

    async def _settle(self, work: OpenAttempt, outcome: Outcome | NotFound) -> Event | None:
        """Commit the outcome. When an object changed in the meantime (its metadata, say), or is changing, settle again on what it is then.

        Raises `NeverStill`.
        """
        attempt = work.attempt
        current = work
        pause_seconds = _MOVED_PAUSE_SECONDS_MIN
        for _ in range(MOVED_TRIES_MAX):
            settlement = settlement_of(current, _known(outcome), await self._terms(current))
            if settlement is None:
                return None
            if await self._commit(settlement):
                self.waker.wake()
                self._count(attempt, outcome)
                return next((event for event in settlement.events if event.id == attempt.outcome_event), None)
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, _MOVED_PAUSE_SECONDS_MAX)
            found = await self.attempts.load(attempt)
            if found is None:  # somebody else came to its end
                return await find_event(self.pool, attempt.merchant_id, attempt.livemode, attempt.outcome_event)
            current = found
        raise NeverStill

    async def _commit(self, settlement: Settlement) -> bool:
        """Commit 2. The database may be restarting: the outcome is known here only, so it is worth some patience."""
        for pause_seconds in (*_COMMIT_RETRY_SECONDS, None):
            try:
                return await self.settlements.submit(await encode_settlement(settlement, self.accounts))
            except CONNECTION_FAILURES:
                if pause_seconds is None:
                    raise
                await asyncio.sleep(pause_seconds)
        raise AssertionError("unreachable: the last pass returns or raises")

    def _count(self, attempt: Attempt, outcome: Outcome | NotFound) -> None:
        if attempt.kind is AttemptKind.AUTHORIZE:
            self.tally.approved += isinstance(outcome, Approved)
            self.tally.declined += isinstance(outcome, Declined)

    async def _terms(self, work: OpenAttempt) -> Terms:
        return Terms(
            now=int(self.clock.now()),
            ahead_seconds=await self.times.ahead_seconds(work.attempt.merchant_id, livemode=work.attempt.livemode),
            fees=await self.fees.of(work.attempt.merchant_id),
            acquirer=work.acquirer,
            available_by=self.availability.get(work.acquirer, Availability.SCHEDULE),
            public_url=self.public_url,
        )

    async def pan(self, method: PaymentMethod, sealed_number: str | None) -> Pan:
        """Open a card's number, read from storage when it wasn't handed over."""
        return self.sealer.open_number(method, sealed_number or await self.attempts.sealed_number(method))

    async def order(self, work: OpenAttempt, *, with_card: bool) -> Order:
        """Build what the acquirer is asked; the card's number only where it is needed."""
        attempt, method, charge = work.attempt, work.payment_method, work.charge
        pan = await self.pan(method, work.sealed_number) if with_card else None
        if attempt.kind is not AttemptKind.AUTHORIZE:
            return Order(
                reference=attempt.id,
                original_reference=None if charge is None else charge.authorization,
                original_created=0 if charge is None else charge.created,
                original_capture=not work.intent.holds,
                original_amount=0 if charge is None else charge.amount,
                authorization_code=None if charge is None else charge.authorization_code,
                acquirer_reference=None if charge is None else charge.acquirer_reference,
                final_capture=attempt.final_capture,
                kind=attempt.kind,
                merchant_id=attempt.merchant_id,
                livemode=attempt.livemode,
                amount=attempt.amount,
                currency=attempt.currency,
                created=attempt.created,
                pan=pan,
                exp_month=method.card.exp_month,
                exp_year=method.card.exp_year,
            )
        return Order(
            reference=attempt.id,
            kind=attempt.kind,
            merchant_id=attempt.merchant_id,
            livemode=attempt.livemode,
            amount=attempt.amount,
            currency=attempt.currency,
            capture=not work.intent.holds,
            created=attempt.created,
            pan=pan,
            exp_month=method.card.exp_month,
            exp_year=method.card.exp_year,
            cvc=None if work.sealed_cvc is None else self.sealer.open_cvc(method, work.sealed_cvc),
            authenticated=attempt.authenticated or attempt.authentication is not None,
            authentication=attempt.authentication,
            asks_for_authentication=work.intent.card_options is not None and work.intent.card_options.asks_for_authentication,
            moto=attempt.moto,
            off_session=attempt.off_session,
            set_up=method.set_up,
        )


_TOO_LATE = declined(PROCESSING_ERROR, sent=False)


_REFUND_FAILED = Declined(code="refund_failed", message="The refund was approved and failed after all.")


def _known(outcome: Outcome | NotFound) -> Outcome:
    return Unknown(reason="not found") if isinstance(outcome, NotFound) else outcome
