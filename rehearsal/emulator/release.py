"""What a CodeDeploy deployment acts upon here: task sets of the emulated ECS, rules of the load balancer, alarms, Lambda functions."""

import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rehearsal.emulator import alarms, load_balancer, task_sets, upstream
from rehearsal.emulator.appspec import AppSpec
from rehearsal.emulator.deployment import Code, DeploymentProblem
from rehearsal.emulator.scheduler import SCHEDULER, is_steady
from rehearsal.emulator.task_sets import SetStatus, TaskSet
from rehearsal.emulator.upstream import Record

_log = logging.getLogger("tap.release")
_HOOK_PREFIX = "CodeDeployHook_"
"""AWS's managed policy AWSCodeDeployRoleForECS lets CodeDeploy invoke no other functions."""
_FAILURES_MAX = 5
"""In a row: ECS goes on, more and more slowly, until CodeDeploy's hour is over. To wait for that here shows nothing more."""


@dataclass(frozen=True, slots=True)
class TargetGroupPair:
    """The two target groups of a service, by ARN."""

    original: str
    replacement: str


def pair_of(group: Record, service: Record) -> TargetGroupPair:
    """Return which target group of the deployment group serves, and which is to; raises `DeploymentProblem`."""
    names = [each["name"] for each in group["loadBalancerInfo"]["targetGroupPairInfoList"][0]["targetGroups"]]
    known = {each["TargetGroupName"]: arn for arn, each in upstream.module("services.alb")._tgs.items()}
    arns = [known[name] for name in names]
    serving = task_sets.primary_of(service).load_balancers[0]["targetGroupArn"]
    if serving not in arns:
        raise DeploymentProblem(Code.ECS_UPDATE_ERROR, "The primary task set's target group is none of the deployment group's.")
    return TargetGroupPair(serving, next(arn for arn in arns if arn != serving))


@dataclass(slots=True, kw_only=True)
class ServiceTaskSets:
    """`deployment.TaskSets` of one service."""

    service: Record
    appspec: AppSpec
    pair: TargetGroupPair
    deployment_id: str
    original: TaskSet
    replacement: TaskSet | None = None

    def start_replacement(self) -> None:
        """Create the task set that the AppSpec describes; what an earlier, stopped deployment left behind goes."""
        definition = self._definition()
        for leftover in task_sets.sets_of(self.service):
            if leftover.status is not SetStatus.PRIMARY:
                leftover.status = SetStatus.DRAINING
        network = upstream.camel(self.appspec.network_configuration) if self.appspec.network_configuration else None
        strategy = self.appspec.capacity_provider_strategy
        self.replacement = TaskSet(
            set_id=task_sets.new_set_id(),
            status=SetStatus.ACTIVE,
            task_definition=definition["taskDefinitionArn"],
            load_balancers=[
                {
                    "targetGroupArn": self.pair.replacement,
                    "containerName": self.appspec.container_name,
                    "containerPort": self.appspec.container_port,
                }
            ],
            capacity_provider_strategy=upstream.camel(strategy) if strategy else None,
            network_configuration=network or self.original.network_configuration,
            service_registries=self.original.service_registries,
            platform_version=self.appspec.platform_version or "LATEST",
            external_id=self.deployment_id,
        )
        task_sets.sets_of(self.service).append(self.replacement)
        SCHEDULER.wake()

    def _definition(self) -> Record:
        ecs = upstream.module("services.ecs")
        reference = self.appspec.task_definition
        definition = ecs._task_defs.get(ecs._resolve_td_key(reference) or "")
        if definition is None or definition["status"] != "ACTIVE":
            raise DeploymentProblem(Code.INVALID_REVISION, f"The task definition {reference} can't be found or is inactive.")
        containers = {each["name"]: each for each in definition["containerDefinitions"]}
        container = containers.get(self.appspec.container_name, {})
        ports = [int(each["containerPort"]) for each in container.get("portMappings", [])]
        if self.appspec.container_port not in ports:
            raise DeploymentProblem(
                Code.INVALID_REVISION,
                f"The container {self.appspec.container_name} did not have a container port {self.appspec.container_port} defined.",
            )
        return definition

    def replacement_is_healthy(self) -> bool:
        """Whether it has all the tasks it wants, and each of them is healthy."""
        return self.replacement is not None and is_steady(self.service, self.replacement)

    def replacement_is_hopeless(self) -> bool:
        """Whether its tasks have failed as often in a row as they would in the time that an installation may take."""
        return self.replacement is not None and self.replacement.failures >= _FAILURES_MAX

    def promote_replacement(self) -> None:
        """Make it the primary task set: what is started from now on is of its revision."""
        if self.replacement is not None:
            task_sets.promote(self.service, self.replacement)

    def promote_original(self) -> None:
        """Make the original the primary task set again."""
        task_sets.promote(self.service, self.original)

    def stop_replacement(self) -> None:
        """Begin to drain and stop it."""
        _drain(self.replacement)

    def stop_original(self) -> None:
        """Begin to drain and stop it."""
        _drain(self.original)

    def original_is_gone(self) -> bool:
        """Whether its last task has stopped."""
        return self.original not in task_sets.sets_of(self.service)

    def replacement_is_gone(self) -> bool:
        """Whether its last task has stopped."""
        return self.replacement not in task_sets.sets_of(self.service)


