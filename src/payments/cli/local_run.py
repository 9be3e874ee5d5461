"""`tap up`: a local run from an empty directory to a healthy system, and back."""

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import asyncpg
import psycopg

from payments.acquirers.configuration import ACQUIRERS_TOML_VARIABLE, ACQUIRERS_VARIABLE, ConfigurationError, configured
from payments.cli.data_directory import DataDirectory, Login, Run, RunningProcess, RunningService, UsageError
from payments.cli.front_door import FrontDoor
from payments.cli.health import is_healthy
from payments.cli.ports import LOOPBACK, check_port, free_ports
from payments.cli.postgres import EmbeddedPostgres
from payments.cli.supervisor import Program, Supervisor
from payments.domain.principal import KeyKind
from payments.runtime.topology import FRAME_ANCESTORS_VARIABLE, RATE_LIMIT_VARIABLE, SERVICES, Service
from payments.storage.database import Queries, connect
from payments.storage.keys import create_key, create_merchant, hash_anew, list_keys
from payments.storage.logins import ServiceLogin, login_url, provide_logins
from payments.storage.migrate import DatabaseNewerError, migrate

_GATEWAY = "gateway"
_DATABASE = "tap"
_COPIED = (Service.PAYMENT_API, Service.TRANSACTION_PROCESSOR)
"""What payments pass through; notification-service has time."""
_OTHER_CONNECTIONS = 40
"""To the embedded server: the command line's, people's, and those that PostgreSQL keeps for its administrator."""
_TUNABLE = (
    "TAP_ATTEMPT_LEASE_SECONDS",
    "TAP_ACQUIRER_TIMEOUT_SECONDS",
    RATE_LIMIT_VARIABLE,
    FRAME_ANCESTORS_VARIABLE,
    ACQUIRERS_TOML_VARIABLE,
    "TAP_MAIL_FROM",
    "TAP_MAIL_PER_SECOND",
    "TAP_QUEUES",
    "TAP_SMTP_URL",
)
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
    https: bool = False
    """Whether the front door speaks HTTPS, by an authority of this directory's own."""
    copies: int = 1
    """How many processes there are of each service that payments pass through: one of them takes one core."""
    _supervisor: Supervisor = field(init=False)
    _postgres: EmbeddedPostgres | None = field(init=False, default=None)
    _urls: dict[Service, list[str]] = field(init=False, default_factory=dict[Service, list[str]])
    """Of each copy."""
    _database_url: str = field(init=False, default="")
    _logins: dict[Service, ServiceLogin] = field(init=False, default_factory=dict[Service, ServiceLogin])
    _ready: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._supervisor = Supervisor(self._save)

    async def run(self, on_ready: Callable[[Run], None]) -> None:
        """Start everything, call `on_ready`, and stop everything at SIGINT or SIGTERM; raises `UsageError` when it can't start."""
        _check_acquirers()
        check_port(self.port, self.directory)
        self.directory.create()
        lock = self.directory.lock()
        self.directory.tighten()
        self.directory.check_envelope_key()
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
            await self._provide_logins()
        except DatabaseNewerError as failure:
            raise UsageError(str(failure)) from None
        except psycopg.errors.InsufficientPrivilege as refusal:
            raise UsageError(
                f"The user of TAP_DATABASE_URL needs rights to make schemas and roles in that database ({_reason(refusal)})."
            ) from None
        await self._provide_sandbox()
        self._start_services()
        door = self._front_door
        self._supervisor.start(door.program(self._log(_GATEWAY)))  # at once: until the services are there it says so
        await asyncio.gather(
            *(
                _until_healthy(url, self._log(_copy(service, number)))
                for service, urls in self._urls.items()
                for number, url in enumerate(urls)
            )
        )
        await _until(lambda: is_healthy(door.url, door.root_certificate), _GATEWAY, self._log(_GATEWAY))

    async def _stop(self) -> None:
        # The front door waits for what is under way; streams of events go on until their service takes leave.
        listened_to = [
            _copy(Service.NOTIFICATION_SERVICE, number) for number in range(len(self._urls.get(Service.NOTIFICATION_SERVICE, ())))
        ]
        await self._supervisor.stop(_GATEWAY, *listened_to)
        await self._supervisor.stop(*(_copy(service, number) for service, urls in self._urls.items() for number in range(len(urls))))
        await self._supervisor.stop("postgres")
        if self._postgres is not None:
            self._postgres.tidy()
        self.directory.save_run(None)

    async def _start_database(self) -> None:
        if self.external_database_url is not None:
            self._database_url = self.external_database_url
            await _check_database(self._database_url, "The database that TAP_DATABASE_URL names can't be reached")
            await self._check_room()
            return
        kept = self.directory.secrets()
        if not kept.database_password:
            kept.database_password = secrets.token_urlsafe(24)
            self.directory.save_secrets(kept)
        room = str(self._connections_max + _OTHER_CONNECTIONS)
        self._postgres = EmbeddedPostgres(self.directory.postgres, password=kept.database_password, max_connections=room)
        await asyncio.to_thread(self._postgres.prepare)
        self._database_url = self._postgres.url(_DATABASE)
        log = self._log("postgres")
        self._supervisor.start(self._postgres.program(log))
        await _until(lambda: self._database_is_there(log), "PostgreSQL", log)

    def _copies_of(self, service: Service) -> int:
        return self.copies if service in _COPIED else 1

    @property
    def _connections_max(self) -> int:
        """How many connections all copies together may open."""
        return sum(spec.connections_max * self._copies_of(service) for service, spec in SERVICES.items())

    async def _check_room(self) -> None:
        """A database that refuses the last copy's connections would do so under load only."""
        async with connect(self._database_url) as connection:
            room = int(await connection.fetchval("SELECT current_setting('max_connections')"))
        if room < self._connections_max:
            raise UsageError(
                f"The database that TAP_DATABASE_URL names takes {room} connections, and {self.copies} copies may open {self._connections_max}:"
                " raise its max_connections, or run fewer copies."
            )

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

    async def _provide_logins(self) -> None:
        """Give each service a login of its own, whose name no other directory's has: servers may be shared."""
        kept = self.directory.secrets()
        missing = [service for service in SERVICES if service not in kept.logins]
        if missing:
            suffix = secrets.token_hex(4)
            new = {
                service: Login(user=f"{SERVICES[service].database_role}_{suffix}", password=secrets.token_urlsafe(24))
                for service in missing
            }
            kept.logins = {**kept.logins, **new}
            self.directory.save_secrets(kept)
        self._logins = {
            service: ServiceLogin(kept.logins[service].user, kept.logins[service].password, spec.database_role)
            for service, spec in SERVICES.items()
        }
        await asyncio.to_thread(provide_logins, self._database_url, self._logins.values())
        if self.external_database_url is not None:
            for login in self._logins.values():
                await _check_database(
                    login_url(self._database_url, login),
                    f"The database doesn't let {login.user} in, which is a service's login with a password",
                )

    async def _provide_sandbox(self) -> None:
        """Make a test merchant with keys on first start; the keys stay readable in the directory's secrets."""
        kept = self.directory.secrets()
        async with connect(self._database_url) as connection, connection.transaction():
            pepper = kept.pepper
            if kept.secret_key and await _has_keys(connection):
                for key in (kept.secret_key, kept.publishable_key):
                    await hash_anew(connection, key, pepper)
                return
            merchant = await create_merchant(connection, "Sandbox")
            secret = await create_key(connection, merchant, livemode=False, kind=KeyKind.SECRET, pepper=pepper)
            publishable = await create_key(connection, merchant, livemode=False, kind=KeyKind.PUBLISHABLE, pepper=pepper)
            kept.secret_key, kept.publishable_key = secret.plaintext, publishable.plaintext
            self.directory.save_secrets(kept)

    def _start_services(self) -> None:
        ports = iter(free_ports(sum(self._copies_of(service) for service in SERVICES)))
        self._urls = {service: [f"http://{LOOPBACK}:{port}" for port in islice(ports, self._copies_of(service))] for service in SERVICES}
        kept = self.directory.secrets()
        shared = {
            "TAP_HOST": LOOPBACK,
            "TAP_PUBLIC_URL": self._front_door.url,
            "TAP_API_KEY_PEPPER": kept.api_key_pepper,
            "TAP_INTERNAL_API_KEY": kept.internal_api_key,
            "TAP_ENVELOPE_KEY_FILE": str(self.directory.envelope_key.resolve()),
            "TAP_ALLOW_PRIVATE_WEBHOOK_TARGETS": "true",
            **{name: os.environ[name] for name in _TUNABLE if name in os.environ},
        }
        if ACQUIRERS_VARIABLE in os.environ:
            shared[ACQUIRERS_VARIABLE] = str(Path(os.environ[ACQUIRERS_VARIABLE]).resolve())
        for service, spec in SERVICES.items():
            for number, url in enumerate(self._urls[service]):
                environment = _plain_environment() | shared
                environment |= {
                    "TAP_DATABASE_URL": login_url(self._database_url, self._logins[service]),
                    "TAP_PORT": url.rsplit(":", 1)[1],
                    # Each copy hands over to one of its own: so they get as much to do as the front door shares out, and nothing stands between.
                    "TAP_TRANSACTION_PROCESSOR_URL": self._urls[Service.TRANSACTION_PROCESSOR][number],
                }
                name = _copy(service, number)
                self._supervisor.start(Program(name, [sys.executable, "-m", spec.module], self._log(name), environment))

    @property
    def _front_door(self) -> FrontDoor:
        return FrontDoor(host=LOOPBACK, port=self.port, upstreams=self._urls, directory=self.directory.gateway.resolve(), https=self.https)

    def _running(self, service: Service) -> RunningService:
        first, *others = (
            RunningProcess(pid=self._supervisor.pid(_copy(service, number)), url=url) for number, url in enumerate(self._urls[service])
        )
        return RunningService(pid=first.pid, url=first.url, others=others)

    def _log(self, name: str) -> Path:
        return self.directory.logs / f"{name}.log"

    def _save(self) -> None:
        door = self._front_door
        self.directory.save_run(
            Run(
                supervisor_pid=os.getpid(),
                ready=self._ready,
                base_url=door.url,
                database_url=self._database_url,
                postgres=RunningProcess(pid=self._supervisor.pid("postgres")),
                gateway=RunningProcess(pid=self._supervisor.pid(_GATEWAY), url=door.url),
                services={service: self._running(service) for service in self._urls},
                root_certificate=None if door.root_certificate is None else str(door.root_certificate),
            )
        )


