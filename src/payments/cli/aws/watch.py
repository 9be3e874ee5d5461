"""Follows a deployment: a line for each thing that changes, until the release is through or undone."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Any, cast

from botocore.exceptions import ClientError
from rich.console import Console
from rich.markup import escape

from payments.cli.aws.clients import Aws, error_code
from payments.cli.aws.environment import DeployedEnvironment, DeployedService, event_status, has_all_traffic
from payments.cli.aws.one_off import stopped_reason

_DYING_TASKS_MAX = 3
"""So many new tasks may end before they take traffic; then the deployment is stopped. CodeDeploy itself would wait for an hour."""
_SCALED_IN = "Scaling activity initiated"
"""How ECS begins the reason of a task that was not needed any more: no news, when a deployment ends or is undone."""
_UNDONE = ("Failed", "Stopped")
_ROLLBACK_POLLS_MAX = 12
"""So often an ended deployment is asked for its rollback, a minute at the usual pace: some have none."""


class Outcome(Enum):
    """How a release ended."""

    THROUGH = auto()
    """The new tasks have all traffic; the old ones may still be kept."""
    FAILED = auto()
    STOPPED = auto()
    """By somebody, not by an alarm."""


@dataclass(frozen=True, slots=True)
class Result:
    """How it ended, and why."""

    outcome: Outcome
    reason: str
    """In CodeDeploy's words."""
    rollback_id: str | None
    old_tasks_kept: bool
    """The deployment goes on until the old tasks end; until then a rollback is a matter of seconds."""


def undo(aws: Aws, deployment_id: str) -> None:
    """Have a deployment stop and go back. That is only begun when this returns, and one that has just ended stays as it is."""
    try:
        aws.codedeploy.stop_deployment(deploymentId=deployment_id, autoRollbackEnabled=True)
    except ClientError as failure:
        if error_code(failure) != "DeploymentAlreadyCompletedException":
            raise


@dataclass(slots=True, kw_only=True)
class Watch:
    """One deployment, followed by asking every few seconds."""

    environment: DeployedEnvironment
    service: DeployedService
    deployment_id: str
    console: Console
    poll_seconds: float
    revision: str | None = None
    """ARN of what its new tasks run, whose ends are told; None when it starts none, or none that matter any more."""
    gives_up: bool = False
    """Undo it when its new tasks keep dying; not so when it is what brings the service back."""
    to_the_end: bool = False
    """Wait for CodeDeploy's last word, not only until the new tasks have all traffic."""
    sleep: Callable[[float], None] = time.sleep
    _seen: dict[str, str] = field(init=False, default_factory=dict[str, str])
    _told: set[str] = field(init=False, default_factory=set[str])
    _given_up: bool = field(init=False, default=False)
    _rollback_polls: int = field(init=False, default=0)

    def follow(self) -> Result:
        """Report until the new tasks have all traffic, or the deployment ended otherwise."""
        while True:
            info = self._deployment()
            target = self.environment.target(self.deployment_id)
            self._report(info, target)
            result = self._result(info, target)
            if result is not None:
                return result
            if self.gives_up and len(self._told) >= _DYING_TASKS_MAX and event_status(target, "Install") == "InProgress":
                self._give_up()
            self.sleep(self.poll_seconds)

    def _result(self, info: Mapping[str, Any], target: Mapping[str, Any]) -> Result | None:
        status: str = info["status"]
        has_traffic = has_all_traffic(target) and not self.to_the_end
        if status == "Succeeded" or (status not in _UNDONE and has_traffic):
            return Result(Outcome.THROUGH, "", None, old_tasks_kept=status != "Succeeded")
        if status not in _UNDONE or self._may_still_name_its_rollback(info):
            return None
        code = info.get("errorInformation", {}).get("code", "MANUAL_STOP")
        by_hand = status == "Stopped" and code == "MANUAL_STOP" and not self._given_up
        return Result(
            Outcome.STOPPED if by_hand else Outcome.FAILED,
            "its new tasks don't start" if self._given_up else _reason(info),
            info.get("rollbackInfo", {}).get("rollbackDeploymentId"),
            old_tasks_kept=False,
        )

    def _may_still_name_its_rollback(self, info: Mapping[str, Any]) -> bool:
        """Whether to ask again: an ended deployment names its rollback a little later. A rollback itself names what it undoes."""
        self._rollback_polls += 1
        named = info.get("rollbackInfo", {}).keys() & {"rollbackDeploymentId", "rollbackTriggeringDeploymentId"}
        return not named and self._rollback_polls < _ROLLBACK_POLLS_MAX

    def _give_up(self) -> None:
        if not self._given_up:
            self._given_up = True
            self._print(f"{len(self._told)} new tasks ended before they could serve: the deployment is stopped.")
            undo(self.environment.aws, self.deployment_id)

    def _deployment(self) -> dict[str, Any]:
        return cast("dict[str, Any]", self.environment.aws.codedeploy.get_deployment(deploymentId=self.deployment_id)["deploymentInfo"])

    def _report(self, info: Mapping[str, Any], target: Mapping[str, Any]) -> None:
        for event in target.get("lifecycleEvents", []):
            if event.get("status") not in (None, "Pending"):
                self._tell(event["lifecycleEventName"], f"{event['lifecycleEventName']}: {event['status']}{_diagnostics(event)}")
        for label, tasks in _task_sets(target):
            self._tell(label, tasks)
        for alarm in self.environment.alarms(self.service.alarms):
            if alarm.is_red or alarm.name in self._seen:
                self._tell(alarm.name, f"alarm {alarm.name}: {alarm.state}{f' ({alarm.reason})' if alarm.is_red else ''}")
        for task, reason in self._stopped_tasks(info["createTime"]):
            if task not in self._told:
                self._told.add(task)
                self._print(f"a new task stopped: {reason}")

    def _stopped_tasks(self, since: datetime) -> Iterator[tuple[str, str]]:
        """Tasks of this deployment that ended while it went on: why, in ECS's words. ECS knows those of earlier ones for about an hour."""
        if self.revision is None:
            return
        aws, cluster = self.environment.aws, self.environment.names.cluster
        arns = aws.ecs.list_tasks(cluster=cluster, serviceName=self.service.ecs_service, desiredStatus="STOPPED")["taskArns"]
        if not arns:
            return
        for task in aws.ecs.describe_tasks(cluster=cluster, tasks=arns[:100])["tasks"]:
            is_new = task.get("taskDefinitionArn") == self.revision and task.get("createdAt", since) >= since
            if is_new and not task.get("stoppedReason", "").startswith(_SCALED_IN):
                yield task.get("taskArn", ""), stopped_reason(cast("dict[str, Any]", task))

    def _tell(self, what: str, now: str) -> None:
        if self._seen.get(what) != now:
            self._seen[what] = now
            self._print(now)

    def _print(self, line: str) -> None:
        self.console.print(f"[dim]{time.strftime('%H:%M:%S')}[/dim] {escape(line)}", highlight=False)


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
