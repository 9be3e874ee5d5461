"""One statement for all that a batch of units writes, which is a transaction by itself.

It is made of a part for each table that the batch has rows for, so that what isn't written costs nothing, and every kind of step takes the same way. The parts
are correlated by a unit's id; a unit takes effect as a whole or not at all. Its statement is that of commit 1 (`BEGIN`) or of commit 2 (`SETTLE`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import msgspec
from msgspec import Struct

from payments.storage import rows, versions
from payments.storage.columns import Columns, Row, array
from payments.storage.database import Connection, Pool
from payments.storage.database import Row as Record
from payments.storage.sql import queries
from payments.storage.versions import Compared

_SQL = queries("commit.sql")


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that is filled with parts."""

    name: str
    units: Columns
    """Of the rows that stand for the units themselves."""


BEGIN = Statement("begin", rows.BEGINNINGS)
SETTLE = Statement("settle", rows.OUTCOMES)

PARTS = {
    "claims": rows.CLAIMS,
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
    "created_customers": rows.CUSTOMERS,
    "changed_sessions": rows.CHECKOUT_SESSIONS,
    "changed_links": rows.PAYMENT_LINKS,
    "attempts": rows.ATTEMPTS,
    "balance_transactions": rows.BALANCE_TRANSACTIONS,
    "transfers": rows.TRANSFERS,
    "events": rows.EVENTS,
}
"""What a statement may be made of, and the rows that each part takes."""


class EncodedUnit(Struct, frozen=True, kw_only=True):
    """A unit of a commit as rows, by the part of its statement that takes them."""

    id: str
    itself: Row
    compared: Sequence[Compared]
    """What must be as it was read."""
    parts: dict[str, list[Row]] = msgspec.field(default_factory=dict[str, list[Row]])

    def add(self, part: str, subject: object, *others: object) -> None:
        """Give a part of the statement another row: of `subject`, with what else the part's columns say."""
        self.parts.setdefault(part, []).append(PARTS[part].row(subject, *others, self.id))


async def write(pool: Pool, statement: Statement, batch: Sequence[EncodedUnit]) -> list[Record]:
    """Commit a batch; returns the statement's rows."""
    locks = versions.locks_of(each for unit in batch for each in unit.compared)
    parts = {name: taken for name in PARTS if (taken := [row for unit in batch for row in unit.parts.get(name, ())])}
    arguments = map(array, ([unit.itself for unit in batch], *locks.values(), *parts.values()))
    return await pool.fetch(_text(statement, tuple(locks), tuple(parts)), *arguments)


async def write_alone(connection: Connection, part: str, its_rows: Iterable[Row]) -> None:
    """Write rows of one part, of whatever unit, in a transaction that is open already."""
    text = _SQL["alone"].format(parts=f", {_SQL[part].format(rows=PARTS[part].source(1))}")
    await connection.execute(text, array(its_rows))


async def write_selected(connection: Connection, part: str, source: str, *arguments: object) -> None:
    """Write rows of one part that a query finds, `source` with `arguments`, in a transaction that is open already: a million need not come here and go back.

    The query has the part's columns, but for `unit`.
    """
    rows = _SQL["selected"].format(source=source)
    text = _SQL["alone"].format(parts=f", {_SQL[part].format(rows=rows)}")
    await connection.execute(text, *arguments)


@cache
def _text(statement: Statement, locks: tuple[versions.Target, ...], parts: tuple[str, ...]) -> str:
    """Return a statement with these parts; each takes its rows from a parameter of its own, in this order."""
    taken = [statement.units, *(versions.COMPARED for _ in locks), *(PARTS[part] for part in parts)]
    sources = iter([columns.source(parameter) for parameter, columns in enumerate(taken, 1)])
    units = next(sources)
    locked = [versions.LOCKS[target].format(rows=next(sources)) for target in locks]
    written = {part: _SQL[part].format(rows=next(sources)) for part in parts}
    return _SQL[statement.name].format(
        units=units,
        locked="\nUNION ALL\n".join(locked) or _SQL["nothing"],
        claimed=written.pop("claims", _SQL["nothing"]),
        advanced=written.pop("advanced", _SQL["nothing"]),
        parts="".join(f", {part}" for part in written.values()),
    )
