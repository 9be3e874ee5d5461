"""Task sets: what a service of CodeDeploy's is made of. One is primary; during a release there is a second one."""

import time
import uuid
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from rehearsal.emulator import upstream
from rehearsal.emulator.upstream import Record

_BACK_OFF_SECONDS = (0.2, 0.5, 1, 2, 5, 10)
"""Between one failed task and the next; ECS spaces restarts out likewise, in minutes."""


class SetStatus(StrEnum):
    """ECS's words."""

    PRIMARY = "PRIMARY"
    ACTIVE = "ACTIVE"
    DRAINING = "DRAINING"


@dataclass(slots=True, kw_only=True)
class TaskSet:
    """Tasks of one revision behind one target group."""

    set_id: str
    status: SetStatus
    task_definition: str
    load_balancers: list[Record]
    capacity_provider_strategy: list[Record] | None
    network_configuration: Record
    service_registries: list[Record]
    platform_version: str = "LATEST"
    external_id: str | None = None
    """CodeDeploy's deployment id."""
    created_at: float = field(default_factory=time.time)
    failures: int = 0
    """In a row."""
    not_before: float = 0
    """No task is started before then."""
    last_reason: str = ""
    """Why the last task that failed did so."""
    failed_tasks: set[str] = field(default_factory=set[str])

    def wanted(self, desired: int) -> int:
        """Return how many tasks it is to have, of a service that wants `desired`."""
        return 0 if self.status is SetStatus.DRAINING else desired

    def failed(self, task: str, reason: str, now: float) -> None:
        """Remember a failed task and wait a little longer before the next one."""
        if task in self.failed_tasks:
            return
        self.failed_tasks.add(task)
        self.not_before = now + _BACK_OFF_SECONDS[min(self.failures, len(_BACK_OFF_SECONDS) - 1)]
        self.failures += 1
        self.last_reason = reason

    def succeeded(self) -> None:
        """Forget earlier failures."""
        self.failures = 0


def new_set_id() -> str:
    """Return an id such as ECS gives."""
    return f"ecs-svc/{uuid.uuid4().int % 10**19:019d}"


def sets_of(service: Record) -> list[TaskSet]:
    """Return a service's task sets; the list is the service's own."""
    return service.setdefault("_task_sets", [])


def primary_of(service: Record) -> TaskSet:
    """Return what serves."""
    return next(each for each in sets_of(service) if each.status is SetStatus.PRIMARY)


def first_set(service: Record) -> TaskSet:
    """Return the task set that a service is created with."""
    return TaskSet(
        set_id=new_set_id(),
        status=SetStatus.PRIMARY,
        task_definition=service["taskDefinition"],
        load_balancers=service["loadBalancers"],
        capacity_provider_strategy=service["capacityProviderStrategy"],
        network_configuration=service["networkConfiguration"],
        service_registries=service["serviceRegistries"],
    )


def promote(service: Record, chosen: TaskSet) -> None:
    """Make a task set the primary one; what a service says of itself follows it."""
    for each in sets_of(service):
        if each.status is SetStatus.PRIMARY:
            each.status = SetStatus.ACTIVE
    chosen.status = SetStatus.PRIMARY
    service["taskDefinition"] = chosen.task_definition
    service["loadBalancers"] = chosen.load_balancers
    service["capacityProviderStrategy"] = chosen.capacity_provider_strategy
    service["launchType"] = None if chosen.capacity_provider_strategy else "FARGATE"
    service["networkConfiguration"] = chosen.network_configuration


_STARTING = frozenset({"PROVISIONING", "PENDING", "ACTIVATING"})


def tasks_of(task_set: TaskSet) -> list[Record]:
    """Return its tasks that have not stopped, those that are being stopped included."""
    tasks: Any = upstream.module("services.ecs")._tasks
    return [task for task in list(tasks.values()) if task.get("_deployment_id") == task_set.set_id and task["lastStatus"] != "STOPPED"]


def describe(service: Record, task_set: TaskSet, *, steady: bool) -> Record:
    """Return a task set as DescribeServices tells it."""
    tasks = tasks_of(task_set)
    told: Record = {
        "id": task_set.set_id,
        "taskSetArn": f"{service['serviceArn'].replace(':service/', ':task-set/')}/{task_set.set_id}",
        "serviceArn": service["serviceArn"],
        "clusterArn": service["clusterArn"],
        "externalId": task_set.external_id,
        "startedBy": "CODE_DEPLOY" if task_set.external_id else None,
        "status": task_set.status.value,
        "taskDefinition": task_set.task_definition,
        "computedDesiredCount": task_set.wanted(service["desiredCount"]),
        "pendingCount": sum(task["lastStatus"] in _STARTING for task in tasks),
        "runningCount": sum(task["lastStatus"] == "RUNNING" for task in tasks),
        "createdAt": task_set.created_at,
        "updatedAt": task_set.created_at,
        "capacityProviderStrategy": task_set.capacity_provider_strategy or [],
        "launchType": None if task_set.capacity_provider_strategy else "FARGATE",
        "platformVersion": "1.4.0",
        "networkConfiguration": task_set.network_configuration,
        "loadBalancers": task_set.load_balancers,
        "serviceRegistries": task_set.service_registries,
        "scale": {"value": 0.0 if task_set.status is SetStatus.DRAINING else 100.0, "unit": "PERCENT"},
        "stabilityStatus": "STEADY_STATE" if steady else "STABILIZING",
        "stabilityStatusAt": time.time(),
        "tags": [],
    }
    return told


def provider_for(position: int, strategy: list[Record] | None) -> str | None:
    """Return the capacity provider of a set's `position`-th task: bases first, then by weight, in turn."""
    if not strategy:
        return None
    bases = [each["capacityProvider"] for each in strategy for _ in range(int(each.get("base", 0)))]
    if position < len(bases):
        return bases[position]
    weighted = [each["capacityProvider"] for each in strategy for _ in range(int(each.get("weight", 0)))]
    return weighted[(position - len(bases)) % len(weighted)] if weighted else strategy[0]["capacityProvider"]
