"""`tap deploy`: an environment from nothing, or brought up to this checkout, in one command.

The images first, then the stack, the schema, and tasks; the first time images are pushed after the stack, which has their
repositories. What runs already goes on running as it is: new code comes into service by `tap release`.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.prompt import Confirm

from payments.cli.assembly import Assembly, FargateTasks, architecture, fargate_tasks, synthesise
from payments.cli.aws.clients import Aws
from payments.cli.aws.environment import DeployedEnvironment, DeployedService
from payments.cli.aws.images import Images, current_tag
from payments.cli.aws.plan import deployed_colours, deployed_templates, make_plan
from payments.cli.aws.preflight import check_account, check_names, check_quotas, make_service_roles
from payments.cli.aws.release import Releases
from payments.cli.aws.smoke import pay, sandbox_key
from payments.cli.aws.zones import choose_zones, kept_zones
from payments.cli.data_directory import UsageError
from payments.runtime.topology import SERVICES, Architecture, Colour, Names, Service, environment_mistake

_CDK = Path(sys.prefix) / "cdk" / "node_modules" / ".bin" / "cdk"
_STEADY_SECONDS_MAX = 900.0
_BROKEN = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED", "UPDATE_ROLLBACK_FAILED")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says of a deployment."""

    image: str | None = None
    certificate_arn: str | None = None
    public_url: str | None = None
    allow_http: bool = False
    private_webhooks: bool = False
    writes_per_second: int | None = None
    """Of an API key for which nothing else is set; else 100."""
    acquirer_ports: str | None = None
    """TCP ports of acquirers' hosts other than those that are open anyway, with commas between them."""
    zones: str | None = None
    """Three availability zones, with commas between them; else they are chosen when the environment is made."""
    architecture: Architecture | None = None
    """Of the tasks' processors; else what they are, and at first the environment's own."""
    dual_stack: bool = False
    alarm_email: str | None = None
    bootstrap: bool = False
    dry_run: bool = False
    new: bool = False
    """The environment is meant, though there is none of its name yet."""
    poll_seconds: float = 5.0

    def context(self, environment: str, image: str, serving: Mapping[Service, Colour], kept: Mapping[str, str]) -> dict[str, str]:
        """Return what the CDK app is told; what isn't said here may stand in cdk.json. `kept`: what the environment is, whatever is said there."""
        said = {
            "environmentSuffix": environment,
            "imageTag": image,
            "serving": json.dumps(serving),
            "certificateArn": self.certificate_arn,
            "publicUrl": self.public_url,
            "allowHttp": "true" if self.allow_http else None,
            "alarmEmail": self.alarm_email,
            "privateWebhooks": "true" if self.private_webhooks else None,
            "writesPerSecond": None if self.writes_per_second is None else str(self.writes_per_second),
            "acquirerPorts": self.acquirer_ports,
            "architecture": self.architecture,
            "dualStack": "true" if self.dual_stack else None,
        }
        return {**kept, **{name: value for name, value in said.items() if value is not None}}


