"""`tap rollback` brings back what served before, or says that it didn't."""

import io
from collections.abc import Generator
from typing import Any

import pytest
from rich.console import Console

from payments.cli.aws.clients import one_line_errors
from payments.cli.aws.release import Releases
from payments.cli.data_directory import UsageError
from payments.runtime.topology import Names, Service
from tests.support.stubbed_aws import StubbedAws, revision_arn, stubbed_aws

STOP = {"deploymentId": "d-1", "autoRollbackEnabled": True}
OF_CODEDEPLOY = {"deploymentId": "d-2", "creator": "codeDeployRollback", "rollbackInfo": {"rollbackTriggeringDeploymentId": "d-1"}}


@pytest.fixture
def stubbed() -> Generator[StubbedAws]:
    with stubbed_aws() as found:
        yield found


def roll_back(stubbed: StubbedAws) -> str:
    """Returns what was printed."""
    written = io.StringIO()
    with one_line_errors():
        Releases(aws=stubbed.aws, names=Names("dev"), console=Console(file=written, width=400), poll_seconds=0).rollback(
            Service.PAYMENT_API
        )
    return written.getvalue()


def bring_back(stubbed: StubbedAws) -> None:
    """The live revision is 4, on green; 3 is deployed again."""
    stubbed.answer("ecs", "describe_task_definition", {"taskDefinition": {}, "tags": [{"key": "replaces", "value": revision_arn(3)}]})
    stubbed.answer("codedeploy", "create_deployment", {"deploymentId": "d-3"})
    stubbed.scales(suspended=True)
    stubbed.poll("InProgress", stopped=[], alarm="ALARM", Blue=0, Green=100)
    stubbed.poll("InProgress", "Succeeded", stopped=[], alarm="ALARM", Blue=100, Green=0)
    stubbed.scales(suspended=False)


def test_a_release_whose_old_tasks_are_kept_is_stopped_and_its_rollback_followed_to_the_end(stubbed: StubbedAws) -> None:
    stubbed.describe_service(active={}, keeps=True, promoted=True, weights=(0, 100))
    stubbed.answer("codedeploy", "stop_deployment", {"status": "Pending"}, STOP)
    stubbed.poll("InProgress", "Succeeded", Blue=0, Green=100)  # the stop is still pending
    stubbed.poll("Stopped", "Succeeded")  # CodeDeploy hasn't named the rollback yet
    stubbed.poll("Stopped", "Succeeded", rollback="d-2")
    stubbed.poll("InProgress", "Succeeded", Blue=0, Green=100)
    stubbed.poll("Succeeded", "Succeeded")
    stubbed.scales(suspended=False)  # whoever began the release may be gone
    stubbed.describe_service()
    printed = roll_back(stubbed)
    assert "100 % on blue" in printed
    assert "Auto scaling" not in printed


@pytest.mark.parametrize(
    "after",
    [
        pytest.param({"promoted": True, "weights": (0, 100)}, id="the release still serves"),
        pytest.param({"weights": (90, 10)}, id="the old tasks serve, but don't have all traffic"),
        pytest.param({"promoted": True}, id="traffic is back, but not the tasks"),
    ],
)
def test_a_rollback_that_leaves_anything_elsewhere_fails(stubbed: StubbedAws, after: dict[str, Any]) -> None:
    stubbed.describe_service(active={}, keeps=True, promoted=True, weights=(0, 100))
    stubbed.answer("codedeploy", "stop_deployment", {"status": "Succeeded"}, STOP)
    stubbed.poll("Stopped", "Succeeded", rollback="d-2")
    stubbed.poll("Failed", "Succeeded", rollback="d-9")
    stubbed.describe_service(**after)
    with pytest.raises(UsageError, match=r"payment-api isn't back where it was: see d-2 .* tap rollback payment-api --environment dev"):
        roll_back(stubbed)


