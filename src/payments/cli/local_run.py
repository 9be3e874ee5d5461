"""`tap up`: a local run from an empty directory to a healthy system, and back."""

import asyncio
import os
import random
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import asyncpg
import msgspec

from payments.cli.data_directory import DataDirectory, Run, RunningProcess, UsageError
from payments.cli.postgres import EmbeddedPostgres
from payments.cli.supervisor import Program, Supervisor
from payments.domain.principal import KeyKind
from payments.runtime.topology import HEALTH_PATH, SERVICES, Service
from payments.storage.database import Queries, connect
from payments.storage.keys import create_key, create_merchant, list_keys
from payments.storage.migrate import DatabaseNewerError, migrate

LOOPBACK = "127.0.0.1"
_GATEWAY = "gateway"
_DATABASE = "tap"
_PORTS = range(20_000, 32_000)
"""Below what the kernel hands out for outgoing connections, so that nothing takes a port between choosing and binding it."""
_TUNABLE = ("TAP_ATTEMPT_LEASE_SECONDS", "TAP_ACQUIRER_TIMEOUT_SECONDS")
"""Settings of the services that the environment of `tap up` may change."""
_START_SECONDS_MAX = 60.0
_POLL_SECONDS = 0.05


@dataclass(slots=True)
class LocalRun:
    """One run of the whole system on this machine."""

    directory: DataDirectory
    port: int
    external_database_url: str | None = None
    """A server of the user's own, instead of the embedded one."""
    _supervisor: Supervisor = field(init=False)
    _postgres: EmbeddedPostgres | None = field(init=False, default=None)
    _urls: dict[Service, str] = field(init=False, default_factory=dict[Service, str])
    _database_url: str = field(init=False, default="")
    _ready: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._supervisor = Supervisor(self._save)

    async def run(self, on_ready: Callable[[Run], None]) -> None:
        """Start everything, call `on_ready`, and stop everything at SIGINT or SIGTERM; raises `UsageError` when it can't start."""
        _check_port_free(self.port)
        self.directory.create()
        lock = self.directory.lock()
        self.directory.save_run(None)  # a run that was killed left what it was
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        starting = asyncio.create_task(self._start())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                self._ready = True
                self._save()
                on_ready(self.directory.run())
                await stopping
        finally:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            await self._stop()
            os.close(lock)

    async def _start(self) -> None:
        await self._start_database()
        try:
            await asyncio.to_thread(migrate, self._database_url)
        except DatabaseNewerError as failure:
            raise UsageError(str(failure)) from None
        await self._provide_sandbox()
        self._start_services()
        await asyncio.gather(*(_until_healthy(url, self._log(service)) for service, url in self._urls.items()))
        self._supervisor.start(self._gateway_program())
        await _until_healthy(self._base_url, self._log(_GATEWAY))

    async def _stop(self) -> None:
        await self._supervisor.stop(_GATEWAY)
        await self._supervisor.stop(*SERVICES)
        await self._supervisor.stop("postgres")
        if self._postgres is not None:
            self._postgres.tidy()
        self.directory.save_run(None)

    async def _start_database(self) -> None:
        if self.external_database_url is not None:
            self._database_url = self.external_database_url
            await _check_database(self._database_url)
            return
        self._postgres = EmbeddedPostgres(self.directory.postgres)
        await asyncio.to_thread(self._postgres.prepare)
        self._database_url = self._postgres.url(_DATABASE)
        log = self._log("postgres")
        self._supervisor.start(self._postgres.program(log))
        await _until(lambda: self._database_is_there(log), "PostgreSQL", log)

    async def _database_is_there(self, log: Path) -> bool:
        """Create our database as soon as the server lets us."""
        if self._postgres is None or self._supervisor.starts("postgres") > 4:
            raise UsageError(f"PostgreSQL doesn't start: see {log}")
        try:
            async with connect(self._postgres.url("postgres")) as connection:
                if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", _DATABASE):
                    await connection.execute(
                        f"CREATE DATABASE {_DATABASE} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'"
                    )
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        return True

    async def _provide_sandbox(self) -> None:
        """Make a test merchant with keys on first start; the keys stay readable in the directory's secrets."""
        secrets = self.directory.secrets()
        async with connect(self._database_url) as connection, connection.transaction():
            if secrets.secret_key and await _has_keys(connection):
                return
            merchant = await create_merchant(connection, "Sandbox")
            pepper = bytes.fromhex(secrets.api_key_pepper)
            secret = await create_key(connection, merchant, livemode=False, kind=KeyKind.SECRET, pepper=pepper)
            publishable = await create_key(connection, merchant, livemode=False, kind=KeyKind.PUBLISHABLE, pepper=pepper)
            secrets.secret_key, secrets.publishable_key = secret.plaintext, publishable.plaintext
            self.directory.save_secrets(secrets)

    def _start_services(self) -> None:
        self._urls = {service: f"http://{LOOPBACK}:{port}" for service, port in zip(SERVICES, _free_ports(len(SERVICES)), strict=True)}
        secrets = self.directory.secrets()
        shared = {
            "TAP_DATABASE_URL": self._database_url,
            "TAP_HOST": LOOPBACK,
            "TAP_PUBLIC_URL": self._base_url,
            "TAP_TRANSACTION_PROCESSOR_URL": self._urls[Service.TRANSACTION_PROCESSOR],
            "TAP_API_KEY_PEPPER": secrets.api_key_pepper,
            "TAP_INTERNAL_API_KEY": secrets.internal_api_key,
            "TAP_ENVELOPE_KEY_FILE": str(self.directory.envelope_key.resolve()),
            "TAP_ALLOW_PRIVATE_WEBHOOK_TARGETS": "true",
            **{name: os.environ[name] for name in _TUNABLE if name in os.environ},
        }
        for service, spec in SERVICES.items():
            environment = _plain_environment() | shared
            environment |= {"TAP_DATABASE_ROLE": spec.database_role, "TAP_PORT": self._urls[service].rsplit(":", 1)[1]}
            self._supervisor.start(Program(service, [sys.executable, "-m", spec.module], self._log(service), environment))

    def _gateway_program(self) -> Program:
        environment = _plain_environment() | {
            "TAP_HOST": LOOPBACK,
            "TAP_PORT": str(self.port),
            "TAP_GATEWAY_UPSTREAMS": msgspec.json.encode(self._urls).decode(),
        }
        return Program(_GATEWAY, [sys.executable, "-m", "payments.cli.gateway"], self._log(_GATEWAY), environment)

    @property
    def _base_url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def _log(self, name: str) -> Path:
        return self.directory.logs / f"{name}.log"

    def _save(self) -> None:
        self.directory.save_run(
            Run(
                supervisor_pid=os.getpid(),
                ready=self._ready,
                base_url=self._base_url,
                database_url=self._database_url,
                postgres=RunningProcess(pid=self._supervisor.pid("postgres")),
                gateway=RunningProcess(pid=self._supervisor.pid(_GATEWAY), url=self._base_url),
                services={service: RunningProcess(pid=self._supervisor.pid(service), url=url) for service, url in self._urls.items()},
            )
        )


