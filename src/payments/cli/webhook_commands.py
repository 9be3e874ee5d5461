"""`tap webhooks`: deliveries, as they are and as they happen, and sending them again; the work is in a module of its own."""

from typing import Annotated

import typer

from payments.cli.arguments import DATA_DIR, DataDir
from payments.cli.developer_commands import ApiBase

webhooks_app = typer.Typer(no_args_is_help=True, help="Deliveries of webhooks: list, watch, send again.")

Endpoint = Annotated[str | None, typer.Option("--endpoint", help="Only to this one: we_…")]
Status = Annotated[str | None, typer.Option("--status", help="Only those that are pending, delivered or dead.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs: one object a line.")]


@webhooks_app.command("list")
def webhooks_list(
    endpoint: Endpoint = None,
    status: Status = None,
    limit: Annotated[int, typer.Option(help="How many, newest event first.", min=1, max=10_000)] = 20,
    as_json: AsJson = False,
    api_base: ApiBase = None,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """List deliveries; `--status dead` has the dead letters."""
    from payments.cli.api_client import api_of
    from payments.cli.webhooks import Wanted, run_list

    run_list(api_of(data_dir, api_base), Wanted(endpoint, status, as_json), limit, print)


@webhooks_app.command("tail")
def webhooks_tail(
    endpoint: Endpoint = None,
    status: Status = None,
    as_json: AsJson = False,
    api_base: ApiBase = None,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Show deliveries as they are tried, of the newest hundred events."""
    from contextlib import suppress
    from time import sleep

    from payments.cli.api_client import api_of
    from payments.cli.webhooks import Wanted, run_tail

    with suppress(KeyboardInterrupt):
        run_tail(api_of(data_dir, api_base), Wanted(endpoint, status, as_json), lambda line: print(line, flush=True), sleep)


@webhooks_app.command("log")
def webhooks_log(
    endpoint: Endpoint = None,
    event: Annotated[str | None, typer.Option("--event", help="Only of this one: evt_…")] = None,
    limit: Annotated[int, typer.Option(help="How many, newest first.", min=1, max=10_000)] = 20,
    as_json: AsJson = False,
    api_base: ApiBase = None,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """List attempts to deliver, as they were answered; kept for thirty days."""
    from payments.cli.api_client import api_of
    from payments.cli.webhook_log import run_log

    run_log(api_of(data_dir, api_base), {"endpoint": endpoint, "event": event}, limit, print, as_json=as_json)


@webhooks_app.command("show")
def webhooks_show(
    named: Annotated[str, typer.Argument(help="A delivery, evt_….we_…, or one attempt of it, wha_…")],
    as_json: AsJson = False,
    api_base: ApiBase = None,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Show attempts whole: what was sent, what came back, and what took how long."""
    from payments.cli.api_client import api_of
    from payments.cli.webhook_log import run_show

    run_show(api_of(data_dir, api_base), named, print, as_json=as_json)


@webhooks_app.command("replay")
def webhooks_replay(
    delivery: Annotated[str | None, typer.Argument(help="One delivery, by its id: evt_….we_…")] = None,
    endpoint: Annotated[str | None, typer.Option("--endpoint", help="All that died on the way to this one: we_…")] = None,
    types: Annotated[list[str] | None, typer.Option("--type", help="Only of these events, or groups: charge.*")] = None,
    since: Annotated[str | None, typer.Option(help="Only of events since so long ago: 90s, 10m, 2h, 1d.")] = None,
    until: Annotated[str | None, typer.Option(help="Only of events until so long ago.")] = None,
    delivered: Annotated[bool, typer.Option("--all", help="What was delivered as well.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Don't wait until it is done.")] = False,
    stop: Annotated[str | None, typer.Option(help="Stop this one: rpl_…")] = None,
    api_base: ApiBase = None,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Send deliveries again: one, or all that an endpoint missed. Ctrl-C stops waiting, not the replay."""
    from time import sleep, time

    from payments.cli.api_client import api_of
    from payments.cli.data_directory import UsageError
    from payments.cli.webhooks import follow, range_of, redeliver, replay_of

    if sum(each is not None for each in (delivery, endpoint, stop)) != 1:
        raise UsageError("Name a delivery, or an --endpoint, or a replay to --stop.")
    api = api_of(data_dir, api_base)
    if delivery is not None:
        redeliver(api, delivery, print)
        return
    if stop is not None:
        follow(api, api.call("POST", f"/v1/notifications/replays/{stop}/cancel"), print, sleep)
        return
    replay = replay_of(
        api, str(endpoint), types=types or (), created=range_of(since, until, time()), deliveries="all" if delivered else "dead"
    )
    if detach:
        print(replay["id"])
        return
    try:
        follow(api, replay, lambda line: print(line, flush=True), sleep)
    except KeyboardInterrupt:
        print(f"It goes on. To stop it: tap webhooks replay --stop {replay['id']}")
