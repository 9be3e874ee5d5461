"""ECS tasks as containers: with the image, the limits and the manners that the task definition says.

With an engine: read-only root, user, entry point, health check, memory, init process, volumes as memory, the
stop timeout, Cloud Map's names as names of the container. Without one a task is a record: one of a service runs until it is stopped, a
one-off task ends at once with exit code 0; an image whose tag begins with `failing` ends with exit code 1, and one that ECR doesn't know
never starts.
"""

import importlib
import ipaddress
import itertools
import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from rehearsal.emulator import images, loops, upstream
from rehearsal.emulator.upstream import Answer, Record

_log = logging.getLogger("tap.tasks")
_NANOSECONDS = 10**9
_STOP_TIMEOUT_LABEL = "tap.stop-timeout-seconds"
_STOP_TIMEOUT_SECONDS = 30
"""ECS's own when the task definition names none."""
_POLL_SECONDS = 3
_ONE_OFF_SECONDS = 0.3
_LAST_OUTPUT_SECONDS = 1
_FAILING_TAG = "failing"
_SIGTERM = "15"


def _ecs() -> Any:
    return upstream.module("services.ecs")


def stop_code(task: Record) -> str:
    """Return why a task stopped, in ECS's words."""
    return str(task.get("stopCode") or "")


def install() -> None:
    """Mend ministack's tasks."""
    ecs = _ecs()
    original: Any = None

    def build(definition: Record, task_definition: Record, *args: Any) -> Record:
        kwargs = original(definition, task_definition, *args)
        task = ecs._tasks.get(args[5]) or {}
        return _faithful(kwargs, definition, task_definition, aliases=_cloud_map_names(task))

    original = upstream.replace(ecs, "_build_run_kwargs", build)
    _install_running(ecs)
    _install_watching(ecs)
    upstream.replace(ecs, "_remove_docker_container", _remove_container)
    app = upstream.module("app")
    # At its start ministack removes containers that nobody owns, too: another's, on an engine that is shared.
    remove = upstream.replace(app, "_stop_docker_containers", lambda *_all: remove(include_unlabelled=False))


def _faithful(kwargs: Record, definition: Record, task_definition: Record, *, aliases: list[str]) -> Record:
    """Add to the engine's arguments what ministack leaves out."""
    linux = definition.get("linuxParameters") or {}
    told: Record = {
        **kwargs,
        "read_only": bool(definition.get("readonlyRootFilesystem")),
        "init": bool(linux.get("initProcessEnabled")),
        "labels": {**kwargs["labels"], _STOP_TIMEOUT_LABEL: str(definition.get("stopTimeout") or _STOP_TIMEOUT_SECONDS)},
    }
    if definition.get("user"):
        told["user"] = definition["user"]
    if definition.get("entryPoint"):
        told["entrypoint"] = definition["entryPoint"]
    if memory := definition.get("memory") or task_definition.get("memory"):
        told["mem_limit"] = f"{int(memory)}m"
    if check := definition.get("healthCheck"):
        told["healthcheck"] = {
            "test": check["command"],
            "interval": int(check.get("interval", 30)) * _NANOSECONDS,
            "timeout": int(check.get("timeout", 5)) * _NANOSECONDS,
            "retries": int(check.get("retries", 3)),
            "start_period": int(check.get("startPeriod", 0)) * _NANOSECONDS,
        }
    volumes = {each["name"] for each in task_definition.get("volumes", []) if not (each.get("host") or {}).get("sourcePath")}
    mounts = {each["containerPath"]: each for each in definition.get("mountPoints", []) if each["sourceVolume"] in volumes}
    if mounts:
        told["tmpfs"] = {path: "ro" if each.get("readOnly") else "rw" for path, each in mounts.items()}
    if kwargs.get("network") and aliases:
        told["networking_config"] = {kwargs["network"]: {"Aliases": aliases}}
    if balancers := _load_balancer_names():
        told["extra_hosts"] = dict.fromkeys(balancers, socket.gethostbyname(socket.gethostname()))
    return told


