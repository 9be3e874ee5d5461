"""`tap reconcile`: what acquirers say that they paid, against what is booked."""

import csv
import datetime
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TypeVar

import msgspec
from rich.console import Console
from rich.table import Column, Table

from payments.acquirers.settlement_files.opening import open_settlement_file
from payments.cli.data_directory import DataDirectory, UsageError
from payments.domain.money import CURRENCIES, format_amount
from payments.domain.settlement import SettlementFile, UnreadableFile
from payments.storage.database import connect
from payments.storage.settlement import Difference, NotReconciled, Reconciled, differences, reconcile
from payments.storage.settlement_differences import (
    NotOpen,
    OpenDifference,
    Resolution,
    open_differences,
    read_files,
    resolve_differences,
    shown_difference,
)

_Found = TypeVar("_Found", Difference, OpenDifference)
_SHOWN = 20
"""Lines in a table meant for people; the other formats have all."""
_NOTE_CHARACTERS_MAX = 1_000
_REFERENCE_CHARACTERS = 28
ALL_MATCHED, DIFFERENCES, NOT_READABLE = 0, 1, 2


async def run_reconcile(console: Console, directory: DataDirectory, path: Path, *, acquirer: str | None, report: str, dry_run: bool) -> int:
    """Read a file, book it, and print what was found; returns the exit status."""
    database_url = directory.run().database_url
    try:
        with path.open("rb") as raw:
            file = open_settlement_file(raw, datetime.datetime.now(datetime.UTC).date())
            whose = _acquirer_of(file, acquirer)
            async with connect(database_url, name="tap reconcile") as connection:
                result = await reconcile(connection, file, whose, book=not dry_run, now=int(time.time()))
                await _REPORTS[report](console, result, differences(connection))
    except OSError as failure:
        print(f"{path} can't be read: {failure.strerror or failure}", file=sys.stderr)
        return NOT_READABLE
    except (UnreadableFile, NotReconciled) as failure:
        print(f"{path} can't be reconciled: {failure}", file=sys.stderr)
        return NOT_READABLE
    if result.faults:
        return NOT_READABLE
    return ALL_MATCHED if result.all_matched else DIFFERENCES


def _acquirer_of(file: SettlementFile, given: str | None) -> str:
    """Return whose file it is; raises `NotReconciled`."""
    said = file.header.acquirer
    if said is None and given is None:
        raise NotReconciled("it doesn't say whose it is: give --acquirer")
    if said is not None and given is not None and said != given:
        raise NotReconciled(f"it is {said}'s, not {given}'s")
    return said or given or ""


async def _table(console: Console, result: Reconciled, found: AsyncIterator[Difference]) -> None:
    header = result.header
    console.print(
        f"{result.acquirer} ({'live' if result.livemode else 'test'}), file {header.reference}, of {header.first_day} to {header.last_day}",
        soft_wrap=True,
    )
    table = Table("class", "currency", "lines", "amount", "fees")
    for each in result.classes:
        table.add_row(each.class_, each.currency, str(each.count), _amount(each.amount, each.currency), _amount(each.fee, each.currency))
    console.print(table)
    shown = [each async for each in _first(found, _SHOWN + 1)]
    if shown:
        table = Table("difference", "line", "class", "kind", _reference(), "there", "here", "state")
        for each in shown[:_SHOWN]:
            table.add_row(
                *(_text(each.id), _text(each.number), each.class_, each.kind, each.reference),
                *(_amount(each.there, each.there_currency), _amount(each.here, each.here_currency), each.state),
            )
        console.print(table)
    if len(shown) > _SHOWN:
        console.print("… and more: --format csv has all.")
    for refused in result.refused[:_SHOWN]:
        console.print(f"line {refused.number}: {refused.reason}", soft_wrap=True, markup=False)
    if result.refused_count > _SHOWN:
        console.print(f"… and {result.refused_count - _SHOWN} more lines that can't be booked.")
    for fault in result.faults:
        console.print(f"The file can't be trusted: {fault}.", soft_wrap=True, markup=False)
    console.print("Booked." if result.booked else "Nothing was booked.")


