"""`tap ledger`: the chain's head, and the ledger as a journal."""

import os
import sys
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from payments.cli.data_directory import DataDirectory, UsageError
from payments.ledger.journals import JournalFormat, journal
from payments.storage.database import Row, connect
from payments.storage.ledger_export import Selection, UnknownAccountError, export_journal
from payments.storage.seals import count_reach, newest_seals


def unix_seconds(text: str) -> int:
    """Read a day, or a time of one, by UTC unless it says otherwise: `2026-11-01`, `2026-11-01T12:00:00+01:00`; raises `UsageError`."""
    try:
        moment = datetime.fromisoformat(text)
        seconds = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        raise UsageError(f"{text!r} is no day like 2026-11-01, and no time like 2026-11-01T12:00:00Z.") from None
    return max(seconds, 0)


async def show_seals(console: Console, directory: DataDirectory, count: int, *, as_json: bool) -> None:
    """Print the newest seals, and how far they reach."""
    async with connect(directory.run().database_url) as connection:
        rows = await newest_seals(connection, count)
        transfers, sealed = await count_reach(connection)
    if as_json:
        console.print_json(data={"transfers": transfers, "sealed": sealed, "seals": [_shown(row) for row in rows]})
        return
    table = Table("Seal", "Sealed at", "Transfers", "In all", "Head")
    for row in reversed(rows):
        table.add_row(str(row["number"]), _time(row), str(row["transfers"]), str(row["total"]), row["head"].hex()[:16] + "…")
    console.print(table, soft_wrap=True)
    if rows:
        head = rows[0]
        console.print("Keep this line where nobody who has the database can change it:", soft_wrap=True)
        console.print(f"seal {head['number']} over {head['total']} transfers: {head['head'].hex()}", soft_wrap=True)
    console.print(f"{sealed} of {transfers} transfers are sealed.")


def _shown(row: Row) -> dict[str, object]:
    return {
        "number": row["number"],
        "sealed_at": _time(row),
        "transfers": row["transfers"],
        "total": row["total"],
        "last": f"{row['posting']} {row['kind']}",
        "head": row["head"].hex(),
        "signature": row["signature"],
    }


def _time(row: Row) -> str:
    sealed_at: datetime = row["sealed_at"]
    return sealed_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def run_export(directory: DataDirectory, journal_format: JournalFormat, selection: Selection) -> None:
    """Write the journal to standard output; raises `UsageError` for an account that there isn't."""
    async with connect(directory.run().database_url) as connection:
        try:
            async for piece in export_journal(connection, journal(journal_format), selection):
                sys.stdout.write(piece)
            sys.stdout.flush()
        except UnknownAccountError as mistake:
            raise UsageError(str(mistake)) from None
        except BrokenPipeError:  # whoever reads has read enough; nothing is left to be flushed at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def selection_of(*, live: bool, since: str | None, until: str | None, account: str | None) -> Selection:
    """Read what of the ledger is wanted; raises `UsageError`."""
    begin = 0 if since is None else unix_seconds(since)
    chosen = Selection(livemode=live, since=begin, account=account)
    if until is None:
        return chosen
    end = unix_seconds(until)
    if end <= begin:
        raise UsageError("--to is before --from.")
    return Selection(livemode=live, since=begin, until=end, account=account)
