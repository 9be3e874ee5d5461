"""A deployment is followed to its end, whatever that is, and what is told of it is true."""

import io
from typing import Any

import pytest
from rich.console import Console

from payments.cli.aws.environment import DeployedEnvironment
from payments.cli.aws.watch import Outcome, Watch
from payments.runtime.topology import Names, Service
from tests.support.stubbed_aws import StubbedAws, revision_arn, stopped_task, stubbed_aws

ROLLED_BACK = {"code": "ALARM_ACTIVE", "message": "One or more alarms have been activated"}


class Followed:
    """A deployment that brings revision 4, and what was printed of it."""

    def __init__(self, stubbed: StubbedAws, **options: Any) -> None:
        self.written = io.StringIO()
        stubbed.describe_service()
        environment = DeployedEnvironment(stubbed.aws, Names("dev"))
        self.watch = Watch(
            environment=environment,
            service=environment.service(Service.PAYMENT_API),
            deployment_id="d-1",
            console=Console(file=self.written, width=400),
            poll_seconds=0,
            **options,
        )
        self.end = self.watch.follow

    @property
    def lines(self) -> list[str]:
        return [line[9:] for line in self.written.getvalue().splitlines()]


def a_release(stubbed: StubbedAws) -> Followed:
    return Followed(stubbed, revision=revision_arn(4), gives_up=True)


def test_a_release_is_through_when_the_new_tasks_have_all_traffic() -> None:
    with stubbed_aws() as stubbed:
        followed = Followed(stubbed)
        stubbed.poll("InProgress", Blue=100, Green=0)
        stubbed.poll("InProgress", Blue=90, Green=10)
        stubbed.poll("InProgress", "Succeeded", Blue=0, Green=100)
        result = followed.end()
    assert (result.outcome, result.old_tasks_kept) == (Outcome.THROUGH, True)
    shares = [line for line in followed.lines if "green:" in line]
    assert shares == [f"green: 2 of 2 tasks, {share} % of the traffic" for share in (0, 10, 100)]


def test_what_is_asked_for_a_last_word_is_not_through_before_that() -> None:
    with stubbed_aws() as stubbed:
        followed = Followed(stubbed, to_the_end=True)
        stubbed.poll("InProgress", "Succeeded", Blue=0, Green=100)
        stubbed.poll("Stopped", "Succeeded", rollback="d-2")
        assert followed.end().outcome is Outcome.STOPPED


@pytest.mark.parametrize(
    ("status", "error", "outcome", "reason"),
    [
        ("Failed", {"code": "TIMEOUT", "message": "Too slow"}, Outcome.FAILED, "Too slow (TIMEOUT)"),
        ("Stopped", ROLLED_BACK, Outcome.FAILED, "One or more alarms have been activated (ALARM_ACTIVE)"),
        ("Stopped", {"code": "MANUAL_STOP", "message": "Stopped by a user"}, Outcome.STOPPED, "Stopped by a user (MANUAL_STOP)"),
        ("Stopped", None, Outcome.STOPPED, "no reason given"),
    ],
)
def test_a_release_that_was_undone_says_why_and_only_a_stop_by_hand_is_somebodys(
    status: str, error: dict[str, str] | None, outcome: Outcome, reason: str
) -> None:
    with stubbed_aws() as stubbed:
        followed = Followed(stubbed)
        stubbed.poll(status, "Skipped", error=error, rollback="d-2", Blue=100)
        result = followed.end()
    assert (result.outcome, result.reason, result.rollback_id) == (outcome, reason, "d-2")


def test_the_rollback_of_a_deployment_that_ended_is_waited_for() -> None:
    with stubbed_aws() as stubbed:
        followed = Followed(stubbed)
        stubbed.poll("Stopped", "Skipped", error=ROLLED_BACK)
        stubbed.poll("Stopped", "Skipped", error=ROLLED_BACK, rollback="d-2")
        assert followed.end().rollback_id == "d-2"


def test_a_deployment_that_ended_without_a_rollback_is_asked_for_it_a_dozen_times() -> None:
    with stubbed_aws() as stubbed:
        followed = Followed(stubbed)
        for _ in range(12):
            stubbed.poll("Stopped", "Skipped", error=ROLLED_BACK)
        assert followed.end().rollback_id is None


