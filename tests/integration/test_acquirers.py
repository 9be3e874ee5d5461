"""A payment is with one acquirer from the beginning to the end, and booked on that one's accounts."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from payments.acquirers.far_end.faults import Fault
from payments.acquirers.routing import Route, Routes
from payments.storage.books import find_faults
from payments.storage.database import Connection
from tests.support.acquirers_to_test import Bank, http_bank
from tests.support.in_process import InProcess, in_process

LIVE_EUROS = Routes([Route(acquirer="bank", livemode=True, currencies=frozenset({"eur", "usd"}))])
CARD = {
    "payment_method_data[type]": "card",
    "payment_method_data[card][number]": "4242424242424242",
    "payment_method_data[card][exp_month]": "12",
    "payment_method_data[card][exp_year]": "2040",
}


@pytest.fixture
async def bank(tmp_path: Path) -> AsyncGenerator[Bank]:
    async with http_bank(tmp_path, timeout_seconds=2) as made:
        yield made


@pytest.fixture
async def tap(database_url: str, bank: Bank) -> AsyncGenerator[InProcess]:
    async with in_process(database_url, outside=[bank.acquirer], routes=LIVE_EUROS) as made:
        made.principal = replace(made.principal, livemode=True)
        yield made


async def pay(tap: InProcess, **params: str) -> Any:
    made = await tap.post("payment_intents", amount="2000", currency="usd", confirm="true", **{**CARD, **params})
    assert made.status == 200, made
    return made.body


async def owed(connection: Connection) -> dict[str, int]:
    """What each acquirer owes us."""
    rows = await connection.fetch(
        "SELECT a.holder, b.debits_posted - b.credits_posted AS amount FROM ledger.accounts a JOIN ledger.balances b ON b.account_id = a.id"
        " WHERE a.kind = 'receivable'"
    )
    return {row["holder"]: row["amount"] for row in rows}


async def test_a_live_payment_goes_to_its_bank_and_so_does_its_refund(tap: InProcess, bank: Bank, connection: Connection) -> None:
    paid = await pay(tap)
    assert paid["status"] == "succeeded"
    await tap.post("refunds", payment_intent=paid["id"], amount="500")
    assert await owed(connection) == {"acquirer:bank": 1500}
    assert {(each["kind"], each["amount"]) for each in bank.record.totals()} == {("authorize", 2000), ("refund", 500)}
    assert await connection.fetchval("SELECT count(*) FROM simulator.journal") == 0
    assert await connection.fetchval("SELECT document ->> 'acquirer' FROM payments.charges") == "bank"
    assert await connection.fetchval("SELECT document ->> 'acquirer' FROM payments.attempts ORDER BY created LIMIT 1") == "bank"
    assert await find_faults(connection) == []


async def test_a_hold_is_captured_and_given_up_where_it_is(tap: InProcess, bank: Bank, connection: Connection) -> None:
    first, second = await pay(tap, capture_method="manual"), await pay(tap, capture_method="manual")
    await tap.post(f"payment_intents/{first['id']}/capture", amount_to_capture="1200")
    await tap.post(f"payment_intents/{second['id']}/cancel")
    assert await owed(connection) == {"acquirer:bank": 1200}
    assert {each["kind"] for each in bank.record.totals()} == {"authorize", "capture", "void"}
    assert await find_faults(connection) == []


async def test_test_payments_stay_in_the_sandbox(tap: InProcess, bank: Bank, connection: Connection) -> None:
    tap.principal = replace(tap.principal, livemode=False)
    await pay(tap)
    assert await owed(connection) == {"acquirer:simulator": 2000}
    assert bank.record.totals() == []


async def test_what_nobody_takes_is_refused_before_anything_is_recorded(tap: InProcess, connection: Connection) -> None:
    refused = await tap.post("payment_intents", amount="2000", currency="gbp", confirm="true", **CARD)
    assert refused.status == 400
    assert refused.body["error"]["param"] == "currency"
    assert await connection.fetchval("SELECT count(*) FROM payments.payment_intents") == 0


async def test_without_an_acquirer_live_charges_are_refused_plainly(database_url: str, connection: Connection) -> None:
    async with in_process(database_url) as tap:
        tap.principal = replace(tap.principal, livemode=True)
        made = await tap.post("payment_intents", amount="2000", currency="usd")
        refused = await tap.post(f"payment_intents/{made.id}/confirm", **CARD)
        assert (refused.status, refused.body["error"]["code"]) == (400, "testmode_charges_only")
        assert (await tap.get(f"payment_intents/{made.id}"))["status"] == "requires_payment_method"
    assert await connection.fetchval("SELECT count(*) FROM payments.attempts") == 0


@pytest.mark.parametrize("fault", [Fault.DROP, Fault.HALF, Fault.OTHER_AMOUNT, Fault.FORGED, Fault.ERROR, Fault.REFUSE])
async def test_what_was_not_answered_clearly_is_processing_and_then_known(
    tap: InProcess, bank: Bank, connection: Connection, fault: Fault
) -> None:
    bank.does(fault)
    paid = await pay_in_the_dark(tap)
    await connection.execute("UPDATE payments.attempts SET lease_until = now() - interval '1 second'")
    await tap.copies[0].sweeper.resolve_abandoned()
    found = await tap.get(f"payment_intents/{paid}")
    assert found["status"] == "succeeded"
    assert [each["orders"] for each in bank.record.totals()] == [1]
    assert await find_faults(connection) == []
    (state,) = [each for each in await tap.copies[0].processor.acquirers.states() if each.name == "bank"]
    assert (state.fault, state.unknown) == (None, 1)
    assert state.last_error


async def pay_in_the_dark(tap: InProcess) -> str:
    paid = await pay(tap)
    assert paid["status"] == "processing"
    return paid["id"]


async def test_an_acquirer_that_is_not_configured_any_more_leaves_its_payments_as_they_are(
    database_url: str, tap: InProcess, bank: Bank, connection: Connection
) -> None:
    bank.does(Fault.DROP)
    paid = await pay_in_the_dark(tap)
    await connection.execute("UPDATE payments.attempts SET lease_until = now() - interval '1 second'")
    async with in_process(database_url, merchant=None) as without:
        await without.copies[0].sweeper.resolve_abandoned()
    assert (await tap.get(f"payment_intents/{paid}"))["status"] == "processing"
    await connection.execute("UPDATE payments.attempts SET lease_until = now() - interval '1 second'")
    await tap.copies[0].sweeper.resolve_abandoned()
    assert (await tap.get(f"payment_intents/{paid}"))["status"] == "succeeded"


async def test_an_expired_hold_is_given_up_at_its_bank(tap: InProcess, bank: Bank, connection: Connection) -> None:
    held = await pay(tap, capture_method="manual")
    tap.clock.time += 8 * 24 * 3600
    assert await tap.copies[0].sweeper.expire_holds() == 1
    assert (await tap.get(f"payment_intents/{held['id']}"))["status"] == "canceled"
    assert "void" in {each["kind"] for each in bank.record.totals()}
    assert await find_faults(connection) == []
