"""Where a rehearsal plays: a network with the emulator of AWS and a merchant's webhook receiver, a copy of the checkout, and nothing left afterwards."""

import http.client
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import boto3
import stripe

from payments.cli.aws.clients import Aws, connect
from payments.cli.aws.environment import DeployedEnvironment
from payments.cli.aws.images import local_image
from payments.runtime.topology import Names, Service
from rehearsal.authority import Authority, database_names
from rehearsal.base_images import PREFIX, BaseImages, Trusted, remove_images, service_images
from rehearsal.endpoint import ACCOUNT, REGION, answers, emulator_environment
from rehearsal.engine import Engine
from rehearsal.private_engine import EngineError

ROOT = Path(__file__).parents[1]
SECONDS_PER_MINUTE = 1.5
"""A minute of a release, on the stage: canaries of five minutes take seven seconds."""
_KEPT_SECONDS_PER_MINUTE = 0.5
"""Old tasks are kept for seven and a half."""
_LIMIT_SECONDS_PER_MINUTE = 5
"""An hour's limit is five minutes: containers start as slowly as the machine is busy."""
EMULATOR_LOG = ROOT / ".rehearsal" / "emulator.log"
"""What the emulator of the last rehearsal wrote."""
_GATEWAY_PORT = 4566
_PORTS = range(20_000, 32_000)
_RECEIVER_PORT = 8443
_START_SECONDS_MAX = 180.0
_ANSWER_SECONDS_MAX = 60.0
PUBLIC_NAME = "localhost"
"""Whose certificate the load balancers show: a name that leads here from outside."""
_boto3: Any = boto3  # its own annotations name clients whose types aren't installed


@dataclass(frozen=True, slots=True)
class Releases:
    """Tags of a run's images, which are nobody else's on a shared engine."""

    run: str

    @property
    def good(self) -> tuple[str, str, str]:
        """The first is built; the others differ from it in a label, as another commit would in its files. The third is notification-service's alone."""
        return f"{self.run}-1", f"{self.run}-2", f"{self.run}-3"

    @property
    def broken(self) -> str:
        """An image of payment-api that doesn't start."""
        return f"{self.run}-broken"

    @property
    def declining(self) -> str:
        """An image of transaction-processor that starts well, and declines every payment."""
        return f"{self.run}-declining"

    @property
    def hanging(self) -> str:
        """An image of transaction-processor that starts well, and gets no answer from the acquirer."""
        return f"{self.run}-hanging"

    @property
    def images(self) -> list[str]:
        """The names of all that are made."""
        bad = [(Service.PAYMENT_API, self.broken), *((Service.TRANSACTION_PROCESSOR, tag) for tag in (self.declining, self.hanging))]
        good = [(service, tag) for service in Service for tag in self.good[:2]] + [(Service.NOTIFICATION_SERVICE, self.good[2])]
        return [local_image(*each) for each in (*good, *bad)]


