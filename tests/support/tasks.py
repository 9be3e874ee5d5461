"""Runs a task definition's container as a process: its command, its user, its environment and nothing else."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.children import ends_with_us

_CONFINED = Path(__file__).with_name("confined.py")


@dataclass(frozen=True)
class Surroundings:
    """What stands for AWS: where the template refers to something, and where it can't be had here as it is there."""

    tokens: Mapping[str, str]
    """What references resolve to, by a regular expression over `Ref NAME` or `GetAtt NAME.ATTRIBUTE`."""
    secrets: Mapping[str, Mapping[str, str]]
    """The fields of each secret, by its ARN."""
    replaced: Mapping[tuple[str, str], str]
    """Variables whose value is another here, by name and value."""
    provided: Mapping[str, str]
    """What Fargate sets besides, which the template doesn't have."""

    def resolve(self, value: Any) -> str:
        """Resolve a value of the template; a reference that isn't known, or is known twice, is an error."""
        match value:
            case str():
                return value
            case {"Fn::Join": [str(separator), list(parts)]}:
                return separator.join(self.resolve(part) for part in parts)
            case {"Ref": str(name)}:
                reference = f"Ref {name}"
            case {"Fn::GetAtt": [str(name), str(attribute)]}:
                reference = f"GetAtt {name}.{attribute}"
            case _:
                raise AssertionError(f"no value of a variable: {value}")
        (found,) = [resolved for pattern, resolved in self.tokens.items() if re.fullmatch(pattern, reference)] or [None]
        assert found is not None, f"the test doesn't know what this resolves to: {reference}"
        return found

    def environment(self, container: dict[str, Any]) -> dict[str, str]:
        """Return the environment of a container's process."""
        variables = {each["Name"]: self.resolve(each["Value"]) for each in container["Environment"]}
        variables = {name: self.replaced.get((name, value), value) for name, value in variables.items()}
        for each in container["Secrets"]:
            arn, key, stage, version = self.resolve(each["ValueFrom"]).rsplit(":", 3)
            assert (stage, version) == ("", "")
            variables[each["Name"]] = self.secrets[arn][key]
        return {**variables, **self.provided}


@cache
def can_confine() -> bool:
    """Whether we may do to a process what a container does: on Linux, as root."""
    if os.geteuid() != 0:
        return False
    command = [sys.executable, "-I", "-S", str(_CONFINED), "10001", "10001", "--", sys.executable, "-c", "import payments"]
    return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0


@dataclass
class Task:
    """A container of a template as a process."""

    container: dict[str, Any]
    environment: dict[str, str]
    directory: Path
    """Working directory: empty, and not to be written to."""
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self, *, overridden: list[str] | None = None) -> None:
        """Start it, with another command if one is given as a one-off task may have it."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self._command(overridden or self.container["Command"]),
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def run(self, *arguments: str) -> int:
        """Run it to its end; returns the exit status."""
        self.start(overridden=[*self.container["Command"], *arguments])
        assert self.process is not None
        return self.process.wait(120)

    def _command(self, command: list[str]) -> list[str]:
        """`python` is this one: the image has its own on its PATH."""
        program, *arguments = command
        assert program == "python"
        uid, gid = self.container["User"].split(":")
        confined = [sys.executable, "-I", "-S", str(_CONFINED), uid, gid, "--"] if can_confine() else []
        command = [sys.executable, *arguments]
        return [*confined, *command] if confined else ends_with_us(*command)

    def user(self) -> int:
        """The user that the process really runs as."""
        assert self.process is not None
        return Path(f"/proc/{self.process.pid}").stat().st_uid

    def wait_until_healthy(self) -> None:
        """Run the container's health check until it succeeds, as long as ECS would give it."""
        check = self.container["HealthCheck"]
        kind, *command = check["Command"]
        assert kind == "CMD"
        deadline = time.monotonic() + check["StartPeriod"] + check["Interval"] * check["Retries"]
        while subprocess.run(
            self._command(command),
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            timeout=check["Timeout"] + 5,
            check=False,
        ).returncode:
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)

    def stop(self) -> int:
        """Stop it as ECS does; returns the exit status, -9 when it took longer than it may."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(self.container["StopTimeout"])
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


@contextmanager
def open_directory() -> Generator[Path]:
    """A directory that other users can read, outside of /tmp: a task has a /tmp of its own."""
    with tempfile.TemporaryDirectory(prefix="tap-tasks-", dir="/var/tmp") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)
