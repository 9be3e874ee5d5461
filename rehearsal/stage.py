"""Where a rehearsal plays: a network with the emulator of AWS and a merchant's webhook receiver, a copy of the checkout, and nothing left afterwards."""

import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from payments.cli.aws.clients import Aws, connect
from payments.cli.aws.environment import DeployedEnvironment
from payments.cli.aws.images import local_image
from payments.runtime.topology import Names, Service
from rehearsal.authority import Authority, database_names
from rehearsal.base_images import PREFIX, BaseImages, remove_images, service_images
from rehearsal.endpoint import ACCOUNT, REGION, answers, emulator_environment
from rehearsal.engine import Engine
from rehearsal.private_engine import EngineError

ROOT = Path(__file__).parents[1]
SECONDS_PER_MINUTE = 1.5
"""A minute of a release, on the stage: canaries of five minutes take seven seconds, and old tasks are kept for twenty."""
_LIMIT_SECONDS_PER_MINUTE = 5
"""An hour's limit is five minutes: containers start as slowly as the machine is busy."""
EMULATOR_LOG = ROOT / ".rehearsal" / "emulator.log"
"""What the emulator of the last rehearsal wrote."""
_GATEWAY_PORT = 4566
_PORTS = range(20_000, 32_000)
_RECEIVER_PORT = 8443
_START_SECONDS_MAX = 180.0


@dataclass(frozen=True, slots=True)
class Releases:
    """Tags of a run's images, which are nobody else's on a shared engine."""

    run: str

    @property
    def good(self) -> tuple[str, str, str]:
        """The first is built; the others differ from it in a label, as another commit would in its files."""
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
        return [local_image(service, tag) for service in Service for tag in self.good] + [local_image(*each) for each in bad]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A running stage."""

    engine: Engine
    names: Names
    network: str
    releases: Releases
    port: int
    """Of the emulator, on loopback."""
    receiver_port: int
    checkout: Path
    """An operator's checkout, in which a size may be changed."""

    @property
    def front_door(self) -> str:
        """The load balancer's production listener, as it is reached from outside."""
        return f"http://localhost:{self.port}/_alb/{self.names.cluster}"

    @property
    def receiver_inside(self) -> str:
        """The webhook receiver, as tasks reach it."""
        return f"http://receiver:{_RECEIVER_PORT}/webhooks"

    @property
    def receiver_outside(self) -> str:
        """The webhook receiver, as it is asked what came."""
        return f"http://localhost:{self.receiver_port}"

    @property
    def environment(self) -> dict[str, str]:
        """What the operator's commands are told."""
        return emulator_environment(f"http://localhost:{self.port}", self.engine.environment) | {
            "CDK_HOME": str(self.checkout / "cdk-home"),  # it remembers accounts there
            "CDK_DISABLE_CLI_TELEMETRY": "true",
        }

    def aws(self) -> Aws:
        """Return clients of the emulator; the process's own environment is made to point there as well."""
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]
        os.environ.update({name: value for name, value in self.environment.items() if name.startswith("AWS_")})
        return connect(REGION)

    def cdk(self, *arguments: str) -> None:
        """Run the CDK command line in the checkout; raises `CalledProcessError`."""
        cdk = Path(sys.prefix) / "cdk" / "node_modules" / ".bin" / "cdk"
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        subprocess.run(
            [str(cdk), *arguments, "--ci", "--no-notices"], cwd=self.checkout, env={**self.environment, "PATH": path}, check=True
        )

    def change_checkout(self, file: str, before: str, after: str) -> None:
        """Change one place of the checkout; raises `ValueError` unless it is there once."""
        path = self.checkout / file
        text = path.read_text(encoding="utf-8")
        if text.count(before) != 1:
            raise ValueError(f"{file} has {before!r} {text.count(before)} times")
        path.write_text(text.replace(before, after), encoding="utf-8")

    def tasks_of(self, service: Service, aws: Aws) -> set[str]:
        """Return the ids of the containers in which a service's tasks run."""
        deployed = DeployedEnvironment(aws, self.names).service(service)
        arns = aws.ecs.list_tasks(cluster=self.names.cluster, serviceName=deployed.ecs_service, desiredStatus="RUNNING")["taskArns"]
        tasks = aws.ecs.describe_tasks(cluster=self.names.cluster, tasks=arns)["tasks"] if arns else []
        running = [each for each in tasks if each.get("lastStatus") == "RUNNING"]
        return {container.get("runtimeId", "") for task in running for container in task.get("containers", [])}

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
        authority = Authority.create(directory / "tls", *database_names(REGION))
        releases = Releases(token)
        stack.callback(remove_images, engine, releases.images)
        _build_releases(engine, images, authority, releases)
        port = _free_port()
        stack.callback(_clear, engine, token, port)
        engine.run("network", "create", token)
        _start_emulator(engine, images, token, port, authority)
        receiver_port = _free_port()
        _start_receiver(engine, images, token, receiver_port)
        _wait_until_it_answers(port)
        yield Stage(
            engine=engine,
            names=Names(environment),
            network=token,
            releases=releases,
            port=port,
            receiver_port=receiver_port,
            checkout=checkout,
        )


