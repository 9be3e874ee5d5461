"""Reading and writing objects, one noun a table: by id, by several ids, by page; and one at a time in the transaction of the call that changes it.

An update is a compare-and-set: it takes the object one version on, and raises `ObjectLocked` when somebody else changed it first, or has it in hand.
Nobody waits here, as nobody does in `versions`: two calls of which each has what the other wants would wait for one another.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import Generic, cast

import asyncpg
import msgspec

from payments.domain.errors import ObjectLocked
from payments.domain.resource import R, Resource
from payments.runtime.ids import ID_CHARACTERS_MAX
from payments.storage.database import Pool, Queries
from payments.storage.group_commit import GroupCommit
from payments.storage.paging import ROWS_LOOKED_AT_MAX, PageRequest
from payments.storage.sql import queries

_SQL = queries("nouns.sql")
_PAGE_ARGUMENTS = 8


@dataclass(frozen=True, slots=True)
class Range:
    """Between which values a number is to be, inclusive."""

    earliest: int
    latest: int


Filter = str | bool | Range | Sequence[str]
"""What a column is to be, or which of several, or between which."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What a table's lists may be filtered by, and from which index each filter is read."""

    indexed: tuple[str, ...] = ()
    """Columns with an index (merchant_id, livemode, COLUMN, id) of their own; the most selective first: of several that are given, its index is read."""
    few: Mapping[str, Sequence[str] | Sequence[bool]] = field(default_factory=dict[str, "Sequence[str] | Sequence[bool]"])
    """The columns of one index (merchant_id, livemode, COLUMNS, id), with every value that there is: what isn't given is any of them."""
    compared: Mapping[str, str] = field(default_factory=dict[str, str])
    """Name → expression that no index holds."""


@dataclass(frozen=True, slots=True)
class _Key:
    merchant_id: int
    livemode: bool
    id: str


class Gathered:
    """Reads single objects by id: those that several calls ask for at once, by one statement a table. A statement costs more than what it finds."""

    def __init__(self, pool: Pool) -> None:
        """Read through `pool`."""
        self._pool = pool
        self._tables: dict[str, GroupCommit[_Key, str | None]] = {}

    async def document(self, table: str, merchant_id: int, livemode: bool, object_id: str) -> str | None:
        """Return an object in its stored form; raises `Overloaded` when too many are being read."""
        if table not in self._tables:
            self._tables[table] = GroupCommit(
                partial(self._read, _SQL["get_each"].format(table=table)), name=f"read {table}", batch_rows_max=64, writers_max=2
            )
        return await self._tables[table].submit(_Key(merchant_id, livemode, object_id))

    async def _read(self, query: str, keys: Sequence[_Key]) -> list[str | None]:
        return [row["document"] for row in await self._pool.fetch(query, msgspec.json.encode(keys).decode())]


