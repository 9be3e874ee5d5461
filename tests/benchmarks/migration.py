"""What payments wait for while a database with many of them is migrated: `make bench-migration`.

The database is as the previous version made it, and that version's statements go on, as they were recorded, until the migrations are done and after that.
"""

import argparse
import asyncio
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import psycopg

from payments.cli.postgres import EmbeddedPostgres
from payments.storage.books import find_faults
from payments.storage.database import connect
from payments.storage.migrate import MIGRATIONS
from tests.support.beside_migration import Beside, pay_beside_migration, prepare
from tests.support.postgres import running_postgres
from tests.support.recorded_statements import Recording, migrations_until

RESULTS = Path("bench-results")
OPERATIONS = 1000
"""Before the migrations, and after them."""


async def measure(server: EmbeddedPostgres, payments: int, directory: Path) -> tuple[Beside, list[str]]:
    url, recording = server.url("upgraded"), Recording.load()
    await prepare(url, recording, migrations_until(recording.last_migration, directory), payments)
    beside = await pay_beside_migration(url, recording, MIGRATIONS, operations=OPERATIONS)
    async with connect(url) as owner:
        return beside, [str(fault) for fault in await find_faults(owner)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payments", type=int, default=100_000, help="how many there are before")
    options = parser.parse_args()
    with running_postgres(max_wal_size="4GB", shared_buffers="256MB") as server, tempfile.TemporaryDirectory() as directory:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE upgraded TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'")
        beside, faults = asyncio.run(measure(server, options.payments, Path(directory)))
    before_ms, beside_ms = beside.slowest_ms
    print(f"{options.payments} payments, {beside.applied} migrations in {beside.migration_seconds:.1f} s")
    print(
        f"the slowest of {len(beside.before_ms)} operations before: {before_ms:.0f} ms, of {len(beside.beside_ms)} meanwhile: {beside_ms:.0f} ms"
    )
    print(f"the previous version's code went on for {beside.after} operations after it; books: {faults or 'in order'}")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "migration.json").write_text(json.dumps({"payments": options.payments, **asdict(beside)}, indent=2))


if __name__ == "__main__":
    main()
