"""What is stored for Stripe's command line: where its sessions stand in their streams, and the requests that somebody watches."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from payments.storage.database import Queries
from payments.storage.sql import queries
from payments.storage.streams import StreamKey

_SQL = queries("stripe_cli.sql")
TAILS_CHANNEL = "tap_tails"
"""Told when somebody begins to watch requests."""
REQUESTS_CHANNEL = "tap_requests"
"""Told when requests were recorded."""
LOG_PREFIX = "rql"


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """A request that was answered, as it is stored."""

    stream: StreamKey
    id: str
    document: str
    """JSON: as Stripe's command line reads it."""


async def position_of(connection: Queries, stream: StreamKey, session_id: str) -> int | None:
    """Return up to where a session has acknowledged its stream; None before it did."""
    found: int | None = await connection.fetchval(_SQL["position_of"], *stream, session_id)
    return found


async def save_position(connection: Queries, stream: StreamKey, session_id: str, position: int) -> None:
    """Have a session go on from a position when it comes back."""
    await connection.execute(_SQL["save_position"], *stream, session_id, position)


async def watch(connection: Queries, streams: Collection[StreamKey], seconds: float) -> None:
    """Have requests recorded for so long."""
    await connection.execute(_SQL["watch"], [merchant for merchant, _ in streams], [livemode for _, livemode in streams], seconds)


async def watched(connection: Queries) -> dict[StreamKey, float]:
    """Return whose requests are to be recorded, and for how many seconds from now on."""
    return {(row["merchant_id"], row["livemode"]): row["seconds"] for row in await connection.fetch(_SQL["watched"])}


async def forget(connection: Queries) -> int:
    """Forget some of the sessions that nobody can come back to, and merchants whom nobody watches; returns how many sessions."""
    await connection.execute(_SQL["forget_tails"])
    return len(await connection.fetch(_SQL["forget_positions"]))


async def record(connection: Queries, requests: Sequence[LoggedRequest]) -> None:
    """Store requests."""
    merchants, modes = [each.stream[0] for each in requests], [each.stream[1] for each in requests]
    await connection.execute(_SQL["record"], merchants, modes, [each.id for each in requests], [each.document for each in requests])


async def recorded(connection: Queries, streams: Collection[StreamKey], after: str, limit: int) -> list[LoggedRequest]:
    """Return up to so many requests of each of these merchants that were recorded after an id."""
    rows = await connection.fetch(
        _SQL["requests"], [merchant for merchant, _ in streams], [livemode for _, livemode in streams], after, limit
    )
    return [LoggedRequest((row["merchant_id"], row["livemode"]), row["id"], row["document"]) for row in rows]
