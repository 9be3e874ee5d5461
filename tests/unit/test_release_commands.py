"""Releases that don't come about say why in one line, and change nothing."""

import io
import json
from collections.abc import Generator

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from rich.console import Console

from payments.cli.aws.app_spec import app_spec, revision
from payments.cli.aws.clients import one_line_errors
from payments.cli.aws.deploy import Deploy, Options
from payments.cli.aws.environment import DeployedEnvironment
from payments.cli.aws.preflight import check_account
from payments.cli.aws.release import Releases
from payments.cli.aws.status import read_status, show_status
from payments.cli.aws.watch import Watch
from payments.cli.data_directory import UsageError
from payments.runtime.topology import SERVICES, Colour, Names, Service
from tests.support.stubbed_aws import StubbedAws, revision_arn, stopped_task, stubbed_aws

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
    stubbed.describe_service(active={})
    with pytest.raises(
        UsageError, match=r"A deployment of payment-api runs already: d-1\. .*tap rollback payment-api --environment dev.* --end-wait"
    ):
        release(stubbed, written)


def test_a_deployment_that_still_moves_traffic_is_not_ended(stubbed: StubbedAws, written: io.StringIO) -> None:
    stubbed.describe_stack("CREATE_COMPLETE")
    stubbed.describe_service(active={})
    stubbed.refuse("codedeploy", "continue_deployment", "DeploymentIsNotInReadyStateException")
    stubbed.describe_service(active={})
    with pytest.raises(UsageError, match=r"d-1 of payment-api still moves traffic.* tap rollback payment-api --environment dev"):
        release(stubbed, written, end_wait=True)


def test_a_deployment_that_ends_the_old_tasks_already_is_waited_for(stubbed: StubbedAws, written: io.StringIO) -> None:
    stubbed.describe_stack("CREATE_COMPLETE")
    stubbed.describe_service(active={}, promoted=True, keeps=True)
    stubbed.refuse("codedeploy", "continue_deployment", "InvalidDeploymentStatusException")
    stubbed.describe_service(active={}, promoted=True, ending=True)
    stubbed.poll("Succeeded", "Succeeded", Blue=0, Green=100)
    stubbed.describe_service()
    stubbed.describe_alarms("ALARM")
    with pytest.raises(UsageError, match="is red"):
        release(stubbed, written, end_wait=True)


def test_a_deployment_that_is_undone_while_its_old_tasks_end(stubbed: StubbedAws, written: io.StringIO) -> None:
    stubbed.describe_stack("CREATE_COMPLETE")
    stubbed.describe_service(active={}, promoted=True)
    stubbed.answer("codedeploy", "continue_deployment", {})
    stubbed.poll("InProgress", "Succeeded", Blue=0, Green=100)
    stubbed.poll("Stopped", "Succeeded", error={"code": "ALARM_ACTIVE", "message": "Red"}, rollback="d-2")
    with pytest.raises(UsageError, match=r"d-1 failed: Red \(ALARM_ACTIVE\)"):
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


def find(stubbed: StubbedAws, *, strategy: bool = True) -> None:
    """Everything up to the image."""
    stubbed.describe_stack("CREATE_COMPLETE")
    stubbed.describe_service(strategy=strategy)
    stubbed.describe_alarms("OK")
    stubbed.answer("ecr", "describe_images", {"imageDetails": [{"imageDigest": "sha256:abc"}]})
    stubbed.answer("ecr", "describe_repositories", {"repositories": [{"repositoryUri": "1.dkr.ecr/tap-dev/payment-api"}]})


def prepare(stubbed: StubbedAws, *, strategy: bool = True, was_in_service: bool = False) -> None:
    """Everything up to the deployment itself."""
    find(stubbed, strategy=strategy)
    stubbed.describe_stack("CREATE_COMPLETE")
    stubbed.describe_service(strategy=strategy)
    stubbed.describe_alarms("OK")
    media_type = "application/vnd.docker.distribution.manifest.v2+json"
    image = {"repositoryName": "tap-dev/payment-api", "imageManifest": "{}", "imageManifestMediaType": media_type}
    stubbed.answer("ecr", "batch_get_image", {"images": [image]})
    if was_in_service:
        stubbed.refuse("ecr", "put_image", "ImageAlreadyExistsException")
    else:
        stubbed.answer("ecr", "put_image", {}, image | {"imageTag": "released-abc"})
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
        {"taskDefinition": {"taskDefinitionArn": revision_arn(4)}},
        {
            "family": "tap-dev-payment-api",
            "cpu": "512",
            "containerDefinitions": [{"name": "payment-api", "image": "1.dkr.ecr/tap-dev/payment-api@sha256:abc"}],
            "tags": [{"key": "replaces", "value": revision_arn(3)}],
        },
    )


