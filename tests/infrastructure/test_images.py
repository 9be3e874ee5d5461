"""The Dockerfile says what the task definitions and the code say, and lets nothing in that isn't locked."""

import json
import re
from pathlib import Path

import pytest

from lib.fargate_service import USER
from payments.runtime.topology import ALIVE_MODULE, CONTAINER_PORT, DATABASE_CA_FILE, SERVICES, Service
from tests.infrastructure.conftest import Synthesised

ROOT = Path(__file__).parents[2]
TEXT = re.sub(
    r"\\\n\s*", "", "".join(line for line in (ROOT / "Dockerfile").read_text().splitlines(keepends=True) if not line.startswith("#"))
)
STAGES = {
    name: {"base": base, "text": text}
    for base, name, text in re.findall(r"^FROM (\S+) AS (\S+)\n(.*?)(?=^FROM |\Z)", TEXT, re.MULTILINE | re.DOTALL)
}


def instructions(stage: str, instruction: str) -> list[str]:
    return re.findall(rf"^{instruction} (.*)$", STAGES[stage]["text"], re.MULTILINE)


@pytest.mark.parametrize("service", Service)
def test_the_services_differ_in_their_command_and_their_title_only(service: Service) -> None:
    stage = STAGES[service]
    assert stage["base"] == "runtime"
    assert [json.loads(command) for command in instructions(service, "CMD")] == [["python", "-m", SERVICES[service].module]]
    assert (
        stage["text"].split()
        == f'LABEL org.opencontainers.image.title={service} CMD ["python", "-m", "{SERVICES[service].module}"]'.split()
    )


def test_every_service_has_a_target() -> None:
    assert {name for name, stage in STAGES.items() if stage["base"] == "runtime"} == set(Service)


def test_a_container_runs_as_a_task_does(prod: Synthesised) -> None:
    containers = [
        container
        for definition in prod.resources("Ecs", "AWS::ECS::TaskDefinition").values()
        for container in definition["Properties"]["ContainerDefinitions"]
        if "HealthCheck" in container
    ]
    assert len(containers) == len(Service)
    (check,) = instructions("runtime", "HEALTHCHECK")
    options, _, command = check.partition("CMD ")
    given = dict(re.findall(r"--(\S+)=(\d+)s?", options))
    for container in containers:
        said = container["HealthCheck"]
        assert said["Command"] == ["CMD", *json.loads(command)]
        times = {"interval": said["Interval"], "timeout": said["Timeout"], "start-period": said["StartPeriod"], "retries": said["Retries"]}
        assert given == {name: str(value) for name, value in times.items()}
        assert instructions("runtime", "USER") == [container["User"]] == [USER]
        assert [[mount["ContainerPath"]] for mount in container["MountPoints"]] == [json.loads(instructions("runtime", "VOLUME")[0])]
        assert instructions("runtime", "EXPOSE") == [str(container["PortMappings"][0]["ContainerPort"])] == [str(CONTAINER_PORT)]
    assert json.loads(command) == ["python", "-m", ALIVE_MODULE]
    assert instructions("runtime", "STOPSIGNAL") == ["SIGTERM"]


def test_the_databases_authorities_are_where_the_tasks_look_for_them() -> None:
    (moved,) = re.findall(r"mv \S+/payments/storage/([^\s\"]+)\"? /files(\S+)", STAGES["project"]["text"])
    assert moved[1] + moved[0] == DATABASE_CA_FILE
    assert (ROOT / "src/payments/storage" / moved[0]).exists()


def test_whatever_is_installed_is_locked_by_hash() -> None:
    installs = re.findall(r"pip [^&]*?install ([^&\n]*)", TEXT)
    assert len(installs) == 2
    for arguments in installs:
        assert "--require-hashes --requirement " in arguments
        lock = (ROOT / arguments.split()[-1].rpartition("/")[2]).read_text()
        assert all("==" in line for line in lock.splitlines() if line[0] not in " #")
    assert "apt-get" not in TEXT


def test_the_base_is_pinned_by_version_and_by_digest() -> None:
    (base,) = re.findall(r"^ARG BASE=(\S+)$", TEXT, re.MULTILINE)
    assert re.fullmatch(r"python:3\.13\.\d+-slim-trixie@sha256:[0-9a-f]{64}", base)
    assert {stage["base"] for stage in STAGES.values()} == {"${BASE}", "scratch", "runtime"}


def test_the_context_has_what_is_copied_and_nothing_else() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    assert {line for line in lines[1:] if not line.startswith("!")} == {"src/payments/cli", "**/__pycache__"}
    copied = {source for stage in ("dependencies", "project") for copy in instructions(stage, "COPY") for source in copy.split()[:-1]}
    assert {line.removeprefix("!").removesuffix("/payments") for line in lines if line.startswith("!")} == copied
