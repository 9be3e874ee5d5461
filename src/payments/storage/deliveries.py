"""Deliveries: an event on its way to one endpoint, attempt by attempt."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import msgspec
from msgspec import Struct

from payments.domain.api_version import NEWEST
from payments.domain.event import Event
from payments.domain.webhook_endpoint import WebhookEndpoint
from payments.storage.database import Pool, Queries, Row
from payments.storage.events import ENDPOINTS, event_from_row
from payments.storage.sql import queries

_SQL = queries("deliveries.sql")
_ALL_EVENTS = ("", "~")
_AFTER_ALL = ("~", "")
_ENQUEUED_MAX = 1_000
_TURNS_MAX = 256
_AGAIN, _COLUMNS = _SQL["again"], _SQL["columns"]


class DeliveryStatus(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    """The schedule is exhausted, or the endpoint is gone: a dead letter, which can be sent again by hand."""


@dataclass(frozen=True, slots=True)
class DueDelivery:
    """A delivery that this process has leased."""

    event: Event
    endpoint: WebhookEndpoint
    sealed_secret: bytes | None = field(repr=False)
    """None of what isn't signed."""
    sealed_previous_secrets: list[bytes] = field(repr=False)
    """Those that still sign beside it."""
    attempts: int
    """How often it was tried before."""
    pending: int
    """How many deliveries of the event haven't succeeded yet, this one included."""
    failing_seconds: float | None
    """For how long nothing got through to the endpoint; None when the last attempt did."""
    account_api_version: str
    """What the endpoint gets its events in if it has no version of its own."""

    @property
    def api_version(self) -> str:
        """The version that the event is delivered in."""
        return self.endpoint.api_version or self.account_api_version


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a claim may take."""

    free: int
    """Attempts that may begin, in all. A merchant gets one only while he has fewer under way than are free then."""
    per_endpoint: int
    """How many of them may be to an endpoint that isn't named below."""
    failing: int
    """How many of them may be to endpoints that fail, taken together."""
    endpoint_ids: list[str] = field(default_factory=list[str])
    endpoint_room: list[int] = field(default_factory=list[int])
    endpoint_under_way: list[int] = field(default_factory=list[int])
    endpoint_failing: list[bool] = field(default_factory=list[bool])
    merchant_ids: list[int] = field(default_factory=list[int])
    merchant_under_way: list[int] = field(default_factory=list[int])


class AttemptResult(Struct, frozen=True, kw_only=True):
    """What one attempt came to."""

    merchant_id: int
    livemode: bool
    event_id: str
    endpoint_id: str
    attempt: int
    attempted_at: float
    duration_ms: int
    status_code: int | None
    error: str | None
    """The kind of failure when there was no answer."""
    status: DeliveryStatus
    retry_seconds: float
    was_sent: bool
    """Whether it says anything of the receiver."""
    log_id: str
    """Of its entry in the log."""
    exchange: msgspec.Raw
    """What was sent and what came back, as JSON: for the log."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery as the API shows it."""

    event_id: str
    endpoint_id: str
    status: DeliveryStatus
    attempts: int
    next_attempt_at: datetime | None
    """None while it waits for its turn in its object's line."""
    created_at: datetime


