"""`make rehearse-aws`: an environment's life in a real AWS account, from nothing to nothing, with an operator's own commands. It costs money.

It runs only where it was asked for by the account's number, never beside a production environment, and always tries to take everything away at the end.
"""

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import stripe
from rich.console import Console

from payments.cli.assembly import synthesise
from payments.cli.aws.clients import Aws, connect, one_line_errors
from payments.cli.aws.environment import DeployedEnvironment, DeployedService
from payments.cli.aws.images import current_tag
from payments.cli.aws.preflight import check_account
from payments.cli.aws.smoke import sandbox_key
from payments.cli.cost import HOURS, Estimator
from payments.cli.data_directory import UsageError
from payments.runtime.topology import Names, Service
from rehearsal.clearing import Clearing, clearing
from rehearsal.report import Report

if TYPE_CHECKING:  # the types are a development tool
    from mypy_boto3_cloudformation.client import CloudFormationClient

ACCOUNT_VARIABLE = "TAP_REHEARSE_AWS_ACCOUNT"
_PRODUCTION = Names("prod")
_AWS_HOSTS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")
_COMMAND_SECONDS_MAX = 5_400
_boto3: Any = boto3  # its own annotations name clients whose types aren't installed


class NotAsItMust(Exception):
    """AWS, or Tap on it, did something else than it must."""


def asked_for(environ: Mapping[str, str]) -> str:
    """Return the account that the caller named; raises `UsageError` where none is, or where AWS isn't what would answer."""
    account = environ.get(ACCOUNT_VARIABLE, "")
    if not re.fullmatch(r"[0-9]{12}", account):
        raise UsageError(f"This deploys into a real AWS account, and costs money: name the account, {ACCOUNT_VARIABLE}=123456789012.")
    if replaced := sorted(name for name, value in environ.items() if name.startswith("AWS_ENDPOINT_URL") and value):
        raise UsageError(f"{replaced[0]} replaces an endpoint of AWS, so that this would show nothing of AWS: unset it.")
    return account


def check_right_account(aws: Aws, account: str, cloudformation_in: Callable[[str], "CloudFormationClient"]) -> None:
    """Raise `UsageError` unless these are AWS's own endpoints and the credentials of that account, and no region of it has a production environment."""
    for each in fields(Aws):
        client: Any = getattr(aws, each.name)
        host = "" if each.name == "region" else urlsplit(client.meta.endpoint_url).hostname or ""
        if host and not host.endswith(_AWS_HOSTS):
            raise UsageError(
                f"The profile replaces the endpoint of {each.name} by {host}, so that this would show nothing of AWS: use another one."
            )
    found = aws.sts.get_caller_identity()["Account"]
    if found != account:
        raise UsageError(f"The credentials are of account {found}, and {ACCOUNT_VARIABLE} says {account}.")
    for region in sorted(each.get("RegionName", "") for each in aws.ec2.describe_regions()["Regions"]):
        there = DeployedEnvironment(replace(aws, region=region, cloudformation=cloudformation_in(region)), _PRODUCTION)
        if there.stack_status() is not None:
            raise UsageError(f"Account {account} has a {_PRODUCTION.stack} in {region}: rehearse in an account without one.")


def trial_names() -> Names:
    """Return the names of an environment that nobody else has: sized as `dev`, and not one of an operator's own previews by accident."""
    return Names(f"pr{secrets.token_hex(3)}")


