"""The `tap` command's arguments; each command's work is in a module of its own."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Annotated

import psutil
import typer
from rich.console import Console

from payments.cli.acquirer_commands import acquirer_app, simulator_app
from payments.cli.arguments import DATA_DIR, DataDir, Environment, OnAws, PollSeconds, Region
from payments.cli.data_directory import DataDirectory, Run, UsageError
from payments.cli.developer_commands import developer_app
from payments.cli.key_commands import keys_app
from payments.cli.ledger_commands import ledger_app
from payments.cli.private_files import open_private
from payments.cli.reconcile_commands import reconcile_app
from payments.cli.routing_commands import routing_app
from payments.cli.typed import same_program
from payments.cli.webhook_commands import webhooks_app
from payments.runtime.topology import Architecture, Service

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help="Card payments that you run yourself.")
app.add_typer(developer_app)
logins_app = typer.Typer(no_args_is_help=True, help="The services' logins to the database.")
app.add_typer(logins_app, name="logins")
app.add_typer(webhooks_app, name="webhooks")

_COPIES_MAX = 64
_DETACH_SECONDS_MAX = 90
_DOWN_SECONDS_MAX = 90

ServiceName = Annotated[Service, typer.Argument(help="Which service.")]

console = Console(highlight=False)
app.add_typer(acquirer_app(console), name="acquirers")
app.add_typer(routing_app(), name="routing")
app.add_typer(keys_app(console), name="keys")
app.add_typer(ledger_app(console), name="ledger")
app.add_typer(simulator_app(), name="acquirer-simulator")
app.add_typer(reconcile_app(console), name="reconcile")


@app.command()
def up(
    port: Annotated[int, typer.Option(help="The port of the front door, on 127.0.0.1.", min=1, max=65_535)] = 8080,
    data_dir: DataDir = DATA_DIR,
    detach: Annotated[bool, typer.Option("--detach", help="Return when everything is healthy, and leave it running.")] = False,
    https: Annotated[bool, typer.Option("--https", help="By a certificate authority of the data directory's own.")] = False,
    copies: Annotated[
        int, typer.Option(help="Processes of payment-api and of transaction-processor: each takes one core.", min=1, max=_COPIES_MAX)
    ] = 1,
) -> None:
    """Run the whole system here: PostgreSQL, the three services, and a front door on one port."""
    directory = DataDirectory(data_dir)
    if detach:
        _up_detached(directory, ["--port", str(port), "--copies", str(copies), *(["--https"] if https else [])])
        return
    from payments.cli.local_run import LocalRun

    with console.status("Starting PostgreSQL and the services …") as status:

        def ready(run: Run) -> None:
            status.stop()
            _welcome(directory, run)
            console.print("Ctrl-C stops everything; the data stays.")

        run = LocalRun(directory, port, os.environ.get("TAP_DATABASE_URL"), https, copies)
        asyncio.run(run.run(ready))


def _up_detached(directory: DataDirectory, options: Sequence[str]) -> None:
    directory.create()
    os.close(directory.lock())  # raises when Tap runs already, before the log of that run is overwritten
    log = directory.logs / "tap.log"
    with open_private(log, append=False) as output:
        command = [*same_program(), "up", *options, "--data-dir", str(directory.path)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
    deadline = time.monotonic() + _DETACH_SECONDS_MAX
    while time.monotonic() < deadline:
        if process.poll() is not None:
            lines = log.read_text(errors="replace").strip().splitlines()
            raise UsageError(lines[-1] if lines else f"Tap didn't start: see {log}")
        try:
            run = directory.run()
        except UsageError:
            run = None
        if run is not None and run.supervisor_pid == process.pid and run.ready:
            _welcome(directory, run)
            print(f"Stop it with: {directory.command('down')}")
            return
        time.sleep(0.05)
    process.terminate()
    raise UsageError(f"Tap didn't become healthy in {_DETACH_SECONDS_MAX} s: see {directory.logs}")


def _welcome(directory: DataDirectory, run: Run) -> None:
    secrets = directory.secrets()
    shown = {
        "API": run.base_url,
        "Secret key": secrets.secret_key,
        "Publishable key": secrets.publishable_key,
        "Trust": run.root_certificate,
        "Logs": directory.logs,
        "Try": directory.command("demo"),
    }
    console.print("[bold]Tap is up.[/bold]")
    for name, value in shown.items():
        if value is not None:
            print(f"{name:<17}{value}")  # as it is: to be copied whole, and whatever it holds


@app.command()
def down(data_dir: DataDir = DATA_DIR) -> None:
    """Stop what `tap up` started; the data stays."""
    directory = DataDirectory(data_dir)
    while not _terminate((run := directory.run()).supervisor_pid):
        time.sleep(0.05)  # that one was killed, and the next is about to remove what it left
    deadline = time.monotonic() + _DOWN_SECONDS_MAX
    while directory.is_locked() or _is_alive(run.supervisor_pid):
        if time.monotonic() > deadline:
            raise UsageError(f"Process {run.supervisor_pid} is still stopping: see {directory.logs}")
        time.sleep(0.05)
    console.print("Tap is stopped.")


def _terminate(pid: int) -> bool:
    """Tell a process to end; tells whether there is one."""
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return False
    return True


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


@app.command()
def status(
    data_dir: DataDir = DATA_DIR,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    environment: OnAws = None,
    region: Region = None,
) -> None:
    """Show what is running, here or on AWS, and how to reach it."""
    if environment is not None:
        from payments.cli.aws import commands

        commands.status(console, environment, region, as_json=as_json)
        return
    from payments.cli.status import read_status, show_status

    read = asyncio.run(read_status(DataDirectory(data_dir)))
    show_status(console, read, as_json=as_json)


@app.command()
def demo(
    data_dir: DataDir = DATA_DIR,
    payments: Annotated[int, typer.Option(help="How many payments to make.", min=1, max=100_000)] = 100,
) -> None:
    """Make payments of many kinds with the official Stripe SDK, and receive their webhooks."""
    from payments.cli.demo import run_demo

    run_demo(console, DataDirectory(data_dir), payments)


@app.command()
def verify(
    data_dir: DataDir = DATA_DIR,
    environment: OnAws = None,
    region: Region = None,
    poll_seconds: PollSeconds = 5.0,
) -> None:
    """Prove the books: every charge, refund and fee has its transfers, and everything balances."""
    if environment is not None:
        from payments.cli.aws import commands

        sys.exit(commands.verify(console, environment, region, poll_seconds))
    from payments.cli.verify import run_verify

    sys.exit(asyncio.run(run_verify(console, DataDirectory(data_dir))))


@app.command()
def deploy(
    environment: Environment,
    region: Region = None,
    image: Annotated[str | None, typer.Option(help="The images' tag; else the commit of this checkout.")] = None,
    certificate_arn: Annotated[str | None, typer.Option(help="ACM's certificate for the public URL's name.")] = None,
    public_url: Annotated[str | None, typer.Option(help="What customers reach, https://payments.example.com.")] = None,
    allow_http: Annotated[bool, typer.Option("--allow-http", help="Prod without a certificate, on purpose.")] = False,
    alarm_email: Annotated[str | None, typer.Option(help="Who is told of alarms; AWS asks them to confirm.")] = None,
    private_webhooks: Annotated[
        bool, typer.Option("--private-webhooks", help="Webhooks may go to private addresses: merchants' systems inside of the network.")
    ] = False,
    writes_per_second: Annotated[int | None, typer.Option(min=1, help="How fast an API key may write; else 100 times a second.")] = None,
    acquirer_ports: Annotated[str | None, typer.Option(help="Ports of acquirers' hosts other than 443, like 5001,5002.")] = None,
    zones: Annotated[
        str | None, typer.Option(help="Three availability zones for a new environment; else the first that have the database.")
    ] = None,
    architecture: Annotated[Architecture | None, typer.Option(help="The tasks' processors; else what they are.")] = None,
    dual_stack: Annotated[bool, typer.Option("--dual-stack", help="Let clients come by IPv6, too: for a new environment.")] = False,
    bootstrap: Annotated[bool, typer.Option("--bootstrap", help="Make CDK's own stack first; once per account and region.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, and change nothing.")] = False,
    new: Annotated[bool, typer.Option("--new", help="Make the environment, if there is none of that name, without being asked.")] = False,
    poll_seconds: PollSeconds = 5.0,
) -> None:
    """Deploy an environment on AWS, or bring it up to this checkout. What runs goes on: new code comes in by `tap release`."""
    from payments.cli.aws import commands
    from payments.cli.aws.deploy import Options

    options = Options(
        image=image,
        certificate_arn=certificate_arn,
        public_url=public_url,
        allow_http=allow_http,
        private_webhooks=private_webhooks,
        writes_per_second=writes_per_second,
        acquirer_ports=acquirer_ports,
        alarm_email=alarm_email,
        zones=zones,
        architecture=architecture,
        dual_stack=dual_stack,
        bootstrap=bootstrap,
        dry_run=dry_run,
        new=new,
        poll_seconds=poll_seconds,
    )
    commands.deploy(console, environment, region, options)


@app.command()
def release(
    service: ServiceName,
    environment: Environment,
    region: Region = None,
    image: Annotated[str | None, typer.Option(help="The image's tag; else the commit of this checkout.")] = None,
    build: Annotated[bool, typer.Option("--build", help="Build and push the image, unless it is in the repository.")] = False,
    skip_migration: Annotated[bool, typer.Option("--skip-migration", help="For an image older than the schema.")] = False,
    end_wait: Annotated[bool, typer.Option("--end-wait", help="End the old tasks that the last release still keeps.")] = False,
    poll_seconds: PollSeconds = 5.0,
) -> None:
    """Bring an image of one service into service, blue to green, and wait until it has all traffic or went back."""
    from payments.cli.aws import commands

    with commands.releases(console, environment, region, poll_seconds) as releases:
        releases.release(service, image=image, build=build, migrate=not skip_migration, end_wait=end_wait)


@app.command()
def rollback(service: ServiceName, environment: Environment, region: Region = None, poll_seconds: PollSeconds = 5.0) -> None:
    """Undo the last release of a service: within seconds while its old tasks are kept, by another deployment after that."""
    from payments.cli.aws import commands

    with commands.releases(console, environment, region, poll_seconds) as releases:
        releases.rollback(service)


@app.command()
def cost(
    environment: Annotated[str, typer.Option(help="dev, staging or prod.")] = "prod",
    architecture: Annotated[Architecture | None, typer.Option(help="The tasks' processors; else the environment's own.")] = None,
) -> None:
    """Estimate what an environment costs on AWS a month, item by item."""
    from payments.cli.cost import run_cost

    run_cost(console, environment, architecture)


@app.command()
def settings(
    data_dir: DataDir = DATA_DIR,
    merchant: Annotated[int | None, typer.Option(help="Of which merchant; the first one's when it is left out.")] = None,
    api_version: Annotated[str | None, typer.Option(help="Set the API version of requests and webhook endpoints that name none.")] = None,
    payouts: Annotated[str | None, typer.Option(help="Pay out what is available: manual, daily, weekly or monthly.")] = None,
    payout_anchor: Annotated[str | None, typer.Option(help="On which day of the week (monday) or of the month (1).")] = None,
    payout_delay_days: Annotated[int | None, typer.Option(help="After how many days captured funds become available.")] = None,
    webhook_endpoints: Annotated[int | None, typer.Option(help="How many webhook endpoints there may be in each mode; else 16.")] = None,
    name: Annotated[str | None, typer.Option(help="What buyers read that they pay.")] = None,
    colour: Annotated[
        str | None, typer.Option("--color", "--colour", help="Colour of the pages that buyers see, #rrggbb; '' for the usual one.")
    ] = None,
    logo: Annotated[str | None, typer.Option(help="Logo on those pages: a PNG or JPEG file of 5 kB at most; '' for none.")] = None,
    environment: OnAws = None,
    region: Region = None,
    poll_seconds: PollSeconds = 5.0,
) -> None:
    """Show what is set for a merchant, here or on AWS, or set it."""
    from payments.cli.merchant_settings import read_logo, run_settings
    from payments.storage.merchant_tasks import SettingsOrder

    order = SettingsOrder(
        merchant=merchant,
        api_version=api_version,
        payouts=payouts,
        payout_anchor=payout_anchor,
        payout_delay_days=payout_delay_days,
        webhook_endpoints=webhook_endpoints,
        name=name,
        colour=colour,
        logo=read_logo(logo),
    )
    if environment is not None:
        from payments.cli.aws import commands

        commands.settings(console, environment, region, poll_seconds, order)
        return
    asyncio.run(run_settings(console, DataDirectory(data_dir), order))


@logins_app.command("rotate")
def logins_rotate(
    environment: Environment,
    service: Annotated[list[Service] | None, typer.Option(help="Of this service only; can be given several times.")] = None,
    region: Region = None,
    poll_seconds: PollSeconds = 5.0,
) -> None:
    """Give the services' logins to the database new passwords on AWS. Nothing is restarted, and no payment is held up."""
    from payments.cli.aws import commands

    commands.logins(console, environment, region, poll_seconds, service or list(Service))


def main() -> None:
    """Run the command; what the user can mend is one line and exit status 1."""
    try:
        app()
    except UsageError as mistake:
        print(mistake, file=sys.stderr)
        sys.exit(1)
