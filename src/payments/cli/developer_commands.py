"""The commands that developers work with, in the words of Stripe's own command line; each one's work is in a module of its own."""

from typing import Annotated

import typer

from payments.cli.arguments import DATA_DIR, DataDir, OnAws
from payments.cli.webhook_samples import Framework

developer_app = typer.Typer()
events_app = typer.Typer(no_args_is_help=True, help="Send an event again.")
logs_app = typer.Typer(no_args_is_help=True, help="What the API was asked.")
developer_app.add_typer(events_app, name="events")
developer_app.add_typer(logs_app, name="logs")

ApiBase = Annotated[
    str | None,
    typer.Option("--api-base", help="Any Tap, https://payments.example.com, instead of the local run; TAP_API_KEY has a secret key."),
]


@developer_app.command()
def listen(
    forward_to: Annotated[
        str | None, typer.Option("--forward-to", "-f", help="Where to send each event, signed as a webhook: localhost:4242/webhook.")
    ] = None,
    events: Annotated[str | None, typer.Option("--events", "-e", help="Only these types, or groups: charge.succeeded,customer.*")] = None,
    headers: Annotated[str | None, typer.Option("--headers", "-H", help='Sent along: "Key1:Value1, Key2:Value2"')] = None,
    print_json: Annotated[bool, typer.Option("--print-json", "-j", help="Print each event whole, one a line.")] = False,
    skip_verify: Annotated[bool, typer.Option("--skip-verify", help="Trust whatever certificate the web server shows.")] = False,
    print_secret: Annotated[bool, typer.Option("--print-secret", help="Print the signing secret, and nothing else.")] = False,
    api_version: Annotated[str | None, typer.Option("--api-version", help="Events in this version; else in the account's.")] = None,
    api_base: ApiBase = None,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Show events as they happen, and forward them to a web server on this machine."""
    from payments.cli.api_client import api_of
    from payments.cli.data_directory import UsageError

    if print_secret:
        from payments.cli.listen_secret import signing_secret

        print(signing_secret(api_of(data_dir, api_base).key))
        return
    from payments.cli.listen import Options, forward_url, run_listen

    given = dict(each.split(":", 1) for each in headers.split(",") if ":" in each) if headers else {}
    if headers and len(given) != len(headers.split(",")):
        raise UsageError('Headers are written "Key1:Value1, Key2:Value2".')
    options = Options(
        types=[each.strip() for each in events.split(",")] if events else (),
        forward_to=None if forward_to is None else forward_url(forward_to),
        headers={name.strip(): value.strip() for name, value in given.items()},
        api_version=api_version,
        print_json=print_json,
        skip_verify=skip_verify,
    )
    run_listen(lambda: api_of(data_dir, api_base), options)


@developer_app.command()
def trigger(
    event: Annotated[str | None, typer.Argument(help="The event's type: payment_intent.succeeded.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the types that can be made.")] = False,
    override: Annotated[list[str] | None, typer.Option(help="A parameter of a step: payment_intent:amount=5000.")] = None,
    add: Annotated[list[str] | None, typer.Option(help="One more: payment_intent:metadata.order=17.")] = None,
    remove: Annotated[list[str] | None, typer.Option(help="One less: customer:description.")] = None,
    skip: Annotated[list[str] | None, typer.Option(help="A step that isn't taken.")] = None,
    api_base: ApiBase = None,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Make an event happen in the sandbox."""
    from payments.cli.api_client import api_of
    from payments.cli.trigger import Changes, event_types, run_trigger

    if list_ or event is None:
        print(*event_types(), sep="\n")
        return
    changes = Changes(override=override or (), add=add or (), remove=remove or (), skip=skip or ())
    run_trigger(api_of(data_dir, api_base), event, changes, print)


@developer_app.command()
def samples(framework: Annotated[Framework, typer.Argument(help="What the handler is for.")]) -> None:
    """Print a webhook handler, ready to be put into a file."""
    from payments.cli.webhook_samples import sample

    print(sample(framework), end="")


@events_app.command("resend")
def events_resend(
    event: Annotated[str, typer.Argument(help="Its id: evt_…")],
    webhook_endpoint: Annotated[
        list[str] | None, typer.Option(help="To this one, we_…; can be given several times. Else to all that it was sent to.")
    ] = None,
    api_base: ApiBase = None,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Send an event once more to the webhook endpoints that it was sent to."""
    from payments.cli.api_client import api_of
    from payments.cli.resend import run_resend

    run_resend(api_of(data_dir, api_base), event, webhook_endpoint or (), print)


@logs_app.command("tail")
def logs_tail(
    since: Annotated[str | None, typer.Option(help="Begin so long ago: 90s, 10m, 2h, 1d. Else now.")] = None,
    after: Annotated[str | None, typer.Option(help="Go on after this request: req_…")] = None,
    filter_http_method: Annotated[list[str] | None, typer.Option(help="Only GET, POST, DELETE.")] = None,
    filter_request_path: Annotated[list[str] | None, typer.Option(help="Only paths that begin so: /v1/charges.")] = None,
    filter_status_code: Annotated[list[str] | None, typer.Option(help="Only 402, or 4xx.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: one object a line.")] = False,
    data_dir: DataDir = DATA_DIR,
    environment: OnAws = None,
) -> None:
    """Show requests as they are answered: when, which, with what status, and under which id."""
    from contextlib import suppress
    from time import time

    from payments.cli.data_directory import DataDirectory, UsageError
    from payments.cli.request_log import Wanted, on_aws, run_tail, seconds

    if environment is not None:
        print(on_aws(environment))
        return
    ago = None if since is None else seconds(since)
    if since is not None and ago is None:
        raise UsageError(f"{since} is no time: write 90s, 10m, 2h or 1d.")
    wanted = Wanted(methods=filter_http_method or (), paths=filter_request_path or (), statuses=filter_status_code or ())
    with suppress(KeyboardInterrupt):
        begins = None if ago is None else time() - ago
        run_tail(DataDirectory(data_dir), wanted, since=begins, after=after, as_json=as_json, tell=lambda line: print(line, flush=True))
