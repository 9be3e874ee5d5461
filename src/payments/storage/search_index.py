"""The search index: documents by number, and which of them have a term, as blocks of bits.

It is written by whoever took note of a change, in the transaction in which that is crossed off; the segment's row is locked meanwhile, so that bits of one
row are changed by one at a time. A document is replaced by a newer version of its object only.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from msgspec import Struct

from payments.search.bitmaps import bits_of, decode, encode
from payments.search.fields import Values
from payments.storage.database import Connection, Queries
from payments.storage.sql import queries

_SQL = queries("search_index.sql")


class Segment(Struct, frozen=True):
    """The documents of a merchant's, mode and kind."""

    id: int
    documents: int
    """How many numbers are taken: from 0 on."""


class Change(Struct, frozen=True, order=True):
    """What changed."""

    merchant_id: int
    livemode: bool
    kind: str
    object_id: str


@dataclass(frozen=True, slots=True)
class Indexed:
    """A document as it is searched."""

    number: int
    version: int
    searched: Values | None


@dataclass(slots=True)
class Bits:
    """What changes in one row of bits: places in its block."""

    added: list[int] = field(default_factory=list[int])
    removed: list[int] = field(default_factory=list[int])


@dataclass(slots=True)
class SegmentChange:
    """All that a batch changes in one segment."""

    segment: Segment
    documents: list[tuple[int, str, int, Values | None]] = field(default_factory=list[tuple[int, str, int, Values | None]])
    """Number, object, version, what is searched of it."""
    bits: dict[tuple[int, int], Bits] = field(default_factory=dict[tuple[int, int], Bits])
    """By term and block."""

    def bits_at(self, term: int, block: int) -> Bits:
        """Return what changes in a row."""
        found = self.bits.get((term, block))
        if found is None:
            found = self.bits[term, block] = Bits()
        return found


async def is_waiting(connection: Queries) -> bool:
    """Tell whether anything isn't searchable yet."""
    return bool(await connection.fetchval(_SQL["is_waiting"]))


async def claim_changes(connection: Connection, limit: int, without: Sequence[str]) -> list[Change]:
    """Cross off what changed, but for objects of `without`, for as long as the transaction lives; returns it."""
    rows = await connection.fetch(_SQL["claim_changes"], limit, without)
    return sorted({Change(row["merchant_id"], row["livemode"], row["kind"], row["object_id"]) for row in rows})


async def claim_backfill(connection: Connection) -> Change | None:
    """Lock a table that isn't read to its end; returns its kind, and the place up to which it has been read."""
    row = await connection.fetchrow(_SQL["claim_backfill"])
    return None if row is None else Change(row["merchant_id"], row["livemode"], row["kind"], row["place"])


async def backfill(connection: Connection, done: Change, *, table: str, place: str, condition: str, limit: int) -> list[Change]:
    """Return the next objects of a table, in the order of its lists, and note that they are done; or that the table is."""
    query = _SQL["backfill_page"].format(table=table, place=place, condition=condition)
    rows = await connection.fetch(query, done.merchant_id, done.livemode, done.object_id, limit)
    if rows:
        last = rows[-1]
        await connection.execute(_SQL["move_backfill"], done.kind, last["merchant_id"], last["livemode"], last["place"])
    else:
        await connection.execute(_SQL["end_backfill"], done.kind)
    return [Change(row["merchant_id"], row["livemode"], done.kind, row["id"]) for row in rows]


async def lock_segment(connection: Connection, merchant_id: int, livemode: bool, kind: str) -> Segment:
    """Lock a segment until the transaction ends, made if it is new. Who locks several does so in their order, and so waits for nobody that waits for it."""
    await connection.execute(_SQL["open_segment"], merchant_id, livemode, kind)
    row = await connection.fetchrow(_SQL["lock_segment"], merchant_id, livemode, kind)
    if row is None:
        raise LookupError(f"no segment of {kind}")
    return Segment(row["id"], row["documents"])


async def indexed(connection: Connection, segment: Segment, object_ids: Collection[str]) -> dict[str, Indexed]:
    """Return those of some objects that are in the index."""
    rows = await connection.fetch(_SQL["documents_of"], segment.id, list(object_ids))
    return {row["object_id"]: Indexed(row["number"], row["version"], _decoded(row["searched"])) for row in rows}


async def apply(connection: Connection, change: SegmentChange, documents: int) -> None:
    """Write what a batch changes; `documents` is how many numbers are taken afterwards."""
    segment = change.segment
    await connection.execute(
        _SQL["put_documents"],
        segment.id,
        [number for number, _, _, _ in change.documents],
        [object_id for _, object_id, _, _ in change.documents],
        [version for _, _, version, _ in change.documents],
        [None if searched is None else msgspec.json.encode(searched).decode() for _, _, _, searched in change.documents],
    )
    keys = list(change.bits)
    rows = await connection.fetch(_SQL["postings_at"], segment.id, [term for term, _ in keys], [block for _, block in keys])
    before = {(row["term"], row["block"]): decode(row["bits"]) for row in rows}
    after = {key: before.get(key, 0) & ~bits_of(bits.removed) | bits_of(bits.added) for key, bits in change.bits.items()}
    kept, gone = [key for key in keys if after[key]], [key for key in keys if not after[key]]
    if kept:
        terms, blocks = [term for term, _ in kept], [block for _, block in kept]
        await connection.execute(_SQL["put_postings"], segment.id, terms, blocks, [encode(after[key]) for key in kept])
    if gone:
        await connection.execute(_SQL["drop_postings"], segment.id, [term for term, _ in gone], [block for _, block in gone])
    if documents != segment.documents:
        await connection.execute(_SQL["count_documents"], segment.id, documents)


async def find_segment(connection: Queries, merchant_id: int, livemode: bool, kind: str) -> Segment | None:
    """Return a segment to be read; None when the merchant has nothing of the kind that is searched."""
    row = await connection.fetchrow(_SQL["segment"], merchant_id, livemode, kind)
    return None if row is None else Segment(row["id"], row["documents"])


async def read_postings(connection: Queries, segment: Segment, terms: Iterable[int], blocks: range) -> Mapping[int, dict[int, int]]:
    """Return the bits of terms, by block and term."""
    found: dict[int, dict[int, int]] = {}
    for row in await connection.fetch(_SQL["postings"], segment.id, list(terms), blocks.start, blocks.stop):
        found.setdefault(row["block"], {})[row["term"]] = decode(row["bits"])
    return found


async def read_searched(connection: Queries, segment: Segment, numbers: Sequence[int]) -> dict[int, Values]:
    """Return what is searched of documents, by number."""
    rows = await connection.fetch(_SQL["searched"], segment.id, list(numbers))
    return {row["number"]: msgspec.json.decode(row["searched"], type=Values) for row in rows}


async def read_object_ids(connection: Queries, segment: Segment, numbers: Sequence[int]) -> dict[int, str]:
    """Return which objects documents are of, by number."""
    return {row["number"]: row["object_id"] for row in await connection.fetch(_SQL["object_ids"], segment.id, list(numbers))}


async def oldest_waiting_seconds(connection: Queries) -> float:
    """Return for how long the oldest change that isn't searchable yet has been waiting."""
    return float(await connection.fetchval(_SQL["oldest_waiting_seconds"]))


def _decoded(searched: str | None) -> Values | None:
    return None if searched is None else msgspec.json.decode(searched, type=Values)