def _drain(task_set: TaskSet | None) -> None:
    if task_set is not None:
        task_set.status = SetStatus.DRAINING
        SCHEDULER.wake()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """`deployment.Traffic`: every rule, and every default action, of a listener that forwards to one of the pair."""

    pair: TargetGroupPair
    production: tuple[str, ...]
    test: tuple[str, ...]
    """ARNs of listeners."""

    def shift_production(self, percent: int) -> None:
        """Send `percent` of the traffic to the replacement, and the rest to the original."""
        self._shift(self.production, percent)

    def shift_test(self, *, to_replacement: bool) -> None:
        """Send the test listener's traffic to the replacement or the original."""
        self._shift(self.test, 100 if to_replacement else 0)

    def _shift(self, listeners: tuple[str, ...], percent: int) -> None:
        # CodeDeploy leaves the group that gets nothing in the rule, with weight 0.
        weights = {self.pair.replacement: percent, self.pair.original: 100 - percent}
        alb = upstream.module("services.alb")
        for rule in list(alb._rules.values()):
            if rule["ListenerArn"] in listeners:
                rule["Actions"] = [self._moved(action, weights) for action in rule["Actions"]]
                if rule["IsDefault"]:
                    alb._listeners[rule["ListenerArn"]]["DefaultActions"] = rule["Actions"]

    def _moved(self, action: Record, weights: dict[str, int]) -> Record:
        ours = weights.keys() & load_balancer.groups_of(action).keys()
        return load_balancer.forward(weights, int(action.get("Order", 1))) if ours else action


@dataclass(frozen=True, slots=True)
class GroupAlarms:
    """`deployment.Alarms` of a deployment group."""

    names: list[str]

    def firing(self) -> list[str]:
        """Return the names of those that are in state ALARM."""
        return alarms.firing(self.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class LambdaHooks:
    """`deployment.Hooks`: functions run in the emulator's own executor."""

    deployment_id: str
    failed: Callable[[str, str], None]
    """Takes the execution id and the reason, when a hook can't run."""

    def invoke(self, function: str, execution_id: str) -> None:
        """Start a hook and return."""
        arguments = (upstream.account(), upstream.region(), function, execution_id)
        threading.Thread(target=self._run, args=arguments, name="tap-hook", daemon=True).start()

    def _run(self, account: str, region: str, function: str, execution_id: str) -> None:
        if not function.rsplit(":", 1)[-1].startswith(_HOOK_PREFIX):
            self.failed(execution_id, f"CodeDeploy may only invoke functions whose names begin with {_HOOK_PREFIX}, not {function}")
            return
        payload = {"DeploymentId": self.deployment_id, "LifecycleEventHookExecutionId": execution_id}
        try:
            with upstream.scope(account, region):
                answer = upstream.client("lambda").invoke(FunctionName=function, Payload=json.dumps(payload))
                told = answer["Payload"].read().decode()
        except Exception as problem:  # noqa: BLE001 - whatever it is, the deployment must hear of it
            self.failed(execution_id, str(problem))
            return
        if answer.get("FunctionError"):
            _log.warning("hook %s: %s", function, told)
            self.failed(execution_id, f"{answer['FunctionError']}: {_message(told)}")


def _message(told: str) -> str:
    try:
        body: Any = json.loads(told)
    except ValueError:
        return told
    return str(body.get("errorMessage", told)) if isinstance(body, dict) else told
