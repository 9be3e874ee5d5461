"""Keeps the search index: what changed is crossed off and made searchable in one transaction, so that nothing is lost and anything may be done twice.

Objects are read after their changes were crossed off, so a change that comes meanwhile is either read already or crossed off later.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from payments.domain.resource import Resource
from payments.runtime.jobs import Job
from payments.runtime.rows import RowByRow
from payments.search.bitmaps import BLOCK_DOCUMENTS
from payments.search.fields import Values, values_of
from payments.search.terms import terms_of
from payments.storage.database import Connection, Pool, is_of_rows
from payments.storage.search_index import (
    Change,
    Indexed,
    Segment,
    SegmentChange,
    apply,
    backfill,
    claim_backfill,
    claim_changes,
    indexed,
    is_waiting,
    lock_segment,
)
from payments.wire.kinds import CHARGE, KINDS, PAYMENT_INTENT

EVERY_SECONDS = 5.0
"""Between two looks for changes: a few at once cost less than one by one."""
_RESTS = 4.0
"""A fifth of a process's time at most: payments come first, and after a rush of them the index catches up."""
_CHANGES_AT_ONCE = 250
_SWEEP = "index"
_FEWER = 10
"""By how much a batch is smaller in which a change is looked for that can't be indexed."""
_BACKFILLED_AT_ONCE = 500
_CHARGES_OF_INTENT_MAX = 100
"""As many of the newest charges of an intent are looked at when it changes; older ones were declined, and don't change any more."""


@dataclass(frozen=True, slots=True)
class Indexing:
    """SKIP LOCKED shares the work among the copies of the service."""

    pool: Pool
    rows: RowByRow
    backfilled_at_once: int = _BACKFILLED_AT_ONCE

    def jobs(self) -> list[Job]:
        """Return what is to be done by the clock."""
        return [Job(name="index", work=self.index, every_seconds=EVERY_SECONDS, shared=True, waits="index", rests=_RESTS)]

    async def index(self) -> int:
        """Make a batch searchable, if anything waits for that: what was there before first, since its documents come first; returns how much it was."""
        if not await is_waiting(self.pool):
            return 0
        return await self.index_older() or await self.index_changes()

    async def index_changes(self) -> int:
        """Make the oldest changes searchable; returns how many. One that can't be holds up no other."""
        limit = _CHANGES_AT_ONCE
        while True:
            changes: list[Change] = []
            try:
                async with self.pool.acquire() as connection, connection.transaction():
                    changes += await claim_changes(connection, limit, self.rows.put_off(_SWEEP))
                    await self._index(connection, changes)
            except Exception as failure:
                if not changes or not is_of_rows(failure):
                    raise
                if len(changes) > 1:
                    limit = max(1, min(limit, len(changes)) // _FEWER)
                    continue
                self.rows.failed(_SWEEP, changes[0].object_id, failure)
            return len(changes)

    async def index_older(self) -> int:
        """Make objects searchable that were there before there was a search; returns how many."""
        async with self.pool.acquire() as connection, connection.transaction():
            done = await claim_backfill(connection)
            if done is None:
                return 0
            noun = KINDS[done.kind].noun
            changes = await backfill(
                connection, done, table=noun.table, place=noun.place, condition=noun.condition, limit=self.backfilled_at_once
            )
            await self._index(connection, changes)
            return max(1, len(changes))  # at the end of one table there is the next one

    async def _index(self, connection: Connection, changes: Iterable[Change]) -> None:
        subjects: dict[tuple[int, bool, str], list[Resource]] = {}
        for (merchant_id, livemode, kind), group in groupby(sorted(changes), key=lambda each: (each.merchant_id, each.livemode, each.kind)):
            ids = [each.object_id for each in group]
            found = await KINDS[kind].noun.get_many(connection, merchant_id, livemode, ids)
            subjects[merchant_id, livemode, kind] = [
                each for each in found.values() if KINDS[kind].may_name(each.id)
            ]  # the others aren't shown
            if kind == PAYMENT_INTENT.name:
                charges = await CHARGE.noun.newest_of(connection, merchant_id, livemode, "payment_intent", ids, _CHARGES_OF_INTENT_MAX)
                subjects[merchant_id, livemode, CHARGE.name] = [charge for each in charges.values() for charge in each]
        for (merchant_id, livemode, kind), group in sorted(subjects.items(), key=lambda each: each[0]):
            if group:
                await _index_segment(connection, merchant_id, livemode, kind, group)


async def _index_segment(connection: Connection, merchant_id: int, livemode: bool, kind: str, subjects: list[Resource]) -> None:
    segment = await lock_segment(connection, merchant_id, livemode, kind)
    known = await indexed(connection, segment, [subject.id for subject in subjects])
    change, documents = _changed(segment, kind, known, subjects)
    if change.documents:
        await apply(connection, change, documents)


def _changed(segment: Segment, kind: str, known: Mapping[str, Indexed], subjects: list[Resource]) -> tuple[SegmentChange, int]:
    """Return what becomes of a segment, and how many numbers are taken then; objects that are there as they are, or newer, change nothing."""
    change, documents = SegmentChange(segment), segment.documents
    place = attrgetter(KINDS[kind].noun.place)
    for subject in sorted(subjects, key=lambda each: (each.created, place(each))):
        before = known.get(subject.id)
        values = _searched(subject)
        if before is None:
            if values is None:
                continue
            number, documents = documents, documents + 1
        elif before.version >= subject.version:
            continue
        else:
            number = before.number
        old = set[int]() if before is None or before.searched is None else terms_of(kind, before.searched)
        new = set[int]() if values is None else terms_of(kind, values)
        block, place_in_block = divmod(number, BLOCK_DOCUMENTS)
        for term in new - old:
            change.bits_at(term, block).added.append(place_in_block)
        for term in old - new:
            change.bits_at(term, block).removed.append(place_in_block)
        change.documents.append((number, subject.id, subject.version, values))
    return change, documents


def _searched(subject: Resource) -> Values | None:
    """Return what is searched of an object; None of one that was deleted."""
    if getattr(subject, "deleted", False):
        return None
    return values_of(KINDS[subject.OBJECT].render(subject))
