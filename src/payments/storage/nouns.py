"""Reading objects, one noun a table: by id, by several ids, by page."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import Generic, TypeVar

import msgspec

from payments.domain.balance_transaction import BalanceTransaction
from payments.domain.charge import Charge
from payments.domain.customer import Customer
from payments.domain.money import CURRENCIES
from payments.domain.payment_intent import PaymentIntent
from payments.domain.payment_method import PaymentMethod
from payments.domain.refund import Refund
from payments.runtime.ids import ID_CHARACTERS_MAX
from payments.storage.database import Pool, Queries
from payments.storage.group_commit import GroupCommit
from payments.storage.paging import ROWS_LOOKED_AT_MAX, PageRequest
from payments.storage.sql import queries

_SQL = queries("nouns.sql")
_PAGE_ARGUMENTS = 8

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Filters:
    """What a table's lists may be filtered by, and from which index each filter is read."""

    indexed: tuple[str, ...] = ()
    """Columns with an index (merchant_id, livemode, COLUMN, id) of their own; the most selective first: of several that are given, its index is read."""
    few: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
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


class Noun(Generic[T]):
    """The table of one kind of object."""

    def __init__(self, table: str, prefix: str, struct: type[T], filters: Filters | None = None, *, condition: str = "") -> None:
        """`prefix` is that of its ids; `condition` holds for every list."""
        self.table = table
        self.prefix = prefix
        self._decoder = msgspec.json.Decoder(struct)
        self._filters = filters or Filters()
        self._condition = f" AND {condition}" if condition else ""

    async def get(self, source: Queries | Gathered, merchant_id: int, livemode: bool, object_id: str) -> T | None:
        """Return one object; None when the merchant has none of that id in that mode."""
        if len(object_id) > ID_CHARACTERS_MAX:
            return None
        if isinstance(source, Gathered):
            document = await source.document(self.table, merchant_id, livemode, object_id)
        else:
            document = await source.fetchval(_SQL["get"].format(table=self.table), merchant_id, livemode, object_id)
        return None if document is None else self._decoder.decode(document)

    async def get_many(self, connection: Queries, merchant_id: int, livemode: bool, ids: Iterable[str]) -> dict[str, T]:
        """Return those of the objects that exist, by id."""
        rows = await connection.fetch(_SQL["get_many"].format(table=self.table), merchant_id, livemode, list(ids))
        return {row["id"]: self._decoder.decode(row["document"]) for row in rows}

    async def newest_of(
        self, connection: Queries, merchant_id: int, livemode: bool, column: str, values: Sequence[str], limit: int
    ) -> dict[str, list[T]]:
        """Return the newest `limit` objects for each value of a column that has an index, newest first; values without any are left out."""
        if column not in self._filters.indexed:
            raise ValueError(f"{self.table} has no index on {column}")
        query = _SQL["newest_of"].format(table=self.table, column=column)
        found: dict[str, list[T]] = {}
        for row in await connection.fetch(query, merchant_id, livemode, list(values), limit):
            found.setdefault(row["value"], []).append(self._decoder.decode(row["document"]))
        return found

    async def page(
        self, connection: Queries, merchant_id: int, livemode: bool, page: PageRequest, filters: Mapping[str, str]
    ) -> tuple[list[T], bool]:
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
        return [self._decoder.decode(row["document"]) for row in found], has_more

    def _statement(self, filters: Mapping[str, str], order: str) -> tuple[str, list[object], bool]:
        """Return the statement that reads a page from one index range per value, its further arguments, and whether it passes over rows."""
        rest, candidates, arguments = dict(filters), "candidates", list[object]()
        key: dict[str, str] = {}
        first = next((column for column in self._filters.indexed if column in rest), None)
        if first is not None:
            arguments.append(rest.pop(first))
            key = {first: f"${_PAGE_ARGUMENTS + 1}::text"}
        elif any(column in rest for column in self._filters.few):
            candidates = "candidates_of_values"
            values = [(rest.pop(column),) if column in rest else known for column, known in self._filters.few.items()]
            arguments += [list(column) for column in zip(*product(*values), strict=True)]
            key = {column: f"v.{column}" for column in self._filters.few}
        matches, compared = ["true"], ""
        for name, value in rest.items():
            compared += "" if name in self._filters.compared else f", {name}"
            arguments.append(value)
            matches.append(f"{self._compared(name)} IS NOT DISTINCT FROM ${_PAGE_ARGUMENTS + len(arguments)}::text")
        query = _SQL["page"].replace("{candidates}", _SQL[candidates])
        query = query.format(
            table=self.table,
            order=order,
            columns="".join(f"{column}, " for column in key),
            values="".join(f"{value}, " for value in key.values()),
            conditions=self._condition + "".join(f" AND {column} = {value}" for column, value in key.items()),
            matches=" AND ".join(matches),
            compared=compared,
            names=", ".join(key),
            arrays=", ".join(f"${_PAGE_ARGUMENTS + 1 + index}::text[]" for index in range(len(key))),
        )
        return query, arguments, len(matches) > 1

    def _compared(self, name: str) -> str:
        """Return what of a row a filter is compared with; raises `ValueError` for a filter that the table doesn't have."""
        if name in self._filters.indexed or name in self._filters.few:
            return name
        if name not in self._filters.compared:
            raise ValueError(f"{self.table} can't be filtered by {name}")
        return self._filters.compared[name]


PAYMENT_INTENTS = Noun("payments.payment_intents", "pi", PaymentIntent, Filters(indexed=("customer",)))
PAYMENT_METHODS = Noun(
    "payments.payment_methods",
    "pm",
    PaymentMethod,
    Filters(indexed=("customer",), compared={"allow_redisplay": "coalesce(document ->> 'allow_redisplay', 'unspecified')"}),
)
CHARGES = Noun("payments.charges", "ch", Charge, Filters(indexed=("payment_intent", "customer")))
REFUNDS = Noun("payments.refunds", "re", Refund, Filters(indexed=("charge", "payment_intent")))
CUSTOMERS = Noun("payments.customers", "cus", Customer, Filters(indexed=("email",)), condition="NOT deleted")
BALANCE_TRANSACTIONS = Noun(
    "payments.balance_transactions",
    "txn",
    BalanceTransaction,
    Filters(indexed=("source",), few={"currency": tuple(CURRENCIES), "type": ("charge", "refund", "refund_failure")}),
)
