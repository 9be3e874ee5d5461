"""The bank's settlement file of a day, from its own record: what it claimed for us and what it returned, less what it keeps."""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, assert_never

from payments.acquirers.far_end.record import Settled, settled_orders
from payments.acquirers.settlement_files.camt053 import write_camt053
from payments.acquirers.settlement_files.csv_file import write_csv
from payments.domain.settlement import LineKind, SettlementHeader, SettlementLine

_BASIS_POINTS = 10_000

Format = Literal["csv", "camt.053"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementOptions:
    """Which file is to be written."""

    acquirer: str
    """As Tap calls the bank."""
    day: datetime.date
    """UTC."""
    value_date: datetime.date
    fee_basis_points: int
    """Of what was captured; half a minor unit is rounded up."""


def write_settlement(record: Path, file: IO[bytes], format_: Format, options: SettlementOptions, now: datetime.datetime) -> int:
    """Write a day's file; returns how many lines it has. Raises `sqlite3.Error`."""
    header = SettlementHeader(
        acquirer=options.acquirer,
        reference=f"{options.acquirer}-{options.day}",
        first_day=options.day,
        last_day=options.day,
        created=now.replace(microsecond=0),
    )
    written = 0

    def lines() -> Iterator[SettlementLine]:
        nonlocal written
        for written, order in enumerate(settled_orders(record, options.day), 1):
            yield _line(written, order, options)

    match format_:
        case "csv":
            write_csv(file, header, lines())
        case "camt.053":
            write_camt053(file, header, list(lines()))
        case _ as never:
            assert_never(never)
    return written


def _line(number: int, order: Settled, options: SettlementOptions) -> SettlementLine:
    kind = LineKind.REFUND if order.kind == "refund" else LineKind.CAPTURE
    fee = (order.amount * options.fee_basis_points * 2 + _BASIS_POINTS) // (2 * _BASIS_POINTS) if kind is LineKind.CAPTURE else 0
    return SettlementLine(
        number=number,
        reference=order.reference,
        acquirer_reference=f"B{order.number:012d}",
        kind=kind,
        amount=order.amount,
        currency=order.currency,
        fee=fee,
        value_date=options.value_date,
    )
