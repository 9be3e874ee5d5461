"""An AppSpec of an ECS deployment, in JSON or YAML.

AWS: "AppSpec File structure for Amazon ECS deployments".
"""

import importlib
import json
from dataclasses import dataclass
from typing import Any, cast

from rehearsal.emulator.lifecycle import HOOK_EVENTS, Event


class InvalidAppSpec(Exception):
    """The AppSpec file is not what CodeDeploy takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSpec:
    """What a deployment is to start."""

    task_definition: str
    container_name: str
    container_port: int
    hooks: dict[Event, str]
    """Names or ARNs of Lambda functions."""
    capacity_provider_strategy: list[dict[str, Any]] | None
    """None drops the service's strategy: the replacement runs with launch type FARGATE."""
    network_configuration: dict[str, Any] | None
    platform_version: str | None


def parse(content: str) -> AppSpec:
    """Read an AppSpec; raises `InvalidAppSpec`."""
    document = _mapping(_load(content), "the AppSpec")
    if str(document.get("version")) not in {"0.0", "0"}:
        raise InvalidAppSpec(f"The AppSpec's version must be 0.0, not {document.get('version')!r}")
    resources = document.get("Resources")
    if not isinstance(resources, list) or len(cast("list[Any]", resources)) != 1:
        raise InvalidAppSpec("The AppSpec must contain exactly one ECS resource")
    named = _mapping(cast("list[Any]", resources)[0], "a resource")
    target = _mapping(next(iter(named.values()), None), "TargetService")
    if target.get("Type") != "AWS::ECS::Service":
        raise InvalidAppSpec("The resource's Type must be AWS::ECS::Service")
    properties = _mapping(target.get("Properties"), "Properties")
    balancer = _mapping(properties.get("LoadBalancerInfo"), "LoadBalancerInfo")
    try:
        return AppSpec(
            task_definition=str(properties["TaskDefinition"]),
            container_name=str(balancer["ContainerName"]),
            container_port=int(balancer["ContainerPort"]),
            hooks=_hooks(document.get("Hooks")),
            capacity_provider_strategy=properties.get("CapacityProviderStrategy"),
            network_configuration=properties.get("NetworkConfiguration"),
            platform_version=properties.get("PlatformVersion"),
        )
    except KeyError as missing:
        raise InvalidAppSpec(f"The AppSpec lacks {missing.args[0]}") from missing


def _load(content: str) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        pass
    yaml = importlib.import_module("yaml")
    try:
        return yaml.safe_load(content)
    except yaml.YAMLError as problem:
        raise InvalidAppSpec(f"The AppSpec is neither JSON nor YAML: {problem}") from problem


def _mapping(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidAppSpec(f"{what} must be a mapping")
    return cast("dict[str, Any]", value)


def _hooks(value: Any) -> dict[Event, str]:
    if value is None:
        return {}
    hooks: dict[Event, str] = {}
    for entry in cast("list[dict[str, str]]", value):
        for name, function in entry.items():
            if name not in HOOK_EVENTS:
                raise InvalidAppSpec(f"{name} is no lifecycle event that takes a hook on ECS")
            hooks[Event(name)] = function
    return hooks
