"""CodeDeploy's API for ECS: deployments are started, told of, stopped, continued, and their hooks answer here."""

import json
import secrets
import string
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rehearsal.emulator import appspec, events, loops, release, services, telling, traffic, upstream
from rehearsal.emulator.deployment import TERMINAL, Deployment, DeploymentProblem, Plan, RollbackCause, Status
from rehearsal.emulator.groups import Application, applications
from rehearsal.emulator.settings import SETTINGS
from rehearsal.emulator.telling import Running
from rehearsal.emulator.upstream import Answer, Record

_TICK_SECONDS = 0.1
_ID_ALPHABET = string.ascii_uppercase + string.digits


class Problem(Exception):
    """An error of the API, with its code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def new_deployment_id() -> str:
    """Return an id such as CodeDeploy gives."""
    return "d-" + "".join(secrets.choice(_ID_ALPHABET) for _ in range(9))


@dataclass(slots=True)
class _Scoped:
    account: str
    region: str
    running: Running
    announced: int = 0
    """How many of its events EventBridge has had."""


class Deployments:
    """All deployments, newest last, and the thread that advances them."""

    def __init__(self) -> None:
        self._all: dict[str, _Scoped] = {}
        self.lock = threading.RLock()

    def start(self) -> None:
        """Begin, for as long as the process lives."""
        loops.forever("codedeploy", self._advance, seconds=_TICK_SECONDS)

    def _advance(self) -> None:
        for each in list(self._all.values()):
            with upstream.scope(each.account, each.region):
                with self.lock:
                    if each.running.deployment.is_active:
                        each.running.deployment.advance()
                    entries = telling.events(each.running)
                if entries[each.announced :]:
                    events.announce(entries[each.announced :])
                    each.announced = len(entries)

    def add(self, running: Running) -> None:
        """Take over a deployment."""
        self._all[running.deployment.deployment_id] = _Scoped(upstream.account(), upstream.region(), running)

    def here(self) -> list[Running]:
        """Return the deployments of the request's account and region, newest first."""
        mine = [each.running for each in self._all.values() if (each.account, each.region) == (upstream.account(), upstream.region())]
        return mine[::-1]

    def find(self, deployment_id: str) -> tuple[Running, bool]:
        """Return a deployment, and whether the id is that of the rollback it caused."""
        for each in self.here():
            if each.deployment.deployment_id == deployment_id:
                return each, False
            if each.deployment.rollback is not None and each.deployment.rollback.deployment_id == deployment_id:
                return each, True
        raise Problem("DeploymentDoesNotExistException", f"The deployment {deployment_id} could not be found")


DEPLOYMENTS = Deployments()
"""One process, one CodeDeploy."""


def _application(name: str) -> Application:
    found: Application | None = applications().get(name)
    if found is None:
        raise Problem("ApplicationDoesNotExistException", f"No application found for name: {name}")
    return found


def _group(request: Record) -> tuple[Application, Record]:
    application = _application(request["applicationName"])
    name = request.get("deploymentGroupName", "")
    if name not in application.groups:
        raise Problem("DeploymentGroupDoesNotExistException", f"No Deployment Group found for name: {name}")
    return application, application.groups[name]


def _read(request: Record) -> tuple[str, appspec.AppSpec]:
    revision = request.get("revision")
    if not revision:
        raise Problem("RevisionRequiredException", "The revision ID was not specified.")
    content = (revision.get("appSpecContent") or {}).get("content") or (revision.get("string") or {}).get("content")
    if not content:
        raise Problem("InvalidRevisionException", "For ECS deployments, the revision must have an AppSpecContent.")
    try:
        return content, appspec.parse(content)
    except appspec.InvalidAppSpec as problem:
        raise Problem("InvalidRevisionException", str(problem)) from problem


def _create(request: Record) -> Record:
    application, group = _group(request)
    content, spec = _read(request)
    name = group["deploymentGroupName"]
    with DEPLOYMENTS.lock:
        for other in DEPLOYMENTS.here():
            if other.application == application.name and other.group["deploymentGroupName"] == name and other.deployment.is_active:
                raise Problem(
                    "DeploymentLimitExceededException",
                    f"The Deployment Group '{name}' already has an active Deployment '{other.deployment.deployment_id}'",
                )
        running = _start(request, application, group, spec, content)
        DEPLOYMENTS.add(running)
    return {"deploymentId": running.deployment.deployment_id}


