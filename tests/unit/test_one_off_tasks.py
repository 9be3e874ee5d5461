"""A one-off task is waited for as AWS tells of it: late, in parts, or not at all."""

import json
from collections.abc import Generator
from typing import Any

import pytest

from payments.cli.aws import one_off
from payments.cli.aws.one_off import Finished, run_one_off
from payments.cli.data_directory import UsageError
from payments.runtime.topology import Names
from tests.support.stubbed_aws import StubbedAws, stubbed_aws

ARN = "arn:aws:ecs:eu-west-1:1:task/tap-dev/0123"
DEFINITION = {
    "containerDefinitions": [
        {
            "name": "payment-api",
            "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/tap/dev", "awslogs-stream-prefix": "tap"}},
        }
    ]
}
GOES_ON = f"The task goes on without this command. Look before you run it again: aws ecs describe-tasks --cluster tap-dev --tasks {ARN}"


@pytest.fixture
def stubbed() -> Generator[StubbedAws]:
    with stubbed_aws() as found:
        found.answer("ecs", "describe_task_definition", {"taskDefinition": DEFINITION})
        found.answer("ecs", "run_task", {"tasks": [{"taskArn": ARN}]})
        yield found


def run(stubbed: StubbedAws) -> Finished:
    return run_one_off(stubbed.aws, Names("dev"), "tap-dev-migrate", {}, poll_seconds=0)


def stops(stubbed: StubbedAws, exit_code: int) -> None:
    task = {"taskArn": ARN, "lastStatus": "STOPPED", "containers": [{"name": "payment-api", "exitCode": exit_code}]}
    stubbed.answer("ecs", "describe_tasks", {"tasks": [task]})


def logs(stubbed: StubbedAws, *lines: dict[str, Any]) -> None:
    stubbed.answer("logs", "get_log_events", {"events": [{"message": json.dumps(line)} for line in lines]})


def test_a_task_that_is_not_seen_yet_is_waited_for(stubbed: StubbedAws) -> None:
    stubbed.answer("ecs", "describe_tasks", {"tasks": [], "failures": [{"arn": ARN, "reason": "MISSING"}]})
    stops(stubbed, 0)
    assert run(stubbed).exit_code == 0


@pytest.mark.parametrize(
    "end", [{"event": "error", "message": "no"}, {"event": "books", "ok": True}, {"event": "sandbox"}, {"event": "logins"}]
)
def test_the_log_is_read_until_its_last_line_has_come(stubbed: StubbedAws, end: dict[str, Any]) -> None:
    stops(stubbed, 1)
    stubbed.refuse("logs", "get_log_events", "ResourceNotFoundException")
    logs(stubbed, {"event": "check"})
    logs(stubbed, {"event": "check"}, end)
    assert run(stubbed).lines[-1] == json.dumps(end)


def test_a_log_that_nobody_asks_for_is_not_waited_for(stubbed: StubbedAws) -> None:
    stops(stubbed, 0)
    run(stubbed)
    assert stubbed.asked("GetLogEvents") == []


def test_a_task_that_cannot_be_watched_any_more_goes_on(stubbed: StubbedAws) -> None:
    stubbed.refuse("ecs", "describe_tasks", "ExpiredTokenException")
    with pytest.raises(UsageError) as failure:
        run(stubbed)
    assert "log in again" in str(failure.value)
    assert str(failure.value).endswith(GOES_ON)


def test_a_task_that_does_not_end_goes_on(stubbed: StubbedAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_off, "_SECONDS_MAX", -60)
    stubbed.answer("ecs", "describe_tasks", {"tasks": [{"taskArn": ARN, "lastStatus": "RUNNING"}]})
    with pytest.raises(UsageError) as failure:
        run(stubbed)
    assert str(failure.value) == f"The task still runs after -1 minutes. {GOES_ON}"


def test_interrupting_the_command_does_not_end_the_task(
    stubbed: StubbedAws, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(one_off.time, "sleep", interrupt)
    stubbed.answer("ecs", "describe_tasks", {"tasks": [{"taskArn": ARN, "lastStatus": "RUNNING"}]})
    with pytest.raises(SystemExit) as ended:
        run(stubbed)
    assert ended.value.code == 130
    assert capsys.readouterr().err.strip() == GOES_ON
