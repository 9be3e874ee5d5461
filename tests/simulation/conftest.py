"""A database for simulations, one after another."""

from collections.abc import Generator

import psycopg
import pytest

from payments.cli.postgres import EmbeddedPostgres
from tests.conftest import _TEMPLATE
from tests.simulation.store import Server


@pytest.fixture(scope="session")
def server(postgres: EmbeddedPostgres) -> Generator[Server]:
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE simulation TEMPLATE {_TEMPLATE} STRATEGY FILE_COPY")
    made = Server(postgres.url("simulation"))
    yield made
    made.close()