def test_an_environment_that_began_to_change_during_build_and_migration(stubbed: StubbedAws, written: io.StringIO) -> None:
    find(stubbed)
    stubbed.describe_stack("UPDATE_IN_PROGRESS")
    with pytest.raises(UsageError, match="is being changed"):
        release(stubbed, written)


def test_an_alarm_that_turned_red_during_build_and_migration(stubbed: StubbedAws, written: io.StringIO) -> None:
    find(stubbed)
    stubbed.describe_stack("UPDATE_COMPLETE")
    stubbed.describe_service()
    stubbed.describe_alarms("ALARM")
    with pytest.raises(UsageError, match="alarm payment-api failing is red"):
        release(stubbed, written)


def test_an_image_that_was_in_service_before_has_its_tag(stubbed: StubbedAws, written: io.StringIO) -> None:
    prepare(stubbed, was_in_service=True)
    stubbed.refuse("codedeploy", "create_deployment", "DeploymentLimitExceededException")
    with pytest.raises(UsageError, match="Somebody else just started"):
        release(stubbed, written)


def test_somebody_else_was_quicker(stubbed: StubbedAws, written: io.StringIO) -> None:
    prepare(stubbed)
    stubbed.refuse("codedeploy", "create_deployment", "DeploymentLimitExceededException")
    with pytest.raises(UsageError, match=r"Somebody else just started .* payment-api\. See: tap status --environment dev"):
        release(stubbed, written)


def test_a_service_that_lost_its_strategy_is_not_released_without_one(stubbed: StubbedAws, written: io.StringIO) -> None:
    prepare(stubbed, strategy=False)
    with pytest.raises(UsageError, match="without a capacity-provider strategy"):
        release(stubbed, written)


def test_a_release_whose_tasks_die_goes_back_and_fails(stubbed: StubbedAws, written: io.StringIO) -> None:
    prepare(stubbed)
    stubbed.answer("codedeploy", "create_deployment", {"deploymentId": "d-1"})
    stubbed.scales(suspended=True)
    stubbed.poll("InProgress", stopped=[stopped_task(f"task-{number}") for number in range(3)], Blue=100)
    stubbed.answer("codedeploy", "stop_deployment", {"status": "Pending"}, {"deploymentId": "d-1", "autoRollbackEnabled": True})
    stubbed.poll("Stopped", "Skipped", rollback="d-2", stopped=[])
    stubbed.poll("Succeeded", "Succeeded")
    stubbed.scales(suspended=False)
    stubbed.describe_service()
    with pytest.raises(UsageError, match="d-1 failed: its new tasks don't start"):
        release(stubbed, written)
    assert "100 % on blue" in written.getvalue()


def test_a_release_that_is_through_scales_again(stubbed: StubbedAws, written: io.StringIO) -> None:
    prepare(stubbed)
    stubbed.answer("codedeploy", "create_deployment", {"deploymentId": "d-1"})
    stubbed.scales(suspended=True)
    stubbed.poll("InProgress", "Succeeded", stopped=[], Blue=0, Green=100)
    stubbed.scales(suspended=False)
    release(stubbed, written)
    assert "payment-api runs" in written.getvalue()


def test_credentials_that_may_not_suspend_scaling_release_all_the_same(stubbed: StubbedAws, written: io.StringIO) -> None:
    prepare(stubbed)
    stubbed.answer("codedeploy", "create_deployment", {"deploymentId": "d-1"})
    for _ in range(2):
        stubbed.refuse("scaling", "register_scalable_target", "AccessDeniedException")
    stubbed.poll("InProgress", "Succeeded", stopped=[], Blue=0, Green=100)
    release(stubbed, written)
    assert "Auto scaling of Service goes on during the release:" in written.getvalue()


