"""Migrations: from nothing to the current schema, once, and never backwards."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from payments.storage.migrate import MIGRATIONS, DatabaseNewerError, migrate
from tests.support.waiting import wait_until


def test_a_database_is_migrated_once(empty_database_url: str) -> None:
    assert migrate(empty_database_url) == len(list(MIGRATIONS.glob("*.sql")))
    assert migrate(empty_database_url) == 0


def test_two_copies_migrate_one_after_the_other(empty_database_url: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        applied = sorted(pool.map(migrate, [empty_database_url] * 2))
    assert applied == [0, len(list(MIGRATIONS.glob("*.sql")))]


def test_a_database_of_a_newer_version_is_left_alone(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "9999_future.sql").write_text("CREATE TABLE future (id int)")
    for known in MIGRATIONS.glob("*.sql"):
        (tmp_path / known.name).write_text(known.read_text())
    assert migrate(database_url, tmp_path) == 1
    with pytest.raises(DatabaseNewerError, match=r"newer version of Tap .*9999_future"):
        migrate(database_url)


def test_a_migration_that_fails_leaves_nothing_behind(database_url: str, tmp_path: Path) -> None:
    for known in MIGRATIONS.glob("*.sql"):
        (tmp_path / known.name).write_text(known.read_text())
    (tmp_path / "9999_broken.sql").write_text("CREATE TABLE half_done (id int); SELECT 1/0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(database_url, tmp_path)
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT to_regclass('half_done')").fetchone() == (None,)


def test_a_user_without_a_name_may_migrate(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's user is a number."""

    def nobody(uid: int) -> None:
        raise KeyError(uid)

    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(variable, "")
    monkeypatch.setattr("pwd.getpwuid", nobody)
    assert migrate(empty_database_url) == len(list(MIGRATIONS.glob("*.sql")))


def test_a_migration_behind_a_long_query_holds_up_nobody(database_url: str, tmp_path: Path) -> None:
    """It tries again and again, and lets others pass in between."""
    for known in MIGRATIONS.glob("*.sql"):
        (tmp_path / known.name).write_text(known.read_text())
    (tmp_path / "9999_column.sql").write_text("ALTER TABLE payments.charges ADD COLUMN colour text")
    with ThreadPoolExecutor(1) as pool, psycopg.connect(database_url) as long, psycopg.connect(database_url, autocommit=True) as other:
        long.execute("SELECT count(*) FROM payments.charges")
        migrating = pool.submit(migrate, database_url, tmp_path)

        def waiting() -> bool:
            return other.execute(
                "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ).fetchone() == (True,)

        for _ in range(2):
            wait_until(waiting, "the migration waits for the long query")
            other.execute("SET statement_timeout = '60s'")
            other.execute("SELECT count(*) FROM payments.charges")  # it would wait until the long query has ended
        assert not migrating.done()
        long.rollback()
        assert migrating.result(60) == 1


def test_a_migration_beside_writers_waits_for_a_long_query_as_long_as_that_takes(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("payments.storage.migrate._PATIENCE_SECONDS", 0)
    for known in MIGRATIONS.glob("*.sql"):
        (tmp_path / known.name).write_text(known.read_text())
    (tmp_path / "9999_index.sql").write_text(
        "-- transactional: false\nCREATE INDEX CONCURRENTLY charges_created ON payments.charges (created)"
    )
    with ThreadPoolExecutor(1) as pool, psycopg.connect(database_url) as long, psycopg.connect(database_url, autocommit=True) as other:
        long.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        long.execute("SELECT count(*) FROM payments.charges")
        migrating = pool.submit(migrate, database_url, tmp_path)

        def waits_for_long() -> bool:
            return other.execute(
                "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
                " AND clock_timestamp() - state_change > interval '1.5 seconds'"
            ).fetchone() == (True,)

        wait_until(waits_for_long, "it waits for longer than a statement that holds up others may")
        long.rollback()
        assert migrating.result(60) == 1
