"""A bank in a process of its own is killed, hung, and made to lie under load. No payment is lost, none is doubled, and its record and our ledger agree."""

import asyncio
import collections
import datetime
import json
import signal
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from payments.storage.database import Connection, connect
from tests.acceptance.test_crash import Seen, Shop, settled
from tests.support.bank_process import BankProcess, bank_process
from tests.support.running_tap import RunningTap, free_port, run_tap, running_tap

CLIENTS = 6
SETTLED_SECONDS_MAX = 60.0
"""Promised: so long after an acquirer is back, whatever it left open has an outcome."""
PAUSE_SECONDS = 1.0
"""Between two things that go wrong: the next one hits a system at work."""
SHORT = {"TAP_ATTEMPT_LEASE_SECONDS": "1.5", "TAP_ACQUIRER_TIMEOUT_SECONDS": "0.5"}


@pytest.fixture
async def session() -> AsyncGenerator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as opened:
        yield opened


async def go_wrong(bank: BankProcess, tap: RunningTap) -> None:
    """All that may happen, in turn."""
    for fault in ("other_amount", "half", "silent", "refuse"):
        bank.does(fault, share=0.5)
        await asyncio.sleep(PAUSE_SECONDS)
    bank.does("none")
    bank.kill(signal.SIGSTOP)
    await asyncio.sleep(PAUSE_SECONDS)
    await asyncio.to_thread(tap.kill, "payment-api")
    await asyncio.sleep(PAUSE_SECONDS)
    bank.kill(signal.SIGCONT)
    bank.kill()
    await asyncio.sleep(PAUSE_SECONDS)
    await asyncio.to_thread(tap.kill, "postgres")
    await asyncio.sleep(PAUSE_SECONDS)
    bank.start()
    bank.does("die")
    await asyncio.sleep(PAUSE_SECONDS)
    bank.restart()
    bank.does("late", seconds=0.7, share=0.5)
    await asyncio.to_thread(tap.kill, "transaction-processor")
    await asyncio.sleep(PAUSE_SECONDS)
    bank.does("none")
    await asyncio.sleep(PAUSE_SECONDS)


async def test_nothing_is_lost_or_doubled_whatever_the_bank_does(
    session: aiohttp.ClientSession, tmp_path: Path, new_directory: Path
) -> None:
    """What the bank isn't there to take goes to the second one, and to one of them only."""
    with bank_process(tmp_path) as bank, bank_process(tmp_path / "second", name="second") as second:
        rules = tmp_path / "both.toml"
        rules.write_text(
            bank.entry("bank.key")
            + "breaker_seconds = 0.5\n"
            + second.entry("second/bank.key")
            + '[[route]]\nname = "both"\nacquirers = ["bank", "second"]\n'
        )
        with running_tap({**SHORT, "TAP_ACQUIRERS": str(rules)}, copied_from=new_directory) as tap:
            await shopping([bank, second], tap, session)


async def shopping(banks: list[BankProcess], tap: RunningTap, session: aiohttp.ClientSession) -> None:
    seen, status = Seen(), tap.status()
    shop = Shop(session, status["base_url"], status["secret_key"], seen)
    shop.acquirer_may_be_away = True
    stop = asyncio.Event()
    clients = [asyncio.create_task(shop.shop(stop)) for _ in range(CLIENTS)]
    await go_wrong(banks[0], tap)
    stop.set()
    await asyncio.gather(*clients)
    # Nobody pays any more: what was left open is asked about although it was being asked about ever less often.
    began = time.monotonic()
    await settled(status["database_url"], SETTLED_SECONDS_MAX)
    print(f"settled after {time.monotonic() - began:.1f} s, {len(seen.succeeded)} succeeded")

    assert shop.gave_up == []
    assert seen.succeeded
    async with connect(status["database_url"]) as connection:
        for bank in banks:
            await check_against(bank, connection)
        paid = await connection.fetch("SELECT document -> 'metadata' ->> 'operation' AS operation FROM payments.payment_intents")
        assert max(collections.Counter(row["operation"] for row in paid).values()) == 1
        assert await connection.fetchval("SELECT count(*) FROM simulator.journal") == 0
    first, other = ({reference for reference, *_ in bank.approved()} for bank in banks)
    assert first.isdisjoint(other)
    for bank in banks:
        reconciled(bank, tap)
    books = tap.tap("verify", check=False)
    assert books.returncode == 0, books.stdout
    listed = tap.tap("acquirers", "list").stdout
    assert "second" in listed
    assert "well" in listed


