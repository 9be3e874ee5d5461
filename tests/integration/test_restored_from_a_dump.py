"""A database that was dumped and restored into another server by the commands of docs/disaster-recovery.md: its ledger is proven, and sealed on."""

import re
import subprocess
from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest

from payments.cli.postgres import EmbeddedPostgres
from payments.storage.database import connect, open_pool
from payments.storage.migrate import migrate
from payments.storage.seals import NumbersWentBackError, seal_next
from tests.integration.test_seals import ROLE, SEALER, faults, head, post, seal_all
from tests.support.postgres import running_postgres

_DOCUMENT = Path(__file__).parents[2] / "docs/disaster-recovery.md"
_COUNTED_FAR = "DO $$ BEGIN FOR each IN 1..10000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$"
"""Ten thousand transactions, some times as many as a restore takes."""


def documented_commands() -> str:
    """The shell commands of "From a dump"."""
    _, _, section = _DOCUMENT.read_text(encoding="utf-8").partition("\n### From a dump\n")
    found = re.search(r"```bash\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found[1]


def dump_and_restore(old: str, new: str, owner: str, server: EmbeddedPostgres, directory: Path) -> None:
    """Do what the document says, with our PostgreSQL's programs."""
    subprocess.run(
        ["bash", "-euc", documented_commands()],
        cwd=directory,
        env={"PATH": f"{server.binaries}:/usr/bin:/bin", "OLD": old, "OWNER": owner, "NEW": new},
        timeout=120,
        check=True,
    )


@pytest.fixture
def other_server() -> Generator[EmbeddedPostgres]:
    with running_postgres(fsync="off", shared_buffers="64MB") as server:
        yield server


async def test_a_restored_ledger_is_whole_and_is_sealed_on(database_url: str, other_server: EmbeddedPostgres, tmp_path: Path) -> None:
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(_COUNTED_FAR)
    async with connect(database_url) as connection:
        await post(connection, *range(1, 8), columns=", recorded_in", values=", 0")
        await post(connection, 8, 9)
        await seal_all(connection)
        before = await head(connection)
        await post(connection, 10)
    restored = other_server.url("tap")
    dump_and_restore(database_url, restored, other_server.url("postgres"), other_server, tmp_path)
    async with connect(restored) as connection:
        assert (await head(connection), await faults(connection)) == (before, [])
        with pytest.raises(NumbersWentBackError):
            await seal_next(connection, SEALER)
    assert migrate(restored) == 0
    async with connect(restored) as connection, open_pool(restored, role=ROLE, name="test") as pool:
        await post(connection, 11)
        async with pool.acquire() as service:
            await seal_all(service)
        assert ((await head(connection)).total, await faults(connection)) == (11, [])
    numbers = numbering(restored)
    assert migrate(restored) == 0
    assert numbering(restored) == numbers, "once is enough"


async def test_numbers_are_continued_after_a_second_restore_too(database_url: str, other_server: EmbeddedPostgres, tmp_path: Path) -> None:
    """Its dump has the numbering of the first, which begins below what was booked since."""
    async with connect(database_url) as connection:
        await post(connection, 1, columns=", recorded_in", values=", 5000000")
        await seal_all(connection)
    assert migrate(database_url) == 0
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(_COUNTED_FAR)
    async with connect(database_url) as connection:
        await post(connection, 2)
        await seal_all(connection)
    restored = other_server.url("tap")
    dump_and_restore(database_url, restored, other_server.url("postgres"), other_server, tmp_path)
    assert migrate(restored) == 0
    async with connect(restored) as connection:
        await post(connection, 3)
        await seal_all(connection)
        assert ((await head(connection)).total, await faults(connection)) == (3, [])


async def test_the_numbers_of_a_database_that_was_never_moved_stay(database_url: str) -> None:
    async with connect(database_url) as connection:
        await post(connection, 1)
    numbers = numbering(database_url)
    migrate(database_url)
    assert numbering(database_url) == numbers


def numbering(database_url: str) -> list[str]:
    """How transactions are counted."""
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "SELECT prosrc FROM pg_proc WHERE oid IN ('ledger.transaction_number()'::regprocedure, 'ledger.finished_below()'::regprocedure)"
            " ORDER BY proname"
        )
        return [row[0] for row in found]
