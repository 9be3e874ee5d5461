"""The arguments of `tap keys`."""

import asyncio
from typing import Annotated

import typer
from rich.console import Console

from payments.cli.arguments import DATA_DIR, DataDir, OnAws, PollSeconds, Region
from payments.cli.data_directory import DataDirectory
from payments.cli.key_ring_commands import key_ring_app
from payments.runtime.topology import WRITES_PER_SECOND_MAX


def keys_app(console: Console) -> typer.Typer:
    """Return the commands about API keys, and about the keys that secrets are kept with."""
    app = typer.Typer(no_args_is_help=True, help="Create, list and revoke API keys; replace the keys that secrets are kept with.")
    app.add_typer(key_ring_app(console, "envelope", "the key that seals card numbers and webhook secrets", reseals=True), name="envelope")
    app.add_typer(key_ring_app(console, "pepper", "the key in the hashes of API keys", reseals=False), name="pepper")

    @app.command("create")
    def keys_create(
        data_dir: DataDir = DATA_DIR,
        merchant: Annotated[
            int | None, typer.Option(help="For which merchant; a new one is made when it is left out with --new-merchant.")
        ] = None,
        new_merchant: Annotated[str | None, typer.Option(help="Make a merchant of this name for the key.")] = None,
        live: Annotated[bool, typer.Option("--live", help="A live key instead of a test key.")] = False,
        publishable: Annotated[bool, typer.Option("--publishable", help="A publishable key instead of a secret one.")] = False,
        environment: OnAws = None,
        region: Region = None,
        poll_seconds: PollSeconds = 5.0,
    ) -> None:
        """Create an API key, here or on AWS, and show it once."""
        if environment is not None:
            from payments.cli.aws import commands

            with commands.keys(console, environment, region, poll_seconds) as keys:
                keys.create(merchant=merchant, new_merchant=new_merchant, live=live, publishable=publishable)
            return
        from payments.cli.keys import create

        asyncio.run(
            create(console, DataDirectory(data_dir), merchant=merchant, new_merchant=new_merchant, live=live, publishable=publishable)
        )

    @app.command("list")
    def keys_list(data_dir: DataDir = DATA_DIR, environment: OnAws = None, region: Region = None, poll_seconds: PollSeconds = 5.0) -> None:
        """List the API keys; the keys themselves are not kept."""
        if environment is not None:
            from payments.cli.aws import commands

            with commands.keys(console, environment, region, poll_seconds) as keys:
                keys.show_list()
            return
        from payments.cli.keys import show_list

        asyncio.run(show_list(console, DataDirectory(data_dir)))

    @app.command("revoke")
    def keys_revoke(
        key_id: Annotated[str, typer.Argument(help="Its id, from `tap keys list`.")],
        data_dir: DataDir = DATA_DIR,
        environment: OnAws = None,
        region: Region = None,
        poll_seconds: PollSeconds = 5.0,
    ) -> None:
        """Revoke an API key; it is refused everywhere when this returns."""
        if environment is not None:
            from payments.cli.aws import commands

            with commands.keys(console, environment, region, poll_seconds) as keys:
                keys.revoke(key_id)
            return
        from payments.cli.keys import revoke

        asyncio.run(revoke(console, DataDirectory(data_dir), key_id))

    @app.command("limit")
    def keys_limit(
        key_id: Annotated[str, typer.Argument(help="Its id, from `tap keys list`.")],
        writes_per_second: Annotated[
            int | None, typer.Argument(min=1, max=WRITES_PER_SECOND_MAX, help="As fast as the deployment says when it is left out.")
        ] = None,
        data_dir: DataDir = DATA_DIR,
        environment: OnAws = None,
        region: Region = None,
        poll_seconds: PollSeconds = 5.0,
    ) -> None:
        """Say how many times a second an API key may change something."""
        if environment is not None:
            from payments.cli.aws import commands

            with commands.keys(console, environment, region, poll_seconds) as keys:
                keys.limit(key_id, writes_per_second)
            return
        from payments.cli.keys import limit

        asyncio.run(limit(console, DataDirectory(data_dir), key_id, writes_per_second))

    return app
