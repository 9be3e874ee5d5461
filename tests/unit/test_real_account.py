"""The rehearsal in a real account runs only where it was asked for, and takes away what it made, and nothing else."""

import io
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from rich.console import Console

from payments.cli.data_directory import UsageError
from payments.runtime.topology import Names
from rehearsal import real_account
from rehearsal.clearing import Clearing
from rehearsal.real_account import ACCOUNT_VARIABLE, NotAsItMust, Trial, asked_for, check_right_account, come_out, trial_names
from rehearsal.report import Report
from tests.support.stubbed_aws import StubbedAws, stubbed_aws

ACCOUNT = "123456789012"
TRIAL = Names("pr00c0de")
STACK = {"StackName": TRIAL.stack, "CreationTime": "2026-01-01T00:00:00Z"}


@pytest.fixture
def stubbed() -> Generator[StubbedAws]:
    with stubbed_aws() as found:
        yield found


@pytest.mark.parametrize("said", ["", "12", "yes", "1234567890123", "000000000000 "])
def test_nothing_runs_unless_an_account_is_named(said: str) -> None:
    with pytest.raises(UsageError, match=ACCOUNT_VARIABLE):
        asked_for({ACCOUNT_VARIABLE: said})


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_ECR"])
def test_nothing_runs_where_an_endpoint_is_replaced(variable: str) -> None:
    with pytest.raises(UsageError, match=f"{variable} replaces an endpoint"):
        asked_for({ACCOUNT_VARIABLE: ACCOUNT, variable: "http://127.0.0.1:4566"})


def test_the_account_that_was_named() -> None:
    assert asked_for({ACCOUNT_VARIABLE: ACCOUNT, "AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL": ""}) == ACCOUNT


def check(stubbed: StubbedAws) -> None:
    check_right_account(stubbed.aws, ACCOUNT, lambda _: stubbed.aws.cloudformation)


def test_credentials_of_another_account(stubbed: StubbedAws) -> None:
    stubbed.answer("sts", "get_caller_identity", {"Account": "999999999999"})
    with pytest.raises(UsageError, match=f"credentials are of account 999999999999, and {ACCOUNT_VARIABLE} says {ACCOUNT}"):
        check(stubbed)


def regions(stubbed: StubbedAws) -> None:
    stubbed.answer("sts", "get_caller_identity", {"Account": ACCOUNT})
    stubbed.answer("ec2", "describe_regions", {"Regions": [{"RegionName": "us-east-1"}, {"RegionName": "eu-west-1"}]})
    stubbed.refuse("cloudformation", "describe_stacks", "ValidationError", "Stack with id TapStackprod does not exist")


def test_an_account_with_a_production_environment_in_another_region(stubbed: StubbedAws) -> None:
    regions(stubbed)
    production = {"StackName": "TapStackprod", "StackStatus": "CREATE_COMPLETE", "CreationTime": "2026-01-01T00:00:00Z"}
    stubbed.answer("cloudformation", "describe_stacks", {"Stacks": [production]}, {"StackName": "TapStackprod"})
    with pytest.raises(UsageError, match="has a TapStackprod in us-east-1"):
        check(stubbed)


def test_an_account_for_trials(stubbed: StubbedAws) -> None:
    regions(stubbed)
    stubbed.refuse("cloudformation", "describe_stacks", "ValidationError", "Stack with id TapStackprod does not exist")
    check(stubbed)


