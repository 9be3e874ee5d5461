"""`tap release` and `tap rollback`: one service goes to another image by CodeDeploy, blue to green, and back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from botocore.exceptions import ClientError
from rich.console import Console

from payments.cli.aws.app_spec import app_spec, revision
from payments.cli.aws.clients import Aws, error_code
from payments.cli.aws.environment import REPLACES_TAG, DeployedEnvironment, DeployedService
from payments.cli.aws.images import Images, current_tag
from payments.cli.aws.one_off import run_one_off
from payments.cli.aws.watch import Outcome, Result, Watch
from payments.cli.data_directory import UsageError
from payments.runtime.topology import Names, Service

_GIVEN_BY_AWS = (
    "taskDefinitionArn",
    "revision",
    "status",
    "requiresAttributes",
    "compatibilities",
    "registeredAt",
    "registeredBy",
    "deregisteredAt",
)
"""What a described task definition has, and a registered one may not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Releases:
    """Releases the services of one environment."""

    aws: Aws
    names: Names
    console: Console
    poll_seconds: float

    @property
    def environment(self) -> DeployedEnvironment:
        """The environment as it is now."""
        return DeployedEnvironment(self.aws, self.names)

    def release(self, service: Service, *, image: str | None, build: bool, migrate: bool, end_wait: bool) -> None:
        """Bring an image into service; raises `UsageError` when it doesn't get there, with traffic where it was."""
        self.environment.check_there()
        live = self._ready(service, end_wait=end_wait)
        tag = image or current_tag()
        digest = self._digest(service, tag, build=build)
        reference = Images(self.aws, self.names, self.console).reference(service, digest)
        if migrate:
            self.migrate(reference, live.network)
        task_definition = self._register(self.names.task_family(service), reference, replaces=live.task_definition)
        self.console.print(
            f"{service}: {tag} ({digest[:19]}…) becomes {_short(task_definition)}, which replaces {_short(live.task_definition)}"
        )
        self._finish(live, self._deploy(live, task_definition, f"tap release {service} {tag}"), f"{service} runs {tag}")

    def rollback(self, service: Service) -> None:
        """Go back: stop the deployment that runs, or else release the revision that the live one replaced."""
        live = self.environment.service(service)
        if live.active_deployment is not None:
            self.console.print(f"Stopping {live.active_deployment}; traffic goes back to the old tasks.")
            self.aws.codedeploy.stop_deployment(deploymentId=live.active_deployment, autoRollbackEnabled=True)
            stopped = self._watch(live, live.active_deployment)
            if stopped.rollback_id is not None:
                self._watch(live, stopped.rollback_id)
            self._say_where_traffic_is(service)
            return
        replaced = self.environment.replaced_revision(live.task_definition)
        if replaced is None:
            raise UsageError(f"{service} has nothing to go back to: {_short(live.task_definition)} wasn't brought by tap release.")
        self.console.print(f"{service}: {_short(replaced)} replaces {_short(live.task_definition)}")
        deployment = self._deploy(live, replaced, f"tap rollback {service}")
        self._finish(live, deployment, f"{service} runs {_short(replaced)} again")

    def migrate(self, image: str, network: Mapping[str, Any]) -> None:
        """Bring the schema up to an image's code, before the code runs; raises `UsageError` when that fails."""
        task_definition = self._register(self.names.migration_family, image)
        done = run_one_off(self.aws, self.names, task_definition, network, poll_seconds=self.poll_seconds)
        if done.exit_code:
            raise UsageError(f"The migration failed, and nothing was released: {done.lines[-1] if done.lines else 'it left no log'}")
        self.console.print("The database's schema is up to date.")

    def _ready(self, service: Service, *, end_wait: bool) -> DeployedService:
        """Return the service when it can be released; raises `UsageError` that says why not."""
        live = self.environment.service(service)
        if live.active_deployment is not None:
            if not end_wait:
                raise UsageError(
                    f"A deployment of {service} runs already: {live.active_deployment}. Wait for it, undo it (tap rollback {service}), "
                    "or, when it only keeps the old tasks, end that with --end-wait."
                )
            self._end_wait(live.active_deployment, service)
            live = self.environment.service(service)
        if red := self._red_alarms(live):
            raise UsageError(f"Not released: alarm {red[0]} is red, and CodeDeploy would go back at once. Mend what it tells of first.")
        if live.serving is None:
            raise UsageError(
                f"The traffic of {service} is split ({_percentages(live)}) though no deployment runs: set its rules right first."
            )
        return live

    def _end_wait(self, deployment_id: str, service: Service) -> None:
        try:
            self.aws.codedeploy.continue_deployment(deploymentId=deployment_id, deploymentWaitType="TERMINATION_WAIT")
        except ClientError as failure:
            if error_code(failure) in (
                "DeploymentIsNotInReadyStateException",
                "InvalidDeploymentStatusException",
                "UnsupportedActionForDeploymentTypeException",
            ):
                raise UsageError(f"{deployment_id} of {service} still moves traffic: wait for it, or undo it with tap rollback.") from None
            raise
        self.console.print(f"The old tasks of {deployment_id} end now.")
        waiter: Any = self.aws.codedeploy.get_waiter("deployment_successful")
        waiter.wait(deploymentId=deployment_id, WaiterConfig={"Delay": max(1, round(self.poll_seconds)), "MaxAttempts": 300})

    def _red_alarms(self, live: DeployedService) -> list[str]:
        if not live.alarms:
            return []
        alarms = self.aws.cloudwatch.describe_alarms(AlarmNames=list(live.alarms))["MetricAlarms"]
        return [each.get("AlarmName", "") for each in alarms if each.get("StateValue") == "ALARM"]

    def _digest(self, service: Service, tag: str, *, build: bool) -> str:
        images = Images(self.aws, self.names, self.console)
        if build:
            images.provide([service], tag)
        digest = images.digest(service, tag)
        if digest is None:
            raise UsageError(
                f"{self.names.repository(service)} has no image {tag}. Build and push it: --build; or choose another: --image TAG."
            )
        return digest

    def _register(self, family: str, image: str, *, replaces: str | None = None) -> str:
        """Register the newest revision of a family anew with another image, and return the new one's ARN."""
        described = cast("dict[str, Any]", self.aws.ecs.describe_task_definition(taskDefinition=family, include=["TAGS"]))
        definition: dict[str, Any] = described["taskDefinition"]
        wanted = {name: value for name, value in definition.items() if name not in _GIVEN_BY_AWS}
        wanted["containerDefinitions"] = [
            {**definition["containerDefinitions"][0], "image": image},
            *definition["containerDefinitions"][1:],
        ]
        tags = [tag for tag in described.get("tags", []) if tag["key"] != REPLACES_TAG and not tag["key"].startswith("aws:")]
        if replaces is not None:
            tags.append({"key": REPLACES_TAG, "value": replaces})
        if tags:
            wanted["tags"] = tags
        registered = self.aws.ecs.register_task_definition(**wanted)
        return registered["taskDefinition"].get("taskDefinitionArn", "")

    def _deploy(self, live: DeployedService, task_definition: str, description: str) -> str:
        if not live.strategy:
            raise UsageError(
                f"{live.service} runs without a capacity-provider strategy, so that the next tasks would too: set it with ECS first."
            )
        name = self.names.task_family(live.service)
        try:
            created = self.aws.codedeploy.create_deployment(
                applicationName=name,
                deploymentGroupName=name,
                revision=revision(app_spec(self.names, live.service, task_definition, live.strategy)),
                description=description,
            )
        except ClientError as failure:
            if error_code(failure) == "DeploymentLimitExceededException":
                raise UsageError(
                    f"Somebody else just started a deployment of {live.service}. See: tap status --environment {self.names.environment}"
                ) from None
            raise
        return created["deploymentId"]

    def _watch(self, live: DeployedService, deployment_id: str) -> Result:
        try:
            self.console.print(f"Deployment {deployment_id} runs.")
            return Watch(self.aws, self.names, live, deployment_id, self.console, self.poll_seconds).follow()
        except KeyboardInterrupt:
            self.console.print(
                f"\n{deployment_id} goes on without this command. See: tap status --environment {self.names.environment}; "
                f"undo: tap rollback {live.service} --environment {self.names.environment}"
            )
            raise SystemExit(130) from None

    def _finish(self, live: DeployedService, deployment_id: str, success: str) -> None:
        result = self._watch(live, deployment_id)
        if result.outcome is Outcome.THROUGH:
            kept = (
                f" The old tasks are kept for now: tap rollback {live.service} goes back within seconds." if result.old_tasks_kept else ""
            )
            self.console.print(f"[green]{success}.[/green]{kept}")
            return
        if result.rollback_id is not None:
            self._watch(live, result.rollback_id)
        self._say_where_traffic_is(live.service)
        word = "was stopped by somebody" if result.outcome is Outcome.STOPPED else "failed"
        raise UsageError(f"{deployment_id} {word}: {result.reason}")

    def _say_where_traffic_is(self, service: Service) -> None:
        now = self.environment.service(service)
        self.console.print(
            f"{service}: {_percentages(now)}; {_short(now.task_definition)} serves with {now.running} of {now.desired} tasks."
        )


def _short(task_definition: str) -> str:
    return task_definition.rsplit("/", 1)[-1]


def _percentages(live: DeployedService) -> str:
    return ", ".join(f"{weight} % on {colour}" for colour, weight in live.weights.items() if weight) or "no traffic"
