"""Somebody who uses Tap's command line on an emulated AWS."""

import os
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from payments.cli.aws.clients import error_code
from payments.cli.aws.environment import DeployedEnvironment
from payments.cli.aws.status import read_status
from payments.runtime.topology import Names, Service
from tests.support.emulated_aws import ROOT, Aws, Emulator
from tests.support.front_door import FrontDoor
from tests.support.waiting import wait_until

ENVIRONMENT = "prcli"
NAMES = Names(ENVIRONMENT)
API = Service.PAYMENT_API


@dataclass(frozen=True)
class Operator:
    """Somebody with a checkout, a container engine, and credentials."""

    emulator: Emulator
    aws: Aws
    door: FrontDoor
    engine: Path
    home: Path
    environment: DeployedEnvironment
    checkout: Path
    """Where the infrastructure is."""

    def start(self, *arguments: str, checkout: Path = ROOT) -> subprocess.Popen[str]:
        polling = () if arguments[0] == "status" else ("--poll-seconds", "0.5")
        command = [sys.executable, "-m", "payments.cli", *arguments, "--environment", ENVIRONMENT, *polling]
        environment = os.environ | {"ENGINE": str(self.engine), "CDK_HOME": str(self.home), "COLUMNS": "240"}
        return subprocess.Popen(command, cwd=checkout, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def tap(self, *arguments: str, fails: bool = False, checkout: Path = ROOT) -> str:
        """Run a command; returns what it printed, or the one line of its failure."""
        process = self.start(*arguments, checkout=checkout)
        output, errors = process.communicate(timeout=240)
        assert process.returncode == (1 if fails else 0), output + errors
        return errors.strip().splitlines()[-1] if fails else output

    def deploy(self, image: str, *options: str, fails: bool = False, checkout: Path | None = None) -> str:
        deploy = ("deploy", "--image", image, "--public-url", self.door.url)
        return self.tap(*deploy, *options, fails=fails, checkout=checkout or self.checkout)

    def service(self, service: Service = API) -> dict[str, Any]:
        """What `tap status --json` says of a service."""
        return read_status(self.environment)["services"][service]

    @contextmanager
    def held_release(self, image: str) -> Generator["subprocess.Popen[str]"]:
        """Release an image of payment-api, which is held where it is tried out, before it gets traffic."""
        opened = threading.Event()
        answer = self.door.answer

        def wait(path: str) -> tuple[int, dict[str, Any]]:
            opened.wait()
            return answer(path)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self.door, "answer", wait)
            process = self.start("release", API, "--image", image, "--build")
            assert process.stdout is not None
            try:
                assert any("AfterAllowTestTraffic: InProgress" in line for line in process.stdout), "it is tried out"
                yield process
            finally:
                opened.set()

    @contextmanager
    def red_alarm(self) -> Generator[None]:
        """Of payment-api's release."""
        alarm, *_ = self.service()["alarms"]
        self.aws.cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="A test says so")
        try:
            yield
        finally:
            self.aws.cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="OK", StateReason="A test says so")

    def settle(self) -> None:
        """Have no deployment running, and no task of an earlier one."""
        name = NAMES.task_family(API)
        if deployment := self.service()["deployment"]:
            try:
                self.aws.codedeploy.continue_deployment(deploymentId=deployment, deploymentWaitType="TERMINATION_WAIT")
            except ClientError as over:
                assert error_code(over) in ("InvalidDeploymentStatusException", "DeploymentAlreadyCompletedException")
        wait_until(
            lambda: (
                not self.aws.codedeploy.list_deployments(
                    applicationName=name, deploymentGroupName=name, includeOnlyStatuses=["Created", "Queued", "InProgress"]
                )["deployments"]
            ),
            "no deployment runs",
        )