@dataclass(frozen=True, slots=True)
class Ports:
    """On loopback."""

    emulator: int
    """AWS's APIs."""
    front_door: int
    """The load balancer's 443."""
    plain: int
    """The load balancer's 80."""
    receiver: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A running stage."""

    engine: Engine
    names: Names
    network: str
    releases: Releases
    ports: Ports
    trusted: Trusted
    checkout: Path
    """An operator's checkout, in which a size may be changed."""
    later_images: Future[None]
    """The images that are released later are built meanwhile."""

    @property
    def front_door(self) -> str:
        """The load balancer's production listener, as it is reached from outside."""
        return f"https://{PUBLIC_NAME}:{self.ports.front_door}"

    @property
    def plain_door(self) -> str:
        """The load balancer's port 80."""
        return f"http://{PUBLIC_NAME}:{self.ports.plain}"

    @property
    def receiver_inside(self) -> str:
        """The webhook receiver, as tasks reach it."""
        return f"http://receiver:{_RECEIVER_PORT}/webhooks"

    @property
    def receiver_outside(self) -> str:
        """The webhook receiver, as it is asked what came."""
        return f"http://localhost:{self.ports.receiver}"

    @property
    def environment(self) -> dict[str, str]:
        """What the operator's commands are told."""
        return emulator_environment(f"http://localhost:{self.ports.emulator}", self.engine.environment) | {
            "SSL_CERT_FILE": str(self.trusted.public.ca_file),
            "CDK_HOME": str(self.checkout / "cdk-home"),  # it remembers accounts there
            "CDK_DISABLE_CLI_TELEMETRY": "true",
        }

    def aws(self) -> Aws:
        """Return clients of the emulator; the process itself is made to point there as well, and to trust the front door's authority."""
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]
        os.environ.update({name: value for name, value in self.environment.items() if name.startswith("AWS_")})
        stripe.ca_bundle_path = str(self.trusted.public.ca_file)
        return connect(REGION)

    def import_certificate(self) -> str:
        """Give the front door's certificate to ACM; returns its ARN."""
        certificate = self.trusted.public
        imported = _boto3.client("acm").import_certificate(
            Certificate=certificate.certificate_file.read_bytes(),
            PrivateKey=certificate.key_file.read_bytes(),
            CertificateChain=certificate.ca_file.read_bytes(),
        )
        return str(imported["CertificateArn"])

    def change_checkout(self, file: str, before: str, after: str, *, times: int = 1) -> None:
        """Change each place of a checkout's file that reads so; raises `ValueError` unless there are so many."""
        path = self.checkout / file
        text = path.read_text(encoding="utf-8")
        if text.count(before) != times:
            raise ValueError(f"{file} has {before!r} {text.count(before)} times")
        path.write_text(text.replace(before, after), encoding="utf-8")

    def ask_plainly(self, path: str, headers: Mapping[str, str]) -> tuple[int, str]:
        """Ask at port 80; returns the status, and where it leads."""
        connection = http.client.HTTPConnection(PUBLIC_NAME, self.ports.plain, timeout=_ANSWER_SECONDS_MAX)
        with closing(connection):
            connection.request("GET", path, headers=dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.getheader("Location", "")

    def tasks_of(self, service: Service, aws: Aws, *, on_spot: bool = False) -> set[str]:
        """Return the ids of the containers in which a service's tasks run: all, or those on Fargate Spot."""
        deployed = DeployedEnvironment(aws, self.names).service(service)
        arns = aws.ecs.list_tasks(cluster=self.names.cluster, serviceName=deployed.ecs_service, desiredStatus="RUNNING")["taskArns"]
        tasks = aws.ecs.describe_tasks(cluster=self.names.cluster, tasks=arns)["tasks"] if arns else []
        running = [each for each in tasks if each.get("lastStatus") == "RUNNING"]
        if on_spot:
            running = [each for each in running if each.get("capacityProviderName") == "FARGATE_SPOT"]
        return {container.get("runtimeId", "") for task in running for container in task.get("containers", [])}

    def how_it_ended(self, service: Service, container: str, aws: Aws) -> tuple[str, int | None]:
        """Return ECS's word for why a service's task stopped, and what its container exited with."""
        deployed = DeployedEnvironment(aws, self.names).service(service)
        arns = aws.ecs.list_tasks(cluster=self.names.cluster, serviceName=deployed.ecs_service, desiredStatus="STOPPED")["taskArns"]
        tasks = aws.ecs.describe_tasks(cluster=self.names.cluster, tasks=arns)["tasks"]
        found = [(str(task.get("stopCode", "")), each) for task in tasks for each in task.get("containers", [])]
        return next((code, each.get("exitCode")) for code, each in found if each.get("runtimeId") == container)

    def unprotect(self, aws: Aws) -> None:
        """Take the protection off stack, load balancers and database, as docs/deploy.md has it."""
        aws.cloudformation.update_termination_protection(EnableTerminationProtection=False, StackName=self.names.stack)
        for name in (self.names.cluster, self.names.internal_load_balancer):
            (balancer,) = aws.elbv2.describe_load_balancers(Names=[name])["LoadBalancers"]
            aws.elbv2.modify_load_balancer_attributes(
                LoadBalancerArn=balancer.get("LoadBalancerArn", ""), Attributes=[{"Key": "deletion_protection.enabled", "Value": "false"}]
            )
        aws.rds.modify_db_cluster(DBClusterIdentifier=self.names.database_cluster, DeletionProtection=False, ApplyImmediately=True)

    def give_notice(self, container: str) -> None:
        """Tell a task that its capacity is taken away, as Fargate Spot does."""
        self.engine.run("kill", "--signal", "TERM", container)

    def log_of(self, container: str) -> list[str]:
        """Return the lines that a task has written."""
        return self.engine.run("logs", container).splitlines()

    def kill_a_task(self, service: Service, aws: Aws) -> str:
        """Kill the container of a task, as a broken host would; returns its id."""
        killed = min(self.tasks_of(service, aws))
        self.engine.run("kill", "--signal", "KILL", killed)
        return killed

    def as_database_owner(self, *statements: str) -> None:
        """Have the writer of the database do something that only its server's owner may."""
        each = (part for statement in statements for part in ("--command", statement))
        self.engine.run("exec", self._writer(), "psql", "--username", "tap", "--dbname", "tap", *each)

    def restart_database(self) -> None:
        """End the writer at once, and start it again."""
        writer = self._writer()
        self.engine.run("kill", "--signal", "KILL", writer)
        self.engine.run("start", writer)

    def _writer(self) -> str:
        named = self.engine.run(
            "ps", "--filter", f"network={self.network}", "--filter", "label=ministack=rds", "--format", "{{.Names}}"
        ).split()
        asked = ("psql", "--username", "tap", "--dbname", "tap", "--tuples-only", "--no-align", "--command", "SELECT pg_is_in_recovery()")
        return next(name for name in named if self.engine.run("exec", name, *asked).strip() == "f")

    def containers(self) -> list[str]:
        """Return the names of all containers on the stage, but for the emulator and the receiver."""
        found = self.engine.run("ps", "--all", "--filter", f"network={self.network}", "--format", "{{.Names}}").split()
        return [name for name in found if not name.startswith(self.network)]


@contextmanager
def stage(engine: Engine, images: BaseImages, environment: str) -> Generator[Stage]:
    """Set the stage, and clear it away afterwards, whatever happened on it."""
    token = f"{PREFIX}-{os.getpid()}"
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"{PREFIX}-")))
        checkout = directory / "checkout"
        _copy_checkout(checkout)
        trusted = Trusted(
            databases=Authority.create(directory / "databases", *database_names(REGION)),
            public=Authority.create(directory / "public", PUBLIC_NAME),
        )
        releases = Releases(token)
        stack.callback(remove_images, engine, releases.images)
        ports = Ports(*_free_ports(len(fields(Ports))))
        stack.callback(_clear, engine, token, ports.emulator)
        engine.run("network", "create", token)
        _start_emulator(engine, images, token, ports, trusted)
        _start_receiver(engine, images, token, ports.receiver)
        service_images(engine, images, trusted, releases.good[0])  # it starts meanwhile
        pool = stack.enter_context(ThreadPoolExecutor(1))
        _wait_until_it_answers(ports.emulator)
        yield Stage(
            engine=engine,
            names=Names(environment),
            network=token,
            releases=releases,
            ports=ports,
            trusted=trusted,
            checkout=checkout,
            later_images=pool.submit(_build_later_releases, engine, releases),
        )


