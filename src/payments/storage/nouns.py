"""Reading objects, one noun a table: by id, by several ids, by page."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from payments.domain.balance_transaction import BalanceTransaction
from payments.domain.charge import Charge
from payments.domain.customer import Customer
from payments.domain.payment_intent import PaymentIntent
from payments.domain.payment_method import PaymentMethod
from payments.domain.refund import Refund
from payments.storage.database import Queries
from payments.storage.sql import queries

_SQL = queries("nouns.sql")
_CREATED_MAX = 2**53

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page of a list; at most one cursor is given."""

    limit: int = 10
    starting_after: str | None = None
    ending_before: str | None = None
    created_from: int = 0
    """Unix seconds, inclusive."""
    created_to: int = _CREATED_MAX
    """Unix seconds, inclusive."""


class Noun(Generic[T]):
    """The table of one kind of object."""

    def __init__(self, table: str, struct: type[T], filters: Iterable[str] = (), *, condition: str = "") -> None:
        """`filters` are the columns that a list may be filtered by; `condition` holds for every list."""
        self.table = table
        self._decoder = msgspec.json.Decoder(struct)
        self._filters = frozenset(filters)
        self._condition = f" AND {condition}" if condition else ""

    async def get(self, connection: Queries, merchant_id: int, livemode: bool, object_id: str) -> T | None:
        """Return one object; None when the merchant has none of that id in that mode."""
        document = await connection.fetchval(_SQL["get"].format(table=self.table), merchant_id, livemode, object_id)
        return None if document is None else self._decoder.decode(document)

    async def get_many(self, connection: Queries, merchant_id: int, livemode: bool, ids: Iterable[str]) -> dict[str, T]:
        """Return those of the objects that exist, by id."""
        rows = await connection.fetch(_SQL["get_many"].format(table=self.table), merchant_id, livemode, list(ids))
        return {row["id"]: self._decoder.decode(row["document"]) for row in rows}

    async def page(
        self, connection: Queries, merchant_id: int, livemode: bool, page: PageRequest, filters: Mapping[str, object]
    ) -> tuple[list[T], bool]:
        """Return a page, newest first, and whether there is more beyond it in the direction asked for."""
        if unknown := filters.keys() - self._filters:
            raise ValueError(f"{self.table} can't be filtered by {sorted(unknown)}")
        conditions = self._condition + "".join(f" AND {column} = ${7 + index}" for index, column in enumerate(filters))
        name = "page_newer" if page.ending_before is not None else "page_older"
        rows = await connection.fetch(
            _SQL[name].format(table=self.table, filters=conditions),
            merchant_id,
            livemode,
            page.ending_before if page.ending_before is not None else page.starting_after,
            page.created_from,
            page.created_to,
            page.limit + 1,
            *filters.values(),
        )
        objects = [self._decoder.decode(row["document"]) for row in rows[: page.limit]]
        if page.ending_before is not None:
            objects.reverse()
        return objects, len(rows) > page.limit


PAYMENT_INTENTS = Noun("payments.payment_intents", PaymentIntent, ("customer",))
PAYMENT_METHODS = Noun("payments.payment_methods", PaymentMethod, ("customer",))
CHARGES = Noun("payments.charges", Charge, ("customer", "payment_intent"))
REFUNDS = Noun("payments.refunds", Refund, ("charge", "payment_intent"))
CUSTOMERS = Noun("payments.customers", Customer, ("email",), condition="NOT deleted")
BALANCE_TRANSACTIONS = Noun("payments.balance_transactions", BalanceTransaction, ("currency", "source", "type"))
