"""One-off tasks: the migration, and what else is run once beside the services."""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from botocore.exceptions import ClientError

from payments.cli.aws.clients import Aws, error_code, one_line_errors
from payments.cli.data_directory import UsageError
from payments.runtime.topology import Names
from payments.storage.envelope_tasks import EnvelopeEvent
from payments.storage.key_tasks import KeyEvent
from payments.storage.merchant_tasks import SETTINGS

_SECONDS_MAX = 900.0
_LOG_SECONDS_MAX = 30.0
"""A task's last lines may arrive after it has stopped."""
_STARTED_BY = "tap"
_ENDS = frozenset(
    {
        *set(KeyEvent) - {KeyEvent.KEY},
        EnvelopeEvent.USES,
        EnvelopeEvent.RESEALED,
        SETTINGS,
        "logins",
        "sandbox",
        "books",
        "error",
    }
)
"""What a task logs last: its result, or its failure."""


@dataclass(frozen=True)
class Finished:
    """How a task ended."""

    exit_code: int
    read: Callable[[], list[str]]

    @cached_property
    def lines(self) -> list[str]:
        """What it wrote; waits until the last line is there, for half a minute at most."""
        return self.read()


def run_one_off(
    aws: Aws,
    names: Names,
    task_definition: str,
    network: Mapping[str, Any],
    *,
    command: Sequence[str] = (),
    poll_seconds: float,
) -> Finished:
    """Run a task to its end; raises `UsageError` when it doesn't start, can't be watched, or doesn't end in a quarter of an hour."""
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
    task = _watch(aws, names, arn, poll_seconds)
    code = next((each.get("exitCode") for each in task.get("containers", []) if each["name"] == container["name"]), None)
    if code is None:
        raise UsageError(f"The task of {task_definition} never ran: {stopped_reason(task)}")
    return Finished(code, lambda: _read_whole_log(aws, container, arn, poll_seconds))


def events(lines: Sequence[str]) -> list[dict[str, Any]]:
    """Return what the task itself logged, without what anything else printed."""
    found: list[dict[str, Any]] = []
    for line in lines:
        try:
            read: Any = json.loads(line)
        except ValueError:
            continue
        if isinstance(read, dict) and "event" in read:
            found.append(cast("dict[str, Any]", read))
    return found


def _watch(aws: Aws, names: Names, arn: str, poll_seconds: float) -> dict[str, Any]:
    """Wait for the end of a task; whatever ends the waiting doesn't end the task, and that is said."""
    goes_on = f"The task goes on without this command. Look before you run it again: aws ecs describe-tasks --cluster {names.cluster} --tasks {arn}"
    try:
        with one_line_errors():
            return _wait(aws, names, arn, poll_seconds)
    except UsageError as failure:
        raise UsageError(f"{failure} {goes_on}") from None
    except KeyboardInterrupt:
        print(f"\n{goes_on}", file=sys.stderr)
        raise SystemExit(130) from None


def _wait(aws: Aws, names: Names, arn: str, poll_seconds: float) -> dict[str, Any]:
    deadline = time.monotonic() + _SECONDS_MAX
    while True:
        found = aws.ecs.describe_tasks(cluster=names.cluster, tasks=[arn])["tasks"]  # a task that was just started may not be seen yet
        if found and found[0].get("lastStatus") == "STOPPED":
            return cast("dict[str, Any]", found[0])
        if time.monotonic() > deadline:
            raise UsageError(f"The task still runs after {_SECONDS_MAX / 60:.0f} minutes.")
        time.sleep(poll_seconds)


def stopped_reason(task: Mapping[str, Any]) -> str:
    """Return why a task ended, in ECS's words."""
    details = [
        each.get("reason") or f"exit code {each['exitCode']}"
        for each in task.get("containers", [])
        if each.get("exitCode") != 0 and (each.get("reason") or "exitCode" in each)
    ]
    return "; ".join([task.get("stoppedReason") or "no reason given", *details])


def _read_whole_log(aws: Aws, container: Mapping[str, Any], task_arn: str, poll_seconds: float) -> list[str]:
    deadline = time.monotonic() + _LOG_SECONDS_MAX
    while not _is_whole(lines := _read_log(aws, container, task_arn)) and time.monotonic() < deadline:
        time.sleep(poll_seconds)
    return lines


def _is_whole(lines: Sequence[str]) -> bool:
    """A task that refuses its arguments logs no event at all."""
    logged = events(lines)
    return any(event["event"] in _ENDS for event in logged) or bool(lines and not logged)


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
