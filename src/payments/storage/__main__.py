"""Applies the migrations, as a one-off task before new code runs: `python -m payments.storage`."""

import os
import sys

import psycopg

from payments.runtime.logging import Logger
from payments.runtime.settings import SettingsError, database_url
from payments.storage.migrate import DatabaseNewerError, migrate


def main() -> None:
    """Migrate the database that the environment names."""
    log = Logger("migrate")
    try:
        applied = migrate(database_url(os.environ))
    except (DatabaseNewerError, SettingsError, psycopg.Error) as failure:
        log.error("migrate", failure)
        sys.exit(1)
    log.event("migrated", applied=applied)


main()