class Noun(Generic[R]):
    """The table of one kind of object."""

    def __init__(
        self,
        table: str,
        prefix: str,
        struct: type[R],
        filters: Filters | None = None,
        *,
        columns: Sequence[str] = (),
        compares: Sequence[str] = (),
        place: str = "id",
        condition: str = "",
    ) -> None:
        """`prefix` is that of its ids. `columns` are what SQL knows of a document beside its key, and a merchant may change; named as the struct's
        attributes are. Those in `compares` must be as they were, too, for an update. `place` is what lists are in the order of, an id by its form; `condition`
        holds for every list.
        """
        self.table = table
        self.prefix = prefix
        self.struct = struct
        self.place = place
        self.decode = msgspec.json.Decoder(struct).decode
        self._filters = filters or Filters()
        self._columns = columns
        self._compares = compares
        self.condition = f" AND {condition}" if condition else ""

    async def get(self, source: Queries | Gathered, merchant_id: int, livemode: bool, object_id: str) -> R | None:
        """Return one object; None when the merchant has none of that id in that mode."""
        if len(object_id) > ID_CHARACTERS_MAX:
            return None
        if isinstance(source, Gathered):
            document = await source.document(self.table, merchant_id, livemode, object_id)
        else:
            document = await source.fetchval(_SQL["get"].format(table=self.table), merchant_id, livemode, object_id)
        return None if document is None else self.decode(document)

    async def insert(self, connection: Queries, subject: R, **others: object) -> None:
        """Store a new object; `others` are columns that hold what isn't in it. Raises `ObjectLocked` when somebody else was first with what is there once."""
        named = {**{column: getattr(subject, column) for column in self._columns}, **others}
        query = _SQL["insert"].format(
            table=self.table,
            columns="".join(f", {column}" for column in named),
            values="".join(f", ${number}" for number in range(7, 7 + len(named))),
        )
        try:
            await connection.execute(query, *_key(subject), subject.created, subject.version, _document(subject), *named.values())
        except asyncpg.UniqueViolationError:
            raise ObjectLocked from None

    async def update(self, connection: Queries, subject: R) -> None:
        """Store an object, one version on; raises `ObjectLocked`."""
        first_compared = 7 + len(self._columns)
        query = _SQL["update"].format(
            table=self.table,
            changes="".join(f", {column} = ${number}" for number, column in enumerate(self._columns, 7)),
            unmoved="".join(
                f" AND {column} IS NOT DISTINCT FROM ${number}" for number, column in enumerate(self._compares, first_compared)
            ),
        )
        values = [getattr(subject, column) for column in (*self._columns, *self._compares)]
        try:
            swapped = await connection.fetchval(query, *_key(subject), subject.version - 1, subject.version, _document(subject), *values)
        except asyncpg.UniqueViolationError:
            raise ObjectLocked from None
        if swapped is None:
            raise ObjectLocked

    async def get_many(self, connection: Queries, merchant_id: int, livemode: bool, ids: Iterable[str]) -> dict[str, R]:
        """Return those of the objects that exist, by id."""
        rows = await connection.fetch(_SQL["get_many"].format(table=self.table), merchant_id, livemode, list(ids))
        return {row["id"]: self.decode(row["document"]) for row in rows}

    async def newest_of(
        self, connection: Queries, merchant_id: int, livemode: bool, column: str, values: Sequence[str], limit: int
    ) -> dict[str, list[R]]:
        """Return the newest `limit` objects for each value of a column that has an index, newest first; values without any are left out."""
        if column not in self._filters.indexed:
            raise ValueError(f"{self.table} has no index on {column}")
        query = _SQL["newest_of"].format(table=self.table, column=column)
        found: dict[str, list[R]] = {}
        for row in await connection.fetch(query, merchant_id, livemode, list(values), limit):
            found.setdefault(row["value"], []).append(self.decode(row["document"]))
        return found

    async def page(
        self, connection: Queries, merchant_id: int, livemode: bool, page: PageRequest, filters: Mapping[str, Filter]
    ) -> tuple[list[R], bool]:
        """Return a page, newest first, and whether there is more beyond it in the direction asked for; raises `TooWide`."""
        query, arguments, compares = self._statement(filters, page.order)
        rows = await connection.fetch(
            query,
            merchant_id,
            livemode,
            *page.between(self.prefix),
            page.created_from,
            page.created_to,
            page.limit + 1,
            ROWS_LOOKED_AT_MAX if compares else page.limit + 1,
            *arguments,
        )
        found, has_more = page.read(rows)
        return [self.decode(row["document"]) for row in found], has_more

    def _statement(self, filters: Mapping[str, Filter], order: str) -> tuple[str, list[object], bool]:
        """Return the statement that reads a page from one index range per value, its further arguments, and whether it passes over rows."""
        rest, candidates, arguments = dict(filters), "candidates", list[object]()
        key: dict[str, str] = {}
        arrays: list[str] = []
        first = next((column for column in self._filters.indexed if column in rest), None)
        if first is not None and isinstance(rest[first], str | bool):
            key = {first: f"${_PAGE_ARGUMENTS + 1}::{_sql_type(rest[first])}"}
            arguments.append(rest.pop(first))
        elif first is not None:
            candidates, key, arrays = "candidates_of_values", {first: f"v.{first}"}, ["text[]"]
            arguments.append(list(dict.fromkeys(cast("Sequence[str]", rest.pop(first)))))
        elif any(column in rest for column in self._filters.few):
            candidates = "candidates_of_values"
            values = [(rest.pop(column),) if column in rest else known for column, known in self._filters.few.items()]
            arguments += [list(column) for column in zip(*product(*values), strict=True)]
            key = {column: f"v.{column}" for column in self._filters.few}
            arrays = [f"{_sql_type(known[0])}[]" for known in self._filters.few.values()]
        matches, compared = ["true"], ""
        for name, value in rest.items():
            compared += "" if name in self._filters.compared else f", {name}"
            if isinstance(value, Range):
                arguments += [value.earliest, value.latest]
                last = _PAGE_ARGUMENTS + len(arguments)
                matches.append(f"{self._compared(name)} BETWEEN ${last - 1}::bigint AND ${last}::bigint")
                continue
            arguments.append(value)
            argument = f"${_PAGE_ARGUMENTS + len(arguments)}::{_sql_type(value)}"
            wanted = f"IS NOT DISTINCT FROM {argument}" if isinstance(value, str | bool) else f"= ANY ({argument})"
            matches.append(f"{self._compared(name)} {wanted}")
        query = _SQL["page"].replace("{candidates}", _SQL[candidates])
        query = query.format(
            table=self.table,
            place=self.place,
            order=order,
            columns="".join(f"{column}, " for column in key),
            values="".join(f"{value}, " for value in key.values()),
            conditions=self.condition + "".join(f" AND {column} = {value}" for column, value in key.items()),
            matches=" AND ".join(matches),
            compared=compared,
            names=", ".join(key),
            arrays=", ".join(f"${number}::{array}" for number, array in enumerate(arrays, _PAGE_ARGUMENTS + 1)),
        )
        return query, arguments, len(matches) > 1

    def _compared(self, name: str) -> str:
        """Return what of a row a filter is compared with; raises `ValueError` for a filter that the table doesn't have."""
        if name in self._filters.indexed or name in self._filters.few:
            return name
        if name not in self._filters.compared:
            raise ValueError(f"{self.table} can't be filtered by {name}")
        return self._filters.compared[name]


def _key(subject: Resource) -> tuple[int, bool, str]:
    return subject.merchant_id, subject.livemode, subject.id


def _document(subject: Resource) -> str:
    return msgspec.json.encode(subject).decode()


def _sql_type(value: Filter) -> str:
    match value:
        case bool():
            return "boolean"
        case str():
            return "text"
        case _:
            return "text[]"
