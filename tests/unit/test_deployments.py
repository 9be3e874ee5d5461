"""A deployment does each thing when it still helps: it refuses before anything is changed, and plans with what serves now."""

import contextlib
import io
import json
import subprocess
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import NoCredentialsError
from rich.console import Console

from payments.cli.assembly import Assembly
from payments.cli.aws import deploy
from payments.cli.aws.deploy import Deploy, Options
from payments.cli.aws.plan import Plan
from payments.cli.aws.preflight import check_names, check_quotas, make_service_roles
from payments.cli.data_directory import UsageError
from payments.runtime.topology import SERVICES, Architecture, Colour, Names, Service
from tests.support.stubbed_aws import StubbedAws, stubbed_aws

DEV = Names("dev")
ROLES = ("ecs.amazonaws.com", "ecs.application-autoscaling.amazonaws.com", "rds.amazonaws.com")


class Live:
    """A service that runs."""

    active_deployment = None
    task_definition = "arn:task"
    network: Mapping[str, Any] = {}
    ecs_service = "Service"

    def __init__(self, world: "World") -> None:
        self.serving = world.serving
        self.desired = self.running = world.desired


class World:
    """An account, a checkout and an engine, and all that is done there, in order."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.status: str | Exception | None = "UPDATE_COMPLETE"
        self.serving = Colour.BLUE
        self.serving_after_the_push = Colour.BLUE
        self.desired = 1
        self.lacks_images = True
        self.engine_refuses = False
        self.cdk: int | BaseException = 0
        self.status_after_cdk: str | Exception | None = "UPDATE_COMPLETE"
        self.written = io.StringIO()

    # The environment.
    def stack_status(self) -> str | None:
        if isinstance(self.status, Exception):
            raise self.status
        return self.status

    def services(self) -> dict[Service, Live]:
        return dict.fromkeys(SERVICES, Live(self))

    def image(self, _task_definition: str) -> str:
        return "tap-dev/payment-api:one"

    def outputs(self) -> dict[str, str]:
        return {"LoadBalancerDNSdev": "lb"}

    def public_url(self) -> str:
        return "http://lb"

    # The images.
    def missing(self, services: Sequence[Service], _tag: str) -> list[Service]:
        return list(services) if self.lacks_images else []

    def check(self, services: Sequence[Service], _tag: str, _architecture: Architecture) -> None:
        self.done.append("check images")
        assert services
        if self.engine_refuses:
            raise UsageError("docker ps: Cannot connect to the Docker daemon.")

    def build(self, _tag: str, _architecture: Architecture) -> None:
        self.done.append("build")

    def push(self, services: Sequence[Service], _tag: str) -> None:
        self.done.append("push")
        assert services
        self.serving = self.serving_after_the_push

    def digest(self, _service: Service, _tag: str) -> str:
        return "sha256:abc"

    def reference(self, _service: Service, digest: str) -> str:
        return digest

    # What else a deployment does.
    def migrate(self, _image: str, _network: Mapping[str, Any]) -> None:
        self.done.append("migrate")

    def make_plan(self, _assembly: Assembly, _names: Names, _deployed: object, live: Mapping[Service, Live]) -> Plan:
        self.done.append(f"plan for {live[Service.PAYMENT_API].serving}")
        return Plan(Counter(), [], set())

    def run(self, command: Sequence[str], **_: Any) -> "subprocess.CompletedProcess[str]":
        self.done.append(f"cdk {command[1]}")
        if isinstance(self.cdk, BaseException):
            raise self.cdk
        self.status = self.status_after_cdk
        return subprocess.CompletedProcess(list(command), self.cdk)


@pytest.fixture
def stubbed() -> Generator[StubbedAws]:
    with stubbed_aws() as found:
        yield found


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    world = World()
    cdk = tmp_path / "cdk"
    cdk.touch()
    monkeypatch.setattr(deploy, "_CDK", cdk)
    monkeypatch.setattr(deploy.subprocess, "run", world.run)
    for name in ("DeployedEnvironment", "Images"):
        monkeypatch.setattr(deploy, name, lambda *_: world)
    monkeypatch.setattr(deploy, "Releases", lambda **_: world)
    monkeypatch.setattr(deploy, "make_plan", world.make_plan)
    monkeypatch.setattr(deploy, "check_account", lambda _: "123456789012")
    monkeypatch.setattr(deploy, "check_names", lambda *_: world.done.append("names"))
    monkeypatch.setattr(deploy, "check_quotas", lambda *_, **__: world.done.append("quotas"))
    monkeypatch.setattr(deploy, "make_service_roles", lambda *_: world.done.append("roles"))
    monkeypatch.setattr(deploy, "synthesise", lambda directory, *_, **__: Assembly(directory))
    monkeypatch.setattr(deploy, "deployed_templates", lambda _: {})
    monkeypatch.setattr(deploy, "deployed_colours", lambda *_: {})
    monkeypatch.setattr(deploy, "choose_zones", lambda *_: "eu-west-1a,eu-west-1b,eu-west-1c")
    monkeypatch.setattr(deploy, "fargate_tasks", lambda _: [_Tasks(service) for service in SERVICES])
    monkeypatch.setattr(deploy, "sandbox_key", lambda _: "sk_test_1")
    monkeypatch.setattr(deploy, "pay", lambda *_, **__: "pi_1")
    return world


class _Tasks:
    tasks_min = 1

    def __init__(self, service: Service) -> None:
        self.service = service


def deployment(stubbed: StubbedAws, world: World, **options: Any) -> Deploy:
    return Deploy(stubbed.aws, DEV, Console(file=world.written, width=400), Options(image="two", poll_seconds=0, **options))


def test_a_first_deployment_builds_before_the_stack_and_pushes_after_it(stubbed: StubbedAws, world: World) -> None:
    world.status = None
    deployment(stubbed, world, new=True).run()
    assert world.done == ["names", "quotas", "check images", "build", "roles", "cdk deploy", "push", "migrate"]


@pytest.mark.parametrize("name", ["", "PR123", "pr.1", "a-b", "1st", "pr1\n", "x" * 40])
def test_a_name_that_no_environment_can_have_is_refused_before_anybody_is_asked(stubbed: StubbedAws, world: World, name: str) -> None:
    world.status = None
    with pytest.raises(UsageError, match=r"must be 1 to 12 lower-case letters and digits") as refused:
        replace(deployment(stubbed, world, new=True), names=Names(name)).run()
    assert "\n" not in str(refused.value)
    assert world.done == []


def test_an_environment_of_a_mistyped_name_is_not_made_where_nobody_can_be_asked(stubbed: StubbedAws, world: World) -> None:
    world.status = None
    with pytest.raises(
        UsageError, match=r"There is no TapStackdev in account 123456789012, [a-z0-9-]+\. If you mean to make it, give --new\."
    ):
        deployment(stubbed, world).run()
    assert world.done == []


@pytest.mark.parametrize(("answer", "made"), [("y", True), ("n", False), ("", False)])
def test_somebody_at_a_terminal_is_asked_before_an_environment_is_made(
    stubbed: StubbedAws, world: World, monkeypatch: pytest.MonkeyPatch, answer: str, *, made: bool
) -> None:
    world.status = None
    monkeypatch.setattr("builtins.input", lambda *_: answer)
    asking = replace(deployment(stubbed, world), console=Console(file=world.written, width=400, force_interactive=True))
    with contextlib.nullcontext() if made else pytest.raises(UsageError, match="Nothing was changed"):
        asking.run()
    assert "There is no TapStackdev" in world.written.getvalue()
    assert ("cdk deploy" in world.done) is made


def test_a_dry_run_of_a_new_environment_asks_nothing(stubbed: StubbedAws, world: World) -> None:
    world.status = None
    deployment(stubbed, world, dry_run=True).run()
    assert "Nothing was changed: that was a dry run." in world.written.getvalue()


def test_a_later_deployment_pushes_first_and_plans_again_with_what_serves_then(stubbed: StubbedAws, world: World) -> None:
    world.serving_after_the_push = Colour.GREEN
    deployment(stubbed, world).run()
    assert world.done == ["plan for blue", "quotas", "check images", "build", "push", "plan for green", "cdk deploy", "migrate"]


def test_what_is_in_the_repositories_needs_no_engine_and_no_second_plan(stubbed: StubbedAws, world: World) -> None:
    world.lacks_images = False
    deployment(stubbed, world).run()
    assert world.done == ["plan for blue", "quotas", "cdk deploy", "migrate"]


@pytest.mark.parametrize("status", [None, "UPDATE_COMPLETE"])
@pytest.mark.parametrize("dry_run", [False, True])
def test_an_engine_that_does_not_run_is_told_before_anything_is_changed(
    stubbed: StubbedAws, world: World, status: str | None, dry_run: bool
) -> None:
    world.status, world.engine_refuses = status, True
    with pytest.raises(UsageError, match="Cannot connect to the Docker daemon"):
        deployment(stubbed, world, dry_run=dry_run, new=True).run()
    assert world.done[-1] == "check images"


def test_a_cdk_that_is_not_set_up_is_told_before_anything_is_asked(
    stubbed: StubbedAws, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy, "_CDK", Path("nowhere"))
    with pytest.raises(UsageError, match="run `make cdk`"):
        deployment(stubbed, world).run()
    assert world.done == []


def test_a_dry_run_does_not_bootstrap(stubbed: StubbedAws, world: World) -> None:
    with pytest.raises(UsageError, match="--dry-run changes nothing, and --bootstrap makes a stack"):
        deployment(stubbed, world, dry_run=True, bootstrap=True).run()
    assert world.done == []


def test_another_image_than_the_first_deployments_is_refused_with_a_way_out(stubbed: StubbedAws, world: World) -> None:
    world.desired = 0
    with pytest.raises(UsageError) as refusal:
        deployment(stubbed, world).run()
    assert "finish it with --image one. If one itself is broken, put a mended one into its place" in str(refusal.value)
    (title,) = [part for part in str(refusal.value).split('"') if part.startswith("When")]
    assert f"### {title}\n" in (Path(__file__).parents[2] / "docs/deploy.md").read_text()


def test_a_command_that_is_printed_can_be_run_as_it_is(stubbed: StubbedAws, world: World) -> None:
    deployment(stubbed, world).run()
    assert "tap release payment-api --image two --environment dev" in world.written.getvalue()


def test_interrupting_cdk_leaves_cloudformation_going_on(stubbed: StubbedAws, world: World) -> None:
    world.cdk = KeyboardInterrupt()
    with pytest.raises(SystemExit) as ended:
        deployment(stubbed, world).run()
    assert ended.value.code == 130
    assert "CloudFormation goes on with what it has begun. See: tap status --environment dev" in world.written.getvalue()


@pytest.mark.parametrize(
    ("status", "says"),
    [
        ("UPDATE_IN_PROGRESS", "cdk deploy failed: see above. CloudFormation goes on with what it has begun."),
        (NoCredentialsError(), "cdk deploy failed: see above. AWS doesn't tell what became of it. CloudFormation goes on"),
        ("UPDATE_ROLLBACK_COMPLETE", "cdk deploy failed: see above."),
    ],
)
def test_a_cdk_that_fails_may_have_lost_sight_of_what_goes_on(
    stubbed: StubbedAws, world: World, status: str | Exception, says: str
) -> None:
    world.cdk, world.status_after_cdk = 1, status
    with pytest.raises(UsageError) as failure:
        deployment(stubbed, world).run()
    assert str(failure.value).startswith(says)
    assert ("goes on" in str(failure.value)) is ("goes on" in says)


def test_an_empty_account_gets_the_roles_that_services_make_too_late(stubbed: StubbedAws, world: World) -> None:
    for role in ROLES:
        stubbed.answer("iam", "create_service_linked_role", {}, {"AWSServiceName": role})
    make_service_roles(stubbed.aws, Console(file=world.written, width=400))
    assert world.written.getvalue() == ""


def test_roles_that_are_there_are_no_news_and_others_are_a_warning(stubbed: StubbedAws, world: World) -> None:
    stubbed.refuse(
        "iam", "create_service_linked_role", "InvalidInput", "Service role name AWSServiceRoleForECS has been taken in this account"
    )
    stubbed.refuse("iam", "create_service_linked_role", "AccessDenied", "User may not [iam]")
    stubbed.refuse("iam", "create_service_linked_role", "InvalidInput", "AWSServiceRoleForRDS has been taken in this account")
    make_service_roles(stubbed.aws, Console(file=world.written, width=400))
    (warning,) = world.written.getvalue().splitlines()
    assert warning.startswith(f"The service-linked role of {ROLES[1]} can't be made")
    assert warning.endswith("User may not [iam]")


def quota(stubbed: StubbedAws, value: float) -> None:
    stubbed.answer("quotas", "get_service_quota", {"Quota": {"Value": value}})


@pytest.fixture
def three_addresses(tmp_path: Path) -> Assembly:
    (tmp_path / "a.template.json").write_text('{"Resources": {"A": {"Type": "AWS::EC2::EIP"}, "B": {"Type": "AWS::EC2::EIP"}}}')
    return Assembly(tmp_path)


def taken(stubbed: StubbedAws, addresses: int, vpcs: int) -> None:
    stubbed.answer("ec2", "describe_addresses", {"Addresses": [{}] * addresses})
    stubbed.answer("ec2", "describe_vpcs", {"Vpcs": [{}] * vpcs})


def test_what_others_have_taken_of_a_quota_counts(stubbed: StubbedAws, world: World, three_addresses: Assembly) -> None:
    for value in (10, 10, 5):
        quota(stubbed, value)
    stubbed.answer("ec2", "describe_addresses", {"Addresses": [{}] * 4})
    with pytest.raises(UsageError, match="The quota of Elastic IP addresses is 5, of which 4 are taken, and 2 are needed"):
        check_quotas(stubbed.aws, three_addresses, Console(file=world.written), first=True)


def test_what_is_left_of_a_quota_is_enough(stubbed: StubbedAws, world: World, three_addresses: Assembly) -> None:
    for value in (10, 10, 5, 5):
        quota(stubbed, value)
    taken(stubbed, addresses=3, vpcs=4)
    check_quotas(stubbed.aws, three_addresses, Console(file=world.written), first=True)
    assert world.written.getvalue() == ""


def test_a_later_deployment_has_its_own_addresses(stubbed: StubbedAws, world: World, three_addresses: Assembly) -> None:
    for value in (10, 10):
        quota(stubbed, value)
    check_quotas(stubbed.aws, three_addresses, Console(file=world.written), first=False)
    assert stubbed.asked("DescribeAddresses") == []


LEFT = {
    "Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "/tap/prod/payment-api"}},
    "Unnamed": {"Type": "AWS::Logs::LogGroup", "Properties": {}},
    "Images": {"Type": "AWS::ECR::Repository", "Properties": {"RepositoryName": "tap-prod/payment-api"}},
    "Database": {"Type": "AWS::RDS::DBCluster", "Properties": {"DBClusterIdentifier": "tap-prod"}},
}


@pytest.mark.parametrize(
    ("log_group", "repository", "cluster", "left"),
    [
        (
            "/tap/prod/payment-api",
            "tap-prod/payment-api",
            "tap-prod",
            r"log groups /tap/prod/payment-api; repositories tap-prod/payment-api; databases tap-prod\.",
        ),
        ("/tap/prod/payment-api-of-others", "tap-prod/payment-api", "others", r"left repositories tap-prod/payment-api\."),
        (None, "others", "others", None),
    ],
)
def test_what_an_environment_of_the_same_name_left_is_found_before_cloudformation_stumbles_over_it(
    stubbed: StubbedAws, tmp_path: Path, log_group: str | None, repository: str, cluster: str, left: str | None
) -> None:
    (tmp_path / "a.template.json").write_text(json.dumps({"Resources": LEFT}))
    stubbed.answer("ecr", "describe_repositories", {"repositories": [{"repositoryName": repository}]})
    stubbed.answer("rds", "describe_db_clusters", {"DBClusters": [{"DBClusterIdentifier": cluster}]})
    stubbed.answer("logs", "describe_log_groups", {"logGroups": [{"logGroupName": log_group}] if log_group else []})
    with pytest.raises(UsageError, match=left) if left else contextlib.nullcontext():
        check_names(stubbed.aws, Assembly(tmp_path))
