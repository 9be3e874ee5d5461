"""A migration comes in while the previous version's code pays: what that code says to the database goes on working, and waits for nothing that takes long.

What it says is recorded (tests/data/previous-statements.jsonl), since that code is gone.
"""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest

from payments.storage.books import find_faults
from payments.storage.database import connect
from payments.storage.migrate import MIGRATIONS, migrate
from tests.support.beside_migration import pay_beside_migration, prepare
from tests.support.in_process import InProcess, in_process
from tests.support.migration_locks import ROWS_MAX, held_up_by
from tests.support.recorded_statements import Recording, migrations_until, replaying

PAYMENTS = 3 * ROWS_MAX


@pytest.fixture(scope="module")
def recording() -> Recording:
    return Recording.load()


@pytest.fixture
def before(tmp_path: Path, recording: Recording) -> Path:
    """The migrations of the previous version."""
    directory = tmp_path / "previous"
    directory.mkdir()
    return migrations_until(recording.last_migration, directory)


@pytest.fixture
async def tap(empty_database_url: str) -> AsyncGenerator[InProcess]:
    """This version's code, on whatever the database is by then."""
    async with in_process(empty_database_url, merchant=None) as made:
        yield made


async def test_what_the_previous_version_says_does_what_it_did(
    empty_database_url: str, database_url: str, before: Path, recording: Recording
) -> None:
    migrate(empty_database_url, before)
    for name, said in recording.operations.items():
        counts: list[list[int]] = []
        for url in (empty_database_url, database_url):  # of its own schema, and of this version's
            async with replaying(url, recording) as replay:
                counts.append(await replay.operation(said))
        assert counts[0] == counts[1], name
    for url in (empty_database_url, database_url):
        async with connect(url) as owner:
            assert await owner.fetchval("SELECT count(*) FROM payments.payment_intents") >= len(recording.operations) - 2
            if url == database_url:
                assert await find_faults(owner) == []


async def test_old_and_new_code_pay_side_by_side_from_before_a_migration_until_after_it(
    empty_database_url: str, before: Path, recording: Recording
) -> None:
    await prepare(empty_database_url, recording, before, 30)
    beside = await pay_beside_migration(empty_database_url, recording, MIGRATIONS)
    assert beside.applied == len(_since(before))
    assert beside.after > 0
    async with connect(empty_database_url) as owner, in_process(empty_database_url, merchant=None) as tap:
        tap.clock.time = await owner.fetchval("SELECT max(created) + 60 FROM payments.payment_intents")
        theirs = [example async for example in _examples(recording, "hold", "payment", "capture")]
        async with replaying(empty_database_url, recording) as old:
            await go_on(tap, theirs)
            for name in ("payment", "refund", "capture"):
                await old.operation(recording.operations[name], anew=True)  # beside code that has written what it writes by now
        assert await find_faults(owner) == []


def _since(before: Path) -> list[Path]:
    """The migrations that the previous version doesn't have."""
    return [script for script in sorted(MIGRATIONS.glob("*.sql")) if not (before / script.name).exists()]


async def test_a_migration_that_the_previous_version_cannot_live_with_is_found(
    empty_database_url: str, before: Path, recording: Recording
) -> None:
    await prepare(empty_database_url, recording, before, 0)
    (before / "9999_contract.sql").write_text("ALTER TABLE payments.charges RENAME COLUMN amount_captured TO captured")
    with pytest.raises(asyncpg.UndefinedColumnError):
        await pay_beside_migration(empty_database_url, recording, before)


def test_migrations_are_taken_apart_as_they_are_meant(empty_database_url: str, database_url: str) -> None:
    for script in sorted(MIGRATIONS.glob("*.sql")):
        assert held_up_by(empty_database_url, script.read_text()) == [], "nothing is held up in an empty database"
    objects = "SELECT oid::regclass::text FROM pg_class WHERE relnamespace::regnamespace::text IN ('payments', 'ledger', 'notifications', 'simulator')"
    with psycopg.connect(empty_database_url) as one, psycopg.connect(database_url) as other:
        assert set(one.execute(objects).fetchall()) == set(other.execute(objects).fetchall())