def _load_balancer_names() -> list[str]:
    """Return the Cloud Map names that lead to load balancers, all of which this emulator is."""
    known = upstream.module("services.servicediscovery")._instances
    leading = [
        service for service, each in known.items() if any("AWS_ALIAS_DNS_NAME" in one.get("Attributes", {}) for one in each.values())
    ]
    return [name for service in leading if (name := cloud_map_name(service))]


def _with_rights(volumes: Record, declared: Record) -> Record:
    """A task's empty volume takes over the rights of the image's directory if the image declares it as a volume; else it is root's."""
    return {path: f"{options},mode={1777 if path in declared else 755}" for path, options in volumes.items()}


def _cloud_map_names(task: Record) -> list[str]:
    group = str(task.get("group", ""))
    services = [
        each for each in list(_ecs()._services.values()) if f"service:{each['serviceName']}" == group and each["status"] == "ACTIVE"
    ]
    found = [cloud_map_name(str(each.get("registryArn", ""))) for service in services for each in service.get("serviceRegistries") or []]
    return [name for name in found if name]


def cloud_map_name(registry_arn: str) -> str | None:
    """Return the DNS name of a Cloud Map service."""
    discovery = upstream.module("services.servicediscovery")
    service = discovery._services.get(registry_arn.rsplit("/", 1)[-1])
    if service is None:
        return None
    namespace = discovery._namespaces.get(service.get("NamespaceId") or service.get("DnsConfig", {}).get("NamespaceId"))
    return f"{service['Name']}.{namespace['Name']}" if namespace else None


def _install_running(ecs: Any) -> None:
    original_container: Any = None
    original_task: Any = None

    def run_container(docker: Any, definition: Record, kwargs: Record, **_others: Any) -> Any:
        try:
            name = images.startable(definition["image"], docker)
        except images.CannotPullContainer as problem:
            raise ecs._ImagePullError(str(problem)) from problem
        declared = docker.images.get(name).attrs["Config"].get("Volumes") or {}
        rights = {"tmpfs": _with_rights(kwargs.get("tmpfs", {}), declared)}
        return original_container(docker, {**definition, "image": name}, {**kwargs, **rights})

    def run_task(request: Record) -> Answer:
        answer = original_task(request)
        if answer[0] < 400:
            for told in upstream.body_of(answer)["tasks"]:
                task = ecs._tasks[told["taskArn"]]
                _note_digests(task)
                if not upstream.has_engine():
                    _pretend(task)
        return answer

    original_container = upstream.replace(ecs, "_run_docker_container", run_container)
    original_task = upstream.replace(ecs, "_run_task", run_task)


def _note_digests(task: Record) -> None:
    for container in task["containers"]:
        reference = images.parse(container["image"])
        if reference and (record := images.find(reference)):
            container["imageDigest"] = record["imageDigest"]


_addresses = itertools.count(10)


def _pretend(task: Record) -> None:
    """Let a task without a container run, or end, as its image says."""
    try:
        for container in task["containers"]:
            images.startable(container["image"], None)
    except images.CannotPullContainer as problem:
        _ecs()._mark_task_stopped(task["taskArn"], task, f"CannotPullContainerError: {problem}", "TaskFailedToStart")
        return
    subnet = upstream.module("services.ec2")._subnets.get(task.get("_subnet") or "", {}).get("CidrBlock", "10.255.0.0/16")
    network = ipaddress.ip_network(subnet)
    address = str(network[next(_addresses) % (network.num_addresses - 20) + 10])
    task["attachments"] = [
        {
            "id": task["taskArn"].rsplit("/", 1)[-1],
            "type": "ElasticNetworkInterface",
            "status": "ATTACHED",
            "details": [{"name": "subnetId", "value": task.get("_subnet") or ""}, {"name": "privateIPv4Address", "value": address}],
        }
    ]
    if any(_is_failing(container["image"]) for container in task["containers"]):
        _end(task, exit_code=1)
    elif not task["group"].startswith("service:"):
        threading.Thread(target=_end_soon, args=(upstream.account(), upstream.region(), task), daemon=True).start()


def _is_failing(image: str) -> bool:
    reference = images.parse(image)
    if reference is None:
        return False
    tags = [reference.tag] if reference.tag else (images.find(reference) or {}).get("imageTags", [])
    return any(str(tag).startswith(_FAILING_TAG) for tag in tags)


