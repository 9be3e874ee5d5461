"""Replays: how far each is, and its next step."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from payments.domain.replay import Replay
from payments.storage.database import Connection, Queries
from payments.storage.paging import CREATED_MAX
from payments.storage.sql import queries

_SQL = queries("replays.sql")
_AGAIN = queries("deliveries.sql")["again"]
_COUNTED_MAX = 1_000_000
_LOOKED_AT_MAX = 1_000
"""In one step, where few are meant of many."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a step did."""

    reached: str | None
    """The id of the last event; None when there was none."""
    looked_at: int
    replayed: int
    done: bool
    """There is nothing after it."""


def _endpoint(replay: Replay) -> tuple[int, bool, str]:
    return replay.merchant_id, replay.livemode, replay.webhook_endpoint


async def running(connection: Queries, replay: Replay) -> str | None:
    """Return the id of the one that is under way to the same endpoint."""
    found: str | None = await connection.fetchval(_SQL["running"], *_endpoint(replay))
    return found


async def total(connection: Queries, replay: Replay) -> int | None:
    """Return how many deliveries it will look at; None when that are too many to count."""
    arguments = (replay.statuses, replay.reached, replay.ends_before, _COUNTED_MAX + 1)
    counted = int(await connection.fetchval(_SQL["total"], *_endpoint(replay), *arguments))
    return None if counted > _COUNTED_MAX else counted


async def due(connection: Connection) -> Replay | None:
    """Return one whose next step is due, which is the caller's until the transaction ends."""
    document = await connection.fetchval(_SQL["due"])
    return None if document is None else msgspec.json.decode(document, type=Replay)


async def postpone(connection: Connection, replay: Replay, seconds: float) -> None:
    """Say when the next step is due."""
    await connection.execute(_SQL["postpone"], replay.merchant_id, replay.livemode, replay.id, seconds)


async def waiting(connection: Connection, replay: Replay, counted_max: int) -> int | None:
    """Return how many deliveries wait for the endpoint; None when nothing is sent to it any more."""
    found: int | None = await connection.fetchval(_SQL["waiting"], *_endpoint(replay), counted_max)
    return found


async def step(connection: Connection, replay: Replay, types: Sequence[str] | None, limit: int) -> Step:
    """Make up to `limit` deliveries due, and say how far that went."""
    row = await connection.fetchrow(
        _SQL["step"].format(again=_AGAIN),
        *_endpoint(replay),
        replay.statuses,
        replay.reached,
        replay.ends_before,
        _LOOKED_AT_MAX,
        limit,
        0 if replay.created_from is None else replay.created_from,
        CREATED_MAX if replay.created_to is None else replay.created_to,
        None if types is None else list(types),
    )
    if row is None:
        raise LookupError("a step returned nothing")
    return Step(row["reached"], row["looked_at"], row["replayed"], row["done"])