async def _examples(recording: Recording, *names: str) -> AsyncGenerator[str]:
    """The payment of each operation, as it was when it was recorded."""
    for name in names:
        (found,) = {
            word
            for each in recording.operations[name]
            for argument in each.arguments
            for word in str(argument).replace("'", '"').split('"')
            if word.startswith("pi_") and len(word) == 27
        }
        yield found


async def go_on(tap: InProcess, theirs: list[str]) -> None:
    """This version's code takes over what the previous one's began, and pays as well."""
    held, paid, captured = theirs
    assert (await tap.post(f"payment_intents/{held}/capture")).body["amount_received"] == 2000
    for intent, amount in ((held, 2000), (paid, 2000), (captured, 1500)):
        refund: Any = await tap.post("refunds", payment_intent=intent)
        assert (refund.status, refund.body.get("amount"), refund.body.get("status")) == (200, amount, "succeeded")
    mine = await tap.post("payment_intents", amount="2000", currency="usd", confirm="true", payment_method="pm_card_visa")
    assert mine.body["status"] == "succeeded"


async def test_no_migration_makes_payments_wait_for_what_grows(empty_database_url: str, before: Path, recording: Recording) -> None:
    await prepare(empty_database_url, recording, before, PAYMENTS)
    faults = {script.name: held_up_by(empty_database_url, script.read_text()) for script in _since(before)}
    assert {name: found for name, found in faults.items() if found} == {}


HOLDS_UP = {
    "a column that has every row written anew": "ALTER TABLE payments.charges ADD COLUMN x uuid NOT NULL DEFAULT gen_random_uuid()",
    "an index that is built while nobody may write": "CREATE INDEX x ON payments.events (created)",
    "a bound that every row is held against at once": "ALTER TABLE payments.charges ADD CONSTRAINT x CHECK (amount < 1000000000)",
    "every row changed at once": "UPDATE payments.payment_intents SET amount_capturable = amount_capturable",
    "every row read behind a lock": "ALTER TABLE payments.charges ADD COLUMN x text; SELECT count(*) FROM payments.events",
    "outside of a transaction, too": "-- transactional: false\nCREATE INDEX CONCURRENTLY x ON payments.events (created);"
    "CREATE INDEX y ON payments.charges (created)",
    "a type that has every row written anew": "ALTER TABLE payments.payment_intents ALTER COLUMN created TYPE numeric",
}
HARMLESS = {
    "a column without a default": "ALTER TABLE payments.charges ADD COLUMN x text",
    "a column with a constant one": "ALTER TABLE payments.charges ADD COLUMN x text NOT NULL DEFAULT 'y'",
    "a bound for what comes": "ALTER TABLE payments.charges ADD CONSTRAINT x CHECK (amount < 1000000000) NOT VALID",
    "a bound that is held against every row beside writers": "-- transactional: false\n"
    "ALTER TABLE payments.charges ADD CONSTRAINT x CHECK (amount < 1000000000) NOT VALID;"
    "ALTER TABLE payments.charges VALIDATE CONSTRAINT x",
    "an index that is built beside writers": "-- transactional: false\nCREATE INDEX CONCURRENTLY x ON payments.events (created)",
    "a table that nobody has yet": "CREATE TABLE payments.x AS SELECT generate_series(1, 1000) AS id; CREATE INDEX y ON payments.x (id)",
    "some rows of many": "UPDATE payments.payment_intents SET amount_capturable = 0 WHERE capture_before < 0",
}


@pytest.fixture
async def filled(empty_database_url: str, before: Path, recording: Recording) -> str:
    await prepare(empty_database_url, recording, before, PAYMENTS)
    return empty_database_url


async def test_what_would_hold_payments_up_is_told_from_what_would_not(filled: str) -> None:
    """Each is undone before the next."""
    async with connect(filled) as owner:
        for name, script in {**HOLDS_UP, **HARMLESS}.items():
            found = held_up_by(filled, script)
            assert bool(found) == (name in HOLDS_UP), (name, found)
            if "TABLE payments.x" in script:
                await owner.execute("DROP TABLE payments.x")
            for index in ("x", "y"):
                await owner.execute(f"DROP INDEX IF EXISTS payments.{index}")
            await owner.execute("ALTER TABLE payments.charges DROP CONSTRAINT IF EXISTS x, DROP COLUMN IF EXISTS x")