def test_a_deployment_that_is_stopped_before_it_started_anything_has_no_rollback(stubbed: StubbedAws) -> None:
    stubbed.describe_service(active={})
    stubbed.answer("codedeploy", "stop_deployment", {"status": "Succeeded"}, STOP)
    for _ in range(12):
        stubbed.poll("Stopped", "Skipped", Blue=100)
    stubbed.describe_service()
    assert "100 % on blue" in roll_back(stubbed)


def test_a_rollback_of_codedeploys_that_is_under_way_is_only_watched(stubbed: StubbedAws) -> None:
    stubbed.describe_service(active=OF_CODEDEPLOY, promoted=True, weights=(0, 100))
    stubbed.poll("InProgress", "Succeeded", Blue=0, Green=100)
    stubbed.poll("Succeeded", "Succeeded", rollback="d-9")
    stubbed.describe_service()
    assert "d-2 goes back already." in roll_back(stubbed)  # a call of StopDeployment would find no answer


def test_another_operators_rollback_that_is_under_way_is_only_watched(stubbed: StubbedAws) -> None:
    stubbed.describe_service(active={"description": "tap rollback payment-api"}, weights=(100, 0))
    stubbed.poll("InProgress", Blue=90, Green=10)
    stubbed.poll("InProgress", "Succeeded", Blue=0, Green=100)
    printed = roll_back(stubbed)  # a call of StopDeployment would find no answer
    assert "d-1 goes back already." in printed
    assert "payment-api went back." in printed


def test_a_release_that_ended_its_wait_in_that_moment_is_followed_by_a_deployment_that_goes_back(stubbed: StubbedAws) -> None:
    stubbed.describe_service(active={}, keeps=True, promoted=True, weights=(0, 100))
    stubbed.refuse("codedeploy", "stop_deployment", "DeploymentAlreadyCompletedException")
    stubbed.poll("Succeeded", "Succeeded", Blue=0, Green=100)
    stubbed.describe_service(promoted=True, ending=True, weights=(0, 100))
    bring_back(stubbed)
    assert "tap-dev-payment-api:3 again" in roll_back(stubbed)


def test_a_release_that_somebody_else_stopped_in_that_moment_is_followed_to_its_end(stubbed: StubbedAws) -> None:
    stubbed.describe_service(active={}, keeps=True, promoted=True, weights=(0, 100))
    stubbed.refuse("codedeploy", "stop_deployment", "DeploymentAlreadyCompletedException")
    stubbed.poll("Stopped", "Succeeded", rollback="d-2")
    stubbed.poll("Succeeded", "Succeeded")
    stubbed.describe_service()
    assert "100 % on blue" in roll_back(stubbed)


def test_old_tasks_that_are_ending_are_waited_for_since_nothing_can_go_back_to_them(stubbed: StubbedAws) -> None:
    stubbed.describe_service(active={}, keeps=True, promoted=True, ending=True, weights=(0, 100))
    stubbed.poll("InProgress", "Succeeded", Blue=0, Green=100)
    stubbed.poll("Succeeded", "Succeeded", Blue=0, Green=100)
    stubbed.describe_service(promoted=True, ending=True, weights=(0, 100))
    bring_back(stubbed)
    assert "tap-dev-payment-api:3 again" in roll_back(stubbed)


def test_going_back_by_a_deployment_does_not_heed_the_alarm_that_is_its_reason(stubbed: StubbedAws) -> None:
    stubbed.describe_service(promoted=True, ending=True, weights=(0, 100))
    bring_back(stubbed)
    printed = roll_back(stubbed)
    assert "payment-api runs tap-dev-payment-api:3 again." in printed
    assert "alarm payment-api failing: ALARM" in printed
    (asked,) = stubbed.asked("CreateDeployment")
    assert asked["overrideAlarmConfiguration"] == {"enabled": False}
    assert asked["deploymentConfigName"] == "CodeDeployDefault.ECSAllAtOnce"


def test_going_back_from_what_no_release_brought(stubbed: StubbedAws) -> None:
    stubbed.describe_service()
    stubbed.answer("ecs", "describe_task_definition", {"taskDefinition": {}, "tags": []})
    with pytest.raises(UsageError, match="payment-api has nothing to go back to"):
        roll_back(stubbed)
