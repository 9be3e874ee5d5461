"""Releases that don't come about say why in one line, and change nothing."""

import io
import json
from collections.abc import Generator

import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from rich.console import Console

from payments.cli.aws.app_spec import app_spec, revision
from payments.cli.aws.clients import one_line_errors
from payments.cli.aws.deploy import Deploy, Options
from payments.cli.aws.environment import DeployedEnvironment
from payments.cli.aws.preflight import check_account
from payments.cli.aws.release import Releases
from payments.cli.aws.watch import Outcome, Watch
from payments.cli.data_directory import UsageError
from payments.runtime.topology import Colour, Names, Service
from tests.support.stubbed_aws import StubbedAws, stubbed_aws

DEV = Names("dev")
API = Service.PAYMENT_API


@pytest.fixture
def stubbed() -> Generator[StubbedAws]:
    with stubbed_aws() as found:
        yield found


@pytest.fixture
def written() -> io.StringIO:
    return io.StringIO()


def releases(stubbed: StubbedAws, written: io.StringIO) -> Releases:
    return Releases(aws=stubbed.aws, names=DEV, console=Console(file=written, width=400), poll_seconds=0)


def release(stubbed: StubbedAws, written: io.StringIO, *, end_wait: bool = False) -> None:
    with one_line_errors():
        releases(stubbed, written).release(API, image="v2", build=False, migrate=False, end_wait=end_wait)


def test_an_app_spec_always_carries_the_strategy_and_the_hook() -> None:
    spec = app_spec(
        DEV, API, "arn:task", [{"capacityProvider": "FARGATE", "base": 2, "weight": 1}, {"capacityProvider": "FARGATE_SPOT", "weight": 2}]
    )
    target = spec["Resources"][0]["TargetService"]["Properties"]
    assert target["CapacityProviderStrategy"] == [
        {"CapacityProvider": "FARGATE", "Base": 2, "Weight": 1},
        {"CapacityProvider": "FARGATE_SPOT", "Base": 0, "Weight": 2},
    ]
    assert target["LoadBalancerInfo"] == {"ContainerName": "payment-api", "ContainerPort": 8080}
    assert spec["Hooks"] == [{"AfterAllowTestTraffic": "CodeDeployHook_tap-dev"}]
    assert json.loads(revision(spec)["appSpecContent"]["content"]) == spec
    with pytest.raises(ValueError, match="capacity-provider strategy"):
        app_spec(DEV, API, "arn:task", [])


def test_no_environment(stubbed: StubbedAws, written: io.StringIO) -> None:
    stubbed.refuse("cloudformation", "describe_stacks", "ValidationError", "Stack with id TapStackdev does not exist")
    with pytest.raises(UsageError, match="There is no environment 'dev' in eu-west-1"):
        release(stubbed, written)


def test_an_environment_that_is_being_changed(stubbed: StubbedAws, written: io.StringIO) -> None:
    stubbed.describe_stack("UPDATE_IN_PROGRESS")
    with pytest.raises(UsageError, match="is being changed"):
        release(stubbed, written)


def test_a_deployment_that_runs_already(stubbed: StubbedAws, written: io.StringIO) -> None:
    stubbed.describe_stack("CREATE_COMPLETE")
    stubbed.describe_service(active="d-1")
    with pytest.raises(UsageError, match=r"A deployment of payment-api runs already: d-1\. .* --end-wait"):
        release(stubbed, written)


def test_a_deployment_that_still_moves_traffic_is_not_ended(stubbed: StubbedAws, written: io.StringIO) -> None:
    stubbed.describe_stack("CREATE_COMPLETE")
    stubbed.describe_service(active="d-1")
    stubbed.refuse("codedeploy", "continue_deployment", "DeploymentIsNotInReadyStateException")
    with pytest.raises(UsageError, match="d-1 of payment-api still moves traffic"):
        release(stubbed, written, end_wait=True)


def test_an_alarm_that_is_red(stubbed: StubbedAws, written: io.StringIO) -> None:
    stubbed.describe_stack("CREATE_COMPLETE")
    stubbed.describe_service()
    stubbed.describe_alarms("ALARM")
    with pytest.raises(UsageError, match="alarm payment-api failing is red"):
        release(stubbed, written)


def test_an_image_that_is_missing(stubbed: StubbedAws, written: io.StringIO) -> None:
    stubbed.describe_stack("CREATE_COMPLETE")
    stubbed.describe_service()
    stubbed.describe_alarms("OK")
    stubbed.refuse("ecr", "describe_images", "ImageNotFoundException")
    with pytest.raises(UsageError, match=r"tap-dev/payment-api has no image v2\. Build and push it: --build"):
        release(stubbed, written)