def _start(request: Record, application: Application, group: Record, spec: appspec.AppSpec, content: str) -> Running:
    target = group["ecsServices"][0]
    service = services.find(target["clusterName"], target["serviceName"])
    if service is None or service["status"] != "ACTIVE":
        raise Problem("InvalidECSServiceException", f"The ECS service cannot be found: {target['serviceName']}")
    configuration = request.get("deploymentConfigName") or group["deploymentConfigName"]
    deployment_id = new_deployment_id()
    try:
        pair = release.pair_of(group, service)
        steps = traffic.traffic_steps(configuration)
    except DeploymentProblem as problem:
        raise Problem("InvalidECSServiceException", str(problem)) from problem
    except traffic.UnknownConfiguration as problem:
        raise Problem("DeploymentConfigDoesNotExistException", str(problem)) from problem
    routes = group["loadBalancerInfo"]["targetGroupPairInfoList"][0]
    test = tuple(routes.get("testTrafficRoute", {}).get("listenerArns", []))
    rollback = request.get("autoRollbackConfiguration") or group.get("autoRollbackConfiguration") or {}
    alarms = request.get("overrideAlarmConfiguration") or group.get("alarmConfiguration") or {}
    terminate = (group.get("blueGreenDeploymentConfiguration") or {}).get("terminateBlueInstancesOnDeploymentSuccess") or {}
    deployment = Deployment(
        deployment_id=deployment_id,
        plan=Plan(
            hooks=spec.hooks,
            steps=steps,
            has_test_listener=bool(test),
            termination_wait_minutes=float(terminate.get("terminationWaitTimeInMinutes", 0))
            * SETTINGS.kept_seconds_per_minute
            / SETTINGS.seconds_per_minute,
            rollback_causes=frozenset(RollbackCause(each) for each in rollback.get("events", []))
            if rollback.get("enabled")
            else frozenset(),
            seconds_per_minute=SETTINGS.seconds_per_minute,
            limit_seconds_per_minute=SETTINGS.limit_seconds_per_minute,
        ),
        task_sets=release.ServiceTaskSets(
            service=service,
            appspec=spec,
            pair=pair,
            deployment_id=deployment_id,
            original=release.task_sets.primary_of(service),
        ),
        traffic=release.Rules(pair=pair, production=tuple(routes["prodTrafficRoute"]["listenerArns"]), test=test),
        alarms=release.GroupAlarms([each["name"] for each in alarms.get("alarms", [])] if alarms.get("enabled") else []),
        hooks=release.LambdaHooks(
            deployment_id=deployment_id, failed=lambda execution, reason: _hook_failed(deployment_id, execution, reason)
        ),
        clock=time.time,
        new_id=new_deployment_id,
    )
    return Running(
        application=application.name,
        group=group,
        configuration=configuration,
        description=request.get("description", ""),
        content=content,
        service=service,
        deployment=deployment,
    )


def _hook_failed(deployment_id: str, execution_id: str, reason: str) -> None:
    for scoped in list(DEPLOYMENTS._all.values()):
        if scoped.running.deployment.deployment_id == deployment_id:
            with DEPLOYMENTS.lock, upstream.scope(scoped.account, scoped.region):
                scoped.running.deployment.report_hook(execution_id, succeeded=False, reason=reason)


def _report(request: Record) -> Record:
    running, _ = DEPLOYMENTS.find(request["deploymentId"])
    execution = request["lifecycleEventHookExecutionId"]
    status = request.get("status")
    if status not in {"Succeeded", "Failed"}:
        raise Problem("InvalidLifecycleEventHookExecutionStatusException", f"{status} is no status that a hook may report")
    with DEPLOYMENTS.lock:
        if not running.deployment.report_hook(execution, succeeded=status == "Succeeded"):
            raise Problem("LifecycleEventAlreadyCompletedException", f"Nobody waits for the hook execution {execution}")
    return {"lifecycleEventHookExecutionId": execution}


def _stop(request: Record) -> Record:
    running, is_rollback = DEPLOYMENTS.find(request["deploymentId"])
    with DEPLOYMENTS.lock:
        if is_rollback or not running.deployment.stop(roll_back=request.get("autoRollbackEnabled")):
            raise Problem("DeploymentAlreadyCompletedException", f"The deployment {request['deploymentId']} has already been completed")
    return {"status": "Pending", "statusMessage": "The deployment is being stopped."}


def _continue(request: Record) -> Record:
    running, _ = DEPLOYMENTS.find(request["deploymentId"])
    if request.get("deploymentWaitType", "READY_WAIT") != "TERMINATION_WAIT":
        raise Problem("DeploymentIsNotInReadyStateException", "The deployment does not wait to be made ready")
    with DEPLOYMENTS.lock:
        if running.deployment.status in TERMINAL:
            raise Problem("DeploymentAlreadyCompletedException", f"The deployment {request['deploymentId']} has already been completed")
        if not running.deployment.end_termination_wait():
            raise Problem("InvalidDeploymentStatusException", "The deployment does not wait for the termination of its original tasks")
    return {}


