"""The expansion of ids into the objects that they name, and of the lists that an object shows only when asked.

What may be expanded is what Stripe's schema says (`x-expandableFields`), whether Tap has such objects or not: what is null stays null. Paths are checked before
anything is read or changed. Source: Stripe, "Expanding responses".
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from payments.domain.errors import InvalidRequest
from payments.domain.principal import Principal
from payments.storage import nouns
from payments.storage.database import Queries
from payments.storage.nouns import Noun
from payments.wire.api import Call
from payments.wire.older_versions import had_field
from payments.wire.render import Rendered, rendered

DEPTH_MAX = 4
PATHS_MAX = 50
OBJECTS_MAX = 5_000
"""How many objects one reply may be expanded by."""
_LISTED = 10
"""How many objects an expanded list holds, as any list's first page."""

Tree = dict[str, "Tree"]
"""Field, dotted where it lies in a hash, → what is to be expanded in the objects that it names or lists."""


@dataclass(frozen=True, slots=True)
class Expandable:
    """What a field expands to."""

    kinds: tuple[str, ...] = ()
    """What its id may name, or its list holds; none when Tap has no such objects."""
    listed: bool = False
    """It is a list, which is only there when it was asked for."""
    column: str = ""
    """What of the listed objects names the one that lists them."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object as the API reads it."""

    name: str
    """As in "No such customer"."""
    noun: Noun[Any]
    path: str
    """Of its list."""
    expandable: Mapping[str, Expandable] = field(default_factory=dict[str, Expandable])


_NEVER = Expandable()
_EMPTY = Expandable(listed=True)
_CUSTOMER = Expandable(("customer",))
_PAYMENT_INTENT = Expandable(("payment_intent",))
_PAYMENT_METHOD = Expandable(("payment_method",))
_CHARGE = Expandable(("charge",))
_BALANCE_TRANSACTION = Expandable(("balance_transaction",))
_TURNED_INTO_DEBITS = ("bancontact", "ideal", "sofort")
"""Payment methods that leave a direct debit behind: Tap has none of them, Stripe's schema has."""


def _never(*fields: str) -> dict[str, Expandable]:
    """Fields that are always null or absent here."""
    return dict.fromkeys(fields, _NEVER)


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "payment_intent",
            nouns.PAYMENT_INTENTS,
            "/v1/payment_intents",
            {
                "customer": _CUSTOMER,
                "latest_charge": _CHARGE,
                "payment_method": _PAYMENT_METHOD,
                **_never("application", "on_behalf_of", "payment_record", "review", "source"),
                **_never("amount_details.line_items", "transfer_data.destination"),
            },
        ),
        Kind(
            "charge",
            nouns.CHARGES,
            "/v1/charges",
            {
                "balance_transaction": _BALANCE_TRANSACTION,
                "customer": _CUSTOMER,
                "failure_balance_transaction": _BALANCE_TRANSACTION,
                "payment_intent": _PAYMENT_INTENT,
                "refunds": Expandable(("refund",), listed=True, column="charge"),
                **_never(
                    "application", "application_fee", "on_behalf_of", "review", "source_transfer", "transfer", "transfer_data.destination"
                ),
                **_never("payment_method_details.card.mandate", "payment_method_details.us_bank_account.mandate"),
                **{f"payment_method_details.{name}.generated_sepa_debit": _PAYMENT_METHOD for name in _TURNED_INTO_DEBITS},
                **_never(*(f"payment_method_details.{name}.generated_sepa_debit_mandate" for name in _TURNED_INTO_DEBITS)),
            },
        ),
        Kind(
            "refund",
            nouns.REFUNDS,
            "/v1/refunds",
            {
                "balance_transaction": _BALANCE_TRANSACTION,
                "charge": _CHARGE,
                "customer": _CUSTOMER,
                "failure_balance_transaction": _BALANCE_TRANSACTION,
                "payment_intent": _PAYMENT_INTENT,
                "payment_method": _PAYMENT_METHOD,
                **_never("source_transfer_reversal", "transfer_reversal"),
            },
        ),
        Kind(
            "payment_method",
            nouns.PAYMENT_METHODS,
            "/v1/payment_methods",
            {
                "customer": _CUSTOMER,
                "sepa_debit.generated_from.charge": _CHARGE,
                **_never("card.generated_from.setup_attempt", "sepa_debit.generated_from.setup_attempt"),
            },
        ),
        Kind(
            "customer",
            nouns.CUSTOMERS,
            "/v1/customers",
            {
                "invoice_settings.default_payment_method": _PAYMENT_METHOD,
                "sources": _EMPTY,
                "subscriptions": _EMPTY,
                "tax_ids": _EMPTY,
                **_never("default_source", "test_clock"),
            },
        ),
        Kind(
            "balance_transaction",
            nouns.BALANCE_TRANSACTIONS,
            "/v1/balance_transactions",
            {"source": Expandable(("charge", "refund"))},
        ),
    )
}


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
    return tree


def _grow(tree: Tree, kinds: tuple[str, ...], rest: str, path: str, api_version: str) -> None:
    """Add a path to the tree."""
    while True:
        found = [
            (name, expandable)
            for kind in kinds
            if kind in KINDS
            for name, expandable in KINDS[kind].expandable.items()
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
                if expandable is not None:
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
            ours = [(parent, object_id) for parent, object_id in named if object_id.startswith(f"{kind.noun.prefix}_")]
            if not ours:
                continue
            ids = {object_id for _, object_id in ours}
            found = await kind.noun.get_many(self._connection, self._principal.merchant_id, self._principal.livemode, ids)
            for parent, object_id in ours:
                if object_id in found:
                    parent[leaf] = body = self._render(found[object_id])
                    children.append(body)
        return children

    async def _list(self, kind: Kind, bodies: list[Rendered], name: str, expandable: Expandable) -> list[Rendered]:
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
            body[name] = {"object": "list", "data": data, "has_more": len(found) > _LISTED, "url": f"{kind.path}/{object_id}/{name}"}
            children += data
        return children

    def _render(self, subject: object) -> Rendered:
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