def test_a_profile_that_replaces_an_endpoint(stubbed: StubbedAws) -> None:
    session: Any = boto3.Session(region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")
    elsewhere = session.client("ecs", endpoint_url="http://127.0.0.1:4566")
    with pytest.raises(UsageError, match=r"endpoint of ecs by 127\.0\.0\.1"):
        check_right_account(replace(stubbed.aws, ecs=elsewhere), ACCOUNT, lambda _: stubbed.aws.cloudformation)
    elsewhere.close()


def test_each_trial_has_a_name_of_its_own() -> None:
    names = {trial_names().environment for _ in range(20)}
    assert len(names) > 15
    assert all(len(name) == 8 and name.startswith("pr") for name in names)


class Spares:
    """The clients that only clearing away needs."""

    def __init__(self) -> None:
        session: Any = boto3.Session(region_name="eu-west-1", aws_access_key_id="stub", aws_secret_access_key="stub")
        self.clients = {name: session.client(name) for name in ("resourcegroupstaggingapi", "kms", "s3")}
        self.stubs = {name: Stubber(client) for name, client in self.clients.items()}

    def tagged(self, *arns: str) -> None:
        wanted = [{"Key": "application", "Values": ["tap"]}, {"Key": "environment", "Values": [TRIAL.environment]}]
        answer = {"ResourceTagMappingList": [{"ResourceARN": arn} for arn in arns]}
        self.stubs["resourcegroupstaggingapi"].add_response("get_resources", answer, {"TagFilters": wanted})

    def key_is(self, state: str) -> None:
        answer = {"KeyMetadata": {"KeyId": "k", "KeyState": state}}
        self.stubs["kms"].add_response("describe_key", answer)


@pytest.fixture
def spares() -> Generator[Spares]:
    found = Spares()
    for stub in found.stubs.values():
        stub.activate()
    yield found
    for stub in found.stubs.values():
        stub.assert_no_pending_responses()
        stub.client.close()


def clearing(stubbed: StubbedAws, spares: Spares, names: Names = TRIAL) -> Clearing:
    return Clearing(
        aws=stubbed.aws,
        names=names,
        console=Console(file=io.StringIO()),
        tagging=spares.clients["resourcegroupstaggingapi"],
        kms=spares.clients["kms"],
        s3=spares.clients["s3"],
        sleep=lambda _: None,
    )


@pytest.mark.parametrize("environment", ["prod", "dev", "staging", "pr12", "production", "prabcdefg"])
def test_nothing_but_a_trial_is_cleared_away(stubbed: StubbedAws, spares: Spares, environment: str) -> None:
    with pytest.raises(ValueError, match="isn't the name of a trial"):
        clearing(stubbed, spares, Names(environment))


def stack_is(stubbed: StubbedAws, *statuses: str | None) -> None:
    for status in statuses:
        if status is None:
            stubbed.refuse("cloudformation", "describe_stacks", "ValidationError", f"Stack with id {TRIAL.stack} does not exist")
        else:
            stubbed.answer("cloudformation", "describe_stacks", {"Stacks": [{**STACK, "StackStatus": status}]})


def deletion(stubbed: StubbedAws) -> None:
    stubbed.answer("cloudformation", "delete_stack", {}, {"StackName": TRIAL.stack})


def test_a_stack_that_is_still_being_made_is_deleted_at_once(stubbed: StubbedAws, spares: Spares) -> None:
    stack_is(stubbed, "CREATE_IN_PROGRESS")
    deletion(stubbed)
    stack_is(stubbed, "DELETE_IN_PROGRESS", None)
    clearing(stubbed, spares).delete_stack()


def test_a_deletion_that_fails_is_tried_again(stubbed: StubbedAws, spares: Spares) -> None:
    stack_is(stubbed, "CREATE_COMPLETE")
    deletion(stubbed)
    stack_is(stubbed, "DELETE_IN_PROGRESS", "DELETE_FAILED")
    deletion(stubbed)
    stack_is(stubbed, None)
    clearing(stubbed, spares).delete_stack()


def test_a_stack_that_stays_is_named(stubbed: StubbedAws, spares: Spares) -> None:
    for _ in range(3):
        stack_is(stubbed, "DELETE_FAILED")
        deletion(stubbed)
    stack_is(stubbed, "DELETE_FAILED")
    with pytest.raises(UsageError, match="TapStackpr00c0de is DELETE_FAILED"):
        clearing(stubbed, spares).delete_stack()


def test_what_a_stack_retains_is_removed(stubbed: StubbedAws, spares: Spares) -> None:
    spares.tagged("arn:aws:kms:eu-west-1:1:key/k", "arn:aws:s3:::logs", "arn:aws:ecs:eu-west-1:1:task-definition/tap-pr00c0de-migrate:1")
    spares.key_is("Enabled")
    spares.stubs["kms"].add_response("schedule_key_deletion", {}, {"KeyId": "arn:aws:kms:eu-west-1:1:key/k", "PendingWindowInDays": 7})
    versions = {"Versions": [{"Key": "a", "VersionId": "1"}], "DeleteMarkers": [{"Key": "a", "VersionId": "2"}]}
    spares.stubs["s3"].add_response("list_object_versions", versions, {"Bucket": "logs"})
    objects = [{"Key": "a", "VersionId": "1"}, {"Key": "a", "VersionId": "2"}]
    spares.stubs["s3"].add_response("delete_objects", {}, {"Bucket": "logs", "Delete": {"Objects": objects, "Quiet": True}})
    spares.stubs["s3"].add_response("delete_bucket", {}, {"Bucket": "logs"})
    for family in ("migrate", "payment-api", "transaction-processor", "notification-service"):
        arns = ["arn:old:1"] if family == "migrate" else []
        expected = {"familyPrefix": f"tap-pr00c0de-{family}", "status": "ACTIVE"}
        stubbed.answer("ecs", "list_task_definitions", {"taskDefinitionArns": arns}, expected)
        for arn in arns:
            stubbed.answer("ecs", "deregister_task_definition", {}, {"taskDefinition": arn})
    for part in ("TapStackpr00c0de", "tapstackpr00c0de", "tap-pr00c0de"):
        found = {"logGroups": [{"logGroupName": f"/aws/{part}"}]}
        stubbed.answer("logs", "describe_log_groups", found, {"logGroupNamePattern": part})
        stubbed.answer("logs", "delete_log_group", {}, {"logGroupName": f"/aws/{part}"})
    clearing(stubbed, spares).remove_retained()


def test_what_costs_nothing_is_not_left(stubbed: StubbedAws, spares: Spares) -> None:
    spares.tagged("arn:aws:ec2:eu-west-1:1:natgateway/nat-1")  # gone, and listed still
    spares.tagged("arn:aws:kms:eu-west-1:1:key/k", "arn:aws:ecs:eu-west-1:1:task-definition/tap-pr00c0de-migrate:1")
    spares.key_is("PendingDeletion")
    assert clearing(stubbed, spares).left() == []


def test_what_costs_something_is_named(stubbed: StubbedAws, spares: Spares, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rehearsal.clearing._LEFT_SECONDS_MAX", -1)
    spares.tagged("arn:aws:ec2:eu-west-1:1:natgateway/nat-1", "arn:aws:kms:eu-west-1:1:key/k")
    spares.key_is("Enabled")
    assert clearing(stubbed, spares).left() == ["arn:aws:ec2:eu-west-1:1:natgateway/nat-1", "arn:aws:kms:eu-west-1:1:key/k"]


@pytest.mark.parametrize(("failure", "ended"), [(NotAsItMust("no"), 1), (KeyboardInterrupt(), 130), (SystemExit(143), None)])
def test_everything_is_taken_away_however_the_trial_ended(
    stubbed: StubbedAws, monkeypatch: pytest.MonkeyPatch, failure: BaseException, ended: int | None
) -> None:
    taken_away: list[str] = []

    def fail(_: Trial) -> None:
        raise failure

    monkeypatch.setenv(ACCOUNT_VARIABLE, ACCOUNT)
    for name in ("check_right_account", "check_account"):
        monkeypatch.setattr(real_account, name, lambda *_: None)
    monkeypatch.setattr(real_account, "connect", lambda _: stubbed.aws)
    monkeypatch.setattr(real_account, "current_tag", lambda: "v1")
    monkeypatch.setattr(real_account, "cost_line", lambda *_: "")
    monkeypatch.setattr(real_account, "clearing", lambda _aws, names, _console: names.stack)
    monkeypatch.setattr(real_account, "clear_away", lambda stack, _report: taken_away.append(stack))
    monkeypatch.setattr(Trial, "run", fail)
    console, status = Console(file=io.StringIO(), width=200), list[int]()
    try:
        real_account.rehearse(console, Report(console), status)
    except SystemExit:
        assert ended is None
    assert len(taken_away) == 1
    assert taken_away[0].startswith("TapStackpr")
    assert status == ([0] if ended is None else [ended, 0])


def test_what_goes_wrong_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise NotAsItMust("two\nlines")

    assert come_out(fail) == 1
    assert capsys.readouterr().err == "Rehearsal: two lines\n"
