"""`tap release` and `tap rollback`: one service goes to another image by CodeDeploy, blue to green, and back."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from botocore.exceptions import ClientError
from rich.console import Console

from payments.cli.aws.app_spec import app_spec, revision
from payments.cli.aws.clients import Aws, error_code, one_line_errors
from payments.cli.aws.environment import REPLACES_TAG, ActiveDeployment, DeployedEnvironment, DeployedService
from payments.cli.aws.images import Images, current_tag
from payments.cli.aws.one_off import run_one_off
from payments.cli.aws.scaling import Scaling
from payments.cli.aws.watch import Outcome, Result, Watch, undo
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
_NOTHING_WAITS = (
    "DeploymentIsNotInReadyStateException",
    "InvalidDeploymentStatusException",
    "UnsupportedActionForDeploymentTypeException",
)
"""How CodeDeploy refuses to end a wait that hasn't begun, or has ended."""
_ROLLBACK = "tap rollback"
"""How the description of a deployment that goes back begins."""
_AT_ONCE: Mapping[str, Any] = {
    "deploymentConfigName": "CodeDeployDefault.ECSAllAtOnce",
    "overrideAlarmConfiguration": {"enabled": False},
}
"""How a deployment goes back: what serves may be broken, so that no canary may leave it nine tenths, and no red alarm may keep it."""
_GOES_ON = 130
"""Exit status: the command ended before what it watches."""


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

    @property
    def _images(self) -> Images:
        return Images(self.aws, self.names, self.console)

    def release(self, service: Service, *, image: str | None, build: bool, migrate: bool, end_wait: bool) -> None:
        """Bring an image into service; raises `UsageError` when it doesn't get there, with traffic where it was."""
        live = self._ready(service, end_wait=end_wait)
        tag = image or current_tag()
        digest = self._digest(service, tag, build=build)
        reference = self._images.reference(service, digest)
        if migrate:
            self.migrate(reference, live.network)
        live = self._ready(service, end_wait=False)  # that may have taken an hour
        self._images.keep(service, digest)
        task_definition = self._register(self.names.task_family(service), reference, replaces=live.task_definition)
        self.console.print(
            f"{service}: {tag} ({digest[:19]}…) becomes {_short(task_definition)}, which replaces {_short(live.task_definition)}"
        )
        deployment_id = self._deploy(live, task_definition, f"tap release {service} {tag}", {})
        self._finish(live, deployment_id, f"{service} runs {tag}", revision=task_definition, is_release=True)

    def rollback(self, service: Service) -> None:
        """Go back: undo the deployment that runs, or else release the revision that the live one replaced.

        Raises `UsageError` when traffic isn't where it was before.
        """
        live = self.environment.service(service)
        if live.active is None:
            self._bring_back(live)
        elif live.active.description.startswith(_ROLLBACK) and not live.active.is_codedeploys_rollback:
            self.console.print(f"{live.active.deployment_id} goes back already.")
            self._finish(live, live.active.deployment_id, f"{service} went back")
        elif not self._undo(live, live.active):
            self._bring_back(self.environment.service(service))

    def _bring_back(self, live: DeployedService) -> None:
        replaced = self.environment.replaced_revision(live.task_definition)
        if replaced is None:
            raise UsageError(f"{live.service} has nothing to go back to: {_short(live.task_definition)} wasn't brought by tap release.")
        self.console.print(f"{live.service}: {_short(replaced)} replaces {_short(live.task_definition)}")
        deployment_id = self._deploy(live, replaced, f"{_ROLLBACK} {live.service}", _AT_ONCE)
        self._finish(live, deployment_id, f"{live.service} runs {_short(replaced)} again", revision=replaced)

    def _undo(self, live: DeployedService, active: ActiveDeployment) -> bool:
        """Bring back what a deployment replaces; returns False when it was through, with its old tasks gone, before that could be."""
        original = active.original
        if active.is_codedeploys_rollback:
            self.console.print(f"{active.deployment_id} goes back already.")
            rollback_id: str | None = active.deployment_id
        else:
            if original is None:
                self.console.print(f"{active.deployment_id} ends the old tasks already; once they are gone, another deployment goes back.")
            else:
                self.console.print(f"Stopping {active.deployment_id}; traffic goes back to the old tasks.")
                undo(self.aws, active.deployment_id)
            stopped = self._watch(live, active.deployment_id, to_the_end=True)
            if stopped.outcome is Outcome.THROUGH:
                return False
            rollback_id = stopped.rollback_id
        if rollback_id is not None:
            self._watch(live, rollback_id, to_the_end=True)
        self._scaling(live).resume()
        now = self._say_where_traffic_is(live.service)
        if original is None or now.task_definition != original.task_definition or now.serving is not original.colour:
            raise UsageError(
                f"{live.service} isn't back where it was: see {rollback_id or active.deployment_id} in CodeDeploy. "
                f"Once no deployment runs: {self._command('rollback', live.service)}"
            )
        return True

    def migrate(self, image: str, network: Mapping[str, Any]) -> None:
        """Bring the schema up to an image's code, before the code runs; raises `UsageError` when that fails."""
        task_definition = self._register(self.names.migration_family, image)
        done = run_one_off(self.aws, self.names, task_definition, network, poll_seconds=self.poll_seconds)
        if done.exit_code:
            raise UsageError(f"The migration failed, and nothing was released: {done.lines[-1] if done.lines else 'it left no log'}")
        self.console.print("The database's schema is up to date.")

    def _ready(self, service: Service, *, end_wait: bool) -> DeployedService:
        """Return the service when it can be released; raises `UsageError` that says why not."""
        self.environment.check_there()
        live = self.environment.service(service)
        if live.active_deployment is not None:
            if not end_wait:
                raise UsageError(
                    f"A deployment of {service} runs already: {live.active_deployment}. Wait for it, undo it ({self._command('rollback', service)}), "
                    "or, when it only keeps the old tasks, end that with --end-wait."
                )
            self._end_wait(live, live.active_deployment)
            live = self.environment.service(service)
        if red := [each.name for each in self.environment.alarms(live.alarms) if each.is_red]:
            raise UsageError(f"Not released: alarm {red[0]} is red, and CodeDeploy would go back at once. Mend what it tells of first.")
        if live.serving is None:
            raise UsageError(
                f"The traffic of {service} is split ({_percentages(live)}) though no deployment runs: set its rules right first."
            )
        return live

    def _end_wait(self, live: DeployedService, deployment_id: str) -> None:
        try:
            self.aws.codedeploy.continue_deployment(deploymentId=deployment_id, deploymentWaitType="TERMINATION_WAIT")
        except ClientError as failure:
            if error_code(failure) not in (*_NOTHING_WAITS, "DeploymentAlreadyCompletedException"):
                raise
            active = self.environment.service(live.service).active
            if active is not None and active.original is not None:
                raise UsageError(
                    f"{deployment_id} of {live.service} still moves traffic: wait for it, or undo it with "
                    f"{self._command('rollback', live.service)}"
                ) from None
        self.console.print(f"The old tasks of {deployment_id} end now.")
        ended = self._watch(live, deployment_id, to_the_end=True)
        if ended.outcome is not Outcome.THROUGH:
            raise UsageError(f"{deployment_id} {_ended(ended)}")

    def _digest(self, service: Service, tag: str, *, build: bool) -> str:
        if build:
            self._images.provide([service], tag, self.environment.architecture(service))
        digest = self._images.digest(service, tag)
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

    def _deploy(self, live: DeployedService, task_definition: str, description: str, more: Mapping[str, Any]) -> str:
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
                **more,
            )
        except ClientError as failure:
            if error_code(failure) == "DeploymentLimitExceededException":
                raise UsageError(f"Somebody else just started a deployment of {live.service}. See: {self._command('status')}") from None
            raise
        # Not before: when nobody is left to let it scale again, the end of this deployment does.
        self._scaling(live).suspend()
        return created["deploymentId"]

    def _scaling(self, live: DeployedService) -> Scaling:
        return Scaling(self.aws, self.names, live.ecs_service, self.console)

    def _finish(
        self, live: DeployedService, deployment_id: str, success: str, *, revision: str | None = None, is_release: bool = False
    ) -> None:
        """Follow a deployment until it has all traffic; raises `UsageError` when it doesn't get there."""
        result = self._watch(live, deployment_id, revision=revision, is_release=is_release)  # what ends only the watching ends the command
        self._scaling(live).resume()
        if result.outcome is Outcome.THROUGH:
            back = self._command("rollback", live.service)
            kept = f" The old tasks are kept for now: {back} goes back within seconds." if is_release and result.old_tasks_kept else ""
            self.console.print(f"[green]{success}.[/green]{kept}")
            return
        if result.rollback_id is not None:
            self._watch(live, result.rollback_id, to_the_end=True)
        self._say_where_traffic_is(live.service)
        raise UsageError(f"{deployment_id} {_ended(result)}")

    def _watch(
        self, live: DeployedService, deployment_id: str, *, revision: str | None = None, is_release: bool = False, to_the_end: bool = False
    ) -> Result:
        """Follow a deployment; what ends that doesn't end the deployment, and is said."""
        self.console.print(f"Deployment {deployment_id} runs.")
        watch = Watch(
            environment=self.environment,
            service=live,
            deployment_id=deployment_id,
            console=self.console,
            poll_seconds=self.poll_seconds,
            revision=revision,
            gives_up=is_release,
            to_the_end=to_the_end,
        )
        try:
            with one_line_errors():
                return watch.follow()
        except KeyboardInterrupt:
            why = ""
        except UsageError as lost:
            why = f"{lost} "
        undoing = f"; undo: {self._command('rollback', live.service)}" if is_release else ""
        print(f"\n{why}{deployment_id} goes on without this command. See: {self._command('status')}{undoing}", file=sys.stderr)
        raise SystemExit(_GOES_ON)

    def _say_where_traffic_is(self, service: Service) -> DeployedService:
        now = self.environment.service(service)
        self.console.print(
            f"{service}: {_percentages(now)}; {_short(now.task_definition)} serves with {now.running} of {now.desired} tasks."
        )
        return now

    def _command(self, name: str, service: Service | None = None) -> str:
        """What to type next."""
        return f"tap {name} {'' if service is None else f'{service} '}--environment {self.names.environment}"


def _ended(result: Result) -> str:
    return f"{'was stopped by somebody' if result.outcome is Outcome.STOPPED else 'failed'}: {result.reason}"


def _short(task_definition: str) -> str:
    return task_definition.rsplit("/", 1)[-1]


def _percentages(live: DeployedService) -> str:
    return ", ".join(f"{weight} % on {colour}" for colour, weight in live.weights.items() if weight) or "no traffic"
