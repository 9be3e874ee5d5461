"""A database for simulations, one after another."""

from collections.abc import Generator

import pytest

from tests.simulation.store import Server
from tests.support.databases import MIGRATED, Databases


@pytest.fixture(scope="session")
def server(databases: Databases) -> Generator[Server]:
    for url in databases.lend(MIGRATED):
        made = Server(url)
        yield made
        made.close()
