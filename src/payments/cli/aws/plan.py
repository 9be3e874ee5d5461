"""What a deployment of the stack would change, held against what must not: before CloudFormation is asked.

Compares the synthesised templates with the deployed ones. Some changes CloudFormation accepts and then fails at (a service that CodeDeploy deploys refuses
any update), some it does and causes an outage (a listener's rule that leads back to target groups whose tasks are gone, a replaced database).
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from payments.cli.assembly import Assembly, Template
from payments.cli.aws.environment import DeployedEnvironment, DeployedService
from payments.runtime.topology import Colour, Names, Service

_SERVICE = "AWS::ECS::Service"
_RULE = "AWS::ElasticLoadBalancingV2::ListenerRule"
_TARGET_GROUP = "AWS::ElasticLoadBalancingV2::TargetGroup"
_SUBSCRIPTION = "AWS::SNS::Subscription"
GUARDED: Mapping[str, frozenset[str]] = {
    _SERVICE: frozenset({"Cluster", "LaunchType", "Role", "SchedulingStrategy", "ServiceName"}),
    _RULE: frozenset({"ListenerArn"}),
    _TARGET_GROUP: frozenset({"IpAddressType", "Name", "Port", "Protocol", "ProtocolVersion", "TargetType", "VpcId"}),
    "AWS::ElasticLoadBalancingV2::Listener": frozenset({"LoadBalancerArn"}),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": frozenset({"Name", "Scheme", "Type"}),
    "AWS::EC2::VPC": frozenset({"CidrBlock", "InstanceTenancy", "Ipv4IpamPoolId", "Ipv4NetmaskLength", "VpcEncryptionControl"}),
    "AWS::EC2::Subnet": frozenset(
        {
            "AvailabilityZone",
            "AvailabilityZoneId",
            "CidrBlock",
            "Ipv4IpamPoolId",
            "Ipv4NetmaskLength",
            "Ipv6CidrBlock",
            "Ipv6IpamPoolId",
            "Ipv6Native",
            "Ipv6NetmaskLength",
            "OutpostArn",
            "VpcId",
        }
    ),
    "AWS::RDS::DBCluster": frozenset(
        {
            "AvailabilityZones",
            "ClusterScalabilityType",
            "DBClusterIdentifier",
            "DBSubnetGroupName",
            "DBSystemId",
            "DatabaseName",
            "Engine",
            "EngineMode",
            "GlobalClusterIdentifier",
            "KmsKeyId",
            "MasterUsername",
            "PubliclyAccessible",
            "RestoreToTime",
            "RestoreType",
            "SnapshotIdentifier",
            "SourceDBClusterIdentifier",
            "SourceDbClusterResourceId",
            "SourceRegion",
            "StorageEncrypted",
            "UseLatestRestorableTime",
        }
    ),
    "AWS::KMS::Key": frozenset(),
    "AWS::SecretsManager::Secret": frozenset({"Name"}),
    "AWS::ECR::Repository": frozenset({"EncryptionConfiguration", "RepositoryName"}),
    "AWS::CodeDeploy::DeploymentGroup": frozenset({"ApplicationName", "DeploymentGroupName"}),
}
"""What is neither removed nor replaced, and the properties by whose change CloudFormation replaces it, always or sometimes.

