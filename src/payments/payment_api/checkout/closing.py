"""How sessions end: by the payment that was made in them, or by their time.

A session follows its intent. The outcome of a payment is committed by transaction-processor, with the intent; whoever sees that here (the buyer's own request, the
next look at the session, or the job that looks at what nobody asks about) completes the session, from the version that it read. So it is completed once,
also when the buyer has gone, and also when the outcome comes late.
"""

import asyncio
from dataclasses import dataclass

from payments.domain.checkout import CheckoutSession, PaymentLink, SessionStatus
from payments.domain.errors import ObjectLocked
from payments.domain.event import Event, Origin, event_of
from payments.domain.payment_intent import IntentStatus, PaymentIntent
from payments.domain.resource import Resource, next_version
from payments.domain.setup_intent import SetupAttempt, SetupIntent, SetupStatus
from payments.runtime.clock import Clock
from payments.runtime.ids import new_id
from payments.runtime.jobs import Job
from payments.runtime.logging import Logger
from payments.runtime.rows import RowByRow
from payments.storage.checkout import take_due_sessions
from payments.storage.database import Connection, Found, Pool, Queries
from payments.storage.events import append_events
from payments.storage.sandbox_clocks import SandboxTimes
from payments.storage.wakeup import Waker
from payments.wire.kinds import CHECKOUT_SESSION, PAYMENT_INTENT, PAYMENT_LINK, SETUP_ATTEMPT, SETUP_INTENT

Intent = PaymentIntent | SetupIntent

