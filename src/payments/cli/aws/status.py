"""`tap status --environment`: what serves, what moves, and what is red."""

import json
from contextlib import suppress
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from payments.cli.aws.environment import DeployedEnvironment, DeployedService, NotDeployed
from payments.runtime.topology import SERVICES, Service


def read_status(environment: DeployedEnvironment) -> dict[str, Any]:
    """Return how the environment is, as `--json` prints it; raises `UsageError` where there is none."""
    stack = environment.stack_status()
    if stack is None:
        environment.check_there()
    services: dict[Service, DeployedService] = {}
    for service in SERVICES:
        with suppress(NotDeployed):  # while the stack is made, or when that was undone
            services[service] = environment.service(service)
    names = sorted({name for each in services.values() for name in each.alarms})
    states = {alarm.name: alarm.state for alarm in environment.alarms(names)}
    return {
        "environment": environment.names.environment,
        "region": environment.aws.region,
        "stack": stack,
        "outputs": environment.outputs(),
        "services": {
            service.value: {
                "tasks": {"desired": each.desired, "running": each.running},
                "traffic": {colour.value: weight for colour, weight in each.weights.items()},
                "task_definition": each.task_definition.rsplit("/", 1)[-1],
                "image": environment.image(each.task_definition),
                "deployment": each.active_deployment,
                "alarms": {name: states.get(name, "MISSING") for name in each.alarms},
            }
            for service, each in services.items()
        },
    }


def show_status(console: Console, status: dict[str, Any], *, as_json: bool) -> None:
    """Print the status for a program, or for people."""
    if as_json:
        print(json.dumps(status, indent=2))
        return
    console.print(f"{status['environment']} in {status['region']}: {status['stack']}")
    for name, value in status["outputs"].items():
        console.print(f"{name}  {value}")
    if not status["services"]:
        console.print("No service is there yet.")
        return
    table = Table(Column("service", no_wrap=True), "tasks", "traffic", "revision", "image", "deployment", "alarm")
    for name, each in status["services"].items():
        tasks = f"{each['tasks']['running']} of {each['tasks']['desired']}"
        traffic = ", ".join(f"{weight} % {colour}" for colour, weight in each["traffic"].items() if weight)
        red = [alarm for alarm, state in each["alarms"].items() if state == "ALARM"]
        table.add_row(
            name,
            tasks,
            traffic,
            each["task_definition"].rpartition(":")[2],
            _tag(each["image"]),
            each["deployment"] or "",
            "[red]red[/red]" if red else "ok",
        )
    console.print(table)


def _tag(image: str) -> str:
    """The tag of an image, or the beginning of its digest."""
    _, at, digest = image.rpartition("@")
    return digest[:19] if at else image.rpartition(":")[2]
