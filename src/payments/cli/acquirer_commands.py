"""The arguments of `tap acquirers` and `tap acquirer-simulator`."""

import asyncio
import datetime
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from payments.cli.arguments import DATA_DIR, DataDir, DefaultGroup, Environment, Region
from payments.cli.data_directory import DataDirectory


class Protocol(StrEnum):
    """What the simulator speaks."""

    HTTP = "http"
    ISO8583 = "iso8583"


class SettlementFormat(StrEnum):
    """The layout of a settlement file."""

    CSV = "csv"
    CAMT053 = "camt.053"


class Encoding(StrEnum):
    """How numbers are packed in ISO 8583."""

    ASCII = "ascii"
    BCD = "bcd"


def acquirer_app(console: Console) -> typer.Typer:
    """Return the commands about acquirers."""
    app = typer.Typer(no_args_is_help=True, help="The acquirers that payments go to: acquirers.toml, named by TAP_ACQUIRERS.")

    @app.command("list")
    def show_list(data_dir: DataDir = DATA_DIR) -> None:
        """Show the acquirers of what runs here: how each is, how long it took to ask, and what was last wrong with it."""
        from payments.cli.acquirers import list_acquirers

        asyncio.run(list_acquirers(console, DataDirectory(data_dir)))

    @app.command("check")
    def check(
        file: Annotated[Path | None, typer.Option(help="The configuration; else what TAP_ACQUIRERS names.")] = None,
        offline: Annotated[bool, typer.Option("--offline", help="Read it only, and ask nobody.")] = False,
    ) -> None:
        """Check a configuration, and ask each acquirer in it how it is; exit status 1 when anything is wrong."""
        from payments.cli.acquirers import check_acquirers

        sys.exit(asyncio.run(check_acquirers(console, file, os.environ, offline=offline)))

    @app.command("set")
    def set_on_aws(
        environment: Environment,
        file: Annotated[Path, typer.Option(help="The configuration; the secrets that it names are read here, too.")],
        region: Region = None,
    ) -> None:
        """Give an environment on AWS its acquirers: Secrets Manager keeps them for the next tasks. Try `tap acquirers check` first."""
        from payments.cli.aws import commands

        commands.set_acquirers(console, environment, region, file)

    return app


class _SimulatorGroup(DefaultGroup):
    default = "run"


def simulator_app() -> typer.Typer:
    """Return the commands of the bank that is a simulator."""
    app = typer.Typer(cls=_SimulatorGroup, help="A bank that Tap reaches as it would a real one; without a command it runs.")
    app.command("run")(acquirer_simulator)

    @app.command("settle")
    def settle(
        record: Annotated[Path, typer.Option(help="The file that has what it was asked and answered.")],
        out: Annotated[Path, typer.Option(help="The settlement file; one that is there is written over.")],
        date: Annotated[datetime.datetime, typer.Option(formats=["%Y-%m-%d"], help="The day, UTC.")],
        acquirer: Annotated[str, typer.Option(help="What Tap calls the bank: its name in acquirers.toml.")] = "bank",
        format_: Annotated[SettlementFormat, typer.Option("--format", help="Of the file.")] = SettlementFormat.CSV,
        value_days: Annotated[int, typer.Option(help="How many days after that the money is there.", min=0, max=10)] = 0,
        fee_basis_points: Annotated[int, typer.Option(help="What it keeps of each capture.", min=0, max=10_000)] = 30,
    ) -> None:
        """Write what the bank settles of a day, from its own record: what it captured and returned."""
        from payments.cli.acquirers import write_settlement_file

        write_settlement_file(
            record, out, format_.value, acquirer=acquirer, day=date.date(), value_days=value_days, fee_basis_points=fee_basis_points
        )

    return app


def acquirer_simulator(
    port: Annotated[int, typer.Option(help="Where it takes orders.", min=1, max=65_535)],
    record: Annotated[Path, typer.Option(help="The file that has what it was asked and answered; made if there is none.")],
    secret_file: Annotated[Path, typer.Option(help="The file with the secret that requests are signed with, and cards digested.")],
    protocol: Annotated[Protocol, typer.Option(help="What it speaks.")] = Protocol.HTTP,
    encoding: Annotated[Encoding, typer.Option(help="Of ISO 8583.")] = Encoding.ASCII,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    key_id: Annotated[str, typer.Option(help="The secret's name.")] = "tap",
    control_port: Annotated[int | None, typer.Option(help="Where it is told what to do wrong, on 127.0.0.1.", min=1, max=65_535)] = None,
    fault: Annotated[str, typer.Option(help="What goes wrong from the beginning on: slow, silent, drop, half, die, …")] = "none",
    seconds: Annotated[float, typer.Option(help="How long slow and late take.", min=0, max=600)] = 1.0,
    times: Annotated[int | None, typer.Option(help="How often it goes wrong; always when it is left out.", min=1)] = None,
    share: Annotated[float, typer.Option(help="To which part of the orders.", min=0.0001, max=1)] = 1.0,
    decline: Annotated[list[str] | None, typer.Option(help="AMOUNT=DECLINE_CODE in minor units; can be given several times.")] = None,
) -> None:
    """Run a bank that Tap reaches as it would a real one, with a record of its own; it can be told to do things wrong."""
    from payments.cli.acquirers import run_simulator

    run_simulator(
        encoding=encoding.value if protocol is Protocol.ISO8583 else None,
        host=host,
        port=port,
        control_port=control_port,
        record=record,
        secret_file=secret_file,
        key_id=key_id,
        told={"fault": fault, "seconds": seconds, "times": times, "share": share},
        declines=decline or [],
    )