def _copy(service: Service, number: int) -> str:
    """Return what one copy of a service is called, and its log: the first as the service itself."""
    return f"{service}-{number + 1}" if number else str(service)


async def _until_healthy(url: str, log: Path) -> None:
    await _until(lambda: is_healthy(url), log.stem, log)


async def _until(condition: Callable[[], Awaitable[bool]], name: str, log: Path) -> None:
    try:
        async with asyncio.timeout(_START_SECONDS_MAX):
            while not await condition():
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise UsageError(f"{name} doesn't start: see {log}") from None


async def _check_database(url: str, complaint: str) -> None:
    try:
        async with connect(url):
            pass
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as failure:
        raise UsageError(f"{complaint} ({_reason(failure)}). Mend that, or unset TAP_DATABASE_URL.") from None


def _reason(failure: Exception) -> str:
    return str(failure).split("\n", maxsplit=1)[0] or type(failure).__name__


async def _has_keys(connection: Queries) -> bool:
    return bool(await list_keys(connection))


def _check_acquirers() -> None:
    """Raise `UsageError` for acquirers that the services wouldn't start with."""
    try:
        configured(os.environ).secrets(os.environ)
    except ConfigurationError as mistake:
        raise UsageError(str(mistake)) from None


def _plain_environment() -> dict[str, str]:
    """The environment without our own variables, so that only what is set here counts."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TAP_")}
