"""Services that CodeDeploy deploys: what the ECS API says of them and refuses, and their CloudFormation resources.

CloudFormation waits until a service is steady, for three hours (scaled), and a service needs a target group that a listener forwards to.
"""

import json
from copy import copy
from typing import Any

from rehearsal.emulator import cloudformation, upstream
from rehearsal.emulator.cloudformation import Created, ResourceFailed, same_but_for_tags
from rehearsal.emulator.load_balancer import groups_of
from rehearsal.emulator.scheduler import SCHEDULER, is_ours, is_steady, publish, wait_until
from rehearsal.emulator.task_sets import SetStatus, describe, first_set, primary_of, sets_of
from rehearsal.emulator.upstream import Answer, Record

_STABLE_MINUTES_MAX = 180
_STOPPED_MINUTES_MAX = 60
_REFUSED = {
    "taskDefinition": "task definition",
    "networkConfiguration": "network parameters",
    "loadBalancers": "load balancers",
    "capacityProviderStrategy": "capacity provider strategy",
    "platformVersion": "platform version",
}
"""AWS, UpdateService: "If the launch type, network configuration, platform version, task definition, or load balancer need to be
updated, create a new CodeDeploy deployment"."""
_REFUSAL = "Unable to update {} on services with a CODE_DEPLOY deployment controller. Use AWS CodeDeploy to trigger a new deployment."
_SETTABLE = {
    "DesiredCount": "desiredCount",
    "HealthCheckGracePeriodSeconds": "healthCheckGracePeriodSeconds",
    "DeploymentConfiguration": "deploymentConfiguration",
    "EnableExecuteCommand": "enableExecuteCommand",
    "TaskDefinition": "taskDefinition",
    "NetworkConfiguration": "networkConfiguration",
    "LoadBalancers": "loadBalancers",
    "CapacityProviderStrategy": "capacityProviderStrategy",
    "PlatformVersion": "platformVersion",
}


def _ecs() -> Any:
    return upstream.module("services.ecs")


def find(cluster: str, name: str) -> Record | None:
    """Return a service's record."""
    return _ecs()._services.get(f"{cluster.rsplit('/', 1)[-1]}/{name.rsplit('/', 1)[-1]}")


def install() -> None:
    """Mend ministack's services and add what its CloudFormation lacks."""
    ecs = _ecs()
    originals: dict[str, Any] = {}

    def create(request: Record) -> Answer:
        if problem := _unattached(request):
            return upstream.json_error("InvalidParameterException", problem)
        return originals["create"](request)

    def reconcile(cluster: str, key: str) -> None:
        service = ecs._services.get(key)
        if service is None or not is_ours(service):
            originals["reconcile"](cluster, key)
            return
        service["deployments"] = []
        if not sets_of(service):
            sets_of(service).append(first_set(service))
        SCHEDULER.wake()

    def update(request: Record) -> Answer:
        service = find(request.get("cluster", "default"), request.get("service", ""))
        if service is not None and is_ours(service) and (problem := _frozen(service, request)):
            return upstream.json_error("InvalidParameterException", problem)
        return originals["update"](request)

    def delete(request: Record) -> Answer:
        service = find(request.get("cluster", "default"), request.get("service", ""))
        if service is None or not is_ours(service):
            return originals["delete"](request)
        return _delete(service, force=bool(request.get("force")))

    def sync(cluster: str, service: Record) -> None:
        if is_ours(service):
            publish(service)
            SCHEDULER.wake()
        else:
            originals["sync"](cluster, service)

    originals["create"] = upstream.replace(ecs, "_create_service", create)
    originals["reconcile"] = upstream.replace(ecs, "_reconcile_service_tasks", reconcile)
    originals["update"] = upstream.replace(ecs, "_update_service", update)
    originals["delete"] = upstream.replace(ecs, "_delete_service", delete)
    originals["sync"] = upstream.replace(ecs, "_sync_service_targets", sync)
    # A record is told while the scheduler may note something in it.
    sanitize = upstream.replace(ecs, "_sanitize", lambda record: sanitize(copy(record)))
    describe_services = upstream.replace(ecs, "_describe_services", lambda request: _with_task_sets(describe_services(request)))
    cloudformation.register("AWS::ECS::Service", create=_create_resource, update=_update_resource, delete=_delete_resource)
    cloudformation.EARLY_DELETIONS["AWS::ECS::Service"] = _begin_deletion
    cloudformation.register("AWS::ECS::TaskDefinition", create=_register, update=_register_anew, delete=_deregister)
    cloudformation.register(
        "AWS::ECS::ClusterCapacityProviderAssociations",
        create=_associate,
        update=lambda _physical_id, _old, new, stack, logical_id: _associate(logical_id, new, stack),
        delete=lambda _physical_id, _properties: None,
    )


