"""Reading objects: one by id, pages of them, and the expansion of ids into objects.

Source: Stripe, "Pagination" and "Expanding responses".
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, cast

import msgspec
from msgspec import Meta, Struct

from payments.domain.balance_transaction import BalanceTransaction
from payments.domain.errors import InvalidRequest, NotFound
from payments.storage import nouns
from payments.storage.database import Pool
from payments.storage.nouns import Noun, PageRequest
from payments.wire.api import Call, Reply, reply
from payments.wire.render import Rendered, render, render_balance_transaction

EXPAND_DEPTH_MAX = 4


class CreatedRange(Struct, frozen=True, forbid_unknown_fields=True):
    """A range of creation times, unix seconds."""

    gt: int | None = None
    gte: int | None = None
    lt: int | None = None
    lte: int | None = None


class ListParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every list takes; a list with filters extends it."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 10
    starting_after: str | None = None
    ending_before: str | None = None
    created: CreatedRange | int | None = None

    def page(self) -> PageRequest:
        """Return the page asked for; raises `InvalidRequest` for two cursors."""
        if self.starting_after is not None and self.ending_before is not None:
            raise InvalidRequest("You cannot specify both starting_after and ending_before.", param="starting_after")
        created_from, created_to = 0, 2**53
        match self.created:
            case int():
                created_from = created_to = self.created
            case CreatedRange(gt=gt, gte=gte, lt=lt, lte=lte):
                created_from = max(0 if gt is None else gt + 1, gte or 0)
                created_to = min(created_to if lt is None else lt - 1, created_to if lte is None else lte)
            case None:
                pass
        return PageRequest(
            limit=self.limit,
            starting_after=self.starting_after,
            ending_before=self.ending_before,
            created_from=created_from,
            created_to=created_to,
        )


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object as the API reads it."""

    name: str
    """As in "No such customer"."""
    noun: Noun[Any]
    expandable: Mapping[str, str]
    """Field (dots lead into hashes) → kind that its id names."""


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "payment_intent",
            nouns.PAYMENT_INTENTS,
            {"customer": "customer", "latest_charge": "charge", "payment_method": "payment_method"},
        ),
        Kind(
            "charge",
            nouns.CHARGES,
            {"balance_transaction": "balance_transaction", "customer": "customer", "payment_intent": "payment_intent"},
        ),
        Kind(
            "refund",
            nouns.REFUNDS,
            {
                "balance_transaction": "balance_transaction",
                "failure_balance_transaction": "balance_transaction",
                "charge": "charge",
                "customer": "customer",
                "payment_intent": "payment_intent",
                "payment_method": "payment_method",
            },
        ),
        Kind("payment_method", nouns.PAYMENT_METHODS, {"customer": "customer"}),
        Kind("customer", nouns.CUSTOMERS, {"invoice_settings.default_payment_method": "payment_method"}),
        Kind("balance_transaction", nouns.BALANCE_TRANSACTIONS, {"source": "charge refund"}),
    )
}
_KIND_BY_PREFIX = {
    "pi": "payment_intent",
    "ch": "charge",
    "re": "refund",
    "pm": "payment_method",
    "cus": "customer",
    "txn": "balance_transaction",
}


def rendered(subject: object) -> Rendered:
    """Render any object that can be read."""
    return render_balance_transaction(subject, time.time()) if isinstance(subject, BalanceTransaction) else render(subject)


