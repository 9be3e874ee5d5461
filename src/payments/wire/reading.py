"""Reading objects: one by id, and pages of them, expanded as asked.

Source: Stripe, "Pagination" and "Expanding responses".
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, cast

import msgspec
from msgspec import Meta, Struct

from payments.domain.errors import InvalidRequest, NotFound
from payments.runtime.clock import Clock
from payments.runtime.ids import ID_CHARACTERS_MAX
from payments.storage.database import Pool, Queries
from payments.storage.nouns import Gathered
from payments.storage.paging import CREATED_MAX, PageRequest
from payments.wire.api import Call, Reply, reply
from payments.wire.expansion import KINDS, Expansion, Tree, tree_of
from payments.wire.lists import Lists
from payments.wire.render import Rendered, rendered

FilterId = Annotated[str, Meta(min_length=1, max_length=ID_CHARACTERS_MAX)]
"""An id, or a name, that a list is filtered by or begins at. A filter can't be unset, so none is empty."""


class CreatedRange(Struct, frozen=True, forbid_unknown_fields=True):
    """A range of creation times, unix seconds."""

    gt: int | None = None
    gte: int | None = None
    lt: int | None = None
    lte: int | None = None


class PageParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every list takes; a list with filters extends it."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 10
    starting_after: FilterId | None = None
    ending_before: FilterId | None = None

    def created_range(self) -> tuple[int, int]:
        """Return between which creation times, unix seconds, inclusive."""
        return 0, CREATED_MAX

    def page(self) -> PageRequest:
        """Return the page asked for; raises `InvalidRequest` for two cursors."""
        if self.starting_after is not None and self.ending_before is not None:
            raise InvalidRequest("You cannot specify both starting_after and ending_before.", param="starting_after")
        created_from, created_to = self.created_range()
        return PageRequest(
            limit=self.limit,
            starting_after=self.starting_after,
            ending_before=self.ending_before,
            created_from=created_from,
            created_to=created_to,
        )


class ListParams(PageParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same for a list that may be narrowed by time."""

    created: CreatedRange | int | None = None

    def created_range(self) -> tuple[int, int]:
        """Return between which creation times, unix seconds, inclusive; however far a bound is from any time, it is one that a column can hold."""
        earliest, latest = 0, CREATED_MAX
        match self.created:
            case int():
                earliest = latest = self.created
            case CreatedRange(gt=gt, gte=gte, lt=lt, lte=lte):
                earliest = max(0 if gt is None else gt + 1, gte or 0)
                latest = min(latest if lt is None else lt - 1, latest if lte is None else lte)
            case None:
                pass
        return min(max(earliest, 0), CREATED_MAX + 1), min(max(latest, -1), CREATED_MAX)


class Reader:
    """Reads objects for a caller."""

    def __init__(self, pool: Pool, lists: Lists, clock: Clock) -> None:
        """Read single objects through `pool`, pages of them through `lists`."""
        self._pool = pool
        self._gathered = Gathered(pool)
        self._lists = lists
        self._clock = clock

    async def find(self, call: Call, kind_name: str, object_id: str) -> Any:
        """Return one object of the caller's, or None."""
        return await KINDS[kind_name].noun.get(self._gathered, call.principal.merchant_id, call.principal.livemode, object_id)

    async def get(self, call: Call, kind_name: str, object_id: str, *, param: str = "id") -> Any:
        """Return one object of the caller's; raises `NotFound`."""
        found = await self.find(call, kind_name, object_id)
        if found is None:
            raise NotFound(kind_name, object_id[:100], param=param)
        return found

    async def show(self, call: Call, kind_name: str, object_id: str, *, param: str = "id") -> Reply:
        """Answer with one object, expanded as asked."""
        return await self.answer(call, rendered(await self.get(call, kind_name, object_id, param=param), self._clock.now()))

    async def answer(self, call: Call, body: Rendered) -> Reply:
        """Answer with a rendered object, expanded as asked."""
        await self._expand(self._pool, call, [body], tree_of(cast("str", body["object"]), call.expand, call.api_version))
        return reply(body)

    async def expanded(self, call: Call, result: Reply) -> Reply:
        """Expand a reply that was stored or rendered without expansion; an error is left as it is."""
        if not call.expand or result.status != 200:
            return result
        body = cast("Rendered", msgspec.json.decode(result.body))
        answer = await self.answer(call, body)
        return replace(result, body=answer.body)

    async def page(self, call: Call, kind_name: str, params: PageParams, filters: Mapping[str, str | None], url: str) -> Reply:
        """Answer with a page, newest first; raises `InvalidRequest` for a cursor that is none of the caller's, and what `Lists.connection` does."""
        kind, page, tree = KINDS[kind_name], params.page(), tree_of(kind_name, call.expand, call.api_version, in_list=True)
        merchant_id, livemode = call.principal.merchant_id, call.principal.livemode
        given = {name: value for name, value in filters.items() if value is not None}
        async with self._lists.connection(merchant_id) as connection:
            for param, cursor in (("starting_after", page.starting_after), ("ending_before", page.ending_before)):
                if cursor is not None and await kind.noun.get(connection, merchant_id, livemode, cursor) is None:
                    raise _no_such_cursor(kind_name, cursor, param)
            objects, has_more = await kind.noun.page(connection, merchant_id, livemode, page, given)
            data = [rendered(subject, self._clock.now()) for subject in objects]
            await self._expand(connection, call, data, tree)
        return reply({"object": "list", "url": url, "has_more": has_more, "data": data})

    def none(self, kind_name: str, params: PageParams, url: str) -> Reply:
        """Answer with a page of what Tap has none of; raises `InvalidRequest` for a cursor, which can be none of them."""
        page = params.page()
        for param, cursor in (("starting_after", page.starting_after), ("ending_before", page.ending_before)):
            if cursor is not None:
                raise _no_such_cursor(kind_name, cursor, param)
        return reply({"object": "list", "url": url, "has_more": False, "data": []})

    async def _expand(self, connection: Queries, call: Call, bodies: list[Rendered], tree: Tree) -> None:
        if tree:
            await Expansion(connection, call.principal, self._clock.now()).expand(bodies, tree)


def _no_such_cursor(kind_name: str, cursor: str, param: str) -> InvalidRequest:
    return InvalidRequest(f"No such {kind_name}: '{cursor[:100]}'", code="resource_missing", param=param)
