"""Streams: the events of a merchant and mode that somebody listens to, in the order in which they were committed to be sent."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from payments.domain.event import Event
from payments.storage.database import Pool, Queries
from payments.storage.events import event_from_row
from payments.storage.sql import queries

_SQL = queries("streams.sql")
_PRUNED_MAX = 1_000
"""Of one stream at once."""

StreamKey = tuple[int, bool]
"""A merchant, and whether it is live mode."""


@dataclass(frozen=True, slots=True)
class Extent:
    """What of a stream can be had: positions greater than `begun_after`, up to `position`."""

    position: int
    begun_after: int


@dataclass(frozen=True, slots=True)
class Streamed:
    """An event in its stream."""

    position: int
    event: Event
    pending: int
    """Its deliveries to webhook endpoints that haven't succeeded yet."""

    @property
    def stream(self) -> StreamKey:
        """The stream that it is in."""
        return self.event.merchant_id, self.event.livemode


class Streams:
    """The tables of streams."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def follow(self, stream: StreamKey) -> Extent:
        """Have a stream recorded for a day from now on; returns what can be had of it. What is committed when this has returned comes after that."""
        row = await self._pool.fetchrow(_SQL["follow"], *stream)
        if row is None:
            raise LookupError("an upsert returned nothing")
        return Extent(row["position"], row["begun_after"])

    async def renew(self, streams: Collection[StreamKey]) -> None:
        """Have streams that are followed recorded for a day from now on."""
        merchant_ids, modes = _columns(streams)
        await self._pool.execute(_SQL["renew"], merchant_ids, modes)

    async def extent(self, connection: Queries, stream: StreamKey) -> Extent:
        """Return what can be had of a stream that is followed."""
        row = await connection.fetchrow(_SQL["extent"], *stream)
        return Extent(0, 0) if row is None else Extent(row["position"], row["begun_after"])

    async def position_of(self, connection: Queries, stream: StreamKey, event_id: str) -> int | None:
        """Return where an event is; None when it isn't in the stream."""
        found: int | None = await connection.fetchval(_SQL["position_of"], *stream, event_id)
        return found

    async def news(self, connection: Queries, read_to: Mapping[StreamKey, int], limit: int) -> list[Streamed]:
        """Return what came after the positions that streams were read to, up to `limit` of each, in the order of its positions.

        Complete: when a position can be seen, all lower ones can.
        """
        merchant_ids, modes = _columns(read_to)
        rows = await connection.fetch(_SQL["news"], merchant_ids, modes, list(read_to.values()), limit)
        return [Streamed(row["position"], event_from_row(row["merchant_id"], row["livemode"], row), row["pending"]) for row in rows]

    async def revoked(self, key_ids: Collection[str]) -> set[str]:
        """Return which of these API keys are revoked."""
        return {row["id"] for row in await self._pool.fetch(_SQL["revoked_keys"], list(key_ids))}

    async def prune(self) -> int:
        """Take away what is older than a day; returns how much that was."""
        return int(await self._pool.fetchval(_SQL["prune"], _PRUNED_MAX))


def _columns(streams: Collection[StreamKey]) -> tuple[list[int], list[bool]]:
    return [merchant_id for merchant_id, _ in streams], [livemode for _, livemode in streams]