def _copy_checkout(checkout: Path) -> None:
    checkout.mkdir()
    for name in ("app.py", "cdk.json"):
        shutil.copy(ROOT / name, checkout / name)
    shutil.copytree(ROOT / "lib", checkout / "lib", ignore=shutil.ignore_patterns("__pycache__"))
    (checkout / ".venv").symlink_to(sys.prefix, target_is_directory=True)


def _build_later_releases(engine: Engine, releases: Releases) -> None:
    first, second, third = releases.good

    def spoilt(command: str) -> str:
        return f"USER root\nWORKDIR {_PACKAGE}\nRUN {command}\nWORKDIR /app\nUSER 10001:10001"

    def replaced(line: str) -> str:
        code = f"async def _spoilt(*_): {line}\\nSimulator.execute = _spoilt\\n"
        # What was compiled before isn't looked at again by itself.
        return spoilt(f"printf '{code}' >> acquirers/simulator.py && rm -f acquirers/__pycache__/simulator.*")

    derived = [(service, second, f"LABEL release={second}") for service in Service] + [
        (Service.NOTIFICATION_SERVICE, third, f"LABEL release={third}"),
        (Service.PAYMENT_API, releases.broken, spoilt("rm -r payment_api")),
        (Service.TRANSACTION_PROCESSOR, releases.declining, replaced(_DECLINES)),
        (Service.TRANSACTION_PROCESSOR, releases.hanging, replaced(_HANGS)),
    ]

    def derive(service: Service, tag: str, lines: str) -> None:
        _derive(engine, local_image(service, first), local_image(service, tag), lines)

    with ThreadPoolExecutor() as pool:
        for _ in pool.map(derive, *zip(*derived, strict=True)):
            pass  # what one of them raised is raised here


