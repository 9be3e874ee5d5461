"""What reconciliation, `tap verify` and the ledger's export take for books of a size: `make bench-books`. Each runs in a process of its own, on a server of this script's own.

One payment is made by the services' code, with a hold, two captures, a refund and funds that become available, and copied with other ids.
"""

import argparse
import asyncio
import contextlib
import datetime
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import psycopg

from payments.acquirers.routing import Route, Routes
from payments.acquirers.settlement_files.camt053 import write_camt053
from payments.acquirers.settlement_files.csv_file import write_csv
from payments.acquirers.settlement_files.opening import open_settlement_file
from payments.cli.postgres import EmbeddedPostgres
from payments.domain.settlement import LineKind, SettlementHeader, SettlementLine
from payments.ledger.journals import JournalFormat, journal
from payments.runtime.seal import EnvelopeKeys, GivenKeyProvider, Sealer
from payments.storage.books import examine
from payments.storage.database import connect
from payments.storage.ledger_export import Selection, export_journal
from payments.storage.migrate import migrate
from payments.storage.seals import seal_next
from payments.storage.settlement import reconcile
from tests.benchmarks.machine import cpu_seconds
from tests.integration.use_cases import paid
from tests.support.acquirers_to_test import http_bank
from tests.support.in_process import in_process
from tests.support.postgres import running_postgres
from tests.support.waiting import wait_until

RESULTS = Path("bench-results")
_TABLES = (
    "ledger.transfers",
    *(
        f"payments.{name}"
        for name in ("balance_transactions", "charges", "payment_intents", "attempts", "payment_methods", "refunds", "events")
    ),
)
_ID = re.compile(r"\b([a-z]+_0V[0-9A-Za-z]{15})[0-9A-Za-z]{7}\b")
_COPIES_AT_ONCE = 1_000
_SEALED_AT_ONCE = 50_000
_SEALER = Sealer(GivenKeyProvider(EnvelopeKeys.of(bytes(32))))
ACQUIRER = "bank"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payments", type=int, default=333_333, help="each has ten transfers and three lines of a settlement file")
    parser.add_argument(
        "--steps", nargs="+", default=["camt.053", "csv", "seal", "verify", "export"], help="what is measured, in this order"
    )
    options = parser.parse_args()
    if options.payments == 0:  # a step, in a process of its own
        step, database_url, *files = options.steps
        asyncio.run(_STEPS[step](database_url, *files))
        return
    with tempfile.TemporaryDirectory() as directory, running_postgres(synchronous_commit="off") as server:
        results = measure(server, Path(directory), options.payments, options.steps)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "books.json").write_text(json.dumps(results, indent=2))


def measure(server: EmbeddedPostgres, directory: Path, payments: int, steps: Sequence[str]) -> dict[str, Any]:
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE books TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'")
    url = server.url("books")
    migrate(url)
    began = time.monotonic()
    template = asyncio.run(_fill(url, directory, payments))
    print(f"{payments} payments written in {time.monotonic() - began:.0f} s", flush=True)
    results: dict[str, Any] = {"payments": payments}
    print(f"{'':>10} {'rows':>10} {'s':>7} {'CPU-s':>7} {'ours':>7} {'pg':>7} {'µs/row':>7} {'MB ours':>8} {'MB pg':>8}")
    for step in steps:
        files = [str(_file(directory, step, template, payments))] if step in _FILES else []
        results[step] = found = _measured(server, step, url, files)
        cpu = found["ours"] + found["postgresql"]
        print(
            f"{step:>10} {found['rows']:>10} {found['seconds']:>7.1f} {cpu:>7.1f} {found['ours']:>7.1f} {found['postgresql']:>7.1f}"
            f" {cpu / max(1, found['rows']) * 1e6:>7.1f} {found['memory_mb']:>8.0f} {found['postgresql_memory_mb']:>8.0f}  {found['said']}",
            flush=True,
        )
    return results


def _measured(server: EmbeddedPostgres, step: str, url: str, files: Sequence[str]) -> dict[str, Any]:
    postmaster = int(Path(server._directory, "data", "postmaster.pid").read_text().splitlines()[0])
    command = [sys.executable, "-m", "tests.benchmarks.books", "--payments", "0", "--steps", step, url, *files]
    before, began = cpu_seconds([postmaster]), time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    highest = _Highest(postmaster)
    said, _ = process.communicate()
    seconds = time.monotonic() - began
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        # What a session took is known when it is gone.
        ended = "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = 'books' AND backend_type = 'client backend'"
        wait_until(lambda: connection.execute(ended).fetchone() == (True,), "its session ends")
    return {
        **json.loads(said.splitlines()[-1]),
        "seconds": seconds,
        "postgresql": cpu_seconds([postmaster]) - before,
        "postgresql_memory_mb": highest.end(),
    }


class _Highest:
    """The most memory that a session of the server had for itself, as far as it was looked at."""

    def __init__(self, postmaster: int) -> None:
        self._children = Path(f"/proc/{postmaster}/task/{postmaster}/children")
        self._highest = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._ended.wait(0.2):
            with contextlib.suppress(OSError):
                for pid in self._children.read_text().split():
                    found = re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
                    self._highest = max(self._highest, int(found[1]) if found else 0)

    def end(self) -> float:
        self._ended.set()
        self._thread.join()
        return self._highest / 1024


