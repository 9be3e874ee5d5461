"""Fixtures: one PostgreSQL for the session, a fresh database for each test that wants one."""

import signal
import time
from collections.abc import AsyncGenerator, Generator

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg import sql

from payments.cli.postgres import EmbeddedPostgres
from payments.storage.database import Connection, connect
from payments.storage.migrate import migrate
from tests.support.postgres import running_postgres
from tests.support.reaper import reaping
from tests.support.temporary import keep_in_memory

# A shell without job control ignores it for what it starts in the background, as with `make test &`, and whoever is started inherits that.
# What the tests start is to be interrupted as at a terminal.
signal.signal(signal.SIGINT, signal.default_int_handler)

keep_in_memory()
_TEMPLATE = "migrated_template"
_DATABASES_LEFT_MAX = 16
"""Of 9 MB each."""

# Neither how long an example takes nor how long it takes to make one is what these tests are about: a busy machine is slow.
# Examples stay random: a new one that fails is a bug found, and is shown with how to repeat it.
settings.register_profile("tap", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("tap")


@pytest.fixture(scope="session", autouse=True)
def _reaper() -> Generator[None]:
    with reaping():
        yield


@pytest.fixture(scope="session")
def postgres() -> Generator[EmbeddedPostgres]:
    """A server of its own for the tests, without fsync: they test logic; the crash test has its own server with everything on."""
    with running_postgres(fsync="off", shared_buffers="64MB") as server:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'")
        migrate(server.url(_TEMPLATE))
        yield server


class _Databases:
    """Those of the tests. One is dropped when others are: each time the server writes down all that is left in its memory, and that takes longest.

    They are made by copying files, which costs half as much as copying page by page through the log.
    """

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server
        self._left: list[str] = []

    def lend(self, template: str) -> Generator[str]:
        name = f"test_{time.monotonic_ns()}"
        with psycopg.connect(self._server.url("postgres"), autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(sql.Identifier(name), sql.Identifier(template))
            )
        yield self._server.url(name)
        self._left.append(name)
        if len(self._left) == _DATABASES_LEFT_MAX:
            self._drop()

    def _drop(self) -> None:
        with psycopg.connect(self._server.url("postgres"), autocommit=True) as connection:
            while self._left:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(self._left.pop())))


@pytest.fixture(scope="session")
def databases(postgres: EmbeddedPostgres) -> _Databases:
    return _Databases(postgres)


@pytest.fixture
def empty_database_url(databases: _Databases) -> Generator[str]:
    """A database with nothing in it."""
    yield from databases.lend("template0")


@pytest.fixture
def database_url(databases: _Databases) -> Generator[str]:
    """A migrated database, for the owner."""
    yield from databases.lend(_TEMPLATE)


@pytest.fixture
async def connection(database_url: str) -> AsyncGenerator[Connection]:
    """The owner's connection to the test's database."""
    async with connect(database_url) as opened:
        yield opened
