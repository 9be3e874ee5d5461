"""One-off tasks: the migration, and what else is run once beside the services."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from botocore.exceptions import ClientError

from payments.cli.aws.clients import Aws, error_code
from payments.cli.data_directory import UsageError
from payments.runtime.topology import Names

_SECONDS_MAX = 900.0
_LOG_SECONDS_MAX = 30.0
"""A task's last lines may arrive after it has stopped."""
_STARTED_BY = "tap"


@dataclass(frozen=True, slots=True)
class Finished:
    """How a task ended."""

    exit_code: int
    lines: list[str]
    """What it wrote."""


def run_one_off(
    aws: Aws,
    names: Names,
    task_definition: str,
    network: Mapping[str, Any],
    *,
    command: Sequence[str] = (),
    poll_seconds: float,
    complete: Callable[[Sequence[str]], bool] = lambda _: True,
) -> Finished:
    """Run a task to its end; raises `UsageError` when it doesn't start, or doesn't end in a quarter of an hour.

    Its log is read until `complete` says that it is, for half a minute at most.
    """
    definition = cast("dict[str, Any]", aws.ecs.describe_task_definition(taskDefinition=task_definition)["taskDefinition"])
    container: dict[str, Any] = definition["containerDefinitions"][0]
    started = aws.ecs.run_task(
        cluster=names.cluster,
        taskDefinition=task_definition,
        capacityProviderStrategy=[{"capacityProvider": "FARGATE", "weight": 1}],
        networkConfiguration=cast("Any", network),
        startedBy=_STARTED_BY,
        overrides={"containerOverrides": [{"name": container["name"], "command": list(command)}]} if command else {},
    )
    if not started["tasks"]:
        reasons = "; ".join(f"{each.get('reason')}" for each in started["failures"])
        raise UsageError(f"ECS started no task of {task_definition}: {reasons}")
    arn = started["tasks"][0].get("taskArn", "")
    task = _wait(aws, names, arn, poll_seconds)
    code = next((each.get("exitCode") for each in task.get("containers", []) if each["name"] == container["name"]), None)
    if code is None:
        raise UsageError(f"The task of {task_definition} never ran: {stopped_reason(task)}")
    deadline = time.monotonic() + _LOG_SECONDS_MAX
    while not complete(lines := _read_log(aws, container, arn)) and time.monotonic() < deadline:
        time.sleep(poll_seconds)
    return Finished(code, lines)


def _wait(aws: Aws, names: Names, arn: str, poll_seconds: float) -> dict[str, Any]:
    deadline = time.monotonic() + _SECONDS_MAX
    while True:
        (task,) = aws.ecs.describe_tasks(cluster=names.cluster, tasks=[arn])["tasks"]
        if task.get("lastStatus") == "STOPPED":
            return cast("dict[str, Any]", task)
        if time.monotonic() > deadline:
            raise UsageError(f"The task {arn} still runs after {_SECONDS_MAX / 60:.0f} minutes: look at its log, or stop it.")
        time.sleep(poll_seconds)


def stopped_reason(task: Mapping[str, Any]) -> str:
    """Return why a task ended, in ECS's words."""
    details = [
        each.get("reason") or f"exit code {each['exitCode']}"
        for each in task.get("containers", [])
        if each.get("exitCode") != 0 and (each.get("reason") or "exitCode" in each)
    ]
    return "; ".join([task.get("stoppedReason") or "no reason given", *details])


def _read_log(aws: Aws, container: Mapping[str, Any], task_arn: str) -> list[str]:
    options = container.get("logConfiguration", {}).get("options", {})
    group, stream = (
        options.get("awslogs-group", ""),
        f"{options.get('awslogs-stream-prefix')}/{container['name']}/{task_arn.rsplit('/', 1)[-1]}",
    )
    lines: list[str] = []
    following: dict[str, Any] = {}
    while True:
        try:
            page = aws.logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True, **following)
        except ClientError as failure:
            if error_code(failure) == "ResourceNotFoundException":
                return lines
            raise
        lines += [each.get("message", "") for each in page["events"]]
        token = page.get("nextForwardToken")
        if token in (None, following.get("nextToken")):  # at the end AWS returns the token that it was given
            return lines
        following = {"nextToken": token}
