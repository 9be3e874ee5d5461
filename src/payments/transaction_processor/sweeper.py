"""What must happen although nobody asks for it: abandoned attempts, expired holds, funds that become available, forgotten keys."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from msgspec.structs import replace

from payments.acquirers.acquirer import Acquirer, FailedRefund
from payments.domain.attempt import Attempt, AttemptKind, attempt_on
from payments.domain.payment_intent import PaymentIntent
from payments.domain.refund import Refund
from payments.runtime.background import Background
from payments.runtime.clock import Clock
from payments.runtime.ids import new_id
from payments.runtime.logging import Logger
from payments.storage import claims
from payments.storage.attempts import Attempts
from payments.storage.availability import release_available_funds
from payments.storage.database import Pool
from payments.transaction_processor.processor import Processor
from payments.transaction_processor.settlement import EXPIRED

_BATCH = 100
_ABANDONED_SECONDS = 2.0
"""Between two looks for attempts whose lease ran out: little beside a lease."""
_FAILURE_PREFIX = "rff"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweeper:
    """Runs in every copy of the service; leases and SKIP LOCKED share the work among them."""

    processor: Processor
    attempts: Attempts
    pool: Pool
    clock: Clock
    log: Logger

    def keep(self, background: Background) -> None:
        """Sweep for ever; no sweep's failure is another's."""
        background.repeat("sweep attempts", self.resolve_abandoned, every_seconds=_ABANDONED_SECONDS)
        background.repeat("sweep holds", self.expire_holds, every_seconds=5)
        background.repeat("sweep funds", self.release_funds, every_seconds=5)
        background.repeat("sweep refunds", self.book_failed_refunds, every_seconds=5)
        background.repeat("sweep claims", self.purge_claims, every_seconds=600)

    async def _of_each(self, name: str, items: Iterable[T], act: Callable[[T], Awaitable[bool]]) -> int:
        """Do something to each of several at once; returns for how many it was done. One's failure, which is logged, is no other's."""
        results = await asyncio.gather(*(act(item) for item in items), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                self.log.error(name, result)
        return sum(result is True for result in results)

    async def resolve_abandoned(self) -> int:
        """Finish the attempts whose lease ran out; returns how many there were."""
        lease_end = self._lease_end()
        taken = await self.attempts.take_over(_BATCH)

        async def resolve(attempt: Attempt) -> bool:
            await self.processor.resolve(attempt, lease_end)
            return True

        await self._of_each("resolve", taken, resolve)
        return len(taken)

    async def expire_holds(self) -> int:
        """Cancel the intents whose hold expired; returns how many were."""
        return await self._of_each("expire hold", await self.attempts.expired_holds(int(self.clock.now()), _BATCH), self._expire)

    async def _expire(self, intent: PaymentIntent) -> bool:
        lease_end = self._lease_end()
        attempt = void_attempt(intent, int(self.clock.now()))
        changed = replace(intent, version=intent.version + 1, open_attempt=attempt.id)
        if not await self.attempts.open_follow_up(changed, attempt):
            return False
        await self.processor.resolve(attempt, lease_end)
        return True

    async def book_failed_refunds(self) -> int:
        """Book the refunds that failed after they had been approved; returns how many were booked."""
        booked = 0
        for acquirer in self.processor.acquirers:
            reports = await acquirer.failed_refunds()
            booked += await self._of_each("book failed refund", reports[:_BATCH], partial(self._book, acquirer))
        return booked

    async def _book(self, acquirer: Acquirer, report: FailedRefund) -> bool:
        found = await self.attempts.refund_of(report.merchant_id, report.livemode, report.reference)
        if found is None or found[0].status == "failed":
            await acquirer.acknowledge(report)
            return False
        refund, intent = found
        lease_end = self._lease_end()
        attempt = refund_failure_attempt(report.reference, refund, intent, int(self.clock.now()))
        if refund.status != "succeeded" or not await self.attempts.open_refund_failure(attempt):
            return False
        await self.processor.resolve(attempt, lease_end)
        return True

    def _lease_end(self) -> float:
        """Return when a lease that begins now runs out at the earliest: asked for before it is taken, not after it."""
        return self.clock.now() + self.attempts.lease_seconds

    async def release_funds(self) -> int:
        """Make captured funds available whose time has come; returns how many captures."""
        return await release_available_funds(self.pool, int(self.clock.now()), self.processor.accounts)

    async def purge_claims(self) -> int:
        """Forget idempotency keys, and how often cards were tried again, after their time."""
        await claims.purge_expired(self.pool, self.clock.now())
        await self.attempts.forget_resubmissions()
        return 0


def refund_failure_attempt(reference: str, refund: Refund, intent: PaymentIntent, now: int) -> Attempt:
    """Build the attempt that books a refund's failure; its id follows from `reference`, the refund's attempt, so that it can't be booked twice."""
    return attempt_on(
        intent,
        AttemptKind.REFUND_FAILURE,
        f"{_FAILURE_PREFIX}_{reference.partition('_')[2]}",
        created=now,
        charge=refund.charge,
        amount=refund.amount,
        payment_method=refund.payment_method or "",
        refund=refund.id,
        outcome_event=new_id("evt"),
    )


def void_attempt(intent: PaymentIntent, now: int) -> Attempt:
    """Build the attempt that gives up an expired hold."""
    if intent.latest_charge is None or intent.payment_method is None:
        raise ValueError(f"{intent.id} holds money without a charge")
    return attempt_on(
        intent,
        AttemptKind.VOID,
        new_id("att"),
        created=now,
        charge=intent.latest_charge,
        amount=intent.amount_capturable,
        payment_method=intent.payment_method,
        outcome_event=new_id("evt"),
        cancellation_reason=EXPIRED,
    )
