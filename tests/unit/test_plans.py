"""A plan that would destroy data or cause an outage is refused, whichever way the template says so."""

import json
from collections.abc import Generator
from copy import deepcopy
from pathlib import Path
from typing import Any

import cfnlint.schema
import pytest

from payments.cli.assembly import Assembly
from payments.cli.aws.environment import DeployedEnvironment
from payments.cli.aws.plan import GUARDED, Plan, deployed_templates, make_plan
from payments.runtime.topology import Names
from tests.support.stubbed_aws import StubbedAws, stubbed_aws

DEV = Names("dev")
Resources = dict[str, dict[str, Any]]
DATABASE: Resources = {
    "Cluster": {"Type": "AWS::RDS::DBCluster", "Properties": {"DatabaseName": "tap", "KmsKeyId": {"Ref": "Key"}, "Port": 5432}},
    "Role": {"Type": "AWS::IAM::Role", "Properties": {}},
}
MONITORING: Resources = {
    "Subscription": {"Type": "AWS::SNS::Subscription", "Properties": {"Protocol": "email", "Endpoint": "oncall@example.com"}},
}


def plan(directory: Path, before: dict[str, Resources], after: dict[str, Resources]) -> Plan:
    """Compare what is deployed with what would be, each by nested stack."""
    root: Resources = {}
    for name, resources in after.items():
        (directory / f"{name}.json").write_text(json.dumps({"Resources": resources}))
        root[name] = {"Type": "AWS::CloudFormation::Stack", "Metadata": {"aws:asset:path": f"{name}.json"}}
    (directory / f"{DEV.stack}.template.json").write_text(json.dumps({"Resources": root}))
    return make_plan(Assembly(directory), DEV, {name: {"Resources": resources} for name, resources in before.items()}, {})


@pytest.fixture
def stubbed() -> Generator[StubbedAws]:
    with stubbed_aws() as found:
        yield found


def test_the_same_again_changes_nothing(tmp_path: Path) -> None:
    same = plan(tmp_path, {"Database": DATABASE}, {"Database": DATABASE})
    assert (same.changes.total(), same.refusals) == (0, [])


def test_a_nested_stack_that_is_no_longer_there_takes_its_resources_with_it(tmp_path: Path) -> None:
    gone = plan(tmp_path, {"Database": DATABASE}, {})
    assert gone.changes["removed"] == 2
    assert gone.refusals == [
        "Cluster (AWS::RDS::DBCluster) would be removed, and what uses it with it. Its logical id must stay what it was."
    ]


def test_a_nested_stack_of_another_name_is_another_one(tmp_path: Path) -> None:
    renamed = plan(tmp_path, {"Database": DATABASE}, {"Db": DATABASE})
    assert (renamed.changes["removed"], renamed.changes["added"], len(renamed.refusals)) == (2, 2, 1)


def test_a_resource_that_becomes_one_of_another_type_is_removed(tmp_path: Path) -> None:
    other = DATABASE | {"Cluster": {"Type": "AWS::RDS::DBInstance", "Properties": {}}}
    (refusal,) = plan(tmp_path, {"Database": DATABASE}, {"Database": other}).refusals
    assert "Cluster (AWS::RDS::DBCluster) would be removed" in refusal


@pytest.mark.parametrize("changed", ["DatabaseName", "KmsKeyId", "SnapshotIdentifier"])
def test_a_database_is_not_replaced(tmp_path: Path, changed: str) -> None:
    after = deepcopy(DATABASE)
    after["Cluster"]["Properties"][changed] = "another"
    (refusal,) = plan(tmp_path, {"Database": DATABASE}, {"Database": after}).refusals
    assert refusal == f"Cluster would be replaced, since its {changed} would change: that moves or drops what it holds."


def test_a_network_stays_in_its_zones(tmp_path: Path) -> None:
    before: Resources = {
        "Subnet": {"Type": "AWS::EC2::Subnet", "Properties": {"AvailabilityZone": {"Fn::Select": [0, {"Fn::GetAZs": ""}]}}}
    }
    after: Resources = {"Subnet": {"Type": "AWS::EC2::Subnet", "Properties": {"AvailabilityZone": "eu-west-1b"}}}
    (refusal,) = plan(tmp_path, {"Networking": before}, {"Networking": after}).refusals
    assert "Subnet would be replaced, since its AvailabilityZone would change" in refusal


def test_what_can_be_changed_in_place_is_no_refusal(tmp_path: Path) -> None:
    after = deepcopy(DATABASE)
    after["Cluster"]["Properties"]["Port"] = 5433
    found = plan(tmp_path, {"Database": DATABASE}, {"Database": after})
    assert (found.changes["changed"], found.refusals) == (1, [])


@pytest.mark.parametrize("resource_type", sorted(GUARDED))
def test_every_property_by_which_cloudformation_replaces_is_guarded(resource_type: str) -> None:
    manager: Any = cfnlint.schema.PROVIDER_SCHEMA_MANAGER
    schema: dict[str, list[str]] = manager.get_resource_schema("us-east-1", resource_type).schema
    paths = schema.get("createOnlyProperties", []) + schema.get("conditionalCreateOnlyProperties", [])
    assert {path.split("/")[2] for path in paths} == GUARDED[resource_type]


def test_a_forgotten_address_does_not_silence_the_alarms(tmp_path: Path) -> None:
    (refusal,) = plan(tmp_path, {"Monitoring": MONITORING}, {"Monitoring": {}}).refusals
    assert refusal == "Subscription would be removed, and nobody would be told of alarms any more: give --alarm-email."


def test_alarms_may_go_to_another_address(tmp_path: Path) -> None:
    after: Resources = {"Other": {"Type": "AWS::SNS::Subscription", "Properties": {"Protocol": "email", "Endpoint": "two@example.com"}}}
    found = plan(tmp_path, {"Monitoring": MONITORING}, {"Monitoring": after})
    assert (found.changes["added"], found.changes["removed"], found.refusals) == (1, 1, [])


def test_templates_are_compared_as_they_were_deployed_before_any_transform(stubbed: StubbedAws) -> None:
    summary = {"ResourceType": "AWS::CloudFormation::Stack", "LastUpdatedTimestamp": "2026-01-01T00:00:00Z"}
    summaries = [
        {**summary, "LogicalResourceId": "Database", "PhysicalResourceId": "arn:database", "ResourceStatus": "UPDATE_COMPLETE"},
        {**summary, "LogicalResourceId": "Gone", "PhysicalResourceId": "arn:gone", "ResourceStatus": "DELETE_COMPLETE"},
    ]
    stubbed.answer("cloudformation", "list_stack_resources", {"StackResourceSummaries": summaries})
    body = json.dumps({"Resources": DATABASE})
    stubbed.answer("cloudformation", "get_template", {"TemplateBody": body}, {"StackName": "arn:database", "TemplateStage": "Original"})
    assert deployed_templates(DeployedEnvironment(stubbed.aws, DEV)) == {"Database": {"Resources": DATABASE}}
