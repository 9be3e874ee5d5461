"""The arguments of `tap keys envelope` and `tap keys pepper`."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from payments.cli.arguments import DATA_DIR, DataDir, OnAws, PollSeconds, Region
from payments.cli.data_directory import DataDirectory

if TYPE_CHECKING:
    from payments.cli.key_rings import KeyRings

KeyNumber = Annotated[int, typer.Argument(metavar="KEY", help="The key's number.", min=1)]


def key_ring_app(console: Console, purpose: str, what: str, *, reseals: bool) -> typer.Typer:
    """Return the commands about one ring of keys; `what` says what it is."""
    app = typer.Typer(no_args_is_help=True, help=f"Replace {what}, here or on AWS, while everything runs.")

    @contextmanager
    def rings(data_dir: Path, environment: str | None, region: str | None, poll_seconds: float) -> "Generator[KeyRings]":
        from payments.cli.key_rings import KeyRings, Purpose

        if environment is not None:
            from payments.cli.aws import commands

            with commands.key_place(environment, region, poll_seconds) as place:
                yield KeyRings(console, place, Purpose(purpose))
            return
        from payments.cli.local_key_rings import LocalPlace

        yield KeyRings(console, LocalPlace(DataDirectory(data_dir)), Purpose(purpose))

    @app.command("list")
    def show_list(data_dir: DataDir = DATA_DIR, environment: OnAws = None, region: Region = None, poll_seconds: PollSeconds = 5.0) -> None:
        """Show the keys' numbers, and what there is under each."""
        with rings(data_dir, environment, region, poll_seconds) as found:
            found.show_list()

    @app.command("add")
    def add(data_dir: DataDir = DATA_DIR, environment: OnAws = None, region: Region = None, poll_seconds: PollSeconds = 5.0) -> None:
        """Make a new key, which isn't in use yet."""
        with rings(data_dir, environment, region, poll_seconds) as found:
            found.add()

    @app.command("use")
    def use(
        key: KeyNumber, data_dir: DataDir = DATA_DIR, environment: OnAws = None, region: Region = None, poll_seconds: PollSeconds = 5.0
    ) -> None:
        """Use a key for what is new, once every process knows it."""
        with rings(data_dir, environment, region, poll_seconds) as found:
            found.use(key)

    @app.command("drop")
    def drop(
        key: KeyNumber, data_dir: DataDir = DATA_DIR, environment: OnAws = None, region: Region = None, poll_seconds: PollSeconds = 5.0
    ) -> None:
        """Forget a key, unless anything needs it."""
        with rings(data_dir, environment, region, poll_seconds) as found:
            found.drop(key)

    def reseal(data_dir: DataDir = DATA_DIR, environment: OnAws = None, region: Region = None, poll_seconds: PollSeconds = 5.0) -> None:
        """Seal anew what is under other keys than the one in use, while payments go on; can be interrupted, and run again."""
        with rings(data_dir, environment, region, poll_seconds) as found:
            found.reseal()

    if reseals:
        app.command("reseal")(reseal)
    return app
