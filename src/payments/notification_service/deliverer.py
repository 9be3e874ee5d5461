"""Delivers: prepare, send, record, each with a result of its own type.

A delivery is leased before it is sent and recorded after it, so a crash in between delivers it again: at least once, never not at all. Whatever went
wrong in between, in the receiver or in us, is recorded as a failed attempt, so that nothing is sent again and again beside the schedule.
"""

import asyncio
import contextlib
import time
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import msgspec

from payments.domain.destination import channel_of
from payments.domain.resource import next_version
from payments.domain.webhook_endpoint import TOLD, WebhookEndpoint
from payments.notification_service.channels.channel import Answered, Channels, Message, failed
from payments.notification_service.exchange import exchange_of
from payments.notification_service.retries import after_attempt
from payments.notification_service.sender import SEND_SECONDS_MAX
from payments.notification_service.shares import Shares
from payments.runtime.background import Beat
from payments.runtime.clock import Clock
from payments.runtime.ids import IdGenerator
from payments.runtime.logging import Logger
from payments.storage import webhook_endpoints
from payments.storage.database import Pool
from payments.storage.deliveries import AttemptResult, Deliveries, DeliveryStatus, DueDelivery
from payments.storage.group_commit import ROW_FAULTS, GroupCommit
from payments.wire.kinds import WEBHOOK_ENDPOINT
from payments.wire.older_versions import in_version
from payments.wire.rendering import render_event

LEASE_SECONDS = SEND_SECONDS_MAX + 10
"""Longer than an attempt and its recording take: it runs out for those whose copy of the service died."""
_BEGIN_SECONDS_MAX = LEASE_SECONDS - SEND_SECONDS_MAX
"""After a claim. What this process didn't begin by then, as when it was stopped for a while, another one may have sent, and what comes after it as well."""
FAILING_SECONDS_MAX = 3 * 24 * 3600.0
"""An endpoint that nothing got through to for so long gets nothing more."""
_POLL_SECONDS = 5.0
"""For what other copies left: those that ended, and those whose pauses are long."""
_SOON_SECONDS_MAX = 60.0
"""Pauses that are waited for to the moment; of the others a few seconds more are nothing."""
_PAUSE_SECONDS = 0.01
"""Between two claims, at most, while there is much to deliver: what a claim costs is shared by what it takes."""
_TURN_SECONDS = 0.05
"""For another dispatcher to commit what may belong before a delivery."""
_MARGIN_SECONDS = 0.02
"""A timer may be that much early."""
T = TypeVar("T")
_Bodies = dict[tuple[str, str], bytes]
"""What was claimed together, by event and version: an event that goes to a hundred endpoints is rendered once."""
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Sent:
    """What an attempt came to."""

    due: DueDelivery
    attempted_at: float
    """Unix seconds."""
    duration_ms: int
    answered: Answered
    body: bytes
    """The event as it was given to the channel; empty when it couldn't be made."""