PAID = (IntentStatus.SUCCEEDED, IntentStatus.REQUIRES_CAPTURE, SetupStatus.SUCCEEDED)
"""What completes a session."""
BUSY = (*PAID, IntentStatus.PROCESSING)
"""What nobody may end a session under, or submit another card: it is being paid, or it is paid and the session wasn't told yet."""
_GIVEN_UP = (IntentStatus.REQUIRES_PAYMENT_METHOD, IntentStatus.CANCELED)
_SWEEP_SECONDS = 5
_SWEPT_MAX = 100
_LOCKED_PAUSES_SECONDS = (0.005, 0.02, 0.06, 0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """Completes and expires sessions."""

    pool: Pool
    waker: Waker
    clock: Clock
    times: SandboxTimes
    log: Logger
    rows: RowByRow

    async def intent_of(self, session: CheckoutSession, source: Queries | None = None) -> Intent | None:
        """Return the intent of a session, if it has one yet."""
        source = source or self.pool
        if session.payment_intent is not None:
            return await PAYMENT_INTENT.noun.get(source, session.merchant_id, session.livemode, session.payment_intent)
        if session.setup_intent is not None:
            return await SETUP_INTENT.noun.get(source, session.merchant_id, session.livemode, session.setup_intent)
        return None

    async def up_to_date(self, session: CheckoutSession) -> CheckoutSession:
        """Return a session as it is now: complete when its payment is made, expired when its time is over."""
        for pause_seconds in (*_LOCKED_PAUSES_SECONDS, None):
            if session.status is not SessionStatus.OPEN or not await self._is_due(session):
                return session
            try:
                return await self._followed(session)
            except ObjectLocked:  # somebody else changes it at this moment: it is read again
                if pause_seconds is None:
                    return session
                await asyncio.sleep(pause_seconds)
                session = await self.read(session)
        return session

    async def read(self, session: CheckoutSession) -> CheckoutSession:
        """Read a session again."""
        found = await CHECKOUT_SESSION.noun.get(self.pool, session.merchant_id, session.livemode, session.id)
        if found is None:
            raise LookupError(f"{session.id} is gone")
        return found

    async def _is_due(self, session: CheckoutSession) -> bool:
        return session.payment_intent is not None or session.setup_intent is not None or await self._is_over(session)

    async def _is_over(self, session: CheckoutSession) -> bool:
        return session.expires_at <= self.clock.now() + await self.times.ahead_seconds(session.merchant_id, livemode=session.livemode)

    async def _followed(self, session: CheckoutSession) -> CheckoutSession:
        intent = await self.intent_of(session)
        if intent is not None and intent.status in PAID:
            return await self._written(session, intent, complete=True)
        if await self._is_over(session):
            async with self.pool.acquire() as connection, connection.transaction():
                expired = await self.expire(connection, session, Origin())
            self.waker.wake()
            return expired or session
        if session.trying_since is not None and intent is not None and intent.status in _GIVEN_UP:
            return await self._written(session, intent, complete=False)
        return session

    async def _written(self, session: CheckoutSession, intent: Intent, *, complete: bool) -> CheckoutSession:
        async with self.pool.acquire() as connection, connection.transaction():
            if complete:
                after, told = await self.complete(connection, session, intent)
                await append_events(connection, told)
            else:
                after = next_version(session, trying_since=None)
                await CHECKOUT_SESSION.noun.update(connection, after)
                await self._give_back(connection, session, completed=False)
        self.waker.wake()
        return after

    async def complete(self, connection: Connection, session: CheckoutSession, intent: Intent) -> tuple[CheckoutSession, list[Event]]:
        """Complete a session whose intent is paid, in the transaction that is open; returns it with the events that tell of it. Raises `ObjectLocked`."""
        completed = next_version(
            session,
            status=SessionStatus.COMPLETE,
            payment_status="no_payment_required"
            if isinstance(intent, SetupIntent)
            else "paid"
            if intent.status is IntentStatus.SUCCEEDED
            else "unpaid",
            customer=intent.customer or session.customer,
            trying_since=None,
        )
        await CHECKOUT_SESSION.noun.update(connection, completed)
        await self._give_back(connection, session, completed=True)
        return completed, [self._event("completed", completed, Origin())]

    async def expire(self, connection: Connection, session: CheckoutSession, origin: Origin) -> CheckoutSession | None:
        """End a session in the transaction that is open, and its intent with it, so that nobody pays any more; None while it is being paid, or when it
        is. Raises `ObjectLocked`.
        """
        intent = await self.intent_of(session, connection)
        if intent is not None and (intent.status in BUSY or (isinstance(intent, PaymentIntent) and intent.open_attempt)):
            return None
        told: list[Event] = []
        if isinstance(intent, PaymentIntent) and intent.status is not IntentStatus.CANCELED:
            now = int(self.clock.now())
            canceled = next_version(
                intent, status=IntentStatus.CANCELED, canceled_at=now, cancellation_reason="abandoned", next_action=None
            )
            await PAYMENT_INTENT.noun.update(connection, canceled)
            told.append(self._event("canceled", canceled, origin))
        if isinstance(intent, SetupIntent) and intent.status is not SetupStatus.CANCELED:
            waiting = await self.waiting_attempt(intent, connection)
            if waiting is not None:
                await SETUP_ATTEMPT.noun.update(connection, next_version(waiting, status="abandoned"))
            over = next_version(intent, status=SetupStatus.CANCELED, cancellation_reason="abandoned", next_action=None)
            await SETUP_INTENT.noun.update(connection, over)
            told.append(self._event("canceled", over, origin))
        expired = next_version(session, status=SessionStatus.EXPIRED, trying_since=None)
        await CHECKOUT_SESSION.noun.update(connection, expired)
        await self._give_back(connection, session, completed=False)
        await append_events(connection, [*told, self._event("expired", expired, origin)])
        return expired

    async def waiting_attempt(self, intent: SetupIntent, source: Queries) -> SetupAttempt | None:
        """Return the attempt that waits for its cardholder."""
        if intent.status is not SetupStatus.REQUIRES_ACTION or intent.latest_attempt is None:
            return None
        return await SETUP_ATTEMPT.noun.get(source, intent.merchant_id, intent.livemode, intent.latest_attempt)

    async def _give_back(self, connection: Connection, session: CheckoutSession, *, completed: bool) -> None:
        """Count a session of a link that may sell only so many times, or make room for another one. Raises `ObjectLocked`."""
        if session.payment_link is None:
            return
        link = await PAYMENT_LINK.noun.get(connection, session.merchant_id, session.livemode, session.payment_link)
        if link is None or session.id not in link.taken:
            return
        rest = [each for each in link.taken if each != session.id]
        await PAYMENT_LINK.noun.update(connection, next_version(link, taken=rest, completed=link.completed + completed))

    async def link_of(self, session: CheckoutSession) -> PaymentLink | None:
        """Return the link that a session is of."""
        if session.payment_link is None:
            return None
        return await PAYMENT_LINK.noun.get(self.pool, session.merchant_id, session.livemode, session.payment_link)

    def jobs(self) -> list[Job]:
        """Return what is to be done by the clock."""
        return [Job(name="sweep checkout", work=self.sweep, every_seconds=_SWEEP_SECONDS, shared=True, waits="checkout")]

    async def sweep(self) -> int:
        """Look at the sessions that nobody asks about, and whose time has come or that wait for a payment; returns how many there were."""
        due = await take_due_sessions(self.pool, int(self.clock.now()), _SWEPT_MAX)

        async def look(row: Found) -> bool:
            await self.up_to_date(CHECKOUT_SESSION.noun.decode(row.document))
            return True

        await self.rows.each("sweep checkout", due, lambda row: row.id, look, batch=_SWEPT_MAX, at_once=True, leased=True)
        return len(due)

    def _event(self, what: str, subject: Resource, origin: Origin) -> Event:
        return event_of(new_id("evt"), f"{subject.OBJECT}.{what}", subject, created=int(self.clock.now()), origin=origin)


def completion_of(session: CheckoutSession) -> str | None:
    """Return where the merchant's page leads when the session in it is complete; None: it is told, and no more. A card needs no redirect of its own."""
    if session.return_url is None or session.redirect_on_completion != "always":
        return None
    return session.return_url.replace("{CHECKOUT_SESSION_ID}", session.id)


def redirect_of(session: CheckoutSession) -> str | None:
    """Return where the buyer of a complete session is led."""
    return None if session.success_url is None else session.success_url.replace("{CHECKOUT_SESSION_ID}", session.id)
