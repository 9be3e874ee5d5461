"""Brings a database's schema up to this code's.

Migrations are plain SQL files, run by yoyo under an advisory lock. Old and new code run side by side during a release, so each migration must leave the
previous code working.
"""

import getpass
import os
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import psycopg
import yoyo

from payments.storage.sessions import LIBPQ_SETTINGS
from payments.storage.sql import queries

_yoyo: Any = yoyo  # it isn't typed
_LOCK = 0x7461705F6D6967  # "tap_mig": any number that nobody else locks
_LOCK_POLL_SECONDS = 0.1
_STATEMENT_LOCK_SECONDS_MAX = 1
"""A statement that waits for a table holds up everybody who comes after it, payments above all: rather let them pass, and try again."""
_TRY_AGAIN_SECONDS = 1.0
_PATIENCE_SECONDS = 300.0
_SEALS = {name: query.encode() for name, query in queries("seals.sql").items()}
_NUMBERED = "0036_seals"
"""Since then a transfer has the number of its transaction."""
MIGRATIONS = Path(__file__).parent / "migrations"


class DatabaseNewerError(Exception):
    """The database was migrated by a newer version of Tap."""

    def __init__(self, unknown: list[str]) -> None:
        super().__init__(
            f"The database was made by a newer version of Tap (it has {', '.join(unknown)}). Run that version, or use another database."
        )


def migrate(database_url: str, migrations: Path = MIGRATIONS) -> int:
    """Apply what is missing and return how many migrations that were; raises `DatabaseNewerError`, `psycopg.OperationalError`."""
    _name_the_user()
    known = _yoyo.read_migrations(str(migrations))
    # The lock is held by a connection of its own: one copy migrates, the others wait and then find nothing to do.
    settings: Any = LIBPQ_SETTINGS
    with psycopg.connect(database_url, autocommit=True, **settings) as guard:
        # Asking again leaves no statement open while it waits: CREATE INDEX CONCURRENTLY would wait for that statement, and it for the lock.
        while guard.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone() != (True,):
            time.sleep(_LOCK_POLL_SECONDS)
        applied = _applied(guard)
        if unknown := sorted(applied - {migration.id for migration in known}):
            raise DatabaseNewerError(unknown)
        if _NUMBERED in applied:
            _continue_numbers(guard)
        if all(migration.id in applied for migration in known):
            return 0  # without what yoyo would read and parse to find that out
        # A migration without a transaction is one that works beside others: it waits for long statements, and nobody waits for it.
        limited = {"options": f"-c lock_timeout={_STATEMENT_LOCK_SECONDS_MAX}s"}
        with _backend(database_url, limited) as impatient, _backend(database_url) as patient:
            missing = list(patient.to_apply(known))
            for migration in missing:
                migration.load()
                _apply(impatient if migration.use_transactions else patient, migration)
        return len(missing)


def _continue_numbers(connection: psycopg.Connection) -> None:
    """Count the database's transactions on from the highest number of a transfer, where they begin below it, as after a restore from a dump.

    Before anything is booked: what has a number below those of sealed transfers breaks the chain.
    """
    if connection.execute(_SEALS["number_behind"]).fetchone() is None:
        return
    with connection.transaction():
        connection.execute(_SEALS["hold_still"])
        if behind := connection.execute(_SEALS["number_behind"]).fetchone():
            connection.execute(_SEALS["count_on"].replace(b"{last}", b"%d" % behind[0]))


@contextmanager
def _backend(database_url: str, settings: Mapping[str, str] | None = None) -> Generator[Any]:
    """Connect as yoyo does; it looks through all that is installed to find out how."""
    backend = _yoyo.get_backend(_yoyo_url(database_url, settings))
    try:
        yield backend
    finally:
        backend.connection.close()


def _apply(backend: Any, migration: Any) -> None:
    """Apply one migration, as soon as it gets its locks; raises `psycopg.errors.LockNotAvailable` when it gets none for five minutes."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            backend.apply_one(migration)
        except psycopg.errors.LockNotAvailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(_TRY_AGAIN_SECONDS)
        else:
            return


def _name_the_user() -> None:
    """Yoyo notes who migrated, and fails when that user has no name, as a container's has none."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = "tap"


def _applied(connection: psycopg.Connection) -> set[str]:
    """Return what yoyo has recorded; nothing in a database that it never saw."""
    if connection.execute("SELECT to_regclass('_yoyo_migration')").fetchone() == (None,):
        return set()
    return {row[0] for row in connection.execute("SELECT migration_id FROM _yoyo_migration")}


def _yoyo_url(database_url: str, settings: Mapping[str, str] | None = None) -> str:
    """Yoyo names the driver in the URL's scheme, and takes libpq's settings from its query."""
    parts = urlsplit(database_url)
    query = {**dict(parse_qsl(parts.query)), **LIBPQ_SETTINGS, **(settings or {})}
    return parts._replace(scheme="postgresql+psycopg", query=urlencode(query)).geturl()
