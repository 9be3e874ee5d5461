"""Fixtures: one PostgreSQL for the session, a fresh database for each test that wants one."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from payments.cli.postgres import EmbeddedPostgres
from payments.storage.database import Connection, connect
from payments.storage.migrate import migrate

_TEMPLATE = "migrated_template"


@pytest.fixture(scope="session")
def postgres() -> Generator[EmbeddedPostgres]:
    """A server of its own for the tests, without fsync: they test logic; the crash test has its own server with everything on."""
    directory = Path(tempfile.mkdtemp(prefix="tap-pg-"))
    server = EmbeddedPostgres(directory, fsync="off", shared_buffers="64MB")
    server.prepare()
    program = server.program(directory / "postgres.log")
    with (directory / "postgres.log").open("ab") as log:
        child = Path(sys.modules["payments.cli"].__path__[0]) / "child.py"
        uid, gid = program.user or (-1, -1)
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(child), str(os.getpid()), str(int(signal.SIGINT)), str(uid), str(gid), "--", *program.command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=dict(program.environment),
        )
    try:
        _wait_until_ready(server)
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'")
        migrate(server.url(_TEMPLATE))
        yield server
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        server.tidy()
        shutil.rmtree(directory, ignore_errors=True)


def _wait_until_ready(server: EmbeddedPostgres) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(server.url("postgres")).close()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


@pytest.fixture
def empty_database_url(postgres: EmbeddedPostgres) -> Generator[str]:
    """A database with nothing in it."""
    yield from _database(postgres, "template0")


@pytest.fixture
def database_url(postgres: EmbeddedPostgres) -> Generator[str]:
    """A migrated database, for the owner."""
    yield from _database(postgres, _TEMPLATE)


def _database(postgres: EmbeddedPostgres, template: str) -> Generator[str]:
    name = f"test_{time.monotonic_ns()}"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
    yield postgres.url(name)
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
async def connection(database_url: str) -> AsyncGenerator[Connection]:
    """The owner's connection to the test's database."""
    async with connect(database_url) as opened:
        yield opened
