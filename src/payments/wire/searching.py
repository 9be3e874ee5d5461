"""Answering a search: block by block of documents, the newest first, and no further than a page is full.

What a query costs is bounded: by how many bitmaps it is made of, how many blocks there are, and how many documents are looked at because bitmaps alone don't
decide about them. A page's token is the number of its last document, so what comes meanwhile, which has a higher one, moves nothing.
"""

import base64
import binascii
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from payments.domain.errors import InvalidRequest, TooWide
from payments.domain.resource import R
from payments.search.bitmaps import BLOCK_DOCUMENTS, places
from payments.search.fields import check_fields
from payments.search.language import parse_query
from payments.search.matching import Bounds, Matching, matching
from payments.storage.database import Queries
from payments.storage.search_index import Segment, find_segment, read_object_ids, read_postings, read_searched
from payments.wire.api import Call, Endpoint, Reply
from payments.wire.kind import Kind
from payments.wire.reading import Reader, SearchPage

LOOKED_AT_MAX = 2_000
"""How many documents one call looks at because bitmaps don't decide about them. Beyond that a page ends early, and a total is what may match."""
_LOOKED_AT_ONCE = 500
_BLOCKS_AT_ONCE = (2, 14, 112, 512)
"""How many blocks are read at once: few at first, since a page of what is frequent is full soon; then more and more."""
_TOKEN_DIGEST_BYTES = 8


class SearchParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every search takes."""

    query: Annotated[str, Meta(max_length=5_000)]
    limit: Annotated[int, Meta(ge=1, le=100)] = 10
    page: Annotated[str, Meta(min_length=1, max_length=100)] | None = None


class _Token(Struct, frozen=True, array_like=True):
    """Where a page ended, of which query."""

    number: int
    query: bytes


def search(reader: Reader, kind: Kind[R]) -> Endpoint[SearchParams]:
    """Show what a query finds, page by page."""
    path = f"{kind.path}/search"

    async def handler(call: Call, given: SearchParams) -> Reply:
        query = parse_query(given.query)
        check_fields(kind.name, kind.path, query)
        wanted = matching(kind.name, query)
        digest = blake2b(given.query.encode("utf-8", "surrogatepass"), digest_size=_TOKEN_DIGEST_BYTES).digest()
        below = None if given.page is None else _read_token(given.page, digest)

        async def find(connection: Queries, counted: bool) -> SearchPage:
            segment = await find_segment(connection, call.principal.merchant_id, call.principal.livemode, kind.name)
            if segment is None:
                return SearchPage(ids=[], total_count=0 if counted else None)
            way = _Search(connection, segment, wanted)
            numbers, gave_up = await way.page(segment.documents if below is None else below, given.limit + 1)
            if gave_up and not numbers:
                raise TooWide(LOOKED_AT_MAX)
            shown = numbers[: given.limit]
            ids = await read_object_ids(connection, segment, shown)
            more = len(numbers) > given.limit or gave_up
            return SearchPage(
                ids=[ids[number] for number in shown if number in ids],
                next_page=_token(shown[-1], digest) if more else None,
                total_count=await way.count() if counted else None,
            )

        return await reader.search_page(call, kind, path, find)

    return Endpoint("GET", path, SearchParams, handler)


@dataclass(slots=True)
class _Search:
    """One way through a segment."""

    connection: Queries
    segment: Segment
    wanted: Matching
    looked_at: int = 0
    """Documents about which bitmaps didn't decide."""
    _bounds: dict[int, Bounds] = field(default_factory=dict[int, Bounds])
    """By block, as far as they are known."""

    async def page(self, below: int, count: int) -> tuple[list[int], bool]:
        """Return the highest numbers below one that match, and whether the looking ended before it was known that there are no more."""
        found: list[int] = []
        for blocks in _downwards(min(below, self.segment.documents)):
            await self._read(blocks)
            for block in reversed(blocks):
                certain, possible = self._bounds[block]
                first = block * BLOCK_DOCUMENTS
                if below < first + BLOCK_DOCUMENTS:
                    possible &= (1 << max(0, below - first)) - 1
                if not await self._take(found, first, certain, possible, count):
                    return found, True
                if len(found) >= count:
                    return found, False
        return found, False

    async def count(self) -> int:
        """Return how many documents match; when there are too many about which bitmaps don't decide, how many may."""
        total = 0
        self.looked_at = 0
        for blocks in _downwards(self.segment.documents):
            await self._read(blocks)
            for block in reversed(blocks):
                certain, possible = self._bounds[block]
                total += (certain & possible).bit_count()
                total += await self._count_doubtful(block, possible & ~certain)
        return total

    async def _count_doubtful(self, block: int, doubtful: int) -> int:
        if self.looked_at + doubtful.bit_count() > LOOKED_AT_MAX:
            self.looked_at = LOOKED_AT_MAX
            return doubtful.bit_count()
        matches: list[int] = []
        await self._take(matches, block * BLOCK_DOCUMENTS, 0, doubtful, BLOCK_DOCUMENTS)
        return len(matches)

    async def _read(self, blocks: range) -> None:
        """Learn the bounds of blocks."""
        if not all(block in self._bounds for block in blocks):
            postings = await read_postings(self.connection, self.segment, self.wanted.terms, blocks)
            self._bounds |= {block: self.wanted.bounds(postings.get(block, {})) for block in blocks}

    async def _take(self, found: list[int], first: int, certain: int, possible: int, count: int) -> bool:
        """Add a block's matches until there are `count`; False when too many had to be looked at."""
        upcoming = places(possible)
        while len(found) < count:
            some = [place for place, _ in zip(upcoming, range(_LOOKED_AT_ONCE), strict=False)]
            if not some:
                return True
            doubtful = [first + place for place in some if not certain >> place & 1]
            allowed = doubtful[: LOOKED_AT_MAX - self.looked_at]
            self.looked_at += len(allowed)
            searched = await read_searched(self.connection, self.segment, allowed) if allowed else {}
            for place in some:
                number = first + place
                if certain >> place & 1 or (number in searched and self.wanted.holds(searched[number])):
                    found.append(number)
                    if len(found) == count:
                        return True
                if doubtful != allowed and number == (allowed[-1] if allowed else doubtful[0]):
                    return False
        return True


def _downwards(below: int) -> list[range]:
    """Return ranges of the blocks below a document's number, the highest first, more and more at once."""
    found: list[range] = []
    end = (max(0, below) + BLOCK_DOCUMENTS - 1) // BLOCK_DOCUMENTS
    sizes = iter(_BLOCKS_AT_ONCE)
    size = 0
    while end > 0:
        size = next(sizes, size)
        found.append(range(max(0, end - size), end))
        end -= size
    return found


def _token(number: int, digest: bytes) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(_Token(number, digest))).decode()


def _read_token(page: str, digest: bytes) -> int:
    """Return below which number a page begins; raises `InvalidRequest` for one that isn't of this query."""
    try:
        token = msgspec.msgpack.decode(base64.urlsafe_b64decode(page.encode()), type=_Token)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        token = None
    if token is None or token.query != digest or not 0 <= token.number < 2**31:
        raise InvalidRequest("Invalid page: use the next_page of an earlier answer, with the same query.", param="page")
    return token.number
