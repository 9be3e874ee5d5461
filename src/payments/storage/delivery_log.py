"""The log of deliveries: each attempt, with what was sent and what came back; and the partitions that it and others are purged by."""

from dataclasses import dataclass
from datetime import datetime

import asyncpg
import msgspec

from payments.runtime.ids import ID_CHARACTERS_MAX
from payments.storage.database import Queries, Row
from payments.storage.paging import PageRequest
from payments.storage.sql import queries

_SQL = queries("delivery_log.sql")
PREFIX = "wha"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedAttempt:
    """One attempt of a delivery."""

    id: str
    event_id: str
    endpoint_id: str
    attempt: int
    attempted_at: datetime
    duration_ms: int
    status_code: int | None
    error: str | None
    status: str
    """Of the delivery, after it."""
    exchange: msgspec.Raw
    """What was sent and heard, and what took how long, as JSON."""


async def page(
    connection: Queries, merchant_id: int, livemode: bool, asked: PageRequest, *, event_id: str | None, endpoint_id: str | None
) -> tuple[list[LoggedAttempt], bool]:
    """Return a page of attempts, newest first, and whether there are more; of an event or to an endpoint, where one is named."""
    arguments: list[object] = [merchant_id, livemode, *asked.between(PREFIX), asked.limit + 1]
    filters = ""
    for column, wanted in (("event_id", event_id), ("endpoint_id", endpoint_id)):
        if wanted is not None:
            arguments.append(wanted)
            filters += f" AND {column} = ${len(arguments)}"
    query = _SQL["page"].format(columns=_SQL["columns"], filters=filters, order=asked.order)
    rows, has_more = asked.read(await connection.fetch(query, *arguments))
    return [_entry(row) for row in rows], has_more


async def find(connection: Queries, merchant_id: int, livemode: bool, entry_id: str) -> LoggedAttempt | None:
    """Return one attempt."""
    if len(entry_id) > ID_CHARACTERS_MAX:
        return None
    row = await connection.fetchrow(_SQL["find"].format(columns=_SQL["columns"]), merchant_id, livemode, entry_id)
    return None if row is None else _entry(row)


async def keep_partitions(connection: Queries) -> int:
    """Make partitions ahead and drop those whose time is over, of all tables that have them; returns how many. Others may be in the way: then none, this time."""
    try:
        return int(await connection.fetchval(_SQL["keep_partitions"]))
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
        return 0


def _entry(row: Row) -> LoggedAttempt:
    fields = {name: row[name] for name in LoggedAttempt.__dataclass_fields__ if name != "exchange"}
    return LoggedAttempt(**fields, exchange=msgspec.Raw(row["exchange"].encode()))
