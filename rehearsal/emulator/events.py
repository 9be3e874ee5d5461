"""What AWS's services tell EventBridge here: CodeDeploy that a deployment began, and how it ended; ECS of Spot's notices.

AWS: "Monitoring deployments with Amazon CloudWatch Events"; ECS, "Amazon ECS task state change events". Rules and their targets are ministack's own.
"""

import json

from rehearsal.emulator import upstream
from rehearsal.emulator.upstream import Record


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