def _unattached(request: Record) -> str:
    """Return the refusal of a service whose target group no listener forwards to."""
    if (request.get("deploymentController") or {}).get("type") != "CODE_DEPLOY":
        return ""
    alb = upstream.module("services.alb")
    used = {group for rule in list(alb._rules.values()) for action in rule["Actions"] for group in groups_of(action)}
    missing = [each["targetGroupArn"] for each in request.get("loadBalancers", []) if each["targetGroupArn"] not in used]
    return f"The target group with targetGroupArn {missing[0]} does not have an associated load balancer." if missing else ""


def _frozen(service: Record, request: Record) -> str:
    """Return the refusal of a change that only a deployment may make."""
    for field, words in _REFUSED.items():
        if field not in request or request[field] == service.get(field):
            continue
        if field == "taskDefinition":
            family = service["taskDefinition"].rsplit("/", 1)[-1].rsplit(":", 1)[0]
            if request[field] in {family, service["taskDefinition"], service["taskDefinition"].rsplit("/", 1)[-1]}:
                del request[field]
                continue
        return _REFUSAL.format(words)
    return ""


def _delete(service: Record, *, force: bool) -> Answer:
    if service["desiredCount"] > 0 and not force:
        return upstream.json_error("InvalidParameterException", "The service cannot be stopped while it is scaled above 0.")
    service["status"], service["desiredCount"] = "DRAINING", 0
    for task_set in sets_of(service):
        task_set.status = SetStatus.DRAINING
    publish(service)
    SCHEDULER.wake()
    return upstream.json_answer({"service": _ecs()._sanitize(service)})


def _with_task_sets(answer: Answer) -> Answer:
    if answer[0] >= 400:
        return answer
    told = json.loads(answer[2])
    for each in told["services"]:
        service = find(each["clusterArn"], each["serviceName"])
        if service is None or not is_ours(service):
            continue
        each["deployments"] = []
        each["taskSets"] = [
            _ecs()._sanitize(describe(service, task_set, steady=is_steady(service, task_set))) for task_set in sets_of(service)
        ]
        if each["status"] == "DRAINING" and not sets_of(service):
            service["status"] = each["status"] = "INACTIVE"
    return upstream.json_answer(told)


def _create_resource(logical_id: str, properties: Record, stack_name: str) -> Created:
    cluster = str(properties.get("Cluster", "default")).rsplit("/", 1)[-1]
    name = properties.get("ServiceName") or cloudformation.physical_name(stack_name, logical_id)
    request = upstream.camel({key: value for key, value in properties.items() if key != "Tags"})
    request |= {"cluster": cluster, "serviceName": name, "tags": upstream.camel(properties.get("Tags") or [])}
    request["desiredCount"] = int(properties.get("DesiredCount", 1))
    cloudformation.done(_ecs()._create_service(request))
    service = _ecs()._services[f"{cluster}/{name}"]
    try:
        _wait_until_steady(service)
    except ResourceFailed:
        _delete_and_wait(service)
        raise
    return service["serviceArn"], {"ServiceArn": service["serviceArn"], "Name": name}


