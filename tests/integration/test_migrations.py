"""Migrations: from nothing to the current schema, once, and never backwards."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from payments.storage.migrate import MIGRATIONS, DatabaseNewerError, migrate


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
