"""What the previous version left under way is finished by this one; its rows were written by that version's code itself."""

import json
import re
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from payments.acquirers.sealed_card import CardSealer
from payments.domain.card import Pan
from payments.runtime.seal import Sealer
from payments.storage.books import find_faults
from payments.storage.database import Connection, connect
from payments.storage.keys import find_account
from payments.storage.migrate import MIGRATIONS, migrate
from payments.transaction_processor.settlement import CAPTURE_WINDOW_SECONDS
from tests.integration.builders import Key
from tests.support.in_process import InProcess, in_process

ROWS = Path(__file__).parents[1] / "data" / "previous-version.jsonl"
LAST_MIGRATION = "0003_notifications.sql"
"""Of the version that wrote the rows."""


@pytest.fixture
async def owner(empty_database_url: str, tmp_path: Path) -> AsyncGenerator[Connection]:
    """A database that the previous version worked on, migrated."""
    for script in MIGRATIONS.glob("*.sql"):
        if script.name <= LAST_MIGRATION:
            shutil.copy(script, tmp_path)
    migrate(empty_database_url, tmp_path)
    async with connect(empty_database_url) as connection:
        await restore(connection)
        migrate(empty_database_url)
        yield connection


async def restore(connection: Connection) -> None:
    sealer = CardSealer(Sealer(Key()))
    for line in ROWS.read_text().splitlines():
        table, row = json.loads(line).values()
        if table == "payments.payment_methods":
            row["sealed_number"] = sealer.seal_number(row["merchant_id"], row["livemode"], row["id"], Pan("4242424242424242"))
        await connection.execute(
            f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM json_populate_record(NULL::{table}, $1)", json.dumps(row)
        )


@pytest.fixture
async def tap(owner: Connection, empty_database_url: str) -> AsyncGenerator[InProcess]:
    async with in_process(empty_database_url, merchant=None) as made:
        made.clock.time = await owner.fetchval("SELECT max(created) + 60 FROM payments.payment_intents")
        yield made


async def example(tap: InProcess, name: str) -> Any:
    (found,) = [each for each in (await tap.get("payment_intents", limit="100"))["data"] if each["metadata"]["name"] == name]
    return found


async def test_merchants_that_it_made_or_still_makes_are_accounts_of_their_own(owner: Connection) -> None:
    await owner.execute("INSERT INTO payments.merchants (id, name) OVERRIDING SYSTEM VALUE VALUES (99, 'Made beside the new version')")
    accounts = [
        await find_account(owner, merchant_id) for merchant_id in await owner.fetchval("SELECT array_agg(id) FROM payments.merchants")
    ]
    assert len({account.id for account in accounts}) == len(accounts) >= 2
    assert all(re.fullmatch(r"acct_\w{24}", account.id) and account.api_version == "2026-10-28.endive" for account in accounts)


async def test_its_books_are_in_order(owner: Connection) -> None:
    assert await find_faults(owner) == []


@pytest.mark.parametrize(("name", "amount"), [("refund pending", 1500), ("refund not told", 1200)])
async def test_a_refund_that_it_began_is_finished(tap: InProcess, owner: Connection, name: str, amount: int) -> None:
    paid = await example(tap, name)
    left = 2000 - amount
    refused = [await tap.post("refunds", charge=paid["latest_charge"], amount=str(each)) for each in (left, left + 1)]
    assert [each.status for each in refused] == [429, 429], "what is left isn't known before it is finished"
    await owner.execute("UPDATE payments.attempts SET lease_until = now() - interval '1 second' WHERE closed_at IS NULL")
    assert await tap.copies[0].sweeper.resolve_abandoned() == 2
    assert (await tap.get(f"charges/{paid['latest_charge']}"))["amount_refunded"] == amount
    assert await owner.fetchval("SELECT open_attempt FROM payments.payment_intents WHERE id = $1", paid["id"]) is None
    told = await owner.fetch("SELECT type FROM payments.events WHERE object_id = $1", paid["latest_charge"])
    assert [row["type"] for row in told] == ["charge.refunded"]
    assert (await tap.post("refunds", charge=paid["latest_charge"], amount=str(left + 1))).status == 400
    assert (await tap.post("refunds", charge=paid["latest_charge"])).body["amount"] == left
    assert await find_faults(owner) == []


async def test_a_card_that_it_made_for_one_payment_pays_for_that_and_for_nothing_else(tap: InProcess, owner: Connection) -> None:
    named = await example(tap, "named one-off")
    other = (await tap.post("payment_intents", amount="2000", currency="usd")).id
    customer = (await tap.post("customers")).id
    card = named["payment_method"]
    for status in (400, 400):
        for confirm in ("true", "false"):
            assert (await tap.post("payment_intents", amount="2000", currency="usd", payment_method=card, confirm=confirm)).status == status
        assert (await tap.post(f"payment_intents/{other}", payment_method=card)).status == status
        assert (await tap.post(f"payment_intents/{other}/confirm", payment_method=card)).status == status
        assert (await tap.post(f"payment_methods/{card}/attach", customer=customer)).status == status
        paid = await tap.post(f"payment_intents/{named['id']}/confirm")
    assert (await tap.get(f"payment_intents/{named['id']}"))["status"] == "succeeded"
    assert paid.status == 400, "a second time it is paid already"
    assert await find_faults(owner) == []


async def test_a_card_that_was_detached_under_it_pays_no_more(tap: InProcess) -> None:
    named = await example(tap, "detached")
    assert (await tap.post(f"payment_intents/{named['id']}/confirm")).status == 400


async def test_its_holds_are_captured_canceled_and_expire(tap: InProcess, owner: Connection) -> None:
    held, partly = await example(tap, "hold"), await example(tap, "partly captured")
    assert (await tap.post(f"payment_intents/{held['id']}/capture", amount_to_capture="700", final_capture="false")).status == 200
    assert (await tap.post(f"payment_intents/{partly['id']}/cancel")).body["status"] == "canceled"
    assert (await tap.post("refunds", charge=partly["latest_charge"])).body["amount"] == 500
    tap.clock.time += CAPTURE_WINDOW_SECONDS
    assert await tap.copies[0].sweeper.expire_holds() == 1
    assert (await tap.get(f"payment_intents/{held['id']}"))["status"] == "canceled"
    assert (await tap.post("refunds", charge=held["latest_charge"])).body["amount"] == 700
    assert (await tap.post("refunds", charge=(await example(tap, "canceled hold"))["latest_charge"])).status == 400
    assert await find_faults(owner) == []


async def test_its_challenge_is_completed_by_its_link(tap: InProcess, owner: Connection) -> None:
    waiting = await example(tap, "challenged")
    await tap.decide(waiting["next_action"]["use_stripe_sdk"]["stripe_js"], "complete")
    assert (await tap.get(f"payment_intents/{waiting['id']}"))["status"] == "succeeded"
    assert await find_faults(owner) == []


async def test_its_refund_that_fails_after_all_is_booked(tap: InProcess, owner: Connection) -> None:
    paid = await example(tap, "failing refund")
    assert await tap.copies[0].sweeper.book_failed_refunds() == 1
    assert (await tap.get(f"charges/{paid['latest_charge']}"))["amount_refunded"] == 0
    assert await find_faults(owner) == []
