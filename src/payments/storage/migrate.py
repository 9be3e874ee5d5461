"""Brings a database's schema up to this code's.

Migrations are plain SQL files, run by yoyo under an advisory lock. Old and new code run side by side during a release, so each migration must leave the
previous code working.
"""

import getpass
import os
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import yoyo

_yoyo: Any = yoyo  # it isn't typed
_LOCK = 0x7461705F6D6967  # "tap_mig": any number that nobody else locks
_LOCK_POLL_SECONDS = 0.1
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
    with psycopg.connect(database_url, autocommit=True) as guard:
        # Asking again leaves no statement open while it waits: CREATE INDEX CONCURRENTLY would wait for that statement, and it for the lock.
        while guard.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone() != (True,):
            time.sleep(_LOCK_POLL_SECONDS)
        backend = _yoyo.get_backend(_yoyo_url(database_url))
        try:
            if unknown := sorted(_applied(guard) - {migration.id for migration in known}):
                raise DatabaseNewerError(unknown)
            missing = backend.to_apply(known)
            backend.apply_migrations(missing)
            return len(missing)
        finally:
            backend.connection.close()


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


def _yoyo_url(database_url: str) -> str:
    """Yoyo names the driver in the URL's scheme."""
    return urlsplit(database_url)._replace(scheme="postgresql+psycopg").geturl()
