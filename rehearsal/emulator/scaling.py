"""Application Auto Scaling: targets and policies are records. No metric drives it, but a service is moved into its range at once."""

import json
import time
import uuid
from typing import Any

from rehearsal.emulator import cloudformation, services, upstream
from rehearsal.emulator.cloudformation import Created, ResourceFailed
from rehearsal.emulator.upstream import Answer, Record

_KEY = ("ServiceNamespace", "ResourceId", "ScalableDimension")
_targets: Any = None
_policies: Any = None


def install() -> None:
    """Serve the API and CloudFormation's types."""
    global _targets, _policies
    store = upstream.module("core.responses").AccountRegionScopedDict
    _targets, _policies = store(), store()
    upstream.module("app").SERVICE_HANDLERS["application-autoscaling"] = _serve
    cloudformation.register(
        "AWS::ApplicationAutoScaling::ScalableTarget",
        create=lambda _logical_id, properties, _stack: _target_resource(properties),
        update=lambda _physical_id, _old, new, _stack, _logical_id: _target_resource(new),
        delete=lambda physical_id, _properties: _targets.pop(physical_id, None),
    )
    cloudformation.register(
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        create=lambda _logical_id, properties, _stack: _policy_resource(properties),
        update=lambda _physical_id, _old, new, _stack, _logical_id: _policy_resource(new),
        delete=lambda physical_id, _properties: _policies.pop(physical_id, None),
    )


def _key(request: Record) -> str:
    return "|".join(str(request[each]) for each in ("ResourceId", "ScalableDimension", "ServiceNamespace"))


class _NotFound(Exception):
    """ObjectNotFoundException"""


def _put_target(request: Record) -> Record:
    _, cluster, name = str(request["ResourceId"]).split("/")
    service = services.find(cluster, name)
    if service is None or service["status"] == "INACTIVE":
        raise _NotFound(f"ECS service doesn't exist: {request['ResourceId']}")
    known = _targets.get(_key(request), {"CreationTime": time.time(), **{each: request[each] for each in _KEY}})
    smallest = int(request.get("MinCapacity", known.get("MinCapacity", 0)))
    largest = int(request.get("MaxCapacity", known.get("MaxCapacity", smallest)))
    if smallest > largest:
        raise ValueError("Maximum capacity cannot be less than minimum capacity")
    arn = f"arn:aws:application-autoscaling:{upstream.region()}:{upstream.account()}:scalable-target/{uuid.uuid4().hex[:20]}"
    target = {"ScalableTargetARN": arn, **known, "MinCapacity": smallest, "MaxCapacity": largest}
    if "SuspendedState" in request:
        target["SuspendedState"] = suspended_state(known.get("SuspendedState"), request["SuspendedState"])
    _targets[_key(request)] = target
    # A service at 0 is left alone: ECS takes that for a wish, until an alarm or somebody raises it.
    inside = min(max(service["desiredCount"], smallest), largest) if service["desiredCount"] else 0
    if inside != service["desiredCount"]:
        upstream.module("services.ecs")._update_service({"cluster": cluster, "service": name, "desiredCount": inside})
    return target


def suspended_state(known: Record | None, said: Record) -> Record:
    """Return what is suspended: of what isn't said, as it was."""
    parts = ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")
    if unknown := said.keys() - set(parts):
        raise ValueError(f"Unknown parameter in SuspendedState: {', '.join(sorted(unknown))}")
    return {part: bool(said.get(part, (known or {}).get(part, False))) for part in parts}


def _put_policy(request: Record) -> Record:
    if _key(request) not in _targets:
        raise _NotFound(
            f"No scalable target registered for service namespace: {request['ServiceNamespace']}, resource ID: {request['ResourceId']}"
        )
    arn = (
        f"arn:aws:autoscaling:{upstream.region()}:{upstream.account()}:scalingPolicy:{uuid.uuid5(uuid.NAMESPACE_URL, _key(request))}"
        f":resource/{request['ServiceNamespace']}/{request['ResourceId']}:policyName/{request['PolicyName']}"
    )
    fields = (*_KEY, "PolicyName", "PolicyType", "TargetTrackingScalingPolicyConfiguration", "StepScalingPolicyConfiguration")
    policy = {key: request[key] for key in fields if key in request}
    _policies[arn] = {**policy, "PolicyARN": arn, "Alarms": [], "CreationTime": time.time()}
    return _policies[arn]


def _target_resource(properties: Record) -> Created:
    try:
        _put_target(properties)
    except (_NotFound, ValueError) as problem:
        raise ResourceFailed(str(problem)) from problem
    return _key(properties), {"Id": _key(properties)}


def _policy_resource(properties: Record) -> Created:
    request = dict(properties)
    if identifier := properties.get("ScalingTargetId"):
        request["ResourceId"], request["ScalableDimension"], request["ServiceNamespace"] = identifier.split("|")
    tracking = dict(request.get("TargetTrackingScalingPolicyConfiguration") or {})
    if tracking:
        tracking["TargetValue"] = float(tracking["TargetValue"])
        request["TargetTrackingScalingPolicyConfiguration"] = tracking
    try:
        arn = _put_policy(request)["PolicyARN"]
    except _NotFound as problem:
        raise ResourceFailed(str(problem)) from problem
    return arn, {"Arn": arn}


async def _serve(_method: str, _path: str, headers: Record, body: bytes, _query: Record) -> Answer:
    operation = headers.get("x-amz-target", "").rsplit(".", 1)[-1]
    try:
        return upstream.json_answer(_answer(operation, json.loads(body or b"{}")))
    except _NotFound as problem:
        return upstream.json_error("ObjectNotFoundException", str(problem))
    except ValueError as problem:
        return upstream.json_error("ValidationException", str(problem))


def _answer(operation: str, request: Record) -> Record:
    match operation:
        case "RegisterScalableTarget":
            return {"ScalableTargetARN": _put_target(request)["ScalableTargetARN"]}
        case "DescribeScalableTargets":
            return {"ScalableTargets": _chosen(_targets, request, "ResourceIds", "ResourceId")}
        case "DeregisterScalableTarget":
            if _targets.pop(_key(request), None) is None:
                raise _NotFound(f"No scalable target registered for {request['ResourceId']}")
            return {}
        case "PutScalingPolicy":
            return {"PolicyARN": _put_policy(request)["PolicyARN"], "Alarms": []}
        case "DescribeScalingPolicies":
            return {"ScalingPolicies": _chosen(_policies, request, "PolicyNames", "PolicyName")}
        case "DescribeScalingActivities":
            return {"ScalingActivities": []}
        case "DeleteScalingPolicy":
            for arn in [
                key for key, each in _policies.items() if each["PolicyName"] == request["PolicyName"] and _key(each) == _key(request)
            ]:
                _policies.pop(arn)
            return {}
        case _:
            raise ValueError(f"{operation} isn't emulated")


def _chosen(store: Any, request: Record, many: str, one: str) -> list[Record]:
    wanted = request.get(many)
    filters = {key: request[key] for key in _KEY if key in request}
    return [
        each for each in store.values() if (not wanted or each[one] in wanted) and all(each[key] == value for key, value in filters.items())
    ]