async def _fill(url: str, directory: Path, payments: int) -> list[tuple[str, LineKind, int]]:
    """Make one payment and its copies; returns what the acquirer knows of it: references, kinds and amounts."""
    routes = Routes([Route(acquirer=ACQUIRER, livemode=False)])
    async with http_bank(directory, timeout_seconds=5) as bank, in_process(url, outside=[bank.acquirer], routes=routes) as tap:
        held = await paid(tap, capture_method="manual")
        for amount, last in (("700", "false"), ("600", "true")):
            assert (await tap.post(f"payment_intents/{held['id']}/capture", amount_to_capture=amount, final_capture=last)).status == 200
        assert (await tap.post("refunds", payment_intent=held["id"], amount="500")).status == 200
        async with connect(url) as connection:
            await connection.execute(
                "UPDATE payments.balance_transactions SET available_on = 0, document = (document::jsonb || '{\"available_on\": 0}')::json"
            )
        await tap.copies[0].sweeper.release_funds()
    async with connect(url) as connection:
        template = [
            (row["attempt"], LineKind(row["kind"]), row["amount"])
            for row in await connection.fetch(
                "SELECT b.document ->> 'attempt' AS attempt, t.kind, t.amount FROM ledger.transfers t JOIN payments.balance_transactions b ON b.id = t.posting"
                " WHERE t.kind IN ('capture', 'refund') ORDER BY 1"
            )
        ]
        await connection.execute("SET session_replication_role = replica")
        for table in _TABLES:
            await _copy(connection, table, payments)
        columns = ("debits_posted", "credits_posted", "debits_held", "credits_held")
        await connection.execute(f"UPDATE ledger.balances SET {', '.join(f'{each} = {each} * {payments}' for each in columns)}")
        await connection.execute("DELETE FROM notifications.outbox")
        await connection.execute("VACUUM ANALYZE")
    return template


async def _copy(connection: Any, table: str, payments: int) -> None:
    rows = b""

    async def keep(data: bytes) -> None:
        nonlocal rows
        rows += data

    await connection.copy_from_query(f"SELECT * FROM {table}", output=keep)
    text = _ID.sub(r"\1#######", rows.decode())

    async def copies() -> AsyncGenerator[bytes]:
        for first in range(1, payments, _COPIES_AT_ONCE):
            yield "".join(
                text.replace("#######", f"{number:07d}") for number in range(first, min(first + _COPIES_AT_ONCE, payments))
            ).encode()

    schema, name = table.split(".")
    await connection.copy_to_table(name, schema_name=schema, source=copies())


def _lines(template: Sequence[tuple[str, LineKind, int]], payments: int, today: datetime.date) -> Iterator[SettlementLine]:
    number = 0
    for copy in range(payments):
        for reference, kind, amount in template:
            number += 1
            ours = reference if copy == 0 else f"{reference[:-7]}{copy:07d}"
            yield SettlementLine(number, ours, f"B{number:012d}", kind, amount, "usd", 4, today)


def _file(directory: Path, format_: str, template: Sequence[tuple[str, LineKind, int]], payments: int) -> Path:
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    header = SettlementHeader(acquirer=ACQUIRER, reference=f"bank-{format_}", first_day=now.date(), last_day=now.date(), created=now)
    path = directory / format_
    with path.open("wb") as file:
        if format_ == "csv":
            write_csv(file, header, _lines(template, payments, now.date()))
        else:
            write_camt053(file, header, list(_lines(template, payments, now.date())))
    return path


def _tell(rows: int, said: str) -> None:
    # What getrusage(2) tells is that of whoever began this process, where that was more.
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    memory_mb = int(found[1]) / 1024 if found else 0.0
    print(json.dumps({"rows": rows, "said": said, "ours": time.process_time(), "memory_mb": memory_mb}))


async def _reconcile(url: str, path: str) -> None:
    async with connect(url) as connection:
        with Path(path).open("rb") as raw:  # noqa: ASYNC230 - nothing else is to go on
            file = open_settlement_file(raw, datetime.datetime.now(datetime.UTC).date())
            result = await reconcile(connection, file, ACQUIRER, book=path.endswith("csv"), now=int(time.time()))
    _tell(sum(each.count for each in result.classes), ", ".join(f"{each.count} {each.class_}" for each in result.classes))


async def _seal(url: str) -> None:
    sealed = 0
    async with connect(url) as connection:
        while more := await seal_next(connection, _SEALER, transfers_max=_SEALED_AT_ONCE):
            sealed += more
    _tell(sealed, "sealed")


async def _verify(url: str) -> None:
    async with connect(url) as connection:
        books = await examine(connection, _SEALER)
    slowest = sorted(books.checks, key=lambda each: -each.seconds)[:6]
    found = "in order" if books.in_order else "; ".join(f"{each.name}: {each.findings[:2]}" for each in books.checks if each.findings)
    _tell(books.counts["transfers"], f"{found}; {', '.join(f'{each.name} {each.seconds:.1f} s' for each in slowest)}")


async def _export(url: str) -> None:
    characters = transfers = 0
    async with connect(url) as connection:
        pieces = cast("AsyncIterator[str]", export_journal(connection, journal(JournalFormat.HLEDGER), Selection()))
        async for piece in pieces:
            characters += len(piece)
            transfers += 1
    _tell(transfers, f"{characters / 1e6:.0f} MB")


_FILES = ("camt.053", "csv")
_STEPS: dict[str, Any] = {"camt.053": _reconcile, "csv": _reconcile, "seal": _seal, "verify": _verify, "export": _export}


if __name__ == "__main__":
    main()
