"""What an operator has on the stage: the `tap` command, and AWS's APIs to look at what it did."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

from payments.cli.aws.clients import Aws
from payments.cli.aws.environment import DeployedEnvironment, DeployedService
from payments.runtime.topology import Names, Service
from rehearsal.stage import Stage

_POLL_SECONDS = 1.0
_WAIT_SECONDS_MAX = 300.0
_COMMAND_SECONDS_MAX = 900.0
_LOOK_SECONDS = 1.0
"""Each look at a service is some ten calls, which the emulator answers beside the traffic."""


class RehearsalFailed(Exception):
    """The system didn't do what it must."""


@dataclass(frozen=True, slots=True)
class Operator:
    """Of one environment."""

    stage: Stage
    aws: Aws

    @property
    def names(self) -> Names:
        """The environment's."""
        return self.stage.names

    @property
    def deployed(self) -> DeployedEnvironment:
        """The environment as it is now."""
        return DeployedEnvironment(self.aws, self.names)

    def service(self, service: Service) -> DeployedService:
        """Read a service."""
        return self.deployed.service(service)

    def healthy(self, service: Service) -> int:
        """Return how many tasks get requests, of the target group that serves."""
        live = self.service(service)
        (colour,) = (colour for colour, weight in live.weights.items() if weight)
        (group,) = self.aws.elbv2.describe_target_groups(Names=[self.names.target_group(service, colour)])["TargetGroups"]
        told = self.aws.elbv2.describe_target_health(TargetGroupArn=group.get("TargetGroupArn", ""))["TargetHealthDescriptions"]
        return sum(each.get("TargetHealth", {}).get("State") == "healthy" for each in told)

    def show_targets(self) -> None:
        """Print how each target stands, and what is wrong with it: what one wants to know of a rehearsal that failed."""
        for group in self.aws.elbv2.describe_target_groups()["TargetGroups"]:
            told = self.aws.elbv2.describe_target_health(TargetGroupArn=group.get("TargetGroupArn", ""))["TargetHealthDescriptions"]
            for each in told:
                host, health = each.get("Target", {}).get("Id"), each.get("TargetHealth", {})
                print(f"{group.get('TargetGroupName')} {host}: {health.get('State')} {health.get('Description', '')}", flush=True)

    def is_suspended(self, service: Service) -> bool:
        """Whether auto scaling leaves a service alone."""
        wanted = f"service/{self.names.cluster}/{self.service(service).ecs_service}"
        (target,) = self.aws.scaling.describe_scalable_targets(ServiceNamespace="ecs", ResourceIds=[wanted])["ScalableTargets"]
        suspended = target.get("SuspendedState", {})
        return any(suspended.get(each, False) for each in ("DynamicScalingInSuspended", "DynamicScalingOutSuspended"))

    def tap(self, command: str, *arguments: str) -> None:
        """Run a command; raises `RehearsalFailed` when it doesn't succeed."""
        if code := self.run(command, *arguments):
            raise RehearsalFailed(f"tap {command} {' '.join(arguments)} exited with {code}")

    def run(self, command: str, *arguments: str) -> int:
        """Run a command to its end, and return its exit status."""
        with self.running(command, *arguments) as process:
            return process.wait(_COMMAND_SECONDS_MAX)

    @contextmanager
    def running(self, command: str, *arguments: str) -> Generator[subprocess.Popen[str]]:
        """Start a command. What it prints is shown, under its name: others may run beside it. It is killed if it still runs in the end."""
        label = " ".join((command, *arguments[:1]))
        with subprocess.Popen(
            self._line(command, *arguments),
            cwd=self.stage.checkout,
            env=self.stage.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            reading = threading.Thread(target=_show, args=(label, process), daemon=True)
            reading.start()
            try:
                yield process
            finally:
                process.kill()
                process.wait()
                reading.join()

    def output(self, command: str, *arguments: str) -> str:
        """Return what a command prints, which is kept from the log: it may be a key."""
        line, environment = self._line(command, *arguments), self.stage.environment | {"COLUMNS": "200"}
        done = subprocess.run(
            line, cwd=self.stage.checkout, env=environment, check=False, timeout=_COMMAND_SECONDS_MAX, capture_output=True, text=True
        )
        if done.returncode:
            raise RehearsalFailed(f"tap {command} {arguments[0]} exited with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def _line(self, command: str, *arguments: str) -> list[str]:
        polling = ("--poll-seconds", str(_POLL_SECONDS)) if command != "status" else ()
        return [sys.executable, "-m", "payments.cli", command, *arguments, "--environment", self.names.environment, *polling]

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait; raises `RehearsalFailed` when it takes too long."""
        deadline = time.monotonic() + _WAIT_SECONDS_MAX
        while not condition():
            if time.monotonic() > deadline:
                raise RehearsalFailed(f"It took longer than {_WAIT_SECONDS_MAX:.0f} s until {what}")
            time.sleep(_POLL_SECONDS)


def _show(label: str, process: subprocess.Popen[str]) -> None:
    for line in process.stdout or ():
        print(f"{label} │ {line}", end="", flush=True)


class Watching:
    """Looks at a value again and again in a thread, and keeps what it went through."""

    def __init__(self, look: Callable[[], int], seen: list[int]) -> None:
        self._look, self._seen = look, seen
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(10)
        self._note()

    def _run(self) -> None:
        while not self._ended.wait(_LOOK_SECONDS):
            self._note()

    def _note(self) -> None:
        if (now := self._look()) not in self._seen[-1:]:
            self._seen.append(now)