@dataclass(frozen=True, slots=True)
class Deploy:
    """One deployment of one environment."""

    aws: Aws
    names: Names
    console: Console
    options: Options

    def run(self) -> None:
        """Deploy; raises `UsageError` at the first thing that isn't right, before anything is changed wherever that is possible."""
        self._check_command()
        tag = self.options.image or current_tag()
        if self.options.bootstrap:
            account = self.aws.sts.get_caller_identity()["Account"]
            with tempfile.TemporaryDirectory(prefix="tap-bootstrap-") as elsewhere:  # where no cdk.json names an app: none is needed
                self._cdk("bootstrap", f"aws://{account}/{self.aws.region}", directory=Path(elsewhere))
        account = check_account(self.aws)
        self.console.print(f"{self.names.stack} in account {account}, {self.aws.region}: image {tag}")
        environment = DeployedEnvironment(self.aws, self.names)
        first = self._is_first(environment)
        if first and not (self.options.new or self.options.dry_run):
            self._check_meant(account)
        images = Images(self.aws, self.names, self.console)
        with tempfile.TemporaryDirectory(prefix="tap-deploy-") as directory:
            assembly = self._assembly(Path(directory), tag, environment, first=first)
            if first:
                check_names(self.aws, assembly)
            check_quotas(self.aws, assembly, self.console, first=first)
            missing = list(SERVICES) if first else images.missing(list(SERVICES), tag)  # at first there are no repositories yet
            platform = architecture(assembly.templates())
            if missing:
                images.check(missing, tag, platform)
            if self.options.dry_run:
                self.console.print("Nothing was changed: that was a dry run.")
                return
            if missing:
                images.build(tag, platform)
            if first:
                make_service_roles(self.aws, self.console)
            elif missing:  # new revisions should not name what isn't there
                images.push(missing, tag)
                # A release may have moved traffic meanwhile.
                assembly = self._assembly(Path(directory), tag, environment, first=first)
            self._cdk("deploy", "--app", str(assembly.directory), self.names.stack, "--require-approval", "never", "--progress", "events")
            sizes = {Service(each.service): each for each in fargate_tasks(assembly.templates())}
        if first:
            images.push(missing, tag)
        self._start(environment, images, tag, sizes)
        self._show(environment, images, tag)

    def _check_command(self) -> None:
        """Raise `UsageError` for what is wrong before AWS is asked anything."""
        if self.options.dry_run and self.options.bootstrap:
            raise UsageError("--dry-run changes nothing, and --bootstrap makes a stack: give one of them.")
        if mistake := environment_mistake(self.names.environment):
            raise UsageError(mistake)
        if not _CDK.exists():
            raise UsageError("The CDK command line isn't set up: run `make cdk`.")

    def _check_meant(self, account: str) -> None:
        """A name that is mistyped would make an environment of its own, beside the one that was meant; raises `UsageError`."""
        there_is_none = f"There is no {self.names.stack} in account {account}, {self.aws.region}"
        if not self.console.is_interactive:
            raise UsageError(f"{there_is_none}. If you mean to make it, give --new.")
        if not Confirm.ask(f"{there_is_none}. Make it?", console=self.console, default=False):
            raise UsageError("Nothing was changed.")

    def _is_first(self, environment: DeployedEnvironment) -> bool:
        status = environment.stack_status()
        if status is None or status == "REVIEW_IN_PROGRESS":
            return True
        if status.endswith("_IN_PROGRESS"):
            raise UsageError(f"{self.names.stack} is being changed ({status}). Wait until that is done.")
        if status in _BROKEN:
            raise UsageError(
                f"{self.names.stack} is {status}: see its events in CloudFormation, delete it (or continue its rollback), and deploy again."
            )
        return False

    def _live(self, environment: DeployedEnvironment, tag: str) -> dict[Service, DeployedService]:
        """Read what runs; raises `UsageError` where a deployment of the stack would get in a release's way."""
        live = environment.services()
        for service, each in live.items():
            if each.active_deployment is not None and each.serving is None:
                raise UsageError(
                    f"{each.active_deployment} is moving the traffic of {service}. Wait for it, or undo it: "
                    f"tap rollback {service} --environment {self.names.environment}"
                )
            if each.serving is None:
                raise UsageError(f"The traffic of {service} is split though no deployment runs: set its rules right first.")
            begun = environment.image(each.task_definition).rpartition(":")[2]
            if each.desired == 0 and begun != tag and "@" not in environment.image(each.task_definition):
                raise UsageError(
                    f"The first deployment of {self.names.environment} was begun with image {begun}, which its services name for good: "
                    f"finish it with --image {begun}. If {begun} itself is broken, put a mended one into its place (docs/deploy.md, "
                    '"When the first image is broken").'
                )
        return live

    def _assembly(self, directory: Path, tag: str, environment: DeployedEnvironment, *, first: bool) -> Assembly:
        """Synthesise so that rules stay as CloudFormation knows them; raises `UsageError` for a plan that would fail or cause an outage."""
        if first:
            return self._synthesised(directory, tag, {}, {"availabilityZones": choose_zones(self.aws, self.options.zones)})
        live = self._live(environment, tag)
        deployed = deployed_templates(environment)
        kept = {"availabilityZones": kept_zones(deployed, self.options.zones), "architecture": architecture(deployed.values())}
        colours = deployed_colours(self.names, deployed)
        assembly = self._synthesised(directory, tag, colours, kept)
        plan = make_plan(assembly, self.names, deployed, live)
        if plan.moved:  # their rules change otherwise: then they must name what serves
            colours |= {service: serving for service in plan.moved if (serving := live[service].serving) is not None}
            assembly = self._synthesised(directory, tag, colours, kept)
            plan = make_plan(assembly, self.names, deployed, live)
        self.console.print("Resources: " + ", ".join(f"{count} {how}" for how, count in plan.changes.items()))
        for refusal in plan.refusals:
            self.console.print(f"[red]✗[/red] {refusal}")
        if plan.refusals:
            raise UsageError(f"Not deployed: {len(plan.refusals)} of the changes would fail or cause an outage.")
        return assembly

    def _synthesised(self, directory: Path, tag: str, colours: Mapping[Service, Colour], kept: Mapping[str, str]) -> Assembly:
        """Synthesise with these colours in the rules, unless that has been done."""
        context = self.options.context(self.names.environment, tag, colours, kept)
        own = directory / "-".join(("assembly", *(colours.get(service, Colour.BLUE) for service in SERVICES)))
        return Assembly(own) if own.exists() else synthesise(own, context, region=self.aws.region)

    def _cdk(self, *arguments: str, directory: Path | None = None) -> None:
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "AWS_REGION": self.aws.region,
            "AWS_DEFAULT_REGION": self.aws.region,
            "CDK_DISABLE_CLI_TELEMETRY": "true",
        }
        try:
            done = subprocess.run([str(_CDK), *arguments, "--ci", "--no-notices"], env=environment, cwd=directory, check=False)
        except KeyboardInterrupt:
            self.console.print(f"\n{self._goes_on()}")
            raise SystemExit(130) from None
        if done.returncode:
            raise UsageError(f"cdk {arguments[0]} failed: see above.{self._says_whether_it_goes_on()}")

    def _says_whether_it_goes_on(self) -> str:
        """What ended may be the command line only: by lost credentials, or a lost connection."""
        try:
            status = DeployedEnvironment(self.aws, self.names).stack_status() or ""
        except (BotoCoreError, ClientError):
            return f" AWS doesn't tell what became of it. {self._goes_on()}"
        return f" {self._goes_on()}" if status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS" else ""

    def _goes_on(self) -> str:
        return (
            f"CloudFormation goes on with what it has begun. See: tap status --environment {self.names.environment}; "
            "when it is done, run this again."
        )

    def _start(self, environment: DeployedEnvironment, images: Images, tag: str, sizes: Mapping[Service, FargateTasks]) -> None:
        """Migrate, then have as many tasks as auto scaling starts from; what runs already is left alone."""
        digest = images.digest(Service.PAYMENT_API, tag)
        if digest is None:
            raise UsageError(f"{tag} of payment-api is gone from its repository.")
        live = environment.services()
        releases = Releases(aws=self.aws, names=self.names, console=self.console, poll_seconds=self.options.poll_seconds)
        releases.migrate(images.reference(Service.PAYMENT_API, digest), live[Service.PAYMENT_API].network)
        for service, each in live.items():
            if each.desired == 0 and (own := images.digest(service, tag)):
                images.keep(service, own)
            if each.desired < sizes[service].tasks_min:
                self.aws.ecs.update_service(cluster=self.names.cluster, service=each.ecs_service, desiredCount=sizes[service].tasks_min)
        self._wait_until_steady(environment)

    def _wait_until_steady(self, environment: DeployedEnvironment) -> None:
        deadline = time.monotonic() + _STEADY_SECONDS_MAX
        shown = ""
        while True:
            services = environment.services()
            counts = ", ".join(f"{service} {each.running} of {each.desired}" for service, each in services.items())
            if counts != shown:
                self.console.print(f"Tasks: {counts}")
                shown = counts
            if all(each.running >= each.desired for each in services.values()):
                return
            if time.monotonic() > deadline:
                raise UsageError(f"Tasks don't start: see the services' events in ECS, cluster {self.names.cluster}.")
            time.sleep(self.options.poll_seconds)

    def _show(self, environment: DeployedEnvironment, images: Images, tag: str) -> None:
        outputs = environment.outputs()
        for name, value in outputs.items():
            self.console.print(f"{name} = {value}")
        base_url = environment.public_url()
        try:
            payment = pay(base_url, sandbox_key(environment), pause_seconds=self.options.poll_seconds)
        except UsageError as failure:
            name = outputs[f"LoadBalancerDNS{self.names.environment}"]
            raise UsageError(f"Deployed, but: {failure} Does its name lead to {name}? Once it does, run this again.") from None
        self.console.print(f"[green]{payment} succeeded through {base_url}.[/green]")
        for service, each in environment.services().items():
            image = environment.image(each.task_definition)
            if not image.endswith((f":{tag}", f"@{images.digest(service, tag)}")):
                command = f"tap release {service} --image {tag} --environment {self.names.environment}"
                self.console.print(f"{service} still runs {image}. Bring {tag} into service: {command}")
