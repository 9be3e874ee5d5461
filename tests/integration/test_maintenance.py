"""The one-off tasks: `python -m payments.storage`."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from typing import Any

import psycopg
import pytest

from payments.cli.postgres import EmbeddedPostgres
from payments.domain.principal import KeyKind
from payments.runtime.keyring import KeyRing
from payments.runtime.settings import MaintenanceSettings
from payments.storage.books import CHAIN, CHECKS
from payments.storage.database import Connection, connect
from payments.storage.keys import find_principal, key_hash, list_keys, provide_test_key, revoke_key
from payments.storage.maintenance import DatabaseUnreachableError, reach
from payments.storage.migrate import MIGRATIONS
from tests.support.running_tap import free_port

DIGITS, PEPPER = "0123456789abcdef" * 4, "ab" * 32


def run(database_url: str | None, *arguments: str, **variables: str) -> tuple[int, list[dict[str, Any]], str]:
    """Exit status, log lines and standard error of a task."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TAP_", "PG"))}
    environment = inherited | variables | ({} if database_url is None else {"TAP_DATABASE_URL": database_url})
    done = subprocess.run(
        [sys.executable, "-m", "payments.storage", *arguments], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_an_empty_database_is_migrated_and_given_a_sandbox(empty_database_url: str) -> None:
    sandbox = {"TAP_SANDBOX_KEY": DIGITS, "TAP_API_KEY_PEPPER": PEPPER}
    status, lines, errors = run(empty_database_url, **sandbox)
    assert (status, errors) == (0, "")
    assert [(line["event"], line.get("applied"), line.get("created")) for line in lines] == [
        ("migrated", len(list(MIGRATIONS.glob("*.sql"))), None),
        ("sandbox", None, True),
    ]
    status, again, _ = run(empty_database_url, "migrate", **sandbox)
    assert (status, again[0]["applied"], again[1]["created"]) == (0, 0, False)
    assert DIGITS not in json.dumps(lines + again)
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("SELECT name FROM payments.merchants").fetchall() == [("Sandbox",)]


def test_without_a_sandbox_key_there_is_no_sandbox(empty_database_url: str) -> None:
    status, (line,), _ = run(empty_database_url, TAP_API_KEY_PEPPER=PEPPER)
    assert (status, line["event"]) == (0, "migrated")


async def test_a_key_that_is_provided_by_several_at_once_gets_one_merchant(database_url: str, connection: Connection) -> None:
    async def provide() -> bool:
        async with connect(database_url) as own:
            return await provide_test_key(own, f"sk_test_{DIGITS}", merchant_name="Sandbox", pepper=KeyRing.parse(PEPPER))

    assert sorted(await asyncio.gather(*(provide() for _ in range(6)))) == [False] * 5 + [True]
    principal = await find_principal(connection, key_hash(f"sk_test_{DIGITS}", KeyRing.parse(PEPPER)))
    assert principal is not None
    assert (principal.livemode, principal.kind) == (False, KeyKind.SECRET)
    assert await connection.fetchval("SELECT count(*) FROM payments.merchants") == 1


async def test_a_revoked_sandbox_key_stays_revoked(connection: Connection) -> None:
    async def provide() -> bool:
        return await provide_test_key(connection, f"sk_test_{DIGITS}", merchant_name="Sandbox", pepper=KeyRing.parse(PEPPER))

    assert await provide()
    (key,) = await list_keys(connection)
    await revoke_key(connection, key.id)
    assert not await provide()
    assert await find_principal(connection, key_hash(f"sk_test_{DIGITS}", KeyRing.parse(PEPPER))) is None


def test_books_in_order_are_proven_check_by_check(database_url: str) -> None:
    status, lines, errors = run(database_url, "verify")
    assert (status, errors) == (0, "")
    *checks, books = lines
    assert {line["check"]: (line["ok"], line["findings"]) for line in checks} == dict.fromkeys((*CHECKS, CHAIN), (True, []))
    assert (books["event"], books["ok"]) == ("books", True)
    assert set(books["counts"].values()) == {0}


def test_books_that_are_wrong_are_shown_and_fail_the_task(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "WITH account AS (INSERT INTO ledger.accounts (holder, livemode, kind, currency, normal_side) "
            "VALUES ('platform', false, 'fees', 'usd', 'credit') RETURNING id) "
            "INSERT INTO ledger.balances (account_id, debits_posted, credits_posted) SELECT id, 0, 7 FROM account"
        )
    status, lines, _ = run(database_url, "verify")
    assert status == 1
    wrong = {line["check"]: line["findings"] for line in lines if line["event"] == "check" and not line["ok"]}
    assert "wrong_balances" in wrong
    assert all(wrong.values())
    assert lines[-1]["ok"] is False


def test_a_mistake_is_one_line_and_says_what_is_wrong(postgres: EmbeddedPostgres, empty_database_url: str) -> None:
    tasks = "migrate, logins, verify, list-keys, create-key ORDER, revoke-key ORDER, settings ORDER, key-uses, reseal"
    for arguments in (("vacuum",), ("migrate", "verify"), ("list-keys", "{}"), ("revoke-key",)):
        status, lines, errors = run(empty_database_url, *arguments)
        assert (status, lines) == (2, [])
        assert errors == f"There is no task {' '.join(arguments)!r}. There are: {tasks}\n"
    status, (line,), errors = run(None, "verify")
    assert (status, line["message"], errors) == (1, "TAP_DATABASE_URL is not set", "")
    status, (line,), errors = run(empty_database_url, "verify")
    assert (status, line["kind"], errors) == (1, "UndefinedTableError", "")
    status, (line,), errors = run(postgres.url("nowhere"), "migrate")
    assert (status, line["kind"], errors) == (1, "DatabaseUnreachableError", "")
    assert line["message"].endswith("can't be reached: InvalidCatalogNameError")


async def test_a_database_that_sleeps_is_waited_for_but_not_for_ever() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))  # nobody else's, and it refuses until it listens
        port = server.getsockname()[1]
        settings = MaintenanceSettings.from_environment({"TAP_DATABASE_URL": f"postgresql://tap:hunter2@127.0.0.1:{port}/tap"})
        started = time.monotonic()
        with pytest.raises(DatabaseUnreachableError, match=r"127\.0\.0\.1 can't be reached: ConnectionRefusedError") as failure:
            await reach(settings, None, seconds_max=1.5)
        assert 1 <= time.monotonic() - started < 30
        assert "hunter2" not in str(failure.value)
        server.listen()
        with pytest.raises(DatabaseUnreachableError, match="TimeoutError"):
            await reach(settings, None, seconds_max=0.5)


async def test_a_wrong_certificate_file_is_not_waited_for() -> None:
    url = f"postgresql://tap@127.0.0.1:{free_port()}/tap?sslmode=verify-full&sslrootcert=/nowhere.pem"
    with pytest.raises(DatabaseUnreachableError, match="FileNotFoundError"):
        await reach(MaintenanceSettings.from_environment({"TAP_DATABASE_URL": url}), None, seconds_max=30)