def test_a_deployment_that_has_not_started_has_no_targets_to_ask_for() -> None:
    with stubbed_aws() as stubbed:
        followed = Followed(stubbed)
        stubbed.answer("codedeploy", "get_deployment", {"deploymentInfo": {"status": "Created", "createTime": 0}})
        stubbed.refuse("codedeploy", "list_deployment_targets", "DeploymentNotStartedException")
        stubbed.describe_alarms("OK")
        stubbed.poll("Succeeded", "Succeeded", Blue=0, Green=100)
        assert followed.end().outcome is Outcome.THROUGH


def test_a_release_whose_tasks_keep_dying_is_stopped_at_once() -> None:
    """CodeDeploy would wait for an hour before it says that the new tasks don't start."""
    one, two, three, four = (stopped_task(f"task-{number}") for number in range(4))
    with stubbed_aws() as stubbed:
        followed = a_release(stubbed)
        stubbed.poll("InProgress", stopped=[one, two], Blue=100)
        stubbed.poll("InProgress", stopped=[one, two, three], Blue=100)
        stubbed.answer("codedeploy", "stop_deployment", {"status": "Pending"}, {"deploymentId": "d-1", "autoRollbackEnabled": True})
        stubbed.poll("InProgress", stopped=[one, two, three, four], Blue=100)
        stubbed.poll("Stopped", "Skipped", error={"code": "MANUAL_STOP", "message": ""}, rollback="d-2", stopped=[], Blue=100)
        result = followed.end()
    assert (result.outcome, result.reason) == (Outcome.FAILED, "its new tasks don't start")
    assert followed.written.getvalue().count("Essential container in task exited; exit code 1") == 4


def test_a_release_that_ends_while_it_is_given_up_has_ended() -> None:
    with stubbed_aws() as stubbed:
        followed = a_release(stubbed)
        stubbed.poll("InProgress", stopped=[stopped_task(f"task-{number}") for number in range(3)], Blue=100)
        stubbed.refuse("codedeploy", "stop_deployment", "DeploymentAlreadyCompletedException")
        stubbed.poll("Failed", "Skipped", rollback="d-2", stopped=[], Blue=100)
        assert followed.end().outcome is Outcome.FAILED


@pytest.mark.parametrize(
    "dead",
    [
        pytest.param([stopped_task(f"task-{number}", of=2) for number in range(3)], id="an earlier release's"),
        pytest.param([stopped_task(f"task-{number}", of=4, seconds=-1) for number in range(3)], id="from when the revision served before"),
    ],
)
def test_tasks_that_died_before_do_not_stop_a_good_release(dead: list[dict[str, Any]]) -> None:
    """ECS tells of stopped tasks for about an hour."""
    with stubbed_aws() as stubbed:
        followed = a_release(stubbed)
        stubbed.poll("InProgress", stopped=dead, Blue=100)  # a call of StopDeployment would find no answer
        stubbed.poll("InProgress", "Succeeded", stopped=dead, Blue=0, Green=100)
        assert followed.end().outcome is Outcome.THROUGH
    assert "a new task stopped" not in followed.written.getvalue()


def test_what_brings_a_service_back_is_never_given_up() -> None:
    dead = [stopped_task(f"task-{number}") for number in range(3)]
    with stubbed_aws() as stubbed:
        followed = Followed(stubbed, revision=revision_arn(4))
        stubbed.poll("InProgress", stopped=dead, Blue=100)  # a call of StopDeployment would find no answer
        stubbed.poll("InProgress", "Succeeded", stopped=dead, Blue=0, Green=100)
        assert followed.end().outcome is Outcome.THROUGH
    assert followed.written.getvalue().count("a new task stopped") == 3


def test_the_words_of_aws_are_no_markup() -> None:
    words = "Task failed [to] start [/x]"
    with stubbed_aws() as stubbed:
        followed = a_release(stubbed)
        stubbed.poll("Succeeded", stopped=[stopped_task("task") | {"stoppedReason": words}], Blue=0, Green=100)
        followed.end()
    assert f"a new task stopped: {words}; exit code 1" in followed.lines
