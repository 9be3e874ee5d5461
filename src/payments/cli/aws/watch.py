"""Follows a deployment: a line for each thing that changes, until the release is through or undone."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, cast

from rich.console import Console

from payments.cli.aws.clients import Aws
from payments.cli.aws.environment import DeployedService
from payments.cli.aws.one_off import stopped_reason
from payments.runtime.topology import Names

_LAST_EVENT = "AfterAllowTraffic"
"""After it the new tasks have all traffic, and the old ones are only kept for going back."""
_DYING_TASKS_MAX = 3
"""So many new tasks may end before they take traffic; then the deployment is stopped. CodeDeploy itself would wait for an hour."""
_SCALED_IN = "Scaling activity initiated"
"""How ECS begins the reason of a task that was not needed any more: no news, when a deployment ends or is undone."""


class Outcome(Enum):
    """How a release ended."""

    THROUGH = auto()
    """The new tasks have all traffic; the old ones may still be kept."""
    FAILED = auto()
    STOPPED = auto()


@dataclass(frozen=True, slots=True)
class Result:
    """How it ended, and why."""

    outcome: Outcome
    reason: str
    """In CodeDeploy's words."""
    rollback_id: str | None
    old_tasks_kept: bool
    """The deployment goes on until the old tasks end; until then a rollback is a matter of seconds."""


@dataclass(slots=True)
class Watch:
    """One deployment, followed by asking every few seconds."""

    aws: Aws
    names: Names
    service: DeployedService
    deployment_id: str
    console: Console
    poll_seconds: float
    sleep: Callable[[float], None] = time.sleep
    _seen: dict[str, str] = field(init=False, default_factory=dict[str, str])
    _told: set[str] = field(init=False, default_factory=set[str])
    _stopped: bool = field(init=False, default=False)

    def follow(self) -> Result:
        """Report until the new tasks have all traffic, or the deployment ended otherwise."""
        while True:
            info = self._deployment()
            target = self._target()
            self._report(target)
            status: str = info["status"]
            if len(self._told) >= _DYING_TASKS_MAX and status == "InProgress" and _event_status(target, "Install") == "InProgress":
                self._give_up()
            if status == "Succeeded" or (status not in ("Failed", "Stopped") and _event_status(target, _LAST_EVENT) == "Succeeded"):
                return Result(Outcome.THROUGH, "", None, old_tasks_kept=status != "Succeeded")
            if status in ("Failed", "Stopped"):
                return Result(
                    Outcome.FAILED if status == "Failed" or self._stopped else Outcome.STOPPED,
                    "its new tasks don't start" if self._stopped else _reason(info),
                    info.get("rollbackInfo", {}).get("rollbackDeploymentId"),
                    old_tasks_kept=False,
                )
            self.sleep(self.poll_seconds)

    def _give_up(self) -> None:
        if not self._stopped:
            self._stopped = True
            self._print(f"{len(self._told)} new tasks ended before they could serve: the deployment is stopped.")
            self.aws.codedeploy.stop_deployment(deploymentId=self.deployment_id, autoRollbackEnabled=True)

    def _deployment(self) -> dict[str, Any]:
        return cast("dict[str, Any]", self.aws.codedeploy.get_deployment(deploymentId=self.deployment_id)["deploymentInfo"])

    def _target(self) -> dict[str, Any]:
        ids = self.aws.codedeploy.list_deployment_targets(deploymentId=self.deployment_id)["targetIds"]
        if not ids:
            return {}
        found = self.aws.codedeploy.batch_get_deployment_targets(deploymentId=self.deployment_id, targetIds=ids[:1])["deploymentTargets"]
        return cast("dict[str, Any]", found[0].get("ecsTarget", {})) if found else {}

    def _report(self, target: Mapping[str, Any]) -> None:
        for event in target.get("lifecycleEvents", []):
            if event.get("status") not in (None, "Pending"):
                self._tell(event["lifecycleEventName"], f"{event['lifecycleEventName']}: {event['status']}{_diagnostics(event)}")
        for label, tasks in _task_sets(target):
            self._tell(label, tasks)
        for name, state, why in self._alarms():
            if state == "ALARM" or name in self._seen:
                self._tell(name, f"alarm {name}: {state}{f' ({why})' if state == 'ALARM' else ''}")
        for task, reason in self._stopped_tasks():
            if task not in self._told:
                self._told.add(task)
                self._print(f"a new task stopped: {reason}")

    def _alarms(self) -> Iterator[tuple[str, str, str]]:
        if not self.service.alarms:
            return
        for alarm in self.aws.cloudwatch.describe_alarms(AlarmNames=list(self.service.alarms))["MetricAlarms"]:
            yield alarm.get("AlarmName", ""), str(alarm.get("StateValue", "")), alarm.get("StateReason", "")

    def _stopped_tasks(self) -> Iterator[tuple[str, str]]:
        """Tasks of this deployment that ended while it went on: why, in ECS's words."""
        arns = self.aws.ecs.list_tasks(cluster=self.names.cluster, serviceName=self.service.ecs_service, desiredStatus="STOPPED")[
            "taskArns"
        ]
        if not arns:
            return
        for task in self.aws.ecs.describe_tasks(cluster=self.names.cluster, tasks=arns[:100])["tasks"]:
            is_new = task.get("startedBy") == self.deployment_id or task.get("taskDefinitionArn") not in (
                None,
                self.service.task_definition,
            )
            if is_new and not task.get("stoppedReason", "").startswith(_SCALED_IN):
                yield task.get("taskArn", ""), stopped_reason(cast("dict[str, Any]", task))

    def _tell(self, what: str, now: str) -> None:
        if self._seen.get(what) != now:
            self._seen[what] = now
            self._print(now)

    def _print(self, line: str) -> None:
        self.console.print(f"[dim]{time.strftime('%H:%M:%S')}[/dim] {line}", highlight=False)


def _event_status(target: Mapping[str, Any], name: str) -> str | None:
    return next((each.get("status") for each in target.get("lifecycleEvents", []) if each["lifecycleEventName"] == name), None)


def _diagnostics(event: Mapping[str, Any]) -> str:
    message = event.get("diagnostics", {}).get("message", "")
    return f" ({message})" if message and event.get("status") == "Failed" else ""


def _task_sets(target: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for each in target.get("taskSetsInfo", []):
        label = str(each.get("taskSetLabel", each.get("identifer", "tasks")))
        yield (
            f"tasks {label}",
            f"{label.lower()}: {each.get('runningCount', 0)} of {each.get('desiredCount', 0)} tasks, {each.get('trafficWeight', 0):g} % of the traffic",
        )


def _reason(info: Mapping[str, Any]) -> str:
    error = info.get("errorInformation", {})
    return f"{error.get('message', 'no reason given')} ({error['code']})" if error.get("code") else error.get("message", "no reason given")
