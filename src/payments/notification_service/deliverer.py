"""Delivers: prepare, send, record, each with a result of its own type.

A delivery is leased before it is sent and recorded after it, so a crash in between delivers it again: at least once, never not at all.
"""

import asyncio
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp
import msgspec

from payments.domain.event import Event
from payments.domain.webhook_endpoint import WebhookEndpoint
from payments.notification_service.retries import after_attempt
from payments.notification_service.signing import signature_headers
from payments.notification_service.targets import TargetRefusedError, is_refused_literal
from payments.runtime.background import Beat
from payments.runtime.clock import Clock
from payments.runtime.logging import Logger
from payments.runtime.seal import Sealer
from payments.storage import webhook_endpoints
from payments.storage.database import Pool
from payments.storage.deliveries import AttemptResult, Deliveries, DueDelivery
from payments.storage.group_commit import GroupCommit
from payments.wire.render import render_event

SEND_SECONDS_MAX = 20.0
"""How long a receiver may take to answer."""
LEASE_SECONDS = SEND_SECONDS_MAX + 5
UNDER_WAY_MAX = 256
PER_ENDPOINT_MAX = 32
_RESPONSE_BYTES_MAX = 4_096
_POLL_SECONDS = 1.0
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Prepared:
    """A delivery ready to be sent."""

    due: DueDelivery
    body: bytes
    headers: dict[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sent:
    """What sending came to."""

    prepared: Prepared
    attempted_at: float
    duration_ms: int
    status_code: int | None
    retry_after: str | None = None
    error: str | None = None


class Deliverer:
    """Runs in every copy of the service; leases share the work."""

    def __init__(
        self,
        *,
        deliveries: Deliveries,
        results: GroupCommit[AttemptResult, None],
        pool: Pool,
        session: aiohttp.ClientSession,
        sealer: Sealer,
        clock: Clock,
        log: Logger,
        allow_private: bool,
    ) -> None:
        """`session` resolves names to addresses that deliveries may go to; `allow_private` lets them go anywhere."""
        self._deliveries = deliveries
        self._results = results
        self._pool = pool
        self._session = session
        self._sealer = sealer
        self._clock = clock
        self._log = log
        self._allow_private = allow_private
        self._under_way: dict[asyncio.Task[None], str] = {}
        self._work = asyncio.Event()

    def wake(self) -> None:
        """Look for due deliveries soon."""
        self._work.set()

    async def run(self, beat: Beat) -> None:
        """Deliver until cancelled, or until claiming fails."""
        while True:
            self._work.clear()
            claimed = await self.deliver_due()
            beat()
            if not claimed:
                try:
                    async with asyncio.timeout(_POLL_SECONDS):
                        await self._work.wait()
                except TimeoutError:
                    pass

    async def deliver_due(self) -> int:
        """Start on what is due; returns how many deliveries that were."""
        free = UNDER_WAY_MAX - len(self._under_way)
        if free <= 0:
            return 0
        # A claim takes at most half of what an endpoint may have, so that two claims in a row stay within it.
        per_endpoint = PER_ENDPOINT_MAX // 2
        counts: dict[str, int] = {}
        for endpoint_id in self._under_way.values():
            counts[endpoint_id] = counts.get(endpoint_id, 0) + 1
        busy = [endpoint_id for endpoint_id, count in counts.items() if count > PER_ENDPOINT_MAX - per_endpoint]
        due = await self._deliveries.claim(free, per_endpoint=per_endpoint, busy_endpoints=busy)
        for delivery in due:
            task = asyncio.create_task(self._deliver(delivery))
            self._under_way[task] = delivery.endpoint.id
            task.add_done_callback(self._finished)
        return len(due)

    @property
    def under_way(self) -> int:
        """How many deliveries are being sent."""
        return len(self._under_way)

    async def drain(self) -> None:
        """Wait until what is under way is recorded."""
        if self._under_way:
            await asyncio.wait(list(self._under_way))

    def _finished(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        self._work.set()

    async def _deliver(self, due: DueDelivery) -> None:
        try:
            await self._record(await self._send(self._prepare(due)))
        except Exception as failure:  # noqa: BLE001 - the lease runs out, and it is delivered again
            self._log.error("deliver", failure)

    def _prepare(self, due: DueDelivery) -> Prepared:
        body = _encode(render_event(due.event, due.pending))
        secrets = [self._open(due.endpoint, due.sealed_secret)]
        if due.sealed_previous_secret is not None:
            secrets.append(self._open(due.endpoint, due.sealed_previous_secret))
        headers = signature_headers(due.event.id, body, int(self._clock.now()), secrets)
        return Prepared(due, body, headers | _headers(due.event, due.attempts + 1))

    def _open(self, endpoint: WebhookEndpoint, sealed: bytes) -> str:
        return self._sealer.open(sealed, secret_context(endpoint)).decode("ascii")

    async def _send(self, prepared: Prepared) -> Sent:
        started, at = time.perf_counter(), self._clock.now()

        def sent(status_code: int | None, retry_after: str | None = None, error: str | None = None) -> Sent:
            return Sent(prepared, at, round((time.perf_counter() - started) * 1000), status_code, retry_after, error)

        url = prepared.due.endpoint.url
        # An address that is written out isn't resolved, so the resolver can't refuse it.
        if not self._allow_private and is_refused_literal(urlsplit(url).hostname or ""):
            return sent(None, error=TargetRefusedError.__name__)
        try:
            async with self._session.post(url, data=prepared.body, headers=prepared.headers, allow_redirects=False) as response:
                await response.content.read(_RESPONSE_BYTES_MAX)
                return sent(response.status, response.headers.get("Retry-After"))
        except TimeoutError:
            return sent(None, error="timeout")
        except (aiohttp.ClientError, OSError, ValueError) as failure:
            cause: BaseException | None = failure
            while cause is not None and not isinstance(cause, TargetRefusedError):
                cause = cause.__cause__
            return sent(None, error=type(cause or failure).__name__)

    async def _record(self, sent: Sent) -> None:
        due = sent.prepared.due
        attempt = due.attempts + 1
        status, retry_seconds = after_attempt(attempt, sent.status_code, sent.retry_after)
        result = AttemptResult(
            merchant_id=due.event.merchant_id,
            livemode=due.event.livemode,
            event_id=due.event.id,
            endpoint_id=due.endpoint.id,
            attempt=attempt,
            attempted_at=sent.attempted_at,
            duration_ms=sent.duration_ms,
            status_code=sent.status_code,
            error=sent.error,
            status=status,
            retry_seconds=retry_seconds,
        )
        await self._results.submit(result)
        if sent.status_code == 410:  # "gone": the receiver wants nothing more
            await webhook_endpoints.disable(self._pool, due.endpoint)
            await self._deliveries.bury(self._pool, due.endpoint.merchant_id, due.endpoint.livemode, due.endpoint.id)


def secret_context(endpoint: WebhookEndpoint) -> bytes:
    """What an endpoint's sealed secret is bound to."""
    return f"webhook secret {endpoint.merchant_id} {endpoint.livemode} {endpoint.id}".encode()


def _headers(event: Event, attempt: int) -> dict[str, str]:
    return {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "Tap/1.0",
        "Tap-Object-Sequence": str(event.object_version),
        "Tap-Delivery-Attempt": str(attempt),
    }
