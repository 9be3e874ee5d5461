"""The arguments of `tap ledger`."""

import asyncio
from typing import Annotated

import typer
from rich.console import Console

from payments.cli.arguments import DATA_DIR, DataDir
from payments.cli.data_directory import DataDirectory
from payments.ledger.journals import JournalFormat


def ledger_app(console: Console) -> typer.Typer:
    """Return the commands about the ledger."""
    app = typer.Typer(no_args_is_help=True, help="The ledger: its seals, and its transfers as a journal.")

    @app.command("seals")
    def ledger_seals(
        data_dir: DataDir = DATA_DIR,
        count: Annotated[int, typer.Option(help="How many of the newest.", min=1, max=1000)] = 10,
        as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    ) -> None:
        """Show the newest seals of the ledger, and the head of their chain, which is to be kept elsewhere."""
        from payments.cli.ledger import show_seals

        asyncio.run(show_seals(console, DataDirectory(data_dir), count, as_json=as_json))

    @app.command("export")
    def ledger_export(
        journal_format: Annotated[JournalFormat, typer.Option("--format", help="For hledger, for Beancount, or CSV.")],
        data_dir: DataDir = DATA_DIR,
        since: Annotated[str | None, typer.Option("--from", help="From a day or time on, 2026-11-01, by UTC.")] = None,
        until: Annotated[str | None, typer.Option("--to", help="Until before a day or time.")] = None,
        account: Annotated[
            str | None, typer.Option(help="Of whom, merchant:1, or of one account, merchant:1:available; else of all.")
        ] = None,
        live: Annotated[bool, typer.Option("--live", help="Of live mode; else of test mode.")] = False,
    ) -> None:
        """Write the ledger's transfers to standard output as a journal of plain text accounting."""
        from payments.cli.ledger import run_export, selection_of

        selection = selection_of(live=live, since=since, until=until, account=account)
        asyncio.run(run_export(DataDirectory(data_dir), journal_format, selection))

    return app
