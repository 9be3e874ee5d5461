"""Reading objects: one by id, and pages of them, expanded as asked.

Source: Stripe, "Pagination" and "Expanding responses".
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, TypeVar, cast

import msgspec
from msgspec import Meta, Struct

from payments.domain.api_version import LISTS_UNASKED_BEFORE
from payments.domain.charge import Charge
from payments.domain.errors import InvalidRequest, NotFound, ResourceMissing
from payments.domain.payment_intent import PaymentIntent
from payments.domain.principal import Principal
from payments.domain.resource import R
from payments.runtime.clock import Clock
from payments.runtime.ids import ID_CHARACTERS_MAX
from payments.storage.database import Connection, Pool, Queries
from payments.storage.nouns import Filter, Gathered
from payments.storage.paging import CREATED_MAX, PageRequest
from payments.wire.api import Call, Reply, reply
from payments.wire.expansion import Expansion, Tree, tree_of
from payments.wire.kind import Kind
from payments.wire.kinds import KINDS, PAYMENT_INTENT
from payments.wire.lists import Lists
from payments.wire.render_lists import render_found, render_list
from payments.wire.render_people import Rendered
from payments.wire.rendering import rendered

FilterId = Annotated[str, Meta(min_length=1, max_length=ID_CHARACTERS_MAX)]
"""An id, or a name, that a list is filtered by or begins at. A filter can't be unset, so none is empty."""

F = TypeVar("F")
_TOTAL_COUNT = "total_count"
"""What a search may be asked to show beside its objects' own fields."""


class CreatedRange(Struct, frozen=True, forbid_unknown_fields=True):
    """A range of creation times, unix seconds."""

    gt: int | None = None
    gte: int | None = None
    lt: int | None = None
    lte: int | None = None


def range_of(given: CreatedRange | int | None) -> tuple[int, int]:
    """Return between which times, unix seconds, inclusive; however far a bound is from any time, it is one that a column can hold."""
    earliest, latest = 0, CREATED_MAX
    match given:
        case int():
            earliest = latest = given
        case CreatedRange(gt=gt, gte=gte, lt=lt, lte=lte):
            earliest = max(0 if gt is None else gt + 1, gte or 0)
            latest = min(latest if lt is None else lt - 1, latest if lte is None else lte)
        case None:
            pass
    return min(max(earliest, 0), CREATED_MAX + 1), min(max(latest, -1), CREATED_MAX)


class PageParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every list takes; a list with filters extends it by a field for each, called as its column."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 10
    starting_after: FilterId | None = None
    ending_before: FilterId | None = None

    def filters(self) -> dict[str, Filter]:
        """Return the filters that are given, by column."""
        return {
            name: value
            for name in self.__struct_fields__
            if name not in ListParams.__struct_fields__ and (value := getattr(self, name)) is not None
        }

    def created_range(self) -> tuple[int, int]:
        """Return between which creation times, unix seconds, inclusive."""
        return 0, CREATED_MAX

    def page(self) -> PageRequest:
        """Return the page asked for; raises `InvalidRequest` for two cursors."""
        if self.starting_after is not None and self.ending_before is not None:
            raise InvalidRequest("Received both starting_after and ending_before parameters. Please pass in only one.")
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
        """Return between which creation times, unix seconds, inclusive."""
        return range_of(self.created)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPage:
    """What a search found."""

    ids: Sequence[str]
    """Of the page's objects, in their order."""
    next_page: str | None = None
    """Where the next page begins; None when there is none."""
    total_count: int | None = None
    """None where nobody asked."""


