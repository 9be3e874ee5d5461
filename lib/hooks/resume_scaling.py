"""Lets a service scale again when its deployment has ended, however it ended: whoever began it may be gone.

A Lambda function that EventBridge calls when CodeDeploy's deployments end. It has nothing but Python's standard library and boto3, which Lambda brings.
Source: CodeDeploy, "Monitoring deployments with Amazon CloudWatch Events"; Application Auto Scaling, "Suspend and resume scaling".
"""

import json
import os
from collections.abc import Mapping
from typing import Any

import boto3

_boto3: Any = boto3  # its types cover what is installed of them, and Lambda has none

_UNDER_WAY = ["Created", "Queued", "InProgress", "Baking", "Ready"]


def handler(event: Mapping[str, Any], _context: object) -> None:
    """Resume, unless the next deployment is under way already: that one's end is told, too. What raises is tried again by Lambda."""
    if event.get("awake"):  # the daily call, for which being called is all
        return
    detail = event["detail"]
    application, group = detail["application"], detail["deploymentGroup"]
    next_ones = _boto3.client("codedeploy").list_deployments(
        applicationName=application, deploymentGroupName=group, includeOnlyStatuses=_UNDER_WAY
    )["deployments"]
    resumes = not [each for each in next_ones if each != detail["deploymentId"]]
    if resumes:
        _boto3.client("application-autoscaling").register_scalable_target(
            ServiceNamespace="ecs",
            ResourceId=json.loads(os.environ["TARGETS"])[application],
            ScalableDimension="ecs:service:DesiredCount",
            SuspendedState={"DynamicScalingInSuspended": False, "DynamicScalingOutSuspended": False},
        )
    print(json.dumps({"deployment": detail["deploymentId"], "state": detail["state"], "scales": resumes}))  # noqa: T201 - Lambda's log
