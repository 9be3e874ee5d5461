"""What must happen although nobody asks for it: abandoned attempts, expired holds, funds that become available, forgotten keys."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from msgspec.structs import replace

from payments.domain.attempt import Attempt, AttemptKind, attempt_on
from payments.domain.payment_intent import PaymentIntent
from payments.domain.refund import Refund
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
_FAILURE_PREFIX = "rff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweeper:
    """Runs in every copy of the service; leases and SKIP LOCKED share the work among them."""

    processor: Processor
    attempts: Attempts
    pool: Pool
    clock: Clock
    log: Logger

    async def run(self) -> None:
        """Sweep until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._repeat(self.resolve_abandoned, every_seconds=0.5))
            tasks.create_task(self._repeat(self.expire_holds, every_seconds=5))
            tasks.create_task(self._repeat(self.release_funds, every_seconds=5))
            tasks.create_task(self._repeat(self.book_failed_refunds, every_seconds=5))
            tasks.create_task(self._repeat(self.purge_claims, every_seconds=600))

    async def _repeat(self, step: Callable[[], Awaitable[int]], *, every_seconds: float) -> None:
        """Repeat a step for ever, at once while it finds work; a failure (a restarting database) is logged and tried again."""
        while True:
            found = 0
            try:
                found = await step()
            except Exception as failure:  # noqa: BLE001 - a sweep must survive whatever happens to it
                self.log.error("sweep", failure)
            if not found:
                await asyncio.sleep(every_seconds)

    async def resolve_abandoned(self) -> int:
        """Finish the attempts whose lease ran out; returns how many there were."""
        taken = await self.attempts.take_over(_BATCH)
        results = await asyncio.gather(*(self.processor.resolve(attempt) for attempt in taken), return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                self.log.error("resolve", result)
        return len(taken)

    async def expire_holds(self) -> int:
        """Cancel the intents whose hold expired; returns how many were started."""
        now = int(self.clock.now())
        expired = await self.attempts.expired_holds(now, _BATCH)
        for intent in expired:
            attempt = void_attempt(intent, now)
            changed = replace(intent, version=intent.version + 1, open_attempt=attempt.id)
            if await self.attempts.open_follow_up(changed, attempt):
                await self.processor.resolve(attempt)
        return len(expired)

    async def book_failed_refunds(self) -> int:
        """Book the refunds that failed after they had been approved; returns how many were booked."""
        booked = 0
        for report in await self.processor.acquirer.failed_refunds():
            found = await self.attempts.refund_of(report.merchant_id, report.livemode, report.reference)
            if found is None or found[0].status == "failed":
                await self.processor.acquirer.acknowledge(report)
                continue
            refund, intent = found
            attempt = refund_failure_attempt(report.reference, refund, intent, int(self.clock.now()))
            if refund.status == "succeeded" and await self.attempts.open_refund_failure(attempt):
                await self.processor.resolve(attempt)
                booked += 1
        return booked

    async def release_funds(self) -> int:
        """Make captured funds available whose time has come; returns how many captures."""
        acquirer = self.processor.acquirer.name
        return await release_available_funds(self.pool, int(self.clock.now()), self.processor.accounts, acquirer=acquirer)

    async def purge_claims(self) -> int:
        """Forget idempotency keys after their time."""
        await claims.purge_expired(self.pool, self.clock.now())
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
