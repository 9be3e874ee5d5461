"""What one-off tasks do to the database: bring its schema up to date before new code runs, and prove the books."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import quote, urlsplit

import asyncpg

from payments.runtime.clock import SystemClock
from payments.runtime.logging import Logger
from payments.runtime.seal import GivenKeyProvider, Sealer
from payments.runtime.settings import MaintenanceSettings, SettingsError
from payments.runtime.topology import SANDBOX_KEY_PREFIX, SERVICES, Service
from payments.storage.books import examine
from payments.storage.credentials import LOGIN_REFUSALS, Credentials, credentials_of
from payments.storage.database import CONNECTION_FAILURES, Connection, connect
from payments.storage.keys import provide_test_key
from payments.storage.logins import ServiceLogin, provide_logins
from payments.storage.migrate import DatabaseNewerError, migrate
from payments.storage.sessions import Sessions

REACH_SECONDS_MAX = 60.0
"""An Aurora that has paused takes 15 to 30 s to wake."""
_RETRY_SECONDS = 1.0
_SANDBOX = "Sandbox"


class DatabaseUnreachableError(Exception):
    """The database didn't let us in, however long we waited."""

    def __init__(self, database_url: str, failure: BaseException) -> None:
        super().__init__(f"The database at {urlsplit(database_url).hostname} can't be reached: {type(failure).__qualname__}")


EXPLAINED = (DatabaseNewerError, DatabaseUnreachableError, SettingsError)
"""Errors whose message is ours, and holds no data: it may be logged."""


async def run_migrate(settings: MaintenanceSettings, log: Logger) -> int:
    """Apply the migrations, let the services log in, and make the sandbox's key known if there is one; returns the exit status."""
    url = await reach(settings, credentials_of(settings.database_secret, settings.database_url, SystemClock(), log))
    applied = await asyncio.to_thread(migrate, url)
    log.event("migrated", applied=applied, logins=await _provide_logins(url, settings.login_passwords))
    if settings.sandbox_key is not None and settings.api_key_pepper is not None:
        key = SANDBOX_KEY_PREFIX + settings.sandbox_key
        async with connect(url) as connection:
            created = await provide_test_key(connection, key, merchant_name=_SANDBOX, pepper=settings.api_key_pepper)
        log.event("sandbox", created=created)
    return 0


async def run_logins(settings: MaintenanceSettings, log: Logger) -> int:
    """Give the services' logins the passwords that their secrets have now; returns the exit status."""
    url = await reach(settings, credentials_of(settings.database_secret, settings.database_url, SystemClock(), log))
    log.event("logins", logins=await _provide_logins(url, settings.login_passwords))
    return 0


async def _provide_logins(url: str, passwords: Mapping[Service, str]) -> list[str]:
    logins = [ServiceLogin(SERVICES[service].database_login, each, SERVICES[service].database_role) for service, each in passwords.items()]
    if logins:
        await asyncio.to_thread(provide_logins, url, logins)
    return [login.user for login in logins]


@asynccontextmanager
async def maintenance_connection(settings: MaintenanceSettings, log: Logger) -> AsyncGenerator[Connection]:
    """Open the owner's connection; raises `DatabaseUnreachableError`."""
    credentials = credentials_of(settings.database_secret, settings.database_url, SystemClock(), log)
    async with connect(await reach(settings, credentials)) as connection:
        yield connection


async def run_verify(settings: MaintenanceSettings, log: Logger) -> int:
    """Log each check of the books, and their sum; returns the exit status."""
    sealer = None if settings.envelope_key is None else Sealer(GivenKeyProvider(settings.envelope_key))
    async with maintenance_connection(settings, log) as connection:
        books = await examine(connection, sealer)
    for check in books.checks:
        log.event(
            "check", check=check.name, means=check.sentence, ok=not check.findings, findings=check.findings, seconds=round(check.seconds, 3)
        )
    log.event("books", ok=books.in_order, counts=books.counts)
    return 0 if books.in_order else 1


async def reach(settings: MaintenanceSettings, credentials: Credentials | None, seconds_max: float = REACH_SECONDS_MAX) -> str:
    """Return the database's URL with the password that it accepts, as soon as it does; raises `DatabaseUnreachableError`."""
    last: BaseException = TimeoutError()
    try:
        async with asyncio.timeout(seconds_max):
            while True:
                try:
                    async with connect(settings.database_url, Sessions(credentials)):
                        return settings.database_url if credentials is None else _with_password(settings.database_url, credentials.password)
                except CONNECTION_FAILURES as failure:
                    last = failure
                    if _is_final(failure, credentials):
                        break
                await asyncio.sleep(_RETRY_SECONDS)
    except TimeoutError:
        pass  # what failed before says more
    raise DatabaseUnreachableError(settings.database_url, last) from last


def _is_final(failure: BaseException, credentials: Credentials | None) -> bool:
    """Tell whether waiting won't help: a wrong URL, certificate, CA file or name of a database, or a password that is never rotated."""
    misconfigured = isinstance(failure, (ValueError, FileNotFoundError, asyncpg.ClientConfigurationError, asyncpg.InvalidCatalogNameError))
    return misconfigured or (credentials is None and isinstance(failure, LOGIN_REFUSALS))


def _with_password(database_url: str, password: str) -> str:
    """The migrations have a driver of their own, which takes a URL."""
    parts = urlsplit(database_url)
    user, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user.partition(':')[0]}:{quote(password, safe='')}@{host}").geturl()
