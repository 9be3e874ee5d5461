"""A step of a payment, from the merchant's call to the answer: commit 1, handover, outcome.

Every call that moves money, or changes a payment's status, is one `Begin`. The event that answers it has its id before anything happens, and the idempotency
claim points at that id: whoever asks again, after whatever crash, is answered from that event.
"""

import asyncio
import hmac
import secrets
from dataclasses import dataclass

from payments.domain.errors import InvalidRequest, ObjectLocked, OutcomePending, PermissionDenied
from payments.domain.event import Event
from payments.domain.payment_intent import PaymentIntent
from payments.domain.principal import KeyKind
from payments.domain.setup_intent import SetupIntent
from payments.payment_api.directing import Director
from payments.payment_api.handover import HandoverClient
from payments.runtime.clock import Clock
from payments.storage.attempts import OpenAttempt
from payments.storage.commit import EncodedUnit
from payments.storage.database import Pool
from payments.storage.events import find_event
from payments.storage.group_commit import GroupCommit
from payments.storage.payments import Begin, Begun
from payments.storage.wakeup import Waker
from payments.wire.api import Call, Reply
from payments.wire.expansion import check_expandable
from payments.wire.idempotency import Idempotency, answer_of
from payments.wire.reading import Reader

OUTCOME_WAIT_SECONDS = 25.0
"""How long a client is kept waiting for an outcome that got lost on its way, before it is told to ask again."""
PAGE_WAIT_SECONDS = 8.0
"""How long a buyer is kept waiting by a page of ours, before it says that the payment is being processed, and looks again by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Carries out steps of payments."""

    director: Director
    begins: GroupCommit[EncodedUnit, Begun]
    handover: HandoverClient
    trial: HandoverClient
    """To the copies that a release is tried out with."""
    idempotency: Idempotency
    reader: Reader
    pool: Pool
    waker: Waker
    clock: Clock
    lease_seconds: float

    async def take(self, call: Call, unit: Begin, work: OpenAttempt | None, *, answers: str = PaymentIntent.OBJECT) -> Reply:
        """Take a step and answer the call with an object of the kind `answers`; `work` is the unit's attempt with all that carrying it out takes."""
        check_expandable(call, answers)
        deadline = self.lease_end()
        if not await self.begin(unit):
            return await self.answered(call, await self.idempotency.replay(call))
        event = unit.events[0] if work is None else await self.outcome(work, deadline, on_trial=call.on_trial)
        return await self.answered(call, answer_of(event))

    async def begin(self, unit: Begin) -> bool:
        """Commit 1. False when another request owns the idempotency key; raises `ObjectLocked` when something moved on or is moving, `NoAcquirer`."""
        unit = await self.director.directed(unit, unit.pays_with)
        begun = await self.begins.submit(unit.encoded(lease_seconds=self.lease_seconds))
        if begun is Begun.LOCKED:
            raise ObjectLocked
        if begun is Begun.WON and unit.events:
            self.waker.wake()
        return begun is Begun.WON

    def lease_end(self) -> float:
        """Return when the lease of an attempt that begins now runs out at the earliest: asked for before commit 1, not after it."""
        return self.clock.now() + self.lease_seconds

    async def outcome(self, work: OpenAttempt, deadline: float, *, on_trial: bool = False) -> Event:
        """Have an attempt carried out before its lease ends; raises `OutcomePending` when nobody knows the outcome yet."""
        attempt = work.attempt
        work = await self.director.directed(work, work.payment_method)
        event = await (self.trial if on_trial else self.handover).carry_out(work, deadline)
        if event is None:
            event = await find_event(
                self.pool, attempt.merchant_id, attempt.livemode, attempt.outcome_event, wait_seconds=OUTCOME_WAIT_SECONDS
            )
        if event is None:
            raise OutcomePending
        return event

    async def outcome_for_page(self, work: OpenAttempt, deadline: float) -> Event:
        """Have an attempt carried out as `outcome` does; raises `OutcomePending` as soon as a page says so better than a browser that waits."""
        try:
            async with asyncio.timeout(PAGE_WAIT_SECONDS):
                return await self.outcome(work, deadline)
        except TimeoutError:
            raise OutcomePending from None

    async def seen(self, call: Call) -> Reply | None:
        """Replay the answer to a call that was made before."""
        found = await self.idempotency.seen(call)
        return None if found is None else await self.answered(call, found)

    async def answered(self, call: Call, result: Reply) -> Reply:
        """Expand as the caller asked."""
        return await self.reader.expanded(call, result)


def client_secret_of(intent_id: str) -> str:
    """Return a new client secret for an intent."""
    return f"{intent_id}_secret_{secrets.token_urlsafe(18).replace('-', 'A').replace('_', 'B')}"


def is_secret_of(intent: PaymentIntent | SetupIntent, client_secret: str) -> bool:
    """Tell whether a client secret opens this intent."""
    return hmac.compare_digest(intent.client_secret.encode(), client_secret.encode(errors="replace"))


def check_browser_knows(call: Call, client_secret: str | None, kind: str) -> None:
    """Have a browser give a client secret, of a `kind` of intent, and expand nothing but the card that it is about; raises `PermissionDenied`."""
    if call.principal.kind is KeyKind.PUBLISHABLE:
        if client_secret is None:
            raise PermissionDenied(f"A publishable key needs the client_secret of the {kind}.", param="client_secret")
        if set(call.expand) - {"payment_method"}:
            raise PermissionDenied("A publishable key can't expand properties other than payment_method.", param="expand")


def check_secret(intent: PaymentIntent | SetupIntent, client_secret: str | None, kind: str) -> None:
    """Raise `InvalidRequest` for the secret of another intent."""
    if client_secret is not None and not is_secret_of(intent, client_secret):
        raise InvalidRequest(f"The client_secret provided does not match any associated {kind} on this account.", param="client_secret")