def prepare(stubbed: StubbedAws, *, strategy: bool = True) -> None:
    """Everything up to the deployment itself."""
    stubbed.describe_stack("CREATE_COMPLETE")
    stubbed.describe_service(strategy=strategy)
    stubbed.describe_alarms("OK")
    stubbed.answer("ecr", "describe_images", {"imageDetails": [{"imageDigest": "sha256:abc"}]})
    stubbed.answer("ecr", "describe_repositories", {"repositories": [{"repositoryUri": "1.dkr.ecr/tap-dev/payment-api"}]})
    definition = {
        "family": "tap-dev-payment-api",
        "revision": 3,
        "cpu": "512",
        "containerDefinitions": [{"name": "payment-api", "image": "old"}],
    }
    stubbed.answer("ecs", "describe_task_definition", {"taskDefinition": definition, "tags": [{"key": "replaces", "value": "arn:2"}]})
    stubbed.answer(
        "ecs",
        "register_task_definition",
        {"taskDefinition": {"taskDefinitionArn": "arn:aws:ecs:eu-west-1:1:task-definition/tap-dev-payment-api:4"}},
        {
            "family": "tap-dev-payment-api",
            "cpu": "512",
            "containerDefinitions": [{"name": "payment-api", "image": "1.dkr.ecr/tap-dev/payment-api@sha256:abc"}],
            "tags": [{"key": "replaces", "value": "arn:aws:ecs:eu-west-1:1:task-definition/tap-dev-payment-api:3"}],
        },
    )


def test_somebody_else_was_quicker(stubbed: StubbedAws, written: io.StringIO) -> None:
    prepare(stubbed)
    stubbed.refuse("codedeploy", "create_deployment", "DeploymentLimitExceededException")
    with pytest.raises(UsageError, match="Somebody else just started a deployment of payment-api"):
        release(stubbed, written)


def test_a_service_that_lost_its_strategy_is_not_released_without_one(stubbed: StubbedAws, written: io.StringIO) -> None:
    prepare(stubbed, strategy=False)
    with pytest.raises(UsageError, match="without a capacity-provider strategy"):
        release(stubbed, written)


def target(status: str, **weights: float) -> dict[str, object]:
    task_sets = [
        {"taskSetLabel": label, "runningCount": 2, "desiredCount": 2, "trafficWeight": weight} for label, weight in weights.items()
    ]
    installed = "Succeeded" if len(weights) > 1 else "InProgress"
    events = [{"lifecycleEventName": "Install", "status": installed}, {"lifecycleEventName": "AfterAllowTraffic", "status": status}]
    return {
        "deploymentTargets": [{"deploymentTargetType": "ECSTarget", "ecsTarget": {"lifecycleEvents": events, "taskSetsInfo": task_sets}}]
    }


def poll(
    stubbed: StubbedAws, status: str, event: str, error: dict[str, str] | None = None, stopped: list[str] | None = None, **weights: float
) -> None:
    """One round of asking."""
    info: dict[str, object] = {"status": status}
    if error is not None:
        info |= {"errorInformation": error, "rollbackInfo": {"rollbackDeploymentId": "d-2"}}
    stubbed.answer("codedeploy", "get_deployment", {"deploymentInfo": info})
    stubbed.answer("codedeploy", "list_deployment_targets", {"targetIds": ["t"]})
    stubbed.answer("codedeploy", "batch_get_deployment_targets", target(event, **weights))
    stubbed.describe_alarms("OK")
    stubbed.answer("ecs", "list_tasks", {"taskArns": stopped or []})
    if stopped:
        failed = {"stoppedReason": "Essential container in task exited", "taskDefinitionArn": "arn:new", "containers": [{"exitCode": 1}]}
        stubbed.answer("ecs", "describe_tasks", {"tasks": [{"taskArn": each, **failed} for each in stopped]})


def watch(stubbed: StubbedAws, written: io.StringIO) -> Watch:
    stubbed.describe_service()
    live = DeployedEnvironment(stubbed.aws, DEV).service(API)
    return Watch(stubbed.aws, DEV, live, "d-1", Console(file=written, width=400), 0)


def test_a_release_is_through_when_the_new_tasks_have_all_traffic(stubbed: StubbedAws, written: io.StringIO) -> None:
    following = watch(stubbed, written)
    poll(stubbed, "InProgress", "Pending", Blue=100, Green=0)
    poll(stubbed, "InProgress", "Pending", Blue=90, Green=10)
    poll(stubbed, "InProgress", "Succeeded", Blue=0, Green=100)
    result = following.follow()
    assert (result.outcome, result.old_tasks_kept) == (Outcome.THROUGH, True)
    shares = [line[9:] for line in written.getvalue().splitlines() if "green:" in line]
    assert shares == [f"green: 2 of 2 tasks, {share} % of the traffic" for share in (0, 10, 100)]


@pytest.mark.parametrize(("status", "outcome"), [("Failed", Outcome.FAILED), ("Stopped", Outcome.STOPPED)])
def test_a_release_that_was_undone_says_why(stubbed: StubbedAws, written: io.StringIO, status: str, outcome: Outcome) -> None:
    following = watch(stubbed, written)
    poll(stubbed, status, "Skipped", error={"code": "ALARM_ACTIVE", "message": "One or more alarms have been activated"}, Blue=100)
    result = following.follow()
    assert result.outcome is outcome
    assert result.reason == "One or more alarms have been activated (ALARM_ACTIVE)"
    assert result.rollback_id == "d-2"


