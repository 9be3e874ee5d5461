"""What a release tells CodeDeploy. Source: CodeDeploy, "AppSpec file structure", for Amazon ECS."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from payments.runtime.topology import CONTAINER_PORT, Names, Service


def app_spec(names: Names, service: Service, task_definition: str, strategy: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the AppSpec. It always carries the capacity-provider strategy: without it CodeDeploy starts the new tasks with none."""
    if not strategy:
        raise ValueError("a release without a capacity-provider strategy would lose it")
    return {
        "version": 0.0,
        "Resources": [
            {
                "TargetService": {
                    "Type": "AWS::ECS::Service",
                    "Properties": {
                        "TaskDefinition": task_definition,
                        "LoadBalancerInfo": {"ContainerName": service.value, "ContainerPort": CONTAINER_PORT},
                        "CapacityProviderStrategy": [
                            {"CapacityProvider": each["capacityProvider"], "Base": each.get("base", 0), "Weight": each.get("weight", 0)}
                            for each in strategy
                        ],
                    },
                }
            }
        ],
        "Hooks": [{"AfterAllowTestTraffic": names.hook_function}],
    }


def revision(spec: Mapping[str, Any]) -> Any:
    """Return the AppSpec as CodeDeploy's API takes it."""
    content = json.dumps(spec)
    return {
        "revisionType": "AppSpecContent",
        "appSpecContent": {"content": content, "sha256": hashlib.sha256(content.encode()).hexdigest()},
    }
