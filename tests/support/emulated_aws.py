"""What tests of a deployment share: an emulator without an engine, AWS's clients, the CDK command line, and Tap's names on it."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import boto3

from payments.runtime.topology import Names, Service
from rehearsal.endpoint import ACCOUNT, REGION, answers, emulator_environment
from tests.support.children import ends_with_us
from tests.support.running_tap import free_port
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from mypy_boto3_application_autoscaling import ApplicationAutoScalingClient
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_codedeploy import CodeDeployClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_ecs import ECSClient
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_rds import RDSClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient

ROOT = Path(__file__).parents[2]
DEV = Names("dev")
SECONDS_PER_MINUTE = 0.05
_LIMIT_SECONDS_PER_MINUTE = 5
_START_SECONDS_MAX = 180
_STOP_SECONDS_MAX = 60


@dataclass(frozen=True)
class Emulator:
    """A running emulator."""

    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        return emulator_environment(self.url, os.environ)


@contextmanager
def running_emulator(directory: Path, *, kept_seconds_per_minute: float = SECONDS_PER_MINUTE) -> Generator[Emulator]:
    """Start an emulator on a free port of the loopback interface; it leaves nothing outside `directory`.

    A minute for which a deployment keeps the original tasks takes `kept_seconds_per_minute`.
    """
    port = free_port()
    running = Emulator(port, directory / "log")
    environment = os.environ | {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "DOCKER_HOST": "unix:///nowhere",
        "TMPDIR": str(directory),
        "TAP_EMULATOR_SECONDS_PER_MINUTE": str(SECONDS_PER_MINUTE),
        "TAP_EMULATOR_KEPT_SECONDS_PER_MINUTE": str(kept_seconds_per_minute),
        "TAP_EMULATOR_LIMIT_SECONDS_PER_MINUTE": str(_LIMIT_SECONDS_PER_MINUTE),
        "TAP_EMULATOR_HEALTH_SECONDS_MIN": "0.1",
    }
    with running.log.open("w") as log:
        process = subprocess.Popen(
            ends_with_us(ROOT / ".venv/emulator/bin/python", "-m", "rehearsal.emulator"), cwd=ROOT, env=environment, stdout=log, stderr=log
        )
    try:
        wait_until(lambda: answers(running.url) or process.poll() is not None, "the emulator answers", _START_SECONDS_MAX)
        assert process.poll() is None, running.log.read_text()
        yield running
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


@dataclass(frozen=True, kw_only=True)
class Aws:
    """Clients of the emulator."""

    cloudformation: "CloudFormationClient"
    cloudwatch: "CloudWatchClient"
    codedeploy: "CodeDeployClient"
    discovery: Any
    ec2: "EC2Client"
    ecr: "ECRClient"
    ecs: "ECSClient"
    elb: "ElasticLoadBalancingv2Client"
    functions: "LambdaClient"
    rds: "RDSClient"
    s3: "S3Client"
    scaling: "ApplicationAutoScalingClient"
    secrets: "SecretsManagerClient"


@contextmanager
def clients(emulator: Emulator) -> Generator[Aws]:
    session = boto3.Session(aws_access_key_id=ACCOUNT, aws_secret_access_key="emulated", region_name=REGION)
    url = emulator.url
    made = Aws(
        cloudformation=session.client("cloudformation", endpoint_url=url),
        cloudwatch=session.client("cloudwatch", endpoint_url=url),
        codedeploy=session.client("codedeploy", endpoint_url=url),
        discovery=cast("Any", session).client("servicediscovery", endpoint_url=url),
        ec2=session.client("ec2", endpoint_url=url),
        ecr=session.client("ecr", endpoint_url=url),
        ecs=session.client("ecs", endpoint_url=url),
        elb=session.client("elbv2", endpoint_url=url),
        functions=session.client("lambda", endpoint_url=url),
        rds=session.client("rds", endpoint_url=url),
        s3=session.client("s3", endpoint_url=url),
        scaling=session.client("application-autoscaling", endpoint_url=url),
        secrets=session.client("secretsmanager", endpoint_url=url),
    )
    try:
        yield made
    finally:
        for client in [getattr(made, name) for name in Aws.__dataclass_fields__]:
            client.close()


@dataclass(frozen=True)
class Cdk:
    """The CDK command line, as package.json pins it."""

    emulator: Emulator
    home: Path
    """It remembers accounts there; it must neither read nor write the developer's own."""

    def __call__(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = self.emulator.environment | {
            "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}",
            "CDK_HOME": str(self.home),
            "CDK_DISABLE_CLI_TELEMETRY": "1",
            "CI": "true",
        }
        command = [str(ROOT / ".venv/cdk/node_modules/.bin/cdk"), *arguments, "--no-notices", "--no-version-reporting"]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, done.stdout + done.stderr + self.emulator.log.read_text()[-5000:]
        return done


def changed(source: Path, directory: Path, stack: str, old: str, new: str) -> Path:
    """Copy an assembly with one nested stack's template changed, under asset names of its own: quicker than another synthesis."""
    directory.mkdir()
    (assets,) = [json.loads(path.read_text())["files"] for path in source.glob("*.assets.json")]
    paths = {key: each["source"]["path"] for key, each in assets.items()}
    keys = [key for key, path in paths.items() if stack in path or path == f"{DEV.stack}.template.json"]
    for path in source.iterdir():
        if path.is_dir():
            (directory / path.name).symlink_to(path)
            continue
        text = path.read_text()
        for key in keys:
            text = text.replace(key, hashlib.sha256(f"{key}{new}".encode()).hexdigest())
        if path.name == next(each for each in paths.values() if stack in each):
            assert old in text
            text = text.replace(old, new)
        (directory / path.name).write_text(text)
    return directory


def put_image(aws: Aws, service: Service, tag: str) -> str:
    """Let ECR know an image; returns its digest."""
    manifest = {"schemaVersion": 2, "config": {"digest": f"sha256:{service}-{tag}"}, "layers": []}
    told = aws.ecr.put_image(repositoryName=DEV.repository(service), imageManifest=json.dumps(manifest), imageTag=tag)["image"]
    return told.get("imageId", {}).get("imageDigest", "")


def service_arn(aws: Aws, service: Service) -> str:
    arns = aws.ecs.list_services(cluster=DEV.cluster)["serviceArns"]
    for told in aws.ecs.describe_services(cluster=DEV.cluster, services=arns)["services"]:
        if f"/{DEV.task_family(service)}:" in told.get("taskDefinition", ""):
            return told.get("serviceArn", "")
    raise LookupError(service)


def task_sets(aws: Aws, service: Service) -> list[Any]:
    told = aws.ecs.describe_services(cluster=DEV.cluster, services=[service_arn(aws, service)])["services"][0]
    return list(told.get("taskSets", []))


def scale(aws: Aws, service: Service, tasks: int) -> None:
    """Set a service's desired count and wait until it is reached."""
    aws.ecs.update_service(cluster=DEV.cluster, service=service_arn(aws, service), desiredCount=tasks)
    wait_until(lambda: is_steady(aws, service, tasks), f"{service} has {tasks} healthy tasks")


def is_steady(aws: Aws, service: Service, tasks: int) -> bool:
    sets = task_sets(aws, service)
    return len(sets) == 1 and sets[0]["runningCount"] == tasks and sets[0]["stabilityStatus"] == "STEADY_STATE"