def test_interrupting_a_release_stops_nothing(
    stubbed: StubbedAws, written: io.StringIO, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(stubbed)
    stubbed.answer("codedeploy", "create_deployment", {"deploymentId": "d-1"})
    stubbed.scales(suspended=True)

    def interrupt(_: Watch) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Watch, "follow", interrupt)
    with pytest.raises(SystemExit) as ended:
        release(stubbed, written)  # a call of StopDeployment would find no answer
    assert ended.value.code == 130
    assert "Auto scaling" not in written.getvalue(), "nothing was told to scale again, with the deployment under way"
    assert capsys.readouterr().err.strip() == (
        "d-1 goes on without this command. See: tap status --environment dev; undo: tap rollback payment-api --environment dev"
    )


def test_credentials_that_expire_during_a_release_do_not_fail_it(
    stubbed: StubbedAws, written: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(stubbed)
    stubbed.answer("codedeploy", "create_deployment", {"deploymentId": "d-1"})
    stubbed.scales(suspended=True)
    stubbed.refuse("codedeploy", "get_deployment", "ExpiredTokenException")
    with pytest.raises(SystemExit) as ended:
        release(stubbed, written)
    assert ended.value.code == 130
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "log in again" in line
    assert "d-1 goes on without this command. See: tap status --environment dev" in line


def test_interrupting_the_end_of_old_tasks_says_that_it_goes_on(
    stubbed: StubbedAws, written: io.StringIO, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stubbed.describe_stack("CREATE_COMPLETE")
    stubbed.describe_service(active={}, promoted=True)
    stubbed.answer("codedeploy", "continue_deployment", {})

    def interrupt(_: Watch) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Watch, "follow", interrupt)
    with pytest.raises(SystemExit) as ended:
        release(stubbed, written, end_wait=True)
    assert ended.value.code == 130
    assert "d-1 goes on without this command" in capsys.readouterr().err


def test_all_traffic_on_one_target_group_is_serving(stubbed: StubbedAws) -> None:
    stubbed.describe_service()
    live = DeployedEnvironment(stubbed.aws, DEV).service(API)
    assert live.serving is Colour.BLUE
    assert live.weights == {Colour.BLUE: 100, Colour.GREEN: 0}


def test_traffic_that_is_split_is_not_serving(stubbed: StubbedAws) -> None:
    stubbed.describe_service(weights=(50, 50))
    live = DeployedEnvironment(stubbed.aws, DEV).service(API)
    assert live.serving is None
    assert live.weights == {Colour.BLUE: 50, Colour.GREEN: 50}


@pytest.mark.parametrize(("keeps", "serving"), [(False, None), (True, Colour.BLUE)])
def test_traffic_that_a_deployment_is_going_to_move_is_not_serving(stubbed: StubbedAws, keeps: bool, serving: Colour | None) -> None:
    """From the first new task on, not only while it is split: an update of the stack must not come between."""
    stubbed.describe_service(active={}, keeps=keeps)
    assert DeployedEnvironment(stubbed.aws, DEV).service(API).serving is serving


def test_a_deployment_that_ends_while_it_is_read_does_not_run(stubbed: StubbedAws) -> None:
    stubbed.describe_service(active={"status": "Succeeded"})
    assert DeployedEnvironment(stubbed.aws, DEV).service(API).active_deployment is None


@pytest.mark.parametrize("status", ["CREATE_IN_PROGRESS", "ROLLBACK_COMPLETE"])
def test_the_status_of_a_stack_whose_services_are_not_there(stubbed: StubbedAws, status: str) -> None:
    stubbed.describe_stack(status)
    for _ in SERVICES:
        stubbed.refuse("codedeploy", "get_deployment_group", "ApplicationDoesNotExistException")
    stubbed.describe_stack(status)
    written = io.StringIO()
    read = read_status(DeployedEnvironment(stubbed.aws, DEV))
    show_status(Console(file=written, width=400), read, as_json=False)
    assert (read["stack"], read["services"]) == (status, {})
    assert written.getvalue().splitlines() == [f"dev in eu-west-1: {status}", "No service is there yet."]


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
        (ClientError({"Error": {"Code": "AuthFailure", "Message": "x"}}, "DescribeVpcs"), "hasn't enabled this region"),
        (EndpointConnectionError(endpoint_url="https://sts.eu-wset-1.amazonaws.com/"), "Is there such a region"),
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