Source: the resource types' schemas, `createOnlyProperties` and `conditionalCreateOnlyProperties`.
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What would change."""

    changes: Counter[str]
    """How many resources are added, changed and removed."""
    refusals: list[str]
    """Why it must not be deployed, a sentence each."""
    moved: set[Service]
    """Services whose rules would change, and lead elsewhere than where the tasks are that serve."""


def make_plan(assembly: Assembly, names: Names, deployed: Mapping[str, Template], live: Mapping[Service, DeployedService]) -> Plan:
    """Compare the synthesised environment with the deployed one."""
    changes: Counter[str] = Counter()
    refusals: list[str] = []
    moved: set[Service] = set()
    wanted = dict(assembly.nested(names.stack))
    for logical_id in sorted(deployed.keys() | wanted.keys()):
        before, after = (templates.get(logical_id, {}).get("Resources", {}) for templates in (deployed, wanted))
        changes["added"] += len(after.keys() - before.keys())
        changes["removed"] += len(before.keys() - after.keys())
        changes["changed"] += sum(_differs(before[name], after[name]) for name in before.keys() & after.keys())
        refusals += _refusals(before, after)
        for name, service, colour in _rules(names, after):
            serving = live[service].serving
            if serving is not colour and (name not in before or _differs(before[name], after[name])):
                now = f"{serving} serves" if serving else "its traffic is moving"
                refusals.append(f"{name} would lead {service} to {colour}, but {now}: that would be an outage.")
                moved.add(service)
    return Plan(changes, refusals, moved)


def deployed_templates(environment: DeployedEnvironment) -> dict[str, Template]:
    """Return the templates that CloudFormation has of the nested stacks, by logical id."""
    return dict(_templates(environment))


def deployed_colours(names: Names, deployed: Mapping[str, Template]) -> dict[Service, Colour]:
    """Return which target group the rules led to when the stack was deployed last.

    A rule that stays as CloudFormation knows it is not touched by an update, nor by the rollback of one; whichever group a release has moved its traffic to.
    """
    return {service: colour for template in deployed.values() for _, service, colour in _rules(names, template["Resources"])}


def _templates(environment: DeployedEnvironment) -> Iterator[tuple[str, Template]]:
    cloudformation = environment.aws.cloudformation
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=environment.names.stack)
    for resource in (each for page in pages for each in page["StackResourceSummaries"]):
        gone = resource["ResourceStatus"] == "DELETE_COMPLETE"
        if resource["ResourceType"] == "AWS::CloudFormation::Stack" and resource.get("PhysicalResourceId") and not gone:
            stack = resource.get("PhysicalResourceId", "")
            body: Any = cloudformation.get_template(StackName=stack, TemplateStage="Original")[
                "TemplateBody"
            ]  # without what transforms add
            yield resource["LogicalResourceId"], json.loads(body) if isinstance(body, str) else body


def _differs(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    return any(before.get(part) != after.get(part) for part in ("Type", "Properties"))


def _refusals(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name, old in before.items():
        kind, new = old["Type"], after.get(name)
        if new is None or new["Type"] != kind:
            if kind in GUARDED:
                yield f"{name} ({kind}) would be removed, and what uses it with it. Its logical id must stay what it was."
            if kind == _SUBSCRIPTION and not any(each["Type"] == _SUBSCRIPTION for each in after.values()):
                yield f"{name} would be removed, and nobody would be told of alarms any more: give --alarm-email."
            continue
        differing = _differing_properties(old, new)
        if kind == _SERVICE and differing:
            yield (
                f"{name}: {', '.join(differing)} would change, and a service that CodeDeploy deploys refuses every update by CloudFormation. "
                "Leave the service as it was, and bring the change by a release."
            )
        elif replacing := GUARDED.get(kind, frozenset()).intersection(differing):
            yield f"{name} would be replaced, since its {', '.join(sorted(replacing))} would change: that moves or drops what it holds."


def _differing_properties(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    before, after = old.get("Properties", {}), new.get("Properties", {})
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def _rules(names: Names, resources: Mapping[str, Any]) -> Iterator[tuple[str, Service, Colour]]:
    """Return the rules of a template, and the target group that each leads to."""
    groups = {name: _colour_of(names, each["Properties"].get("Name")) for name, each in resources.items() if each["Type"] == _TARGET_GROUP}
    for name, rule in resources.items():
        if rule["Type"] == _RULE:
            for target in _target_groups(rule["Properties"]["Actions"]):
                if (found := groups.get(target)) is not None:
                    yield name, *found


def _target_groups(value: Any) -> Iterator[str]:
    """Logical ids of the target groups that a rule's actions name."""
    if isinstance(value, dict):
        entries = cast("dict[str, Any]", value)
        for key, inner in entries.items():
            if key == "Ref" and isinstance(inner, str):
                yield inner
            else:
                yield from _target_groups(inner)
    elif isinstance(value, list):
        for inner in cast("list[Any]", value):
            yield from _target_groups(inner)


def _colour_of(names: Names, target_group: object) -> tuple[Service, Colour] | None:
    return next(
        ((service, colour) for service in Service for colour in Colour if names.target_group(service, colour) == target_group), None
    )