def reconciled(bank: BankProcess, tap: RunningTap) -> None:
    """What the bank settles of its own record is what is booked, line by line, whatever it did before."""
    day, file = datetime.datetime.now(datetime.UTC).date().isoformat(), bank.directory / "settled.csv"
    given = ["--record", str(bank.record), "--date", day, "--out", str(file), "--acquirer", bank.name]
    run_tap("acquirer-simulator", "settle", *given)
    for _ in range(2):
        done = tap.tap("reconcile", str(file), "--format", "json", check=False)
        found = json.loads(done.stdout)
        assert (done.returncode, found["differences"], found["faults"]) == (0, [], []), done.stdout
        assert {each["class"] for each in found["classes"]} == {"matched"}


async def check_against(bank: BankProcess, connection: Connection) -> None:
    """What the bank approved is what we hold for approved, order by order, and what it owes us is what we say it does, to the cent."""
    orders = await connection.fetch(
        "SELECT a.id, a.document ->> 'kind' AS kind, (a.document ->> 'amount')::bigint AS amount, a.document ->> 'currency' AS currency"
        " FROM payments.attempts a JOIN payments.charges c ON c.id = a.document ->> 'charge'"
        " WHERE a.outcome ->> 'type' = 'approved' AND c.document ->> 'acquirer' = $1",
        bank.name,
    )
    approved = bank.approved()
    assert sorted(map(tuple, orders)) == sorted(approved)
    holds = {
        row["reference"]
        for row in await connection.fetch(
            "SELECT document ->> 'authorization' AS reference FROM payments.charges WHERE document ->> 'acquirer' = $1", bank.name
        )
    }
    assert holds >= {reference for reference, kind, *_ in approved if kind == "authorize"}
    claimed = await connection.fetchval(
        "SELECT coalesce(sum(amount_captured - amount_refunded), 0) FROM payments.charges WHERE document ->> 'acquirer' = $1"
        " AND amount_captured > 0",
        bank.name,
    )
    owed = await connection.fetchval(
        "SELECT b.debits_posted - b.credits_posted FROM ledger.accounts a JOIN ledger.balances b ON b.account_id = a.id"
        " WHERE a.holder = $1 AND a.kind = 'receivable'",
        f"acquirer:{bank.name}",
    )
    totals = {(each["kind"], each["claims"]): each["amount"] for each in bank.state()["approved"]}
    settles = totals.get(("authorize", True), 0) + totals.get(("capture", True), 0) - totals.get(("refund", False), 0)
    assert owed == settles == claimed
    assert owed > 0


def test_what_is_wrong_is_said_in_one_line_before_anything_starts(tmp_path: Path) -> None:
    wrong = tmp_path / "acquirers.toml"
    wrong.write_text('[[acquirer]]\nname = "bank"\nkind = "smoke"\nmode = "live"\n')
    for command in (["up", "--data-dir", str(tmp_path / "data"), "--port", str(free_port())], ["acquirers", "check"]):
        done = run_tap(*command, check=False, environment={"TAP_ACQUIRERS": str(wrong)})
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
        assert "acquirer[0].kind" in done.stderr
    assert not (tmp_path / "data").exists()


def test_acquirers_are_checked_from_here(tmp_path: Path) -> None:
    with bank_process(tmp_path) as bank:
        well = run_tap("acquirers", "check", "--file", str(bank.configuration))
        assert "well" in well.stdout
        bank.kill()
        away = run_tap("acquirers", "check", "--file", str(bank.configuration), check=False)
        assert (away.returncode, "ClientConnectorError" in away.stdout) == (1, True)
        assert run_tap("acquirers", "check", "--offline", "--file", str(bank.configuration)).returncode == 0


def test_the_simulator_declines_amounts_and_says_what_it_did(tmp_path: Path) -> None:
    with bank_process(tmp_path, "--decline", "4002=insufficient_funds", "--fault", "drop", "--times", "1") as bank:
        state: dict[str, Any] = bank.state()
        assert (state["order"]["fault"], state["approved"]) == ("drop", [])
    (tmp_path / "bank.key").chmod(0o644)
    refused = run_tap(
        "acquirer-simulator", "--port", "1", "--record", str(tmp_path / "x"), "--secret-file", str(tmp_path / "bank.key"), check=False
    )
    assert (refused.returncode, "others may read" in refused.stderr) == (1, True)
    assert json.dumps(state)