class Deliverer:
    """Runs in every copy of the service; leases share the work."""

    def __init__(
        self,
        *,
        deliveries: Deliveries,
        results: GroupCommit[AttemptResult, None],
        pool: Pool,
        channels: Channels,
        clock: Clock,
        log: Logger,
    ) -> None:
        """`channels` go only to where deliveries may go."""
        self._deliveries = deliveries
        self._results = results
        self._pool = pool
        self._channels = channels
        self._clock = clock
        self._log = log
        self._new_id = IdGenerator(clock)
        """Its own: the process's one is another thread's."""
        self._shares = Shares()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._work = asyncio.Event()
        self._awaited = 0
        """How many attempts are to end before the next claim is worth it."""
        self._enough = asyncio.Event()

    def wake(self) -> None:
        """Look for due deliveries soon."""
        self._work.set()

    async def run(self, beat: Beat) -> None:
        """Deliver until cancelled, or until claiming fails."""
        while True:
            self._work.clear()
            claimed = await self.deliver_due()
            beat()
            if claimed:
                await _for_a_while(self._enough, _PAUSE_SECONDS)
            else:
                await _for_a_while(self._work, _POLL_SECONDS)

    async def deliver_due(self) -> int:
        """Start on what is due; returns how many deliveries that were."""
        # Not to be cancelled in between: what was leased and not begun would wait until its lease runs out.
        return await asyncio.shield(self._keep(self._begin_due()))

    async def _begin_due(self) -> int:
        if await self._deliveries.enqueue() and await self._deliveries.give_turns():
            asyncio.get_running_loop().call_later(_TURN_SECONDS, self._work.set)
        room = self._shares.room()
        if not room.free:
            return 0
        begin_until = time.monotonic() + _BEGIN_SECONDS_MAX
        due = await self._deliveries.claim(room)
        bodies: _Bodies = {}
        for delivery in due:
            self._shares.begin(delivery.endpoint.merchant_id, delivery.endpoint.id)
            self._keep(self._deliver(delivery, bodies, begin_until))
        self._awaited = len(due) // 2
        self._enough.clear()
        return len(due)

    def _keep(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run something that draining waits for."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    @property
    def under_way(self) -> int:
        """How many deliveries are being sent."""
        return self._shares.under_way

    async def drain(self) -> None:
        """Wait until what is under way is recorded."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    async def _deliver(self, due: DueDelivery, bodies: _Bodies, begin_until: float) -> None:
        answered = failed("")
        try:
            if time.monotonic() > begin_until:
                self._log.event("delivery begun too late", merchant=due.event.merchant_id, delivery=f"{due.event.id}.{due.endpoint.id}")
                return
            sent = await self._attempt(due, bodies)
            answered = sent.answered
            await self._record(sent)
        except Exception as failure:  # noqa: BLE001 - a database that is away: the lease runs out, and it is delivered again
            self._log.error("record delivery", failure)
        finally:
            pause = self._shares.end(due.endpoint.merchant_id, due.endpoint.id, answered.felt, answered.asked_seconds)
            if pause:
                asyncio.get_running_loop().call_later(pause + _MARGIN_SECONDS, self._work.set)
            self._work.set()
            self._awaited -= 1
            if self._awaited <= 0:
                self._enough.set()

    async def _attempt(self, due: DueDelivery, bodies: _Bodies) -> Sent:
        """Prepare and send; a failure of our own, as of a secret that can't be opened, is an attempt that failed."""
        started, at, body = time.monotonic(), self._clock.now(), b""
        try:
            body = _body(due, bodies)
            channel = self._channels[channel_of(due.endpoint.url)]
            answered = await channel.deliver(Message(due, body, due.attempts + 1, at))
        except Exception as failure:  # noqa: BLE001 - whatever it was
            self._log.error("deliver", failure)
            answered = failed(failure)
        return Sent(due, at, round((time.monotonic() - started) * 1000), answered, body)

    async def _record(self, sent: Sent) -> None:
        log_id = self._new_id("wha")
        result = _result(sent, log_id)
        try:
            await self._results.submit(result)
        except ROW_FAULTS as failure:
            # Something in the answer that the database doesn't take: then it was none.
            self._log.error("record delivery", failure)
            nothing = replace(failed(failure), says_of_endpoint=True, sent=sent.answered.sent)
            result = _result(Sent(sent.due, sent.attempted_at, 0, nothing, sent.body), log_id)
            await self._results.submit(result)
            self._come_back(result)
            return
        self._come_back(result)
        if sent.answered.is_gone:
            await self._disable(sent.due.endpoint, "gone")
        elif result.was_sent and result.status != DeliveryStatus.DELIVERED and (sent.due.failing_seconds or 0.0) >= FAILING_SECONDS_MAX:
            await self._disable(sent.due.endpoint, "failing", FAILING_SECONDS_MAX)
        elif result.status == DeliveryStatus.DEAD and sent.due.event.type not in TOLD:  # else it would be told of what tells of it
            await webhook_endpoints.tell_failed(self._pool, sent.due.endpoint, self._new_id("evt"), int(self._clock.now()))

    async def _disable(self, endpoint: WebhookEndpoint, reason: str, failing_seconds: float | None = None) -> None:
        """Send nothing more to an endpoint, and tell of it; nothing if it was disabled meanwhile, or something got through."""
        async with self._pool.acquire() as connection, connection.transaction():
            held = await webhook_endpoints.hold(connection, endpoint, failing_seconds)
            if held is None:
                return
            disabled = next_version(held, enabled=False)
            await WEBHOOK_ENDPOINT.noun.update(connection, disabled)
            await self._deliveries.bury(connection, held.merchant_id, held.livemode, held.id)
            await webhook_endpoints.tell_disabled(connection, disabled, self._new_id("evt"), int(self._clock.now()))
        self._log.event("webhook endpoint disabled", merchant=held.merchant_id, endpoint=held.id, reason=reason)

    def _come_back(self, result: AttemptResult) -> None:
        """Look for due deliveries when this one's pause is over, if that is soon."""
        if result.status == DeliveryStatus.PENDING and result.retry_seconds <= _SOON_SECONDS_MAX:
            asyncio.get_running_loop().call_later(result.retry_seconds + _MARGIN_SECONDS, self._work.set)


async def _for_a_while(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def _body(due: DueDelivery, bodies: _Bodies) -> bytes:
    key = due.event.id, due.api_version
    if key not in bodies:
        bodies[key] = _encode(in_version(render_event(due.event, due.pending, due.api_version), due.api_version))
    return bodies[key]


def _result(sent: Sent, log_id: str) -> AttemptResult:
    due, answered = sent.due, sent.answered
    exchange = exchange_of(due.endpoint.url, answered.sent, sent.body, due.api_version, answered.answer)
    attempt = due.attempts + 1
    status, retry_seconds = after_attempt(attempt, answered.verdict, answered.asked_seconds)
    return AttemptResult(
        merchant_id=due.event.merchant_id,
        livemode=due.event.livemode,
        event_id=due.event.id,
        endpoint_id=due.endpoint.id,
        attempt=attempt,
        attempted_at=sent.attempted_at,
        duration_ms=sent.duration_ms,
        status_code=answered.answer.status_code,
        error=answered.answer.error,
        status=status,
        retry_seconds=retry_seconds,
        was_sent=answered.says_of_endpoint,
        log_id=log_id,
        exchange=msgspec.Raw(exchange),
    )