class Deliveries:
    """The table of deliveries."""

    def __init__(self, pool: Pool, *, lease_seconds: float) -> None:
        """`lease_seconds`: how long one process may take for an attempt."""
        self._pool = pool
        self._lease_seconds = lease_seconds

    async def enqueue(self) -> bool:
        """Have what has come due since join its queue; returns whether lines changed, so that there may be turns to give."""
        return bool(await self._pool.fetchval(_SQL["enqueue"], _ENQUEUED_MAX))

    async def give_turns(self) -> bool:
        """Have what is first in its line join its queue, where nothing of the line is under way; returns whether some must be looked at again soon."""
        while True:
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(_SQL["give_turns_alone"])
                row = await connection.fetchrow(_SQL["give_turns"], _TURNS_MAX)
            if row is None or row["waits"] or not row["more"]:
                return row is not None and row["waits"]

    async def claim(self, room: Room) -> list[DueDelivery]:
        """Lease the deliveries whose turn it is, as many as there is room for; in the order in which they should be begun."""
        rows = await self._pool.fetch(
            _SQL["claim"],
            room.free,
            self._lease_seconds,
            room.per_endpoint,
            room.endpoint_ids,
            room.endpoint_room,
            room.endpoint_under_way,
            room.endpoint_failing,
            room.merchant_ids,
            room.merchant_under_way,
            room.failing,
        )
        events: dict[tuple[int, bool, str], tuple[Event, int]] = {}
        endpoints: dict[str, WebhookEndpoint] = {}
        due: list[DueDelivery] = []
        for row in rows:
            key, endpoint_id = (row["merchant_id"], row["livemode"], row["event_id"]), row["endpoint_id"]
            if row["id"] is not None:  # with the first delivery of each event
                events[key] = event_from_row(row["merchant_id"], row["livemode"], row), row["pending"]
            if endpoint_id not in endpoints:
                endpoints[endpoint_id] = msgspec.json.decode(row["endpoint"], type=WebhookEndpoint)
            event, pending = events[key]
            due.append(
                DueDelivery(
                    event=event,
                    endpoint=endpoints[endpoint_id],
                    sealed_secret=row["sealed_secret"],
                    sealed_previous_secrets=row["sealed_previous_secrets"],
                    attempts=row["attempts"],
                    pending=pending,
                    failing_seconds=row["failing_seconds"],
                    account_api_version=row["account_api_version"] or NEWEST,
                )
            )
        return due

    async def record(self, batch: Sequence[AttemptResult]) -> list[None]:
        """Record results; made to be the `write` of a `GroupCommit`."""
        await self._pool.execute(_SQL["record"], msgspec.json.encode(batch).decode())
        return [None] * len(batch)

    async def pending_of(self, connection: Queries, merchant_id: int, livemode: bool, event_ids: Sequence[str]) -> dict[str, int]:
        """Return how many deliveries of each event haven't succeeded yet; events without any are left out."""
        rows = await connection.fetch(_SQL["pending_of"], merchant_id, livemode, list(event_ids))
        return {row["event_id"]: row["pending"] for row in rows}

    async def bury(self, connection: Queries, merchant_id: int, livemode: bool, endpoint_id: str) -> None:
        """Make dead letters of what waits for an endpoint."""
        await connection.execute(_SQL["bury"], merchant_id, livemode, endpoint_id)

    async def redeliver(self, merchant_id: int, livemode: bool, event_id: str, endpoint_id: str) -> Delivery | None:
        """Make a delivery due now; None when there is none such, or its endpoint is disabled."""
        query = _SQL["redeliver"].format(again=_AGAIN, columns=_COLUMNS)
        row = await self._pool.fetchrow(query, merchant_id, livemode, event_id, endpoint_id)
        return None if row is None else _delivery(row)

    async def resend(self, merchant_id: int, livemode: bool, event_id: str, endpoint_id: str) -> bool:
        """Make an event due at an endpoint, whether it had it before or not; False when the endpoint is disabled, or there is none such."""
        query = _SQL["resend"].format(again=_AGAIN)
        return await self._pool.fetchval(query, merchant_id, livemode, event_id, endpoint_id) is True

    async def page(
        self,
        connection: Queries,
        merchant_id: int,
        livemode: bool,
        *,
        event_id: str | None,
        endpoint_id: str | None,
        status: str | None,
        after: tuple[str, str] | None,
        limit: int,
    ) -> tuple[list[Delivery], bool]:
        """Return deliveries, newest event first, and whether there are more."""
        statuses = list(DeliveryStatus) if status is None else [status]
        endpoints = None if endpoint_id is None else [endpoint_id]
        common = (merchant_id, livemode, *(after or _AFTER_ALL), limit + 1)
        if event_id is not None or (endpoint_id is None and status is None):
            events = _ALL_EVENTS if event_id is None else (event_id, event_id)
            rows = await connection.fetch(_SQL["page"].format(columns=_COLUMNS), *common, *events, endpoints, statuses)
        else:
            if endpoints is None:
                found = await connection.fetch(_SQL["endpoints_of"].format(endpoints=ENDPOINTS), merchant_id, livemode)
                endpoints = [row["id"] for row in found]
            rows = await connection.fetch(_SQL["page_of_endpoints"].format(columns=_COLUMNS), *common, endpoints, statuses)
        return [_delivery(row) for row in rows[:limit]], len(rows) > limit

    async def dead_letters(self) -> int:
        """Return how many deliveries were given up in the last day, and can be sent again."""
        return int(await self._pool.fetchval(_SQL["dead_letters"]))

    async def attempts_of(self, merchant_id: int, livemode: bool, event_id: str, endpoint_id: str) -> list[Row]:
        """Return the attempts of a delivery: attempt, attempted_at, duration_ms, status_code, error."""
        return await self._pool.fetch(_SQL["attempts_of"], merchant_id, livemode, event_id, endpoint_id)


def _delivery(row: Row) -> Delivery:
    return Delivery(
        event_id=row["event_id"],
        endpoint_id=row["endpoint_id"],
        status=DeliveryStatus(row["status"]),
        attempts=row["attempts"],
        next_attempt_at=row["next_attempt_at"],
        created_at=row["created_at"],
    )