async def _csv(_: Console, result: Reconciled, found: AsyncIterator[Difference]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(
        [
            *("record", "class", "currency", "count", "amount", "fee", "difference", "line", "kind", "reference", "acquirer_reference"),
            *("here", "here_currency", "state"),
        ]
    )
    for each in result.classes:
        writer.writerow(["class", each.class_, each.currency, each.count, each.amount, each.fee, *[""] * 8])
    async for each in found:
        line = ["difference", each.class_, each.there_currency, "", each.there, "", each.id, each.number, each.kind, each.reference]
        writer.writerow([*line, each.acquirer_reference, each.here, each.here_currency, each.state])
    for refused in result.refused:
        writer.writerow(["refused", *[""] * 6, refused.number, *[""] * 5, refused.reason])
    for fault in result.faults:
        writer.writerow(["fault", *[""] * 12, fault])


async def _json(_: Console, result: Reconciled, found: AsyncIterator[Difference]) -> None:
    """One object, its differences a line each, so that it can be written as they are read."""
    head = {
        "acquirer": result.acquirer,
        "livemode": result.livemode,
        "file": result.header.reference,
        "first_day": result.header.first_day,
        "last_day": result.header.last_day,
        "booked": result.booked,
        "faults": result.faults,
        "classes": result.classes,
        "refused_count": result.refused_count,
        "refused": [each._asdict() for each in result.refused],
    }
    out: IO[str] = sys.stdout
    out.write(msgspec.json.encode(head).decode().removesuffix("}") + ',"differences":[')
    before = "\n"
    async for each in found:
        out.write(before + msgspec.json.encode(each).decode())
        before = ",\n"
    out.write("]}\n")


_REPORTS = {"table": _table, "csv": _csv, "json": _json}


async def show_list(console: Console, directory: DataDirectory, acquirer: str | None) -> None:
    """Print the newest files, and what is open."""
    async with connect(directory.run().database_url) as connection:
        files = await read_files(connection, _SHOWN)
        found = [each async for each in _first(open_differences(connection, acquirer), _SHOWN + 1)]
    table = Table("acquirer", "file", "days", "read", "differences", "open")
    for file in files:
        read = f"{file.received_at:%Y-%m-%d %H:%M}" if file.completed_at else "[red]interrupted: read it again[/red]"
        table.add_row(file.acquirer, file.reference, f"{file.first_day} to {file.last_day}", read, str(file.differences), str(file.open))
    console.print(table)
    table = Table("difference", "since", "acquirer", "file", "line", "class", "kind", _reference(), "amount")
    for each in found[:_SHOWN]:
        table.add_row(
            *(str(each.id), f"{each.opened_at:%Y-%m-%d}", each.acquirer, each.file, _text(each.number)),
            *(each.class_, each.kind, each.reference, _amount(each.amount, each.currency)),
        )
    console.print(table)
    if len(found) > _SHOWN:
        console.print("… and more.")


async def show(console: Console, directory: DataDirectory, difference: int) -> None:
    """Print a difference; raises `UsageError`."""
    async with connect(directory.run().database_url) as connection:
        found = await shown_difference(connection, difference)
    if found is None:
        raise UsageError(f"There is no difference {difference}. See: {directory.command('reconcile', 'list')}")
    fields: Mapping[str, object] = msgspec.to_builtins(found)
    table = Table.grid(padding=(0, 2))
    for name, value in fields.items():
        if value is not None:
            table.add_row(name.replace("_", " "), str(value))
    console.print(table, soft_wrap=True, markup=False)


async def resolve(directory: DataDirectory, numbers: Sequence[int], *, how: Resolution, note: str) -> None:
    """Resolve differences; raises `UsageError`."""
    if not 0 < len(note.strip()) <= _NOTE_CHARACTERS_MAX or not note.isprintable():
        raise UsageError(f"--note takes 1 to {_NOTE_CHARACTERS_MAX} characters, on one line.")
    async with connect(directory.run().database_url) as connection:
        try:
            await resolve_differences(connection, numbers, how, note.strip(), int(time.time()))
        except NotOpen as mistake:
            raise UsageError(
                f"There is no open difference {mistake}, and nothing was resolved. See: {directory.command('reconcile', 'list')}"
            ) from None
    print(f"Resolved: {', '.join(map(str, numbers))}.")


async def _first(found: AsyncIterator[_Found], count: int) -> AsyncIterator[_Found]:
    left = count
    async for each in found:
        yield each
        left -= 1
        if left == 0:
            return


def _reference() -> Column:
    """Return a column for references, whole however narrow the terminal is: they are what one copies."""
    return Column("reference", min_width=_REFERENCE_CHARACTERS, overflow="fold")


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _amount(minor_units: int | None, currency: str | None) -> str:
    if minor_units is None or currency is None:
        return ""
    return format_amount(minor_units, currency) if currency in CURRENCIES else f"{minor_units} {currency}"
