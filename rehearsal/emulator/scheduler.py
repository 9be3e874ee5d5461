"""ECS's service scheduler, for services that CodeDeploy deploys: it keeps every task set at its desired count.

A task that ends is replaced, after a pause that grows while tasks keep failing. Whoever leaves is first taken out of its target group and
its Cloud Map name, is left a moment for the requests under way, then gets SIGTERM and its stop timeout. Tasks that stay unhealthy beyond
the grace period, or whose container's own health check fails, are replaced.

SIGTERM that comes to a task on Fargate Spot from outside, by the engine, is Spot's notice. EventBridge is told, and another task started; the load balancer
goes on sending until somebody deregisters the task, or it has stopped, which is the worst that AWS says of it.
AWS: knowledge center, "How do I handle Spot termination notices in AWS Fargate Spot tasks?".
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from rehearsal.emulator import events, loops, tasks, upstream
from rehearsal.emulator.settings import SETTINGS
from rehearsal.emulator.targets import HEALTH, Address, Health, drain_seconds
from rehearsal.emulator.task_sets import SetStatus, TaskSet, provider_for, sets_of, tasks_of
from rehearsal.emulator.upstream import Record

_log = logging.getLogger("tap.scheduler")
_TICK_SECONDS = 0.25
_DRAIN_SECONDS_MAX = 2.0
_PATIENCE = 3
"""Times the grace that a service asks for: containers start as slowly as the machine is busy."""
_NOTICE_SECONDS = 120
"""Between Spot's notice and the end: what isn't over by then is killed."""
_FAILED = frozenset({"TaskFailedToStart", "EssentialContainerExited"})


def _ecs() -> Any:
    return upstream.module("services.ecs")


def is_ours(service: Record) -> bool:
    """Whether CodeDeploy deploys the service; ministack itself looks after others."""
    return (service.get("deploymentController") or {}).get("type") == "CODE_DEPLOY"


def addresses_of(task_set: TaskSet, task: Record) -> list[Address]:
    """Return the targets that a task is registered as."""
    host = _ecs()._task_ip(task)
    return [Address(each["targetGroupArn"], host, int(each["containerPort"])) for each in task_set.load_balancers] if host else []


def is_serving(task: Record) -> bool:
    """Whether the task belongs into its target group."""
    return task["lastStatus"] == "RUNNING" and not task.get("_leaving")


def is_healthy(task_set: TaskSet, task: Record) -> bool:
    """Whether the task runs and every target group of it thinks well of it."""
    addresses = addresses_of(task_set, task)
    return is_serving(task) and bool(addresses) and all(HEALTH.health(each) is Health.HEALTHY for each in addresses)


def is_steady(service: Record, task_set: TaskSet) -> bool:
    """Whether a task set has just the tasks it wants, all of them healthy."""
    mine = tasks_of(task_set)
    return len(mine) == task_set.wanted(service["desiredCount"]) and all(is_healthy(task_set, task) for task in mine)


class Scheduler:
    """One thread that looks at every service; requests only wake it."""

    def __init__(self) -> None:
        self._wake = threading.Event()

    def start(self) -> None:
        """Begin, for as long as the process lives."""
        loops.forever("scheduler", self._look, seconds=_TICK_SECONDS, wake=self._wake)

    def wake(self) -> None:
        """Look now."""
        self._wake.set()

    def _look(self) -> None:
        for (account, region, _), service in _ecs()._services.all_items():
            if is_ours(service) and service["status"] != "INACTIVE":
                with upstream.scope(account, region):
                    self._reconcile(service)

    def _reconcile(self, service: Record) -> None:
        for task_set in list(sets_of(service)):
            self._note_failures(task_set)
            _replace_unhealthy(service, task_set)
            alive = [task for task in tasks_of(task_set) if not (task.get("_leaving") or task.get("_interrupted"))]
            missing = task_set.wanted(service["desiredCount"]) - len(alive)
            if missing > 0 and time.monotonic() >= task_set.not_before:
                _start(service, task_set, len(alive), missing)
            for task in sorted(alive, key=lambda each: str(each["createdAt"]), reverse=True)[: max(0, -missing)]:
                leave(service, task_set, task, f"Scaling activity initiated by deployment {task_set.set_id}")
            if task_set.status is SetStatus.DRAINING and not tasks_of(task_set):
                sets_of(service).remove(task_set)
        publish(service)

    def _note_failures(self, task_set: TaskSet) -> None:
        now = time.monotonic()
        for task in list(_ecs()._tasks.values()):
            if task.get("_deployment_id") == task_set.set_id and task["lastStatus"] == "STOPPED" and tasks.stop_code(task) in _FAILED:
                task_set.failed(task["taskArn"], str(task.get("stoppedReason", "")), now)
        if any(is_healthy(task_set, task) for task in tasks_of(task_set)):
            task_set.succeeded()


def _start(service: Record, task_set: TaskSet, position: int, count: int) -> None:
    strategy = task_set.capacity_provider_strategy
    for number in range(position, position + count):
        answer = _ecs()._run_task(
            {
                "cluster": service["clusterArn"],
                "taskDefinition": task_set.task_definition,
                "count": 1,
                "group": f"service:{service['serviceName']}",
                "startedBy": task_set.set_id,
                "launchType": None if strategy else "FARGATE",
                "capacityProviderStrategy": strategy,
                "networkConfiguration": task_set.network_configuration,
                "enableExecuteCommand": service.get("enableExecuteCommand", False),
                "tags": service.get("tags", []) if service.get("propagateTags") == "SERVICE" else [],
                # ministack's own mark of a deployment: it tells whose task it is from the task's first moment on.
                "_deploymentId": task_set.set_id,
            }
        )
        for told in upstream.body_of(answer)["tasks"]:
            task = _ecs()._tasks[told["taskArn"]]
            task["capacityProviderName"] = provider_for(number, strategy)
            task["createdAt"] = time.time()  # AWS tells fractions of a second, and ministack would not


def _replace_unhealthy(service: Record, task_set: TaskSet) -> None:
    grace_seconds = _PATIENCE * float(service.get("healthCheckGracePeriodSeconds") or 0)
    for task in tasks_of(task_set):
        if not is_serving(task):
            continue
        if task.get("healthStatus") == "UNHEALTHY":
            task_set.failed(task["taskArn"], "Task failed container health checks", time.monotonic())
            leave(service, task_set, task, "Task failed container health checks")
            continue
        since = task.setdefault("_running_since", time.monotonic())
        sick = [each for each in addresses_of(task_set, task) if HEALTH.health(each) is Health.UNHEALTHY]
        if sick and time.monotonic() - since > grace_seconds:
            reason = f"Task failed ELB health checks in (target-group {sick[0].group})"
            task_set.failed(task["taskArn"], reason, time.monotonic())
            leave(service, task_set, task, reason)


def leave(service: Record, task_set: TaskSet, task: Record, reason: str) -> None:
    """Take a task out of service, and stop it when the requests under way have had their time."""
    task["_leaving"] = True
    publish(service)
    threading.Thread(
        target=_stop, args=(upstream.account(), upstream.region(), task_set, task, reason), name="tap-stop-task", daemon=True
    ).start()


def _stop(account: str, region: str, task_set: TaskSet, task: Record, reason: str) -> None:
    with upstream.scope(account, region):
        groups = [each["targetGroupArn"] for each in task_set.load_balancers]
        time.sleep(min(_DRAIN_SECONDS_MAX, max([drain_seconds(each) for each in groups], default=0)))
        docker = _ecs()._get_docker()
        exit_code = 0
        for container in list(task.get("_docker_ids") or []):
            exit_code = max(exit_code, _stop_container(docker, container))
        _ecs()._mark_task_stopped(task["taskArn"], task, reason, "ServiceSchedulerInitiated", exit_code=exit_code)
        _ecs()._cleanup_task_resources(task, docker)


def interrupted(task: Record) -> None:
    """Have a task end that got Spot's notice; another one takes its place."""
    for service in list(_ecs()._services.values()):
        for task_set in sets_of(service) if is_ours(service) else []:
            if task.get("_deployment_id") == task_set.set_id:
                task["_interrupted"] = True
                SCHEDULER.wake()
                events.announce([events.interruption(task, _ecs()._task_ip(task))])
                arguments = (upstream.account(), upstream.region(), task_set, task)
                threading.Thread(target=_end_interrupted, args=arguments, name="tap-spot-notice", daemon=True).start()
                return


