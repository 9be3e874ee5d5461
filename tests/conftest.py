"""Fixtures: one PostgreSQL for the session, a fresh database for each test that wants one."""

import gc
import signal
from collections.abc import AsyncGenerator, Generator

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings, strategies

from payments.cli.postgres import EmbeddedPostgres
from payments.storage.database import Connection, connect
from payments.storage.migrate import migrate
from tests.support.databases import MIGRATED, Databases
from tests.support.postgres import running_postgres
from tests.support.reaper import reaping
from tests.support.temporary import keep_in_memory

# A shell without job control ignores it for what it starts in the background, as with `make test &`, and whoever is started inherits that.
# What the tests start is to be interrupted as at a terminal.
signal.signal(signal.SIGINT, signal.default_int_handler)

keep_in_memory()

# Neither how long an example takes nor how long it takes to make one is what these tests are about: a busy machine is slow.
# Examples stay random: a new one that fails is a bug found, and is shown with how to repeat it.
settings.register_profile("tap", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("tap")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays: to look through it again and again for garbage costs as much as a fifth of collecting it, and then each test."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        _one_example()  # makes Hypothesis's generator of random numbers, whose owner it wouldn't find among what is frozen, from Python 3.14 on
        gc.freeze()


@settings(max_examples=1, database=None)
@given(strategies.none())
def _one_example(_: None) -> None:
    pass


@pytest.fixture(scope="session", autouse=True)
def _reaper() -> Generator[None]:
    with reaping():
        yield


@pytest.fixture(scope="session")
def postgres() -> Generator[EmbeddedPostgres]:
    """A server of its own for the tests, without fsync: they test logic; the crash test has its own server with everything on."""
    with running_postgres(fsync="off", shared_buffers="64MB") as server:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {MIGRATED} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'")
        migrate(server.url(MIGRATED))
        yield server


@pytest.fixture(scope="session")
def databases(postgres: EmbeddedPostgres) -> Databases:
    return Databases(postgres)


@pytest.fixture
def empty_database_url(databases: Databases) -> Generator[str]:
    """A database with nothing in it."""
    yield from databases.lend("template0")


@pytest.fixture
def database_url(databases: Databases) -> Generator[str]:
    """A migrated database, for the owner."""
    yield from databases.lend(MIGRATED)


@pytest.fixture
async def connection(database_url: str) -> AsyncGenerator[Connection]:
    """The owner's connection to the test's database."""
    async with connect(database_url) as opened:
        yield opened