def _list(request: Record) -> Record:
    statuses = request.get("includeOnlyStatuses") or list(Status)
    found: list[str] = []
    for each in DEPLOYMENTS.here():
        if request.get("applicationName", each.application) != each.application:
            continue
        if request.get("deploymentGroupName", each.group["deploymentGroupName"]) != each.group["deploymentGroupName"]:
            continue
        rollback = each.deployment.rollback
        if rollback is not None and rollback.status in statuses:
            found.append(rollback.deployment_id)
        if each.deployment.status in statuses:
            found.append(each.deployment.deployment_id)
    return {"deployments": found}


def _group_told(request: Record) -> Record:
    application, group = _group(request)
    mine = [each for each in DEPLOYMENTS.here() if each.group["deploymentGroupName"] == group["deploymentGroupName"]]
    attempts = [each for each in mine if each.application == application.name]
    done = [each for each in attempts if each.deployment.status is Status.SUCCEEDED]
    told = {**group, "applicationName": application.name}
    if attempts:
        told["lastAttemptedDeployment"] = telling.summary(attempts[0])
    if done:
        told["lastSuccessfulDeployment"] = telling.summary(done[0])
    return {"deploymentGroupInfo": told}


def _configuration(request: Record) -> Record:
    name = request["deploymentConfigName"]
    try:
        routing = traffic.routing(name)
    except traffic.UnknownConfiguration as problem:
        raise Problem("DeploymentConfigDoesNotExistException", str(problem)) from problem
    return {"deploymentConfigInfo": {"deploymentConfigName": name, "computePlatform": "ECS", "trafficRoutingConfig": routing}}


def _application_told(request: Record) -> Record:
    found = _application(request["applicationName"])
    return {"application": {"applicationName": found.name, "applicationId": found.application_id, "computePlatform": "ECS"}}


def _targets(request: Record) -> Record:
    running, _ = DEPLOYMENTS.find(request["deploymentId"])
    wanted = request.get("targetIds") or [telling.target_id(running)]
    if any(each != telling.target_id(running) for each in wanted):
        raise Problem("DeploymentTargetDoesNotExistException", f"The target {wanted[0]} is not part of the deployment")
    return {"deploymentTargets": [telling.target(running)]}


_OPERATIONS: dict[str, Callable[[Record], Record]] = {
    "CreateDeployment": _create,
    "GetDeployment": lambda request: {"deploymentInfo": telling.deployment(*DEPLOYMENTS.find(request["deploymentId"]))},
    "BatchGetDeployments": lambda request: {
        "deploymentsInfo": [telling.deployment(*DEPLOYMENTS.find(each)) for each in request["deploymentIds"]]
    },
    "ListDeployments": _list,
    "GetDeploymentTarget": lambda request: {
        "deploymentTarget": _targets({**request, "targetIds": [request["targetId"]]})["deploymentTargets"][0]
    },
    "BatchGetDeploymentTargets": _targets,
    "ListDeploymentTargets": lambda request: {"targetIds": [telling.target_id(DEPLOYMENTS.find(request["deploymentId"])[0])]},
    "StopDeployment": _stop,
    "ContinueDeployment": _continue,
    "PutLifecycleEventHookExecutionStatus": _report,
    "GetDeploymentGroup": _group_told,
    "ListDeploymentGroups": lambda request: {
        "applicationName": request["applicationName"],
        "deploymentGroups": list(_application(request["applicationName"]).groups),
    },
    "ListApplications": lambda _request: {"applications": list(applications())},
    "GetApplication": _application_told,
    "GetDeploymentConfig": _configuration,
}


async def _serve(_method: str, _path: str, headers: Record, body: bytes, _query: Record) -> Answer:
    operation = headers.get("x-amz-target", "").rsplit(".", 1)[-1]
    handler = _OPERATIONS.get(operation)
    if handler is None:
        return upstream.json_error("InvalidOperationException", f"{operation} isn't emulated")
    try:
        return upstream.json_answer(handler(json.loads(body or b"{}")))
    except Problem as problem:
        return upstream.json_error(problem.code, str(problem))


def install() -> None:
    """Serve the API."""
    handlers: Any = upstream.module("app").SERVICE_HANDLERS
    handlers["codedeploy"] = _serve
