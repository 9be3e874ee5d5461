"""One statement for all that a batch of units writes, which is a transaction by itself.

It is made of a part for each table that the batch has rows for, so that what isn't written costs nothing, and every kind of step takes the same way. The parts
are correlated by a unit's id; a unit takes effect as a whole or not at all. Its statement is that of commit 1 (`BEGIN`) or of commit 2 (`SETTLE`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from msgspec import Struct

from payments.storage import rows, versions
from payments.storage.columns import Columns, Row
from payments.storage.database import Connection, Pool
from payments.storage.database import Row as Record
from payments.storage.sql import queries
from payments.storage.versions import Compared

_SQL = queries("commit.sql")

_CLAIM = "key text, path text, fingerprint text, created bigint, api_version text, response_event text"
CLAIM = Columns(_CLAIM)
"""What a unit of commit 1 says of the idempotency key that it claims, if any."""
_UNIT = "compares integer, unit text"


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that is filled with parts."""

    name: str
    units: Columns
    """Of the rows that stand for the units themselves."""


BEGIN = Statement("begin", Columns(f"merchant_id bigint, livemode boolean, {_CLAIM}", _UNIT))
SETTLE = Statement("settle", Columns("merchant_id bigint, livemode boolean, closes boolean", f"advances boolean, outcome json, {_UNIT}"))
PARTS = {
    "advanced": rows.INTENTS,
    "created_intents": rows.INTENTS,
    "changed_intents": rows.INTENTS,
    "created_payment_methods": rows.PAYMENT_METHODS,
    "changed_payment_methods": rows.PAYMENT_METHODS,
    "created_refunds": rows.REFUNDS,
    "changed_refunds": rows.REFUNDS,
    "created_charges": rows.CHARGES,
    "changed_charges": rows.CHARGES,
    "counted_refunds": rows.CHARGES,
    "attempts": rows.ATTEMPTS,
    "balance_transactions": rows.BALANCE_TRANSACTIONS,
    "transfers": rows.TRANSFERS,
    "events": rows.EVENTS,
}
"""The parts of both statements, and the rows that each takes."""


class EncodedUnit(Struct, frozen=True, kw_only=True):
    """A unit of a commit as rows, by the part of its statement that takes them."""

    unit: str
    head: Row
    """What its row of units says, but for the id and what is compared."""
    compared: list[Compared]
    rows: dict[str, list[Row]] = {}

    def add(self, part: str, row: Row) -> None:
        """Give a part of the statement another row."""
        self.rows.setdefault(part, []).append(row)


async def write(pool: Pool, statement: Statement, batch: Sequence[EncodedUnit]) -> list[Record]:
    """Commit a batch; returns the statement's rows."""
    comparison = versions.comparison_of(each for unit in batch for each in unit.compared)
    written: dict[str, list[Row]] = {}
    for unit in batch:
        for part, its_rows in unit.rows.items():
            written.setdefault(part, []).extend(its_rows)
    parts = tuple(part for part in PARTS if part in written)
    arguments = statement.units.packed((*unit.head, comparison.compares(unit.unit), unit.unit) for unit in batch)
    for locked in comparison.rows.values():
        arguments += versions.COLUMNS.packed(locked)
    for part in parts:
        arguments += PARTS[part].packed(written[part])
    return await pool.fetch(_text(statement, tuple(comparison.rows), parts), *arguments)


async def write_alone(connection: Connection, part: str, its_rows: Iterable[Row]) -> None:
    """Write rows of one part in a transaction that is open already; there are some."""
    columns = PARTS[part]
    text = _SQL["alone"].format(parts=f", {_SQL[part].format(rows=columns.source(1))}")
    await connection.execute(text, *columns.packed(its_rows))


@cache
def _text(statement: Statement, locks: tuple[versions.Target, ...], parts: tuple[str, ...]) -> str:
    """Return a statement with these parts, whose parameters are numbered in this order."""
    sources = _sources(statement.units, *(versions.COLUMNS for _ in locks), *(PARTS[part] for part in parts))
    units = next(sources)
    locked = [versions.LOCKS[target].format(rows=next(sources)) for target in locks]
    written = {part: _SQL[part].format(rows=next(sources)) for part in parts}
    advanced = written.pop("advanced", _SQL["nothing"])
    return _SQL[statement.name].format(
        units=units,
        locked="\nUNION ALL\n".join(locked) or _SQL["nothing"],
        advanced=advanced,
        parts="".join(f", {part}" for part in written.values()),
    )


def _sources(*columns: Columns) -> Iterator[str]:
    number = 1
    for each in columns:
        yield each.source(number)
        number += len(each)
