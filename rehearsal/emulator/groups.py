"""CodeDeploy's applications and deployment groups, made by CloudFormation."""

import uuid
from dataclasses import dataclass, field
from typing import Any

from rehearsal.emulator import cloudformation, services, upstream
from rehearsal.emulator.cloudformation import Created, ResourceFailed
from rehearsal.emulator.scheduler import is_ours
from rehearsal.emulator.traffic import ALL_AT_ONCE, UnknownConfiguration, traffic_steps
from rehearsal.emulator.upstream import Record


@dataclass(slots=True)
class Application:
    """One CodeDeploy application."""

    name: str
    application_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    groups: dict[str, Record] = field(default_factory=dict[str, Record])
    """Deployment groups by name, as GetDeploymentGroup tells them."""


_applications: Any = None


def applications() -> Any:
    """Return the request's account's applications by name."""
    return _applications


def install() -> None:
    """Add the types."""
    global _applications  # noqa: PLW0603 - ministack's stores by account and region exist only once it is imported
    _applications = upstream.module("core.responses").AccountRegionScopedDict()
    cloudformation.register(
        "AWS::CodeDeploy::Application",
        create=_create_application,
        update=lambda physical_id, _old, _new, _stack, _logical_id: (physical_id, {}),
        delete=lambda physical_id, _properties: _applications.pop(physical_id, None),
    )
    cloudformation.register(
        "AWS::CodeDeploy::DeploymentGroup",
        create=lambda logical_id, properties, stack: _put_group(
            properties.get("DeploymentGroupName") or cloudformation.physical_name(stack, logical_id), properties
        ),
        update=lambda physical_id, _old, new, _stack, _logical_id: _put_group(physical_id, new),
        delete=_delete_group,
    )


def _create_application(logical_id: str, properties: Record, stack_name: str) -> Created:
    name = properties.get("ApplicationName") or cloudformation.physical_name(stack_name, logical_id)
    if name in _applications:
        raise ResourceFailed(f"Application {name} already exists")
    if properties.get("ComputePlatform") != "ECS":
        raise ResourceFailed("Only the ECS compute platform is emulated")
    _applications[name] = Application(name)
    return name, {}


def _put_group(name: str, properties: Record) -> Created:
    application: Application | None = _applications.get(properties["ApplicationName"])
    if application is None:
        raise ResourceFailed(f"No application found for name: {properties['ApplicationName']}")
    _check(properties)
    told = upstream.camel({key: value for key, value in properties.items() if key not in {"ECSServices", "Tags"}})
    group_id = application.groups.get(name, {}).get("deploymentGroupId", str(uuid.uuid4()))
    application.groups[name] = {
        "deploymentConfigName": ALL_AT_ONCE,
        **told,
        "deploymentGroupId": group_id,
        "deploymentGroupName": name,
        "computePlatform": "ECS",
        "ecsServices": upstream.camel(properties["ECSServices"]),
    }
    return name, {"DeploymentGroupId": group_id}


def _check(properties: Record) -> None:
    """Refuse what CodeDeploy refuses."""
    alb = upstream.module("services.alb")
    for each in properties["ECSServices"]:
        service = services.find(each["ClusterName"], each["ServiceName"])
        if service is None or service["status"] != "ACTIVE":
            raise ResourceFailed(f"InvalidECSServiceException: The ECS service cannot be found: {each['ServiceName']}")
        if not is_ours(service):
            raise ResourceFailed(
                "InvalidECSServiceException: Deployment group's ECS service must be configured for a CODE_DEPLOY controller."
            )
    known = {group["TargetGroupName"] for group in alb._tgs.values()}
    for pair in properties["LoadBalancerInfo"]["TargetGroupPairInfoList"]:
        if len(pair["TargetGroups"]) != 2 or any(each["Name"] not in known for each in pair["TargetGroups"]):
            raise ResourceFailed(f"InvalidTargetGroupPairException: {pair['TargetGroups']}")
        for route in ("ProdTrafficRoute", "TestTrafficRoute"):
            if any(arn not in alb._listeners for arn in pair.get(route, {}).get("ListenerArns", [])):
                raise ResourceFailed(f"InvalidTargetGroupPairException: {route} names a listener that can't be found")
    try:
        traffic_steps(properties.get("DeploymentConfigName", ALL_AT_ONCE))
    except UnknownConfiguration as problem:
        raise ResourceFailed(str(problem)) from problem


def _delete_group(physical_id: str, properties: Record) -> None:
    application: Application | None = _applications.get(properties["ApplicationName"])
    if application is not None:
        application.groups.pop(physical_id, None)
