"""How CodeDeploy's API tells of a deployment, and what EventBridge is told."""

import json
from dataclasses import dataclass
from typing import cast

from rehearsal.emulator import release, upstream
from rehearsal.emulator.deployment import Deployment, Status
from rehearsal.emulator.lifecycle import EventRecord, EventStatus
from rehearsal.emulator.task_sets import TaskSet, tasks_of
from rehearsal.emulator.upstream import Record

_ENDED = {Status.SUCCEEDED: "SUCCESS", Status.FAILED: "FAILURE", Status.STOPPED: "STOP"}
"""EventBridge's words for CodeDeploy's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A deployment with what it was asked for."""

    application: str
    group: Record
    """As it was then."""
    configuration: str
    description: str
    content: str
    """The AppSpec."""
    service: Record
    deployment: Deployment

    @property
    def task_sets(self) -> "release.ServiceTaskSets":
        """What it acts upon."""
        return cast("release.ServiceTaskSets", self.deployment.task_sets)


def target_id(running: Running) -> str:
    """Return the id of the one target, the service."""
    target = running.group["ecsServices"][0]
    return f"{target['clusterName']}:{target['serviceName']}"


def summary(running: Running) -> Record:
    """Return a deployment as its group tells it."""
    it = running.deployment
    return _present({"deploymentId": it.deployment_id, "status": it.status, "createTime": it.created_at, "endTime": it.ended_at})


def _present(told: Record) -> Record:
    return {key: value for key, value in told.items() if value is not None}


def deployment(running: Running, is_rollback: bool) -> Record:
    """Return a deployment, or the rollback that it caused, as GetDeployment tells it."""
    group, it = running.group, running.deployment
    common: Record = {
        "applicationName": running.application,
        "deploymentGroupName": group["deploymentGroupName"],
        "deploymentConfigName": running.configuration,
        "revision": {"revisionType": "AppSpecContent", "appSpecContent": {"content": running.content}},
        "deploymentStyle": {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
        "blueGreenDeploymentConfiguration": group.get("blueGreenDeploymentConfiguration"),
        "loadBalancerInfo": group["loadBalancerInfo"],
        "computePlatform": "ECS",
    }
    told = {**common, **(_rollback(it) if is_rollback else _original(running))}
    return _present(told)


def _original(running: Running) -> Record:
    it = running.deployment
    error = {"code": it.code.value, "message": it.message} if it.code is not None else None
    undone = None
    if it.rollback is not None:
        undone = {
            "rollbackDeploymentId": it.rollback.deployment_id,
            "rollbackMessage": f"Deployment {it.deployment_id} did not succeed. CodeDeploy rolled it back with {it.rollback.deployment_id}.",
        }
    return {
        "deploymentId": it.deployment_id,
        "status": it.status.value,
        "errorInformation": error,
        "createTime": it.created_at,
        "startTime": it.started_at,
        "completeTime": it.ended_at,
        "deploymentOverview": _overview(it.status),
        "description": running.description,
        "creator": "user",
        "autoRollbackConfiguration": {
            "enabled": bool(it.plan.rollback_causes),
            "events": sorted(each.value for each in it.plan.rollback_causes),
        },
        "rollbackInfo": undone,
        "instanceTerminationWaitTimeStarted": False,  # of ECS's: aws/containers-roadmap issue 269
    }


def _rollback(it: Deployment) -> Record:
    rollback = it.rollback
    if rollback is None:
        return {}
    return {
        "deploymentId": rollback.deployment_id,
        "status": rollback.status.value,
        "createTime": rollback.started_at,
        "startTime": rollback.started_at,
        "completeTime": rollback.ended_at,
        "deploymentOverview": _overview(rollback.status),
        "creator": "codeDeployRollback",
        "rollbackInfo": {"rollbackTriggeringDeploymentId": it.deployment_id},
    }


def _overview(status: Status) -> Record:
    counted = {
        "Pending": status is Status.CREATED,
        "InProgress": status is Status.IN_PROGRESS,
        "Succeeded": status is Status.SUCCEEDED,
        "Failed": status is Status.FAILED,
        "Skipped": status is Status.STOPPED,
        "Ready": False,
    }
    return {key: int(value) for key, value in counted.items()}


def target(running: Running) -> Record:
    """Return the service as GetDeploymentTarget tells it."""
    it = running.deployment
    percent = it.percent
    sets = running.task_sets
    infos = [_set_info(running, sets.original, 100 - percent, "Blue")]
    if sets.replacement is not None:
        infos.append(_set_info(running, sets.replacement, percent, "Green"))
    return {
        "deploymentTargetType": "ECSTarget",
        "ecsTarget": {
            "deploymentId": it.deployment_id,
            "targetId": target_id(running),
            "targetArn": running.service["serviceArn"],
            "lastUpdatedAt": it.clock(),
            "lifecycleEvents": [_event(each) for each in it.events],
            "status": {Status.CREATED: "Pending", Status.STOPPED: "Skipped"}.get(it.status, it.status.value),
            "taskSetsInfo": infos,
        },
    }


def _event(record: EventRecord) -> Record:
    told: Record = {"lifecycleEventName": record.event.value, "status": record.status.value}
    told |= _present({"startTime": record.started_at, "endTime": record.ended_at})
    if record.status is EventStatus.FAILED:
        told["diagnostics"] = {"errorCode": "ScriptFailed", "message": record.message}
    return told


def _set_info(running: Running, task_set: TaskSet, weight: int, label: str) -> Record:
    tasks = tasks_of(task_set)
    group = task_set.load_balancers[0]["targetGroupArn"]
    up = sum(each["lastStatus"] == "RUNNING" for each in tasks)
    return {
        # The API itself spells it so.
        "identifer": task_set.set_id,
        "desiredCount": task_set.wanted(running.service["desiredCount"]),
        "pendingCount": len(tasks) - up,
        "runningCount": up,
        "status": task_set.status.value,
        "trafficWeight": float(weight),
        "targetGroup": {"name": upstream.module("services.alb")._tgs.get(group, {}).get("TargetGroupName", group)},
        "taskSetLabel": label,
    }


def events(running: Running) -> list[Record]:
    """Return all that there is to tell so far, the oldest first, as entries of PutEvents; what was told stays at its place."""
    it = running.deployment
    told = [(it.deployment_id, "START")] if it.status is not Status.CREATED else []
    told += [(it.deployment_id, _ENDED[it.status])] if it.status in _ENDED else []
    if it.rollback is not None:
        told.append((it.rollback.deployment_id, "START"))
        told += [(it.rollback.deployment_id, _ENDED[it.rollback.status])] if it.rollback.status in _ENDED else []
    return [_event_entry(running, deployment_id, state) for deployment_id, state in told]


def _event_entry(running: Running, deployment_id: str, state: str) -> Record:
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
