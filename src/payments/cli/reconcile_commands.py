"""The arguments of `tap reconcile`."""

import asyncio
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from payments.cli.arguments import DATA_DIR, DataDir, DefaultGroup
from payments.cli.data_directory import DataDirectory


class ReportFormat(StrEnum):
    """How what was found is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


class HowResolved(StrEnum):
    """What a difference turned out to be."""

    PAID = "paid"
    WRITTEN_OFF = "written-off"


class _ReconcileGroup(DefaultGroup):
    default = "file"


def reconcile_app(console: Console) -> typer.Typer:
    """Return the commands about what acquirers settle."""
    app = typer.Typer(
        cls=_ReconcileGroup,
        help="Hold what an acquirer says that it paid against the ledger: tap reconcile FILE. See docs/reconciliation.md.",
    )

    @app.command("file")
    def file(
        file: Annotated[Path, typer.Argument(help="The acquirer's settlement file: CSV or camt.053.")],
        acquirer: Annotated[str | None, typer.Option(help="Whose file it is, where it doesn't say so itself.")] = None,
        format_: Annotated[ReportFormat, typer.Option("--format", help="Of the report.")] = ReportFormat.TABLE,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Compare, and book nothing.")] = False,
        data_dir: DataDir = DATA_DIR,
    ) -> None:
        """Compare a settlement file with what is booked, book what it settles, and report. Exit status: 0 all matched, 1 differences, 2 not readable."""
        from payments.cli.reconcile import run_reconcile

        status = run_reconcile(console, DataDirectory(data_dir), file, acquirer=acquirer, report=format_.value, dry_run=dry_run)
        sys.exit(asyncio.run(status))

    @app.command("list")
    def show_list(
        acquirer: Annotated[str | None, typer.Option(help="Differences with this one only.")] = None, data_dir: DataDir = DATA_DIR
    ) -> None:
        """List the files that were read, newest first, and the differences that are open, oldest first."""
        from payments.cli.reconcile import show_list

        asyncio.run(show_list(console, DataDirectory(data_dir), acquirer))

    @app.command("show")
    def show(
        difference: Annotated[int, typer.Argument(help="Its number, from `tap reconcile list`.", min=1)], data_dir: DataDir = DATA_DIR
    ) -> None:
        """Show a difference: what it is about, and what became of it."""
        from payments.cli.reconcile import show

        asyncio.run(show(console, DataDirectory(data_dir), difference))

    @app.command("resolve")
    def resolve(
        differences: Annotated[list[int], typer.Argument(help="Their numbers, from `tap reconcile list`.", min=1)],
        note: Annotated[str, typer.Option(help="Why, for whoever looks later.")],
        how: Annotated[
            HowResolved,
            typer.Option("--as", help="paid: it was paid, or paid back, outside of a file. written-off: it is our loss, or gain."),
        ],
        data_dir: DataDir = DATA_DIR,
    ) -> None:
        """Say what open differences were, and take them out of the suspense account: all of them or none."""
        from payments.cli.reconcile import resolve

        asyncio.run(resolve(DataDirectory(data_dir), differences, how="paid" if how is HowResolved.PAID else "written_off", note=note))

    return app