def _copy_checkout(checkout: Path) -> None:
    checkout.mkdir()
    for name in ("app.py", "cdk.json"):
        shutil.copy(ROOT / name, checkout / name)
    shutil.copytree(ROOT / "lib", checkout / "lib", ignore=shutil.ignore_patterns("__pycache__"))
    (checkout / ".venv").symlink_to(sys.prefix, target_is_directory=True)


def _build_releases(engine: Engine, images: BaseImages, authority: Authority, releases: Releases) -> None:
    first, *others = releases.good
    service_images(engine, images, authority, first)
    for service in Service:
        for tag in others:
            _derive(engine, local_image(service, first), local_image(service, tag), f"LABEL release={tag}")

    def spoil(service: Service, tag: str, command: str) -> None:
        lines = f"USER root\nWORKDIR {_PACKAGE}\nRUN {command}\nWORKDIR /app\nUSER 10001:10001"
        _derive(engine, local_image(service, first), local_image(service, tag), lines)

    spoil(Service.PAYMENT_API, releases.broken, "rm -r payment_api")
    for tag, line in ((releases.declining, _DECLINES), (releases.hanging, _HANGS)):
        code = f"async def _spoilt(*_): {line}\\nSimulator.execute = _spoilt\\n"
        # What was compiled before isn't looked at again by itself.
        compiled = "acquirers/__pycache__/simulator.*"
        spoil(Service.TRANSACTION_PROCESSOR, tag, f"printf '{code}' >> acquirers/simulator.py && rm -f {compiled}")


_PACKAGE = "/app/.venv/lib/python3.13/site-packages/payments"
_DECLINES = 'return Declined(code="card_declined", decline_code="generic_decline", message="Your card was declined.")'
_HANGS = "await asyncio.sleep(3600)"


def _derive(engine: Engine, base: str, name: str, lines: str) -> None:
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}-") as made:
        (Path(made) / "Dockerfile").write_text(f"FROM {base}\n{lines}\n")
        engine.build(name, Path(made))


def _start_emulator(engine: Engine, images: BaseImages, token: str, port: int, authority: Authority) -> None:
    tls = authority.ca_file.parent
    settings = {
        "DOCKER_NETWORK": token,
        "MINISTACK_IMAGE_PREFIX": PREFIX,
        "TAP_EMULATOR_LISTEN": "1",
        "TAP_EMULATOR_REGISTRY": f"localhost:{port}",
        "TAP_EMULATOR_DATABASE_CERTIFICATE": f"/tls/{authority.certificate_file.name}",
        "TAP_EMULATOR_DATABASE_KEY": f"/tls/{authority.key_file.name}",
        "TAP_EMULATOR_SECONDS_PER_MINUTE": str(SECONDS_PER_MINUTE),
        "TAP_EMULATOR_LIMIT_SECONDS_PER_MINUTE": str(_LIMIT_SECONDS_PER_MINUTE),
    }
    engine.run(
        *("run", "--detach", "--name", f"{token}-aws", "--network", token, "--publish", f"127.0.0.1:{port}:{_GATEWAY_PORT}"),
        *("--volume", f"{engine.socket}:/var/run/docker.sock", "--volume", f"{tls}:/tls:ro"),
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


def _free_port() -> int:
    """Return a port that nobody listens on, outside of what the kernel hands out for outgoing connections."""
    while True:
        port = random.choice(_PORTS)  # noqa: S311 - no secret
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
