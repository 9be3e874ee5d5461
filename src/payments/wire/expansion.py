"""The expansion of ids into the objects that they name, and of the lists that an object shows only when asked.

What may be expanded is what Stripe's schema says (`x-expandableFields`), whether Tap has such objects or not: what is null stays null. Paths are checked before
anything is read or changed. Source: Stripe, "Expanding responses".
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from payments.domain.api_version import LISTS_UNASKED_BEFORE
from payments.domain.errors import InvalidRequest
from payments.domain.principal import Principal
from payments.domain.resource import Resource
from payments.storage.database import Queries
from payments.wire.api import Call
from payments.wire.kind import Expandable, Kind
from payments.wire.kinds import KINDS
from payments.wire.older_versions import had_field
from payments.wire.render_lists import render_list
from payments.wire.render_people import Rendered
from payments.wire.rendering import rendered

DEPTH_MAX = 4
PATHS_MAX = 50
OBJECTS_MAX = 5_000
"""How many objects one reply may be expanded by."""
_LISTED = 10
"""How many objects an expanded list holds, as any list's first page."""

Tree = dict[str, "Tree"]
"""Field, dotted where it lies in a hash, → what is to be expanded in the objects that it names or lists."""


def check_expandable(call: Call, kind_name: str) -> None:
    """Raise `InvalidRequest` for a property that can't be expanded: before a call changes anything, not after it."""
    tree_of(kind_name, call.expand, call.api_version)


def tree_of(kind_name: str, paths: Sequence[str], api_version: str, *, in_list: bool = False) -> Tree:
    """Return what is to be expanded in objects of a kind; raises `InvalidRequest` for what can't be in a version. `in_list`: the paths begin with `data`."""
    if len(paths) > PATHS_MAX:
        raise InvalidRequest(f"You cannot expand more than {PATHS_MAX} properties.", param="expand")
    tree: Tree = {}
    for path in paths:
        parts = path.split(".")
        if not all(parts):
            raise _not_expandable(path)
        if sum(part != "data" for part in parts) > DEPTH_MAX:
            raise InvalidRequest(f"You cannot expand more than {DEPTH_MAX} levels of a property: {path[:200]}.", param="expand")
        if in_list and not path.startswith("data."):
            raise _not_expandable(path)
        _grow(tree, (kind_name,), path.removeprefix("data.") if in_list else path, path, api_version)
    if api_version < LISTS_UNASKED_BEFORE:
        _grow_unasked(tree, (kind_name,), api_version)
    return tree


def _grow_unasked(tree: Tree, kinds: tuple[str, ...], api_version: str) -> None:
    """Add what a version shows without being asked, in all that is expanded as well."""
    for kind in kinds:
        for name, expandable in KINDS[kind].expandable.items() if kind in KINDS else ():
            if api_version < expandable.unasked_before:
                tree.setdefault(name, {})
            if name in tree:
                _grow_unasked(tree[name], expandable.kinds, api_version)


def _grow(tree: Tree, kinds: tuple[str, ...], rest: str, path: str, api_version: str) -> None:
    """Add a path to the tree."""
    while True:
        found = [
            (name, expandable)
            for kind in kinds
            if kind in KINDS
            for name, expandable in KINDS[kind].expandable_in(api_version).items()
            if rest == name or rest.startswith(f"{name}.")
        ]
        if not found:
            if any(had_field(kind, rest.partition(".")[0], api_version) for kind in kinds):
                return
            raise _not_expandable(path)
        name, expandable = found[0]
        tree, rest = tree.setdefault(name, {}), rest[len(name) + 1 :]
        if expandable.listed and rest:
            first, _, rest = rest.partition(".")
            if first != "data":
                raise _not_expandable(path)
        kinds = tuple({kind for _, each in found for kind in each.kinds})
        if not rest or not kinds:  # of what Tap doesn't have, anything may be asked: there is nothing to be shown
            return


def _not_expandable(path: str) -> InvalidRequest:
    return InvalidRequest(
        f"This property cannot be expanded ({path[:200]}). You may want to try expanding a different property.", param="expand"
    )


