"""Takes a task out of its load balancer when Fargate Spot takes its capacity away: ECS itself may do so only once the task has stopped.

A Lambda function that EventBridge calls when a task that runs is to stop: with Spot's notice, which the task gets as SIGTERM at the same time, or otherwise.
It has nothing but Python's standard library and boto3, which Lambda brings. Source: ECS, "Amazon ECS task state change events"; AWS's knowledge center, "How
do I handle Spot termination notices in AWS Fargate Spot tasks?"; aws/containers-roadmap issues 797 and 2673.
"""

import json
import os
from collections.abc import Mapping
from typing import Any

import boto3

_boto3: Any = boto3  # its types cover what is installed of them, and Lambda has none


def handler(event: Mapping[str, Any], _context: object) -> None:
    """Deregister it from both groups of its service; one that isn't registered is no error. What raises is tried again by Lambda."""
    if event.get("awake"):  # the daily call, for which being called is all
        return
    task = event["detail"]
    family = task["taskDefinitionArn"].rpartition("/")[2].rpartition(":")[0]
    addresses = [
        each["value"]
        for attachment in task.get("attachments", [])
        for each in attachment["details"]
        if each["name"] == "privateIPv4Address"
    ]
    balancers, port = _boto3.client("elbv2"), int(os.environ["PORT"])
    groups: dict[str, list[str]] = json.loads(os.environ["TARGET_GROUPS"])
    for group in groups.get(family, []) if addresses else []:
        balancers.deregister_targets(TargetGroupArn=group, Targets=[{"Id": address, "Port": port} for address in addresses])
    print(json.dumps({"task": task["taskArn"], "family": family, "addresses": addresses}))  # noqa: T201 - Lambda's log