def test_a_release_whose_tasks_keep_dying_is_stopped_at_once(stubbed: StubbedAws, written: io.StringIO) -> None:
    """CodeDeploy would wait for an hour before it says that the new tasks don't start."""
    following = watch(stubbed, written)
    poll(stubbed, "InProgress", "Pending", stopped=["task-1", "task-2"], Blue=100)
    poll(stubbed, "InProgress", "Pending", stopped=["task-1", "task-2", "task-3"], Blue=100)
    stubbed.answer("codedeploy", "stop_deployment", {"status": "Pending"}, {"deploymentId": "d-1", "autoRollbackEnabled": True})
    poll(stubbed, "InProgress", "Pending", stopped=["task-1", "task-2", "task-3", "task-4"], Blue=100)
    poll(stubbed, "Stopped", "Skipped", Blue=100)
    result = following.follow()
    assert (result.outcome, result.reason) == (Outcome.FAILED, "its new tasks don't start")
    assert written.getvalue().count("Essential container in task exited; exit code 1") == 4


def test_interrupting_a_release_stops_nothing(stubbed: StubbedAws, written: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(stubbed)
    stubbed.answer("codedeploy", "create_deployment", {"deploymentId": "d-1"})

    def interrupt(_: Watch) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Watch, "follow", interrupt)
    with pytest.raises(SystemExit) as ended:
        release(stubbed, written)  # a call of StopDeployment would find no answer
    assert ended.value.code == 130
    assert "d-1 goes on without this command" in written.getvalue()


def test_rolling_back_stops_what_runs(stubbed: StubbedAws, written: io.StringIO) -> None:
    stubbed.describe_service(active="d-1")
    stubbed.answer("codedeploy", "stop_deployment", {"status": "Pending"}, {"deploymentId": "d-1", "autoRollbackEnabled": True})
    poll(stubbed, "Stopped", "Skipped", Blue=100)
    stubbed.describe_service()
    releases(stubbed, written).rollback(API)
    assert "100 % on blue" in written.getvalue()


def test_rolling_back_what_no_release_brought(stubbed: StubbedAws, written: io.StringIO) -> None:
    stubbed.describe_service()
    stubbed.answer("ecs", "describe_task_definition", {"taskDefinition": {}, "tags": []})
    with pytest.raises(UsageError, match="payment-api has nothing to go back to"):
        releases(stubbed, written).rollback(API)


def test_traffic_that_is_split_is_not_serving(stubbed: StubbedAws) -> None:
    stubbed.describe_service()
    live = DeployedEnvironment(stubbed.aws, DEV).service(API)
    assert live.serving is Colour.BLUE
    assert live.weights == {Colour.BLUE: 100, Colour.GREEN: 0}


def test_a_region_with_two_zones(stubbed: StubbedAws) -> None:
    stubbed.answer("sts", "get_caller_identity", {"Account": "000000000000"})
    stubbed.answer("ec2", "describe_availability_zones", {"AvailabilityZones": [{"ZoneName": "a"}, {"ZoneName": "b"}]})
    with pytest.raises(UsageError, match="eu-west-1 has 2 availability zones for this account"):
        check_account(stubbed.aws)


def test_an_account_without_bootstrap(stubbed: StubbedAws) -> None:
    stubbed.answer("sts", "get_caller_identity", {"Account": "000000000000"})
    stubbed.answer("ec2", "describe_availability_zones", {"AvailabilityZones": [{}, {}, {}]})
    stubbed.refuse("ssm", "get_parameter", "ParameterNotFound")
    with pytest.raises(UsageError, match="--bootstrap"):
        check_account(stubbed.aws)


@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED"])
def test_a_stack_that_cannot_be_updated(stubbed: StubbedAws, written: io.StringIO, status: str) -> None:
    stubbed.answer("sts", "get_caller_identity", {"Account": "000000000000"})
    stubbed.answer("ec2", "describe_availability_zones", {"AvailabilityZones": [{}, {}, {}]})
    stubbed.answer("ssm", "get_parameter", {"Parameter": {"Value": "30"}})
    stubbed.describe_stack(status)
    with pytest.raises(UsageError, match=f"TapStackdev is {status}"):
        Deploy(stubbed.aws, DEV, Console(file=written), Options(image="v1")).run()


@pytest.mark.parametrize(
    ("failure", "line"),
    [
        (NoCredentialsError(), "No AWS credentials: run `aws sso login`"),
        (ClientError({"Error": {"Code": "ExpiredToken", "Message": "x"}}, "GetCallerIdentity"), "doesn't accept the credentials"),
        (
            ClientError({"Error": {"Code": "AccessDenied", "Message": "User a may\nnot"}}, "DescribeStacks"),
            "These credentials may not DescribeStacks: User a may not",
        ),
        (
            ClientError({"Error": {"Code": "Throttling", "Message": "Rate exceeded"}}, "DescribeStacks"),
            "AWS refused DescribeStacks: Rate exceeded",
        ),
    ],
)
def test_what_the_sdk_raises_is_one_line(failure: Exception, line: str) -> None:
    with pytest.raises(UsageError) as raised, one_line_errors():
        raise failure
    assert line in str(raised.value)
    assert "\n" not in str(raised.value)
