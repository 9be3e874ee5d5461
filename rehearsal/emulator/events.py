"""What CodeDeploy tells EventBridge of a deployment: that it began, and how it ended.

AWS: "Monitoring deployments with Amazon CloudWatch Events"; EventBridge's reference, "AWS CodeDeploy events". Rules and their targets are ministack's own.
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


def announce(entries: list[Record]) -> None:
    """Give them to EventBridge, which calls the targets of rules that match."""
    upstream.module("services.eventbridge")._put_events({"Entries": entries}, allow_aws_source=True)