async def is_healthy(url: str) -> bool:
    """Tell whether a service answers that it can work."""
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=3)) as session, session.get(url + HEALTH_PATH) as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


async def _until_healthy(url: str, log: Path) -> None:
    await _until(lambda: is_healthy(url), log.stem, log)


async def _until(condition: Callable[[], Awaitable[bool]], name: str, log: Path) -> None:
    try:
        async with asyncio.timeout(_START_SECONDS_MAX):
            while not await condition():
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise UsageError(f"{name} doesn't start: see {log}") from None


async def _check_database(url: str) -> None:
    try:
        async with connect(url):
            pass
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as failure:
        reason = str(failure).split("\n", maxsplit=1)[0] or type(failure).__name__
        raise UsageError(
            f"The database that TAP_DATABASE_URL names can't be reached ({reason}). Start it, or unset TAP_DATABASE_URL."
        ) from None


async def _has_keys(connection: Queries) -> bool:
    return bool(await list_keys(connection))


def _check_port_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except (OSError, OverflowError):
            raise UsageError(f"Port {port} is busy. Choose another: tap up --port {port + 1 if port < 65_535 else 8080}") from None


def _free_ports(count: int) -> list[int]:
    chosen: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        chosen.append(port)
        if len(chosen) == count:
            return chosen
    raise UsageError("No free port between 20000 and 32000.")


def _plain_environment() -> dict[str, str]:
    """The environment without our own variables, so that only what is set here counts."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TAP_")}