def _wait_until_steady(service: Record) -> None:
    if not is_ours(service):
        return
    if not wait_until(lambda: is_steady(service, primary_of(service)), _STABLE_MINUTES_MAX):
        reason = primary_of(service).last_reason
        raise ResourceFailed(f"Exceeded attempts to wait: the service did not stabilize. {reason}".strip())


def _update_resource(physical_id: str, old: Record, new: Record, _stack_name: str, _logical_id: str) -> Created:
    cluster, name = physical_id.split("/")[-2:]
    service = _ecs()._services[f"{cluster}/{name}"]
    request: Record = {"cluster": cluster, "service": name}
    if is_ours(service) and not same_but_for_tags(old, new):
        # CloudFormation sends every property with any change, and ECS refuses those that only a deployment may change.
        raise ResourceFailed(_REFUSAL.format("network parameters"))
    for prop, field in _SETTABLE.items():
        if new.get(prop) != old.get(prop):
            request[field] = int(new[prop]) if prop == "DesiredCount" else upstream.camel(new.get(prop))
    cloudformation.done(_ecs()._update_service(request))
    if "desiredCount" in request:
        _wait_until_steady(service)
    return physical_id, {"ServiceArn": physical_id, "Name": name}


def _delete_resource(physical_id: str, _properties: Record) -> None:
    cluster, name = physical_id.split("/")[-2:]
    service = _ecs()._services.get(f"{cluster}/{name}")
    if service is not None and service["status"] != "INACTIVE":
        _delete_and_wait(service)


def _begin_deletion(physical_id: str) -> None:
    service = find(*physical_id.split("/")[-2:])
    if service is not None and is_ours(service) and service["status"] == "ACTIVE":
        _delete(service, force=True)


def _delete_and_wait(service: Record) -> None:
    request = {"cluster": service["clusterArn"], "service": service["serviceName"], "force": True}
    cloudformation.done(_ecs()._delete_service(request))
    if is_ours(service):
        if not wait_until(lambda: not sets_of(service), _STOPPED_MINUTES_MAX):
            raise ResourceFailed("The service's tasks didn't stop in time")
        service["status"] = "INACTIVE"


def _register(logical_id: str, properties: Record, stack_name: str) -> Created:
    """Register by the API: ministack's own way loses secrets and health checks."""
    request = upstream.camel({key: value for key, value in properties.items() if key != "Tags"})
    request.setdefault("family", cloudformation.physical_name(stack_name, logical_id))
    request["tags"] = upstream.camel(properties.get("Tags") or [])
    told = cloudformation.done(_ecs()._register_task_definition(request))
    arn = told["taskDefinition"]["taskDefinitionArn"]
    return arn, {"TaskDefinitionArn": arn}


def _register_anew(physical_id: str, old: Record, new: Record, stack_name: str, logical_id: str) -> Created:
    if same_but_for_tags(old, new):
        _ecs()._tags[physical_id] = upstream.camel(new.get("Tags") or [])
        return physical_id, {"TaskDefinitionArn": physical_id}
    created = _register(logical_id, new, stack_name)
    if not cloudformation.provisioners()._RETAIN_REPLACED.get():
        _deregister(physical_id, old)
    return created


def _deregister(physical_id: str, _properties: Record) -> None:
    _ecs()._deregister_task_definition({"taskDefinition": physical_id})


def _associate(_logical_id: str, properties: Record, _stack_name: str) -> Created:
    request = {
        "cluster": properties["Cluster"],
        "capacityProviders": properties["CapacityProviders"],
        "defaultCapacityProviderStrategy": upstream.camel(properties.get("DefaultCapacityProviderStrategy") or []),
    }
    cloudformation.done(_ecs()._put_cluster_capacity_providers(request))
    return str(properties["Cluster"]), {}