class Reader:
    """Reads objects for a caller."""

    def __init__(self, pool: Pool, lists: Lists, clock: Clock) -> None:
        """Read single objects through `pool`, pages of them through `lists`."""
        self._pool = pool
        self._gathered = Gathered(pool)
        self._lists = lists
        self._clock = clock

    @property
    def lists(self) -> Lists:
        """What lists are read on, for those of what isn't a kind of object."""
        return self._lists

    async def find(self, call: Call, kind: Kind[R], object_id: str) -> R | None:
        """Return one object of the caller's, or None; one that was deleted is found all the same, where something is left of it. What isn't shown isn't found."""
        if not kind.may_name(object_id):
            return None
        return await kind.noun.get(self._gathered, call.principal.merchant_id, call.principal.livemode, object_id)

    async def get(self, call: Call, kind: Kind[R], object_id: str, *, param: str = "") -> R:
        """Return one object of the caller's, to act on; raises `ResourceMissing` for `param`, which named it, and `NotFound` where the path did."""
        found = await self.find(call, kind, object_id)
        if found is None or getattr(found, "deleted", False):
            shown = object_id[:100]
            raise ResourceMissing(kind.named, shown, param=param) if param else NotFound(kind.named, shown, param=kind.param)
        return found

    async def intent_of(self, call: Call, charge: Charge) -> PaymentIntent:
        """Return the intent of a charge, shown or not; raises `NotFound`."""
        merchant_id, livemode = call.principal.merchant_id, call.principal.livemode
        found = await PAYMENT_INTENT.noun.get(self._gathered, merchant_id, livemode, charge.payment_intent)
        if found is None:
            raise NotFound(PAYMENT_INTENT.named, charge.payment_intent, param=PAYMENT_INTENT.param)
        return found

    async def show(self, call: Call, kind: Kind[R], object_id: str) -> Reply:
        """Answer with one object, expanded as asked; raises `NotFound`."""
        found = await self.find(call, kind, object_id)
        if found is None or (getattr(found, "deleted", False) and not kind.shows_deleted):
            raise NotFound(kind.named, object_id[:100], param=kind.param)
        return await self.answer(call, rendered(found, self._due_at(call)))

    async def answer(self, call: Call, body: Rendered) -> Reply:
        """Answer with a rendered object, expanded as asked."""
        await self._expand(self._pool, call, [body], tree_of(cast("str", body["object"]), call.expand, call.api_version))
        return reply(body)

    async def expanded(self, call: Call, result: Reply) -> Reply:
        """Expand a reply that was stored or rendered without expansion; an error is left as it is."""
        if result.status != 200 or not (call.expand or call.api_version < LISTS_UNASKED_BEFORE):
            return result
        body = cast("Rendered", msgspec.json.decode(result.body))
        answer = await self.answer(call, body)
        return replace(result, body=answer.body)

    async def page(self, call: Call, kind: Kind[R], params: PageParams, url: str = "", **fixed: str) -> Reply:
        """Answer with a page, newest first, of what the parameters let through and whose columns are `fixed`; `url` is the list's own, unless it is the
        kind's. Raises `ResourceMissing` for a cursor or a filter that names nothing of the caller's, and what `Lists.connection` does.
        """
        page, tree = params.page(), tree_of(kind.name, call.expand, call.api_version, in_list=True)
        merchant_id, livemode = call.principal.merchant_id, call.principal.livemode
        async with self._lists.connection(merchant_id) as connection:
            cursor = await found_cursor(kind.named, page, lambda cursor: kind.noun.get(connection, merchant_id, livemode, cursor))
            if cursor is not None:
                page = page.beginning_at(getattr(cursor, kind.noun.place))
            objects, has_more = await kind.noun.page(connection, merchant_id, livemode, page, {**params.filters(), **fixed})
            if not objects and cursor is None:
                await _check_named(connection, call.principal, params.filters())
            data = [rendered(subject, self._due_at(call)) for subject in objects]
            await self._expand(connection, call, data, tree)
        return reply(render_list(url or kind.path, data, has_more=has_more))

    async def search_page(self, call: Call, kind: Kind[R], url: str, find: Callable[[Connection, bool], Awaitable[SearchPage]]) -> Reply:
        """Answer with what a search finds, as it is now; `find` is told whether to count. Raises what `Lists.connection` does."""
        paths = [path for path in call.expand if path != _TOTAL_COUNT]
        tree, counted = tree_of(kind.name, paths, call.api_version, in_list=True), len(paths) < len(call.expand)
        merchant_id, livemode = call.principal.merchant_id, call.principal.livemode
        async with self._lists.connection(merchant_id) as connection:
            found = await find(connection, counted)
            objects = await kind.noun.get_many(connection, merchant_id, livemode, found.ids)
            shown = [objects[each] for each in found.ids if each in objects and not getattr(objects[each], "deleted", False)]
            data = [rendered(subject, self._due_at(call)) for subject in shown]
            await self._expand(connection, call, data, tree)
        body = render_found(url, data, next_page=found.next_page, total_count=found.total_count)
        return reply(body)

    def _due_at(self, call: Call) -> float:
        """Return by when what is shown to a caller is due, or isn't yet; unix seconds."""
        return self._clock.now() + call.principal.ahead_seconds

    async def _expand(self, connection: Queries, call: Call, bodies: list[Rendered], tree: Tree) -> None:
        if tree:
            await Expansion(connection, call.principal, self._due_at(call)).expand(bodies, tree)


async def _check_named(connection: Connection, principal: Principal, filters: Mapping[str, Filter]) -> None:
    """Raise `ResourceMissing` for a filter that names an object which there is not, or no more: only then does an empty list say that the object has nothing."""
    for param, value in filters.items():
        kind = KINDS.get(param)
        if kind is not None and isinstance(value, str):
            found = await kind.noun.get(connection, principal.merchant_id, principal.livemode, value) if kind.may_name(value) else None
            if found is None or getattr(found, "deleted", False):
                raise ResourceMissing(kind.named, value[:100], param=param)


async def found_cursor(name: str, page: PageRequest, find: Callable[[str], Awaitable[F | None]]) -> F | None:
    """Return what the cursor of a page names, None without one; raises `ResourceMissing` when it names nothing. `name`: of what the list holds."""
    for param, cursor in (("starting_after", page.starting_after), ("ending_before", page.ending_before)):
        if cursor is not None:
            found = await find(cursor)
            if found is None:
                raise ResourceMissing(name, cursor[:100], param=param)
            return found
    return None


async def page_of_these(name: str, bodies: Sequence[Rendered], params: PageParams, url: str) -> Reply:
    """Answer with a page of what is at hand, in its own order; raises `InvalidRequest` for a cursor that is none of them. `name`: of what the list holds."""
    page, places = params.page(), {body["id"]: place for place, body in enumerate(bodies)}

    async def place_of(cursor: str) -> int | None:
        return places.get(cursor)

    cursor = await found_cursor(name, page, place_of)
    if page.ending_before is not None and cursor is not None:
        data, more = bodies[max(0, cursor - page.limit) : cursor], cursor > page.limit
    else:
        begin = 0 if cursor is None else cursor + 1
        data, more = bodies[begin : begin + page.limit], len(bodies) > begin + page.limit
    return reply({"object": "list", "url": url, "has_more": more, "data": list(data)})


async def none_of_them(name: str, params: PageParams, url: str) -> Reply:
    """Answer with a page of what Tap has none of; raises `InvalidRequest` for a cursor, which can be none of them."""

    async def nothing(_: str) -> None:
        return None

    await found_cursor(name, params.page(), nothing)
    return reply(render_list(url, [], has_more=False))