_PACKAGE = "/app/.venv/lib/python3.13/site-packages/payments"
_DECLINES = 'return Declined(code="card_declined", decline_code="generic_decline", message="Your card was declined.")'
_HANGS = "await asyncio.sleep(3600)"


def _derive(engine: Engine, base: str, name: str, lines: str) -> None:
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}-") as made:
        (Path(made) / "Dockerfile").write_text(f"FROM {base}\n{lines}\n")
        engine.build(name, Path(made))


def _start_emulator(engine: Engine, images: BaseImages, token: str, ports: Ports, trusted: Trusted) -> None:
    database, public = trusted.databases, trusted.public
    settings = {
        "DOCKER_NETWORK": token,
        "MINISTACK_IMAGE_PREFIX": PREFIX,
        "TAP_EMULATOR_LISTEN": "1",
        "TAP_EMULATOR_REGISTRY": f"localhost:{ports.emulator}",
        "TAP_EMULATOR_DATABASE_CERTIFICATE": f"/databases/{database.certificate_file.name}",
        "TAP_EMULATOR_DATABASE_KEY": f"/databases/{database.key_file.name}",
        "SSL_CERT_FILE": f"/public/{public.ca_file.name}",  # Lambda functions look up there whom they trust
        "TAP_EMULATOR_SECONDS_PER_MINUTE": str(SECONDS_PER_MINUTE),
        "TAP_EMULATOR_KEPT_SECONDS_PER_MINUTE": str(_KEPT_SECONDS_PER_MINUTE),
        "TAP_EMULATOR_LIMIT_SECONDS_PER_MINUTE": str(_LIMIT_SECONDS_PER_MINUTE),
    }
    published = {ports.emulator: _GATEWAY_PORT, ports.front_door: 443, ports.plain: 80}
    engine.run(
        *("run", "--detach", "--name", f"{token}-aws", "--network", token, "--volume", f"{engine.socket}:/var/run/docker.sock"),
        *(part for outside, inside in published.items() for part in ("--publish", f"127.0.0.1:{outside}:{inside}")),
        *("--volume", f"{database.ca_file.parent}:/databases:ro", "--volume", f"{public.ca_file.parent}:/public:ro"),
        *(part for name, value in settings.items() for part in ("--env", f"{name}={value}")),
        images.emulator,
    )


def _start_receiver(engine: Engine, images: BaseImages, token: str, port: int) -> None:
    program = Path(__file__).with_name("receiver.py")
    engine.run(
        *("run", "--detach", "--name", f"{token}-receiver", "--network", token, "--network-alias", "receiver"),
        *("--publish", f"127.0.0.1:{port}:{_RECEIVER_PORT}", "--volume", f"{program}:/receiver.py:ro", "--init"),
        *(images.base, "python", "/receiver.py", str(_RECEIVER_PORT)),
    )


def _wait_until_it_answers(port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS_MAX
    while not answers(f"http://localhost:{port}"):
        if time.monotonic() > deadline:
            raise EngineError(f"The emulator doesn't answer within {_START_SECONDS_MAX:.0f} s.")
        time.sleep(0.1)


def _clear(engine: Engine, token: str, port: int) -> None:
    """Remove containers with their volumes, the network, and what was pulled from the emulator."""
    with suppress(EngineError):
        EMULATOR_LOG.parent.mkdir(exist_ok=True)
        with EMULATOR_LOG.open("wb") as log:
            subprocess.run([engine.docker, "logs", f"{token}-aws"], env=engine.environment, stdout=log, stderr=log, check=False)
        engine.run("rm", "--force", "--volumes", f"{token}-aws")
    left = engine.run("ps", "--all", "--quiet", "--filter", f"network={token}").split()
    if left:
        volumes = engine.run("inspect", "--format", '{{range .Mounts}}{{if eq .Type "volume"}}{{.Name}} {{end}}{{end}}', *left).split()
        engine.run("rm", "--force", "--volumes", *left)
        for volume in volumes:
            with suppress(EngineError):  # an anonymous one went with its container
                engine.run("volume", "rm", volume)
    with suppress(EngineError):
        engine.run("network", "rm", token)
    named = engine.run("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split()
    remove_images(engine, [name for name in named if name.startswith((f"localhost:{port}/", f"{ACCOUNT}.dkr.ecr."))])


def _free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on, outside of what the kernel hands out for outgoing connections."""
    found: set[int] = set()
    while len(found) < count:
        port = random.choice(_PORTS)  # noqa: S311 - no secret
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.add(port)
    return list(found)