class Expansion:
    """The expansion of one reply: level by level, one query per field and kind."""

    def __init__(self, connection: Queries, principal: Principal, now: float) -> None:
        """`now`: unix seconds."""
        self._connection = connection
        self._principal = principal
        self._now = now
        self._objects = 0

    async def expand(self, bodies: Iterable[Rendered], tree: Tree) -> None:
        """Replace ids in rendered objects by what they name; raises `InvalidRequest` when that is too much. An id that names nothing stays an id."""
        by_kind: dict[str, list[Rendered]] = {}
        for body in bodies:
            if not body.get("deleted"):
                by_kind.setdefault(cast("str", body["object"]), []).append(body)
        for name, below in tree.items():
            for kind_name, group in by_kind.items():
                expandable = KINDS[kind_name].expandable.get(name)
                if expandable is not None and expandable.own is not None:
                    await self._show(KINDS[kind_name], group, name, expandable.own)
                elif expandable is not None:
                    children = await (
                        self._list(KINDS[kind_name], group, name, expandable) if expandable.listed else self._load(group, name, expandable)
                    )
                    await self.expand(children, below)

    async def _load(self, bodies: list[Rendered], name: str, expandable: Expandable) -> list[Rendered]:
        """Put objects in the place of their ids."""
        *outer, leaf = name.split(".")
        named: list[tuple[Rendered, str]] = []
        for parent in _hashes(bodies, outer):
            object_id = parent.get(leaf)
            if isinstance(object_id, str):
                named.append((parent, object_id))
        children: list[Rendered] = []
        for kind in (KINDS[kind_name] for kind_name in expandable.kinds):
            ours = [(parent, object_id) for parent, object_id in named if kind.may_name(object_id)]
            if not ours:
                continue
            ids = {object_id for _, object_id in ours}
            found = await kind.noun.get_many(self._connection, self._principal.merchant_id, self._principal.livemode, ids)
            for parent, object_id in ours:
                if object_id in found:
                    parent[leaf] = body = self._render(found[object_id])
                    children.append(body)
        return children

    async def _show(
        self, kind: Kind[Any], bodies: list[Rendered], name: str, own: Callable[[Any], Rendered | list[Rendered] | None]
    ) -> None:
        """Add to objects what is part of them, and isn't shown otherwise."""
        *outer, leaf = name.split(".")
        ids = {cast("str", body["id"]) for body in bodies}
        found = await kind.noun.get_many(self._connection, self._principal.merchant_id, self._principal.livemode, ids)
        for body in bodies:
            subject = found.get(cast("str", body["id"]))
            shown = None if subject is None else own(subject)
            for parent in _hashes([body], outer) if shown is not None else ():
                parent[leaf] = shown

    async def _list(self, kind: Kind[Any], bodies: list[Rendered], name: str, expandable: Expandable) -> list[Rendered]:
        """Add a list to each object: the first page of it."""
        listed: dict[str, list[Any]] = {}
        ids = [cast("str", body["id"]) for body in bodies]
        for kind_name in expandable.kinds:
            listed = await KINDS[kind_name].noun.newest_of(
                self._connection,
                self._principal.merchant_id,
                self._principal.livemode,
                expandable.column,
                list(dict.fromkeys(ids)),
                _LISTED + 1,
            )
        children: list[Rendered] = []
        for body, object_id in zip(bodies, ids, strict=True):
            found = listed.get(object_id, [])
            data = [self._render(subject) for subject in found[:_LISTED]]
            url = f"{expandable.path}{object_id}" if expandable.path else f"{kind.path}/{object_id}/{name}"
            body[name] = render_list(url, data, has_more=len(found) > _LISTED)
            children += data
        return children

    def _render(self, subject: Resource) -> Rendered:
        self._objects += 1
        if self._objects > OBJECTS_MAX:
            raise InvalidRequest(
                f"You cannot expand more than {OBJECTS_MAX} objects at once. Use a smaller limit, or expand less.", param="expand"
            )
        return rendered(subject, self._now)


def _hashes(bodies: list[Rendered], outer: list[str]) -> list[Rendered]:
    """Return the hashes that lie at a dotted path of objects; where there is none, there is nothing to expand."""
    hashes = bodies
    for part in outer:
        hashes = [cast("Rendered", each[part]) for each in hashes if isinstance(each.get(part), dict)]
    return hashes