def _end_interrupted(account: str, region: str, task_set: TaskSet, task: Record) -> None:
    with upstream.scope(account, region):
        docker, addresses = _ecs()._get_docker(), addresses_of(task_set, task)
        exit_code = max((_wait_for_end(docker, each) for each in list(task.get("_docker_ids") or [])), default=0)
        _ecs()._mark_task_stopped(task["taskArn"], task, "Your Spot Task was interrupted.", "SpotInterruption", exit_code=exit_code)
        _ecs()._cleanup_task_resources(task, docker)
        # Whoever gets its address next is somebody else, in whichever group it was taken out of.
        left = {each.host for each in addresses}
        _deregistered.difference_update([each for each in _deregistered if each[1] in left])
        SCHEDULER.wake()


_deregistered: set[tuple[str, str]] = set()
"""Targets, by their group's ARN and their address, that somebody took out of it by the API: ECS doesn't put them back."""


def install() -> None:
    """Take note of who is deregistered."""
    alb = upstream.module("services.alb")

    def deregister(params: Record) -> upstream.Answer:
        group = alb._p(params, "TargetGroupArn")
        _deregistered.update((group, str(each["Id"])) for each in alb._parse_targets_param(params))
        return original(params)

    original = upstream.replace(alb, "_deregister_targets", deregister)