def cost_line(names: Names, region: str) -> str:
    """Say what the trial costs, by `tap cost`'s own estimate."""
    prices: dict[str, Any] = json.loads(files("payments.cli").joinpath("prices.json").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="tap-cost-") as directory:
        assembly = synthesise(Path(directory), {"environmentSuffix": names.environment}, region=region)
        items = Estimator(assembly.templates(), prices).estimate().items
    smallest, largest = (sum(amounts) / HOURS for amounts in zip(*((each.smallest, each.largest) for each in items), strict=True))
    return f"It costs {smallest:.2f} to {largest:.2f} dollars an hour (list prices of {prices['dated']} in {prices['region']}), and should be done in an hour or two."


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One run."""

    aws: Aws
    names: Names
    report: Report
    tag: str

    @property
    def _deployed(self) -> DeployedEnvironment:
        return DeployedEnvironment(self.aws, self.names)

    def run(self) -> None:
        """Deploy, pay, verify, release, roll back; raises `NotAsItMust` at the first thing that isn't as it must be."""
        with self.report.step("deploy from nothing") as step:
            self._tap("deploy", "--new", "--image", self.tag)
            step.shown = "a payment through the load balancer"
        self._pay()
        with self.report.step("tap verify"):
            self._tap("verify")
        before = self._deployed.service(Service.PAYMENT_API)
        with self.report.step("release the same image, blue to green") as step:
            self._tap("release", Service.PAYMENT_API, "--image", self.tag)
            self._check_released(before)
            step.shown = "the hook's payment succeeded; traffic is on the other colour"
        self._pay()
        with self.report.step("tap rollback") as step:
            self._tap("rollback", Service.PAYMENT_API)
            after = self._deployed.service(Service.PAYMENT_API)
            if (after.task_definition, after.serving) != (before.task_definition, before.serving):
                raise NotAsItMust(
                    f"{after.task_definition} on {after.serving} serves, and {before.task_definition} on {before.serving} must."
                )
            step.shown = "the first revision serves again, on its colour"
        self._pay()
        with self.report.step("tap verify, again"):
            self._tap("status")
            self._tap("verify")

    def _pay(self) -> None:
        """Each path rule of the load balancer, with the official SDK."""
        address = self._deployed.outputs()[f"LoadBalancerDNS{self.names.environment}"]
        client = stripe.StripeClient(sandbox_key(self._deployed), base_addresses={"api": f"http://{address}"}, max_network_retries=4)
        with self.report.step("the official SDK through the load balancer") as step:
            payment = client.v1.payment_intents.create(
                {"amount": 5000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
            )
            refund = client.v1.refunds.create({"payment_intent": payment.id, "amount": 1000})
            if (payment.status, refund.status) != ("succeeded", "succeeded"):
                raise NotAsItMust(f"The payment is {payment.status}, and its refund {refund.status}.")
            client.v1.balance.retrieve()
            events = client.v1.events.list({"type": "charge.refunded", "limit": 10}).data
            if not any(each.data.object["payment_intent"] == payment.id for each in events):
                raise NotAsItMust(f"No event tells of the refund of {payment.id}.")
            step.shown = "payment, refund, balance, event"

    def _check_released(self, before: DeployedService) -> None:
        after = self._deployed.service(Service.PAYMENT_API)
        if after.serving in (None, before.serving) or after.task_definition == before.task_definition:
            raise NotAsItMust(f"After the release {after.task_definition} serves, on {after.serving}.")
        deployment = after.active_deployment
        if deployment is None:
            raise NotAsItMust("The old tasks aren't kept, so that a rollback would take a release.")
        targets = self.aws.codedeploy.list_deployment_targets(deploymentId=deployment)["targetIds"]
        (target,) = self.aws.codedeploy.batch_get_deployment_targets(deploymentId=deployment, targetIds=targets)["deploymentTargets"]
        events: list[Any] = list(target.get("ecsTarget", {}).get("lifecycleEvents", []))
        states = {each.get("lifecycleEventName"): each.get("status") for each in events}
        if states.get("AfterAllowTestTraffic") != "Succeeded":
            raise NotAsItMust(f"The hook is {states.get('AfterAllowTestTraffic')}, not Succeeded.")

    def _tap(self, command: str, *arguments: str) -> None:
        line = [
            sys.executable,
            "-m",
            "payments.cli",
            command,
            *arguments,
            "--environment",
            self.names.environment,
            "--region",
            self.aws.region,
        ]
        code = subprocess.run(line, check=False, timeout=_COMMAND_SECONDS_MAX).returncode
        if code:
            raise NotAsItMust(f"tap {command} exited with {code}: see above.")


def clear_away(found: Clearing, report: Report) -> None:
    """Destroy the environment and what it retains; raises `NotAsItMust` when something is left."""
    with report.step("destroy") as step:
        found.delete_stack()
        found.remove_retained()
        if left := found.left():
            raise NotAsItMust(f"Left, and to be removed by hand: {', '.join(left)}")
        step.shown = "nothing with the environment's tags is left"


def come_out(work: Callable[[], None]) -> int:
    """Do it, and say in one line what went wrong; returns the exit status."""
    try:
        with one_line_errors():
            work()
    except (UsageError, NotAsItMust, stripe.StripeError, subprocess.TimeoutExpired) as failure:
        print(f"Rehearsal: {' '.join(str(failure).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def rehearse(console: Console, report: Report, status: list[int]) -> None:
    """Check that this may be, try everything, and take it away whatever came of it; exit statuses go to `status`."""
    account = asked_for(os.environ)
    aws, names, tag = connect(None), trial_names(), current_tag()
    check_right_account(aws, account, lambda region: _boto3.client("cloudformation", region_name=region))
    check_account(aws)
    found = clearing(aws, names, console)
    console.print(f"{names.stack} in account {account}, {aws.region}, image {tag}. {cost_line(names, aws.region)}")
    try:
        status.append(come_out(Trial(aws=aws, names=names, report=report, tag=tag).run))
    finally:
        status.append(come_out(lambda: clear_away(found, report)))


def main() -> int:
    """Rehearse; returns the exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is taken away
    console = Console(highlight=False)
    report, status = Report(console), list[int]()
    try:
        status.append(come_out(lambda: rehearse(console, report, status)))
    finally:
        if report.steps:
            report.show()
    return max(status)


if __name__ == "__main__":
    sys.exit(main())
