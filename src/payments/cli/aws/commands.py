"""What the `tap` command's arguments lead to on AWS: clients, names, and one line for whatever goes wrong."""

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from payments.cli.aws import acquirers
from payments.cli.aws.clients import connect, one_line_errors
from payments.cli.aws.deploy import Deploy, Options
from payments.cli.aws.environment import DeployedEnvironment
from payments.cli.aws.key_rings import AwsPlace
from payments.cli.aws.keys import Keys
from payments.cli.aws.logins import rotate_logins
from payments.cli.aws.merchant_settings import run_settings
from payments.cli.aws.one_off import run_one_off
from payments.cli.aws.release import Releases
from payments.cli.aws.status import read_status, show_status
from payments.cli.aws.storage_tasks import StorageTasks
from payments.runtime.topology import MIGRATION_MODULE, Names, Service
from payments.storage.merchant_tasks import SettingsOrder


def deploy(console: Console, environment: str, region: str | None, options: Options) -> None:
    """Deploy an environment."""
    with one_line_errors():
        Deploy(connect(region), Names(environment), console, options).run()


@contextmanager
def releases(console: Console, environment: str, region: str | None, poll_seconds: float) -> Generator[Releases]:
    """Lend what releases an environment's services."""
    with one_line_errors():
        yield Releases(aws=connect(region), names=Names(environment), console=console, poll_seconds=poll_seconds)


def status(console: Console, environment: str, region: str | None, *, as_json: bool) -> None:
    """Show an environment."""
    with one_line_errors():
        show_status(console, read_status(DeployedEnvironment(connect(region), Names(environment))), as_json=as_json)


def verify(console: Console, environment: str, region: str | None, poll_seconds: float) -> int:
    """Prove an environment's books by a one-off task, since nobody else reaches its database; returns the exit status."""
    with one_line_errors():
        aws, names = connect(region), Names(environment)
        deployed = DeployedEnvironment(aws, names)
        deployed.check_there()
        network = deployed.service(Service.PAYMENT_API).network
        command = ["python", "-m", MIGRATION_MODULE, "verify"]
        done = run_one_off(aws, names, names.migration_family, network, command=command, poll_seconds=poll_seconds)
    for line in done.lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    console.print("The books are in order." if done.exit_code == 0 else "The books are not in order, or could not be read.")
    return done.exit_code


def settings(console: Console, environment: str, region: str | None, poll_seconds: float, order: SettingsOrder) -> None:
    """Show what is set for a merchant, or set it."""
    with one_line_errors():
        run_settings(console, StorageTasks.of(DeployedEnvironment(connect(region), Names(environment)), poll_seconds), order)


def logins(console: Console, environment: str, region: str | None, poll_seconds: float, services: Sequence[Service]) -> None:
    """Give services' logins new passwords."""
    with one_line_errors():
        rotate_logins(console, DeployedEnvironment(connect(region), Names(environment)), services, poll_seconds)


@contextmanager
def key_place(environment: str, region: str | None, poll_seconds: float) -> Generator[AwsPlace]:
    """Lend where an environment keeps the keys that secrets are sealed and hashed with."""
    with one_line_errors():
        deployed = DeployedEnvironment(connect(region), Names(environment))
        yield AwsPlace(deployed, StorageTasks.of(deployed, poll_seconds))


def set_acquirers(console: Console, environment: str, region: str | None, file: Path) -> None:
    """Give an environment its acquirers."""
    with one_line_errors():
        acquirers.set_acquirers(console, DeployedEnvironment(connect(region), Names(environment)), file, os.environ)


@contextmanager
def keys(console: Console, environment: str, region: str | None, poll_seconds: float) -> Generator[Keys]:
    """Lend what makes and revokes an environment's API keys."""
    with one_line_errors():
        yield Keys(deployed=DeployedEnvironment(connect(region), Names(environment)), console=console, poll_seconds=poll_seconds)