def _wait_for_end(docker: Any, container_id: str) -> int:
    """Wait for a container that was told to end, and return its exit code; one that doesn't is killed."""
    container = docker.containers.get(container_id)
    try:
        return int(container.wait(timeout=_NOTICE_SECONDS)["StatusCode"])
    except Exception as problem:  # noqa: BLE001 - the engine's client has no word of its own for a wait that was too long
        _log.warning("a task outlives Spot's notice: %s", problem)
        container.kill()
        return int(container.wait()["StatusCode"])


def _stop_container(docker: Any, container_id: str) -> int:
    """Stop a container and return its exit code; the container is removed later, when its last output has been read."""
    if docker is None:
        return 0
    try:
        container = docker.containers.get(container_id)
        container.stop(timeout=tasks.stop_timeout_seconds(container))
        return int(container.wait().get("StatusCode", 0))
    except Exception as problem:  # noqa: BLE001 - a container that is gone already has stopped
        _log.info("a container can't be stopped: %s", problem)
        return 0


_publishing = threading.Lock()


def publish(service: Record) -> None:
    """Register the tasks that serve in their target groups and under their Cloud Map names; nobody else of this service stays."""
    alb, discovery = upstream.module("services.alb"), upstream.module("services.servicediscovery")
    with _publishing:
        serving = [(task_set, task) for task_set in sets_of(service) for task in tasks_of(task_set) if is_serving(task)]
        wanted: dict[str, list[tuple[str, int]]] = {group: [] for group in service.setdefault("_published", {})}
        wanted |= {each["targetGroupArn"]: [] for task_set in sets_of(service) for each in task_set.load_balancers}
        for task_set, task in serving:
            for address in addresses_of(task_set, task):
                if (address.group, address.host) not in _deregistered:
                    wanted[address.group].append((address.host, address.port))
        for group, members in wanted.items():
            alb.set_targets_for_group(group, members, service["_published"].get(group, ()))
            service["_published"][group] = [host for host, _ in members]
        for registry in {each["registryArn"].rsplit("/", 1)[-1] for task_set in sets_of(service) for each in task_set.service_registries}:
            _publish_names(discovery, registry, [task for _, task in serving])
        _count(service)


def _publish_names(discovery: Any, registry: str, serving: list[Record]) -> None:
    if registry not in discovery._services:
        return
    wanted = {task["taskArn"].rsplit("/", 1)[-1]: host for task in serving if (host := _ecs()._task_ip(task))}
    known = set(discovery._instances.get(registry, {}))
    for gone in known - wanted.keys():
        discovery._deregister_instance({"ServiceId": registry, "InstanceId": gone})
    for new in wanted.keys() - known:
        attributes = {"AWS_INSTANCE_IPV4": wanted[new], "AVAILABILITY_ZONE": f"{upstream.region()}a"}
        discovery._register_instance({"ServiceId": registry, "InstanceId": new, "Attributes": attributes})


def _count(service: Record) -> None:
    mine = [task for task_set in sets_of(service) for task in tasks_of(task_set)]
    service["runningCount"] = sum(task["lastStatus"] == "RUNNING" for task in mine)
    service["pendingCount"] = len(mine) - service["runningCount"]


SCHEDULER = Scheduler()
"""One process, one scheduler."""


def wait_until(condition: Callable[[], bool], minutes_max: float) -> bool:
    """Wait for something the scheduler brings about; returns False when it hasn't in time."""
    deadline = time.monotonic() + SETTINGS.limit(minutes_max)
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