def _end(task: Record, *, exit_code: int) -> None:
    _ecs()._mark_task_stopped(task["taskArn"], task, "Essential container exited", "EssentialContainerExited", exit_code=exit_code)


def _end_soon(account: str, region: str, task: Record) -> None:
    time.sleep(_ONE_OFF_SECONDS)
    with upstream.scope(account, region):
        _end(task, exit_code=0)


def is_on_spot(task: Record) -> bool:
    """Whether the task runs, on capacity that may be taken away."""
    return task["lastStatus"] == "RUNNING" and task.get("capacityProviderName") == "FARGATE_SPOT"


def stop_timeout_seconds(container: Any) -> int:
    """Return how long a container may take to end after SIGTERM."""
    return int(container.labels.get(_STOP_TIMEOUT_LABEL, _STOP_TIMEOUT_SECONDS))


def _remove_container(docker: Any, container_or_id: Any) -> None:
    """Stop a container as its task definition says, SIGTERM first, and remove it."""
    if not docker or container_or_id is None:
        return
    gone = images.docker_errors().NotFound
    try:
        container = docker.containers.get(container_or_id) if isinstance(container_or_id, str) else container_or_id
        container.stop(timeout=stop_timeout_seconds(container))
        container.remove(v=True)
    except gone:
        return
    except images.docker_errors().APIError as problem:
        # It may be on its way out already.
        _log.info("a container can't be removed: %s", problem)


def _remove_ended(containers: list[str]) -> None:
    """Remove the containers of a task that ended by itself, once its last output has been read."""
    time.sleep(_LAST_OUTPUT_SECONDS)
    for container in containers:
        _remove_container(_ecs()._get_docker(), container)


def _install_watching(ecs: Any) -> None:
    """Learn from the engine's events that a container ended, instead of asking ten times a second and task."""
    original_note: Any = None

    def note(task: Record, docker_client: Any = None) -> None:
        # What the scheduler itself stops isn't a task that died.
        if task.get("_leaving") or task.get("_interrupted"):
            return
        containers = list(task.get("_docker_ids") or [])
        original_note(task, docker_client)
        if containers and task["lastStatus"] == "STOPPED":
            threading.Thread(target=_remove_ended, args=(containers,), name="tap-remove-ended", daemon=True).start()

    original_note = upstream.replace(ecs, "_maybe_mark_stopped", note)
    upstream.replace(ecs, "_watch_task_lifecycle", lambda task, *_args: note(task))


def watch_engine(interrupted: Callable[[Record], None]) -> None:
    """Begin to follow the engine's events, for as long as the process lives; `interrupted` is called with a task that gets Spot's notice."""
    loops.forever("engine-events", lambda: _follow(interrupted), seconds=1)
    loops.forever("engine-poll", _poll, seconds=_POLL_SECONDS)


def _follow(interrupted: Callable[[Record], None]) -> None:
    docker = importlib.import_module("docker").from_env()
    for event in docker.events(decode=True, filters={"type": "container", "label": "ministack=ecs"}):
        action, actor = str(event.get("Action", "")), event["Actor"]
        is_notice = action == "kill" and actor["Attributes"].get("signal") == _SIGTERM
        if action == "die" or action.startswith("health_status") or is_notice:
            _take(action, actor["ID"], interrupted)


def _take(action: str, container: str, interrupted: Callable[[Record], None]) -> None:
    for (account, region, _), task in _ecs()._tasks.all_items():
        if container in (task.get("_docker_ids") or []):
            with upstream.scope(account, region):
                if action == "die":
                    _ecs()._maybe_mark_stopped(task)
                elif action == "kill":
                    # Whoever else ends a task has taken note of that before.
                    if is_on_spot(task) and not (task.get("_leaving") or task.get("_interrupted")):
                        interrupted(task)
                else:
                    task["healthStatus"] = action.rsplit(" ", 1)[-1].upper()


def _poll() -> None:
    """Look at every task now and then, should an event have been missed."""
    for (account, region, _), task in _ecs()._tasks.all_items():
        if task["lastStatus"] == "RUNNING":
            with upstream.scope(account, region):
                _ecs()._maybe_mark_stopped(task)