class Reader:
    """Reads objects for a caller."""

    def __init__(self, pool: Pool) -> None:
        """Read through `pool`."""
        self._pool = pool

    async def find(self, call: Call, kind_name: str, object_id: str) -> Any:
        """Return one object of the caller's, or None."""
        return await KINDS[kind_name].noun.get(self._pool, call.principal.merchant_id, call.principal.livemode, object_id)

    async def get(self, call: Call, kind_name: str, object_id: str, *, param: str = "id") -> Any:
        """Return one object of the caller's; raises `NotFound`."""
        found = await self.find(call, kind_name, object_id)
        if found is None:
            raise NotFound(kind_name, object_id[:100], param=param)
        return found

    async def show(self, call: Call, kind_name: str, object_id: str, *, param: str = "id") -> Reply:
        """Answer with one object, expanded as asked."""
        return await self.answer(call, rendered(await self.get(call, kind_name, object_id, param=param)))

    async def answer(self, call: Call, body: Rendered) -> Reply:
        """Answer with a rendered object, expanded as asked."""
        if call.expand:
            await self._expand(call, [body], call.expand)
        return reply(body)

    async def expanded(self, call: Call, result: Reply) -> Reply:
        """Expand a reply that was stored or rendered without expansion; an error is left as it is."""
        if not call.expand or result.status != 200:
            return result
        body = cast("Rendered", msgspec.json.decode(result.body))
        await self._expand(call, [body], call.expand)
        return Reply(result.status, msgspec.json.encode(body), result.replayed, result.headers)

    async def page(self, call: Call, kind_name: str, params: ListParams, filters: Mapping[str, object | None], url: str) -> Reply:
        """Answer with a page, newest first; raises `InvalidRequest` for a cursor that is none of the caller's."""
        noun, page = KINDS[kind_name].noun, params.page()
        merchant_id, livemode = call.principal.merchant_id, call.principal.livemode
        for param, cursor in (("starting_after", page.starting_after), ("ending_before", page.ending_before)):
            if cursor is not None and await noun.get(self._pool, merchant_id, livemode, cursor) is None:
                raise InvalidRequest(f"No such {kind_name}: '{cursor[:100]}'", code="resource_missing", param=param)
        given = {name: value for name, value in filters.items() if value is not None}
        objects, has_more = await noun.page(self._pool, merchant_id, livemode, page, given)
        return await self.list_of(call, [rendered(subject) for subject in objects], has_more, url)

    async def list_of(self, call: Call, data: list[Rendered], has_more: bool, url: str) -> Reply:
        """Answer with a list, its objects expanded as asked by `data.*`."""
        if call.expand:
            paths = [path.removeprefix("data.") for path in call.expand if path.startswith("data.")]
            if len(paths) != len(call.expand):
                raise _not_expandable(next(path for path in call.expand if not path.startswith("data.")))
            await self._expand(call, data, paths)
        return reply({"object": "list", "url": url, "has_more": has_more, "data": data})

    async def _expand(self, call: Call, bodies: list[Rendered], paths: tuple[str, ...] | list[str]) -> None:
        for path in paths:
            _check_depth(path)
            await self._expand_path(call, bodies, path, path)

    async def _expand_path(self, call: Call, bodies: list[Rendered], path: str, whole: str) -> None:
        """Expand `path` in all bodies at once, level by level: one query per kind and level."""
        if not bodies:
            return
        kind = KINDS.get(cast("str", bodies[0]["object"]))
        expandable: Mapping[str, str] = {} if kind is None else kind.expandable
        field = next((name for name in expandable if path == name or path.startswith(f"{name}.")), None)
        if field is None:
            raise _not_expandable(whole)
        parents, leaf = _parents(bodies, field)
        await self._load(call, [parent for parent in parents if isinstance(parent[leaf], str)], leaf)
        rest = path[len(field) + 1 :]
        if rest:
            children = [cast("Rendered", parent[leaf]) for parent in parents if isinstance(parent[leaf], dict)]
            by_kind: dict[object, list[Rendered]] = {}
            for child in children:
                by_kind.setdefault(child["object"], []).append(child)
            for group in by_kind.values():
                await self._expand_path(call, group, rest, whole)

    async def _load(self, call: Call, parents: list[Rendered], leaf: str) -> None:
        wanted: dict[str, set[str]] = {}
        for parent in parents:
            object_id = cast("str", parent[leaf])
            wanted.setdefault(_KIND_BY_PREFIX[object_id.split("_")[0]], set()).add(object_id)
        found: dict[str, Any] = {}
        for kind_name, ids in wanted.items():
            noun = KINDS[kind_name].noun
            found |= await noun.get_many(self._pool, call.principal.merchant_id, call.principal.livemode, ids)
        for parent in parents:
            subject = found.get(cast("str", parent[leaf]))
            if subject is not None:
                parent[leaf] = rendered(subject)


def check_expandable(call: Call, kind_name: str) -> None:
    """Raise `InvalidRequest` for a property that can't be expanded: before a call changes anything, not after it."""
    for path in call.expand:
        _check_depth(path)
        kinds, rest = [kind_name], path
        while rest:
            fields = {
                field: names
                for name in kinds
                for field, names in KINDS[name].expandable.items()
                if rest == field or rest.startswith(f"{field}.")
            }
            if not fields:
                raise _not_expandable(path)
            field, names = next(iter(fields.items()))
            kinds, rest = names.split(), rest[len(field) + 1 :]


def _check_depth(path: str) -> None:
    if path.count(".") >= EXPAND_DEPTH_MAX:
        raise InvalidRequest(f"You cannot expand more than {EXPAND_DEPTH_MAX} levels of a property: {path[:200]}.", param="expand")


def _parents(bodies: list[Rendered], field: str) -> tuple[list[Rendered], str]:
    """Return the hashes that hold the last part of a dotted field, and that part."""
    *outer, leaf = field.split(".")
    parents = bodies
    for part in outer:
        parents = [cast("Rendered", body[part]) for body in parents if isinstance(body.get(part), dict)]
    return parents, leaf


def _not_expandable(path: str) -> InvalidRequest:
    return InvalidRequest(
        f"This property cannot be expanded ({path[:200]}). You may want to try expanding a different property.", param="expand"
    )
