"""`tap destinations`: queues, topics, buses and mailboxes that events go to; the work is in a module of its own."""

from typing import Annotated

import typer

from payments.cli.arguments import DATA_DIR, DataDir
from payments.cli.developer_commands import ApiBase

destinations_app = typer.Typer(no_args_is_help=True, help="Where events go beside webhooks: queues of AWS, and mail.")


@destinations_app.command("add")
def destinations_add(
    kind: Annotated[str, typer.Option("--type", help="sqs, sns, eventbridge, email or receipts.")],
    arn: Annotated[str | None, typer.Option(help="Of the queue, topic or event bus.")] = None,
    email: Annotated[str | None, typer.Option(help="Who is written to about these events.")] = None,
    events: Annotated[str | None, typer.Option(help="Which events, with commas between them; '*' for all.")] = None,
    description: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    api_base: ApiBase = None,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Have events go to a queue, a topic, an event bus or a mailbox, or receipts to buyers."""
    from payments.cli.api_client import api_of
    from payments.cli.destinations import Wanted, add

    add(api_of(data_dir, api_base), Wanted(kind, arn, email, events, description), print)


@destinations_app.command("list")
def destinations_list(
    as_json: Annotated[bool, typer.Option("--json", help="For programs: one object a line.")] = False,
    api_base: ApiBase = None,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """List them, newest first."""
    from payments.cli.api_client import api_of
    from payments.cli.destinations import show_all

    show_all(api_of(data_dir, api_base), as_json, print)


@destinations_app.command("remove")
def destinations_remove(
    destination: Annotated[str, typer.Argument(help="By its id: ed_…")],
    api_base: ApiBase = None,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Send nothing more there; what waits becomes dead letters."""
    from payments.cli.api_client import api_of
    from payments.cli.destinations import remove

    remove(api_of(data_dir, api_base), destination, print)
