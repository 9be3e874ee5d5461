"""Events: appending them beside what they tell of, and finding them again."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from payments.domain.event import Event, ObjectType, Origin
from payments.storage.database import Connection, Queries
from payments.storage.nouns import PageRequest
from payments.storage.rows import event_row, json_array
from payments.storage.sql import queries

_SQL = queries("events.sql")
_POLL_SECONDS = 0.05


async def append_events(connection: Connection, events: Sequence[Event]) -> None:
    """Write events, and the outbox rows that get them delivered, in the transaction of what they tell of."""
    await connection.execute(_SQL["append"], json_array(event_row("", event) for event in events))


async def page_of_events(
    connection: Queries, merchant_id: int, livemode: bool, page: PageRequest, *, types: Sequence[str] | None, delivered: bool | None
) -> tuple[list[Event], bool]:
    """Return a page of events, newest first, and whether there is more; `types` may end in `*`; `delivered`: all, or not all, got through."""
    newer = page.ending_before is not None
    rows = await connection.fetch(
        _SQL["page_newer" if newer else "page_older"],
        merchant_id,
        livemode,
        page.ending_before if newer else page.starting_after,
        page.created_from,
        page.created_to,
        page.limit + 1,
        None if types is None else [name.replace("_", "\\_").replace("*", "%") for name in types],
        delivered,
    )
    events = [event_from_row(merchant_id, livemode, row) for row in rows[: page.limit]]
    if newer:
        events.reverse()
    return events, len(rows) > page.limit


async def find_event(connection: Queries, merchant_id: int, livemode: bool, event_id: str, *, wait_seconds: float = 0) -> Event | None:
    """Return one event; with `wait_seconds` an event that is about to be written is waited for."""
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
        object_type=ObjectType(row["object_type"]),
        object_id=row["object_id"],
        object_version=row["object_version"],
        snapshot=msgspec.Raw(row["snapshot"].encode()),
        previous_attributes=None if previous is None else msgspec.json.decode(previous),
        origin=Origin(request_id=row["request_id"], idempotency_key=row["idempotency_key"]),
    )
