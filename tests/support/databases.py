"""Databases that the tests are lent, on the session's server."""

import time
from collections.abc import Generator

import psycopg
from psycopg import sql

from payments.cli.postgres import EmbeddedPostgres

MIGRATED = "migrated_template"
"""The template with Tap's schema, as it is after `migrate`."""
_DATABASES_LEFT_MAX = 16
"""Of 9 MB each."""


class Databases:
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
