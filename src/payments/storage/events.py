"""Events: appending them beside what they tell of, and finding them again."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from payments.domain.event import Event, Origin
from payments.runtime.ids import ID_CHARACTERS_MAX
from payments.storage.commit import write_alone
from payments.storage.database import Connection, Queries
from payments.storage.paging import ROWS_LOOKED_AT_MAX, PageRequest
from payments.storage.rows import EVENTS
from payments.storage.sql import queries

_SQL = queries("events.sql")
_POLL_SECONDS = 0.05
_PREFIX = "evt"

ENDPOINTS = queries("deliveries.sql")["endpoints"]
"""A part of statements: the endpoints that a merchant's deliveries went to."""


async def append_events(connection: Connection, events: Sequence[Event]) -> None:
    """Write events, and the outbox rows that get them delivered, in the transaction of what they tell of."""
    await write_alone(connection, "events", [EVENTS.row(event, "") for event in events])


async def page_of_events(
    connection: Queries, merchant_id: int, livemode: bool, page: PageRequest, *, types: Sequence[str] | None, delivered: bool | None
) -> tuple[list[Event], bool]:
    """Return a page of events, newest first, and whether there may be more; raises `TooWide`.

    `delivered`: everything of an event got through to everybody, or not everything did.
    """
    if types is not None and not types:
        return [], False
    arguments: list[object] = [] if types is None else [list(types)]
    candidates, joins, matches = "candidates", "", "true"
    if types is not None:
        candidates = "candidates_of_type" if len(types) == 1 else "candidates_of_types"
    match delivered:
        case None:
            pass
        case True:
            joins, matches = _SQL["join_delivered"], "o.is_open IS NULL"
        case False:
            candidates, joins, matches = "candidates_undelivered", _SQL["join_event"], "candidate.created >= $5 AND candidate.created <= $6"
            matches += "" if types is None else " AND candidate.type = ANY ($9::text[])"
    compares = delivered is True or (delivered is False and (types is not None or page.by_created))
    query = _SQL["page"].replace("{candidates}", _SQL[candidates])
    rows = await connection.fetch(
        query.format(order=page.order, joins=joins, matches=matches, endpoints=ENDPOINTS),
        merchant_id,
        livemode,
        *page.between(_PREFIX),
        page.created_from,
        page.created_to,
        page.limit + 1,
        ROWS_LOOKED_AT_MAX if compares else page.limit + 1,
        *arguments,
    )
    found, has_more = page.read(rows)
    return [event_from_row(merchant_id, livemode, row) for row in found], has_more


async def find_event(connection: Queries, merchant_id: int, livemode: bool, event_id: str, *, wait_seconds: float = 0) -> Event | None:
    """Return one event; with `wait_seconds` an event that is about to be written is waited for."""
    if len(event_id) > ID_CHARACTERS_MAX:
        return None
    deadline = asyncio.get_running_loop().time() + wait_seconds
    while True:
        row = await connection.fetchrow(_SQL["find"], merchant_id, livemode, event_id)
        if row is not None:
            return event_from_row(merchant_id, livemode, row)
        if asyncio.get_running_loop().time() >= deadline:
            return None
        await asyncio.sleep(_POLL_SECONDS)


def event_from_row(merchant_id: int, livemode: bool, row: Mapping[str, Any]) -> Event:
    """Build an event from its row."""
    previous = row["previous_attributes"]
    return Event(
        id=row["id"],
        merchant_id=merchant_id,
        livemode=livemode,
        created=row["created"],
        type=row["type"],
        object_type=row["object_type"],
        object_id=row["object_id"],
        object_version=row["object_version"],
        snapshot=msgspec.Raw(row["snapshot"].encode()),
        previous_attributes=None if previous is None else msgspec.json.decode(previous),
        origin=Origin(request_id=row["request_id"], idempotency_key=row["idempotency_key"]),
    )
