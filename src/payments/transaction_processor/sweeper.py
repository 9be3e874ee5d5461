"""What must happen although nobody asks for it: abandoned attempts, expired holds, funds that become available, forgotten keys."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec
from msgspec.structs import replace

from payments.acquirers.acquirer import Acquirer, FailedRefund
from payments.domain.attempt import Attempt, AttemptKind, attempt_on
from payments.domain.payment_intent import PaymentIntent
from payments.domain.refund import Refund
from payments.runtime.background import QUIET_SECONDS_MAX
from payments.runtime.clock import Clock
from payments.runtime.ids import new_id
from payments.runtime.jobs import Job, PartFailed
from payments.runtime.rows import RowByRow
from payments.storage import claims
from payments.storage.attempts import Attempts
from payments.storage.availability import NotReleased, release_available_funds
from payments.storage.database import Found, Pool
from payments.transaction_processor.processor import Processor
from payments.transaction_processor.settlement import EXPIRED

_BATCH = 100
_ABANDONED_SECONDS = 2.0
"""Between two looks for attempts whose lease ran out: little beside a lease. For so long one acquirer is waited for before others are looked at again."""
_SHARE_SECONDS_MAX = QUIET_SECONDS_MAX
"""For what one acquirer is asked at once: the job doesn't wait for it, so nobody else would notice that it hangs."""
_FAILURE_PREFIX = "rff"
_ATTEMPTS = "sweep attempts"
_PURGE_RESTS = 4.0
"""A fifth of a connection's time at most, while there is much to be purged."""


def _id(row: Found) -> str:
    return row.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweeper:
    """Attempts and funds are shared among the copies, by leases and SKIP LOCKED; the rest is one copy's at a time."""

    processor: Processor
    attempts: Attempts
    pool: Pool
    clock: Clock
    rows: RowByRow
    _asking: "dict[str, asyncio.Task[None]]" = field(init=False, default_factory=dict[str, "asyncio.Task[None]"])
    """What is under way with each acquirer, or has ended and wasn't looked at."""

    def jobs(self) -> list[Job]:
        """Return what is to be done by the clock."""
        return [
            Job(name="sweep attempts", work=self.resolve_abandoned, every_seconds=_ABANDONED_SECONDS, shared=True, waits="attempts"),
            Job(name="sweep holds", work=self.expire_holds, every_seconds=5, waits="holds"),
            Job(name="sweep funds", work=self.release_funds, every_seconds=5, shared=True, waits="funds"),
            Job(
                name="sweep refunds", work=self.book_failed_refunds, every_seconds=5, waits=self.processor.acquirers.only_sandbox("refunds")
            ),
            Job(name="sweep claims", work=self.purge_claims, every_seconds=600, rests=_PURGE_RESTS),
        ]

    async def resolve_abandoned(self) -> int:
        """Finish attempts whose lease ran out; returns how many were begun. Leases are what puts them off.

        Acquirers are asked beside each other: it ends when one of them has told of its own, or none for a while, and those still at it aren't given more.
        Raises what an earlier or later part with one of them was ended by.
        """
        self._collect()
        lease_end = self._lease_end()
        taken = await self.attempts.take_over(busy=self._asking, silent=self.processor.acquirers.silent())

        async def resolve(row: Found) -> bool:
            await self.processor.resolve(msgspec.json.decode(row.document, type=Attempt), lease_end)
            return True

        async def resolve_all(rows: Sequence[Found]) -> None:
            async with asyncio.timeout(_SHARE_SECONDS_MAX):
                await self.rows.each("resolve", rows, _id, resolve, batch=len(rows), at_once=True, leased=True)

        for acquirer, rows in taken.items():
            self._asking[acquirer] = asyncio.create_task(resolve_all(rows))
        if taken:
            await asyncio.wait(self._asking.values(), timeout=_ABANDONED_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        self._collect()
        return sum(map(len, taken.values()))

    def _collect(self) -> None:
        """Forget those who have told of their own; raises what one was ended by: that is the job's failure, though it may have been begun by another run."""
        for acquirer, asking in [*self._asking.items()]:
            if asking.done():
                del self._asking[acquirer]
                asking.result()

    async def close(self) -> None:
        """Ask nobody any more: the leases run out."""
        asking = [*self._asking.values()]
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    async def probe(self, wake: Callable[[str], None]) -> int:
        """Ask acquirers that aren't well how they are, and have what those left open asked about that are back; `wake`: a job."""
        acquirers = self.processor.acquirers
        await acquirers.probe()
        for name in acquirers.back():
            if await self.attempts.ask_again(name):
                wake(_ATTEMPTS)
            acquirers.asked_again(name)
        return 0

    async def expire_holds(self) -> int:
        """Cancel the intents whose hold expired; returns how many were."""
        sweep = "expire hold"
        found = await self.attempts.expired_holds(int(self.clock.now()), self.rows.limit(sweep, _BATCH))
        return await self.rows.each(sweep, found, _id, self._expire, batch=_BATCH, at_once=True)

    async def _expire(self, row: Found) -> bool:
        intent = msgspec.json.decode(row.document, type=PaymentIntent)
        lease_end = self._lease_end()
        attempt = void_attempt(intent, int(self.clock.now()))
        changed = replace(intent, version=intent.version + 1, open_attempt=attempt.id)
        if not await self.attempts.open_follow_up(changed, attempt):
            return False
        await self.processor.resolve(attempt, lease_end)
        return True

    async def book_failed_refunds(self) -> int:
        """Book the refunds that failed after they had been approved; returns how many were booked. One acquirer's silence is no other's.

        Raises `PartFailed` when there was one.
        """

        async def of(acquirer: Acquirer) -> bool:
            nonlocal booked
            sweep = f"book failed refund of {acquirer.name}"
            reports = await acquirer.failed_refunds()
            booked += await self.rows.each(
                sweep, reports, lambda each: each.reference, partial(self._book, acquirer), batch=_BATCH, at_once=True, undone_waits=True
            )
            return True

        booked = 0
        acquirers = [*self.processor.acquirers]
        asked = await self.rows.each(
            "ask for failed refunds", acquirers, lambda each: each.name, of, batch=len(acquirers), at_once=True, leased=True
        )
        if asked < len(acquirers) and not booked:
            raise PartFailed
        return booked

    async def _book(self, acquirer: Acquirer, report: FailedRefund) -> bool:
        """Book a report; False where there is nothing to book, or not yet: what was approved is to be known first."""
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
        sweep = "release funds"
        try:
            return await release_available_funds(self.pool, int(self.clock.now()), self.processor.accounts, self.rows.put_off(sweep))
        except NotReleased as failure:
            self.rows.failed(sweep, failure.change_id, failure.__cause__ or failure)
            return 1  # the others are next

    async def purge_claims(self) -> int:
        """Forget idempotency keys, and how often cards were tried again, after their time; tells whether there may be more."""
        is_more = await claims.purge_expired(self.pool, self.clock.now())
        await self.attempts.forget_resubmissions()
        return int(is_more)


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
