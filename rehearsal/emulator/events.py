"""What AWS's services tell EventBridge here: CodeDeploy that a deployment began, and how it ended; ECS of Spot's notices.

AWS: "Monitoring deployments with Amazon CloudWatch Events"; ECS, "Amazon ECS task state change events". Rules and their targets are ministack's own.
"""

import json

from rehearsal.emulator import upstream
from rehearsal.emulator.deployment import Status
from rehearsal.emulator.telling import Running
from rehearsal.emulator.upstream import Record

_ENDED = {Status.SUCCEEDED: "SUCCESS", Status.FAILED: "FAILURE", Status.STOPPED: "STOP"}
"""EventBridge's words for CodeDeploy's."""


def of(running: Running) -> list[Record]:
    """Return all that there is to tell so far, the oldest first, as entries of PutEvents; what was told stays at its place."""
    it = running.deployment
    told = [(it.deployment_id, "START")] if it.status is not Status.CREATED else []
    told += [(it.deployment_id, _ENDED[it.status])] if it.status in _ENDED else []
    if it.rollback is not None:
        told.append((it.rollback.deployment_id, "START"))
        told += [(it.rollback.deployment_id, _ENDED[it.rollback.status])] if it.rollback.status in _ENDED else []
    return [_entry(running, deployment_id, state) for deployment_id, state in told]


def _entry(running: Running, deployment_id: str, state: str) -> Record:
    region, group = upstream.region(), running.group["deploymentGroupName"]
    arn = f"arn:aws:codedeploy:{region}:{upstream.account()}"
    detail = {
        "instanceGroupId": running.group["deploymentGroupId"],
        "region": region,
        "application": running.application,
        "deploymentId": deployment_id,
        "state": state,
        "deploymentGroup": group,
    }
    return {
        "Source": "aws.codedeploy",
        "DetailType": "CodeDeploy Deployment State-change Notification",
        "Resources": [f"{arn}:application:{running.application}", f"{arn}:deploymentgroup:{running.application}/{group}"],
        "Detail": json.dumps(detail),
    }


def interruption(task: Record, address: str) -> Record:
    """Return what ECS tells when a task gets Spot's notice."""
    interface = {"id": task["taskArn"], "type": "eni", "details": [{"name": "privateIPv4Address", "value": address}]}
    detail = {
        **{name: task[name] for name in ("clusterArn", "group", "lastStatus", "taskArn", "taskDefinitionArn")},
        "attachments": [interface],
        "capacityProviderName": task["capacityProviderName"],
        "desiredStatus": "STOPPED",
        "stopCode": "SpotInterruption",
        "stoppedReason": "Your Spot Task was interrupted.",
    }
    return {"Source": "aws.ecs", "DetailType": "ECS Task State Change", "Resources": [task["taskArn"]], "Detail": json.dumps(detail)}


def announce(entries: list[Record]) -> None:
    """Give them to EventBridge, which calls the targets of rules that match."""
    upstream.module("services.eventbridge")._put_events({"Entries": entries}, allow_aws_source=True)
