"""Charges that are made without a payment intent: what is asked for at once, what isn't known, what nobody finishes."""

import asyncio
import io
from collections.abc import AsyncGenerator

import pytest
from msgspec.structs import replace

from payments.domain.event import Event
from payments.domain.outcome import Outcome
from payments.domain.token import TOKEN_SECONDS_MAX
from payments.payment_api import steps
from payments.payment_api.indexing import Indexing
from payments.runtime.clock import SystemClock
from payments.runtime.logging import Logger
from payments.runtime.rows import RowByRow
from payments.storage.attempts import OpenAttempt
from payments.storage.books import find_faults
from payments.storage.database import Connection
from payments.transaction_processor.settlement import CAPTURE_WINDOW_SECONDS
from tests.integration.test_settled_from import APPROVED, DECLINED, UNKNOWN, Bank
from tests.support.in_process import Answer, InProcess, in_process

CARD = {"card[number]": "4242424242424242", "card[exp_month]": "12", "card[exp_year]": "2040", "card[cvc]": "123"}
ASKED = {"amount": "2000", "currency": "usd"}


@pytest.fixture
async def tap(database_url: str) -> AsyncGenerator[InProcess]:
    async with in_process(database_url) as made:
        yield made


@pytest.fixture
def bank() -> Bank:
    return Bank()


@pytest.fixture
async def at_a_bank(database_url: str, bank: Bank) -> AsyncGenerator[InProcess]:
    async with in_process(database_url, acquirer=bank) as made:
        yield made


async def token(tap: InProcess) -> str:
    return (await tap.post("tokens", **CARD)).id


async def held(tap: InProcess) -> str:
    return (await tap.post("charges", **ASKED, source=await token(tap), capture="false")).id


async def insist(tap: InProcess, path: str, **params: str) -> Answer:
    """Ask as the front does, until nobody else has what it takes in hand."""
    while (answer := await tap.post(path, **params)).status == 429:
        await asyncio.sleep(0.01)
    return answer


async def abandoned_are_finished(tap: InProcess, connection: Connection) -> None:
    await connection.execute("UPDATE payments.attempts SET lease_until = now() - interval '1 second' WHERE closed_at IS NULL")
    assert await tap.copies[0].sweeper.resolve_abandoned() == 1


async def told(connection: Connection, *, about: str) -> list[str]:
    rows = await connection.fetch("SELECT type FROM payments.events WHERE object_type = $1 ORDER BY object_version, id", about)
    return [row["type"] for row in rows]


async def test_a_token_is_charged_once_of_several_times_at_once(tap: InProcess, connection: Connection) -> None:
    given = await token(tap)
    answers = await asyncio.gather(*(insist(tap, "charges", **ASKED, source=given) for _ in range(8)))
    refused = [each.body["error"]["code"] for each in answers if each.status != 200]
    assert refused == ["token_already_used"] * 7
    assert await connection.fetchval("SELECT count(*) FROM payments.charges") == 1
    assert (await tap.get(f"tokens/{given}"))["used"]
    assert await find_faults(connection) == []


async def test_a_token_is_used_up_by_whatever_uses_its_card(tap: InProcess, connection: Connection) -> None:
    given = await token(tap)
    card = (await tap.get(f"tokens/{given}"))["card"]["id"]
    assert (await tap.post("payment_intents", **ASKED, payment_method=card, confirm="true")).status == 200
    assert (await tap.post("charges", **ASKED, source=given)).body["error"]["code"] == "token_already_used"
    kept = await token(tap)
    method = (await tap.post("payment_methods", **{"type": "card", "card[token]": kept})).id
    assert method == (await tap.get(f"tokens/{kept}"))["card"]["id"]
    assert (await tap.post("payment_methods", **{"type": "card", "card[token]": kept})).body["error"]["code"] == "token_already_used"
    assert await find_faults(connection) == []


async def test_a_token_has_its_time(tap: InProcess) -> None:
    given = await token(tap)
    tap.clock.time += TOKEN_SECONDS_MAX + 1
    late = await tap.post("charges", **ASKED, source=given)
    assert (late.status, late.body["error"]["code"]) == (400, "resource_missing")
    assert not (await tap.get(f"tokens/{given}"))["used"]


async def test_a_token_is_another_merchants_of_nothing(tap: InProcess) -> None:
    given = await token(tap)
    tap.principal = replace(tap.principal, merchant_id=2, account_id="acct_2")
    assert (await tap.post("charges", **ASKED, source=given)).body["error"]["code"] == "resource_missing"


async def test_a_hold_is_captured_or_given_up_of_both_at_once(tap: InProcess, connection: Connection) -> None:
    for _ in range(5):
        charge = await held(tap)
        captured, returned = await asyncio.gather(insist(tap, f"charges/{charge}/capture"), insist(tap, "refunds", charge=charge))
        shown = await tap.get(f"charges/{charge}")
        if captured.status == 200:  # then what is returned was captured before, and all of it
            assert (returned.status, shown["amount_captured"], shown["amount_refunded"]) == (200, 2000, 2000)
        else:
            assert captured.body["error"]["code"] == "charge_already_refunded"
            assert (returned.status, shown["amount_captured"], shown["refunded"]) == (200, 0, True)
    assert await find_faults(connection) == []


async def test_a_hold_is_given_up_once_of_several_times_at_once(tap: InProcess, connection: Connection) -> None:
    charge = await held(tap)
    answers = await asyncio.gather(*(insist(tap, f"charges/{charge}/refunds") for _ in range(4)))
    assert sorted(each.status for each in answers) == [200, 400, 400, 400]
    assert {each.body["error"]["code"] for each in answers if each.status == 400} == {"charge_already_refunded"}
    assert await find_faults(connection) == []


@pytest.mark.parametrize(
    ("outcome", "status", "event"), [(APPROVED, "succeeded", "charge.succeeded"), (DECLINED, "failed", "charge.failed")]
)
async def test_what_is_not_known_is_pending_until_it_is(
    at_a_bank: InProcess, bank: Bank, connection: Connection, outcome: Outcome, status: str, event: str
) -> None:
    bank.answer = UNKNOWN
    first = await at_a_bank.call("POST", "/v1/charges", "key", **ASKED, source="tok_visa")
    assert (first.status, first.body["status"], first.body["paid"], first.body["outcome"]) == (200, "pending", False, None)
    early = await at_a_bank.post("refunds", charge=first.id)
    assert (early.status, early.body["error"]["param"]) == (400, "charge")
    changed = await at_a_bank.post(f"charges/{first.id}", **{"metadata[order]": "7"})
    assert changed.status == 200
    bank.answer = outcome
    await abandoned_are_finished(at_a_bank, connection)
    shown = await at_a_bank.get(f"charges/{first.id}")
    assert (shown["status"], shown["metadata"]) == (status, {"order": "7"})
    assert await told(connection, about="charge") == ["charge.pending", "charge.updated", event]
    assert (await at_a_bank.call("POST", "/v1/charges", "key", **ASKED, source="tok_visa")).body == first.body
    assert await find_faults(connection) == []


async def test_a_charge_whose_maker_died_is_finished_and_answers_its_key(
    tap: InProcess, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "OUTCOME_WAIT_SECONDS", 0)
    carried_out = tap.handover.carry_out_work

    async def lost(_: OpenAttempt) -> Event | None:
        return None

    tap.handover.carry_out_work = lost
    given = await token(tap)
    assert (await tap.call("POST", "/v1/charges", "key", **ASKED, source=given)).status == 503
    tap.handover.carry_out_work = carried_out
    await abandoned_are_finished(tap, connection)
    again = await tap.call("POST", "/v1/charges", "key", **ASKED, source=given)
    assert (again.status, again.body["status"]) == (200, "succeeded")
    assert await connection.fetchval("SELECT count(*) FROM payments.charges") == 1
    assert await find_faults(connection) == []


async def test_a_release_whose_maker_died_is_finished(tap: InProcess, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "OUTCOME_WAIT_SECONDS", 0)
    charge = await held(tap)

    async def lost(_: OpenAttempt) -> Event | None:
        return None

    tap.handover.carry_out_work = lost
    assert (await tap.call("POST", "/v1/refunds", "key", charge=charge)).status == 503
    assert await find_faults(connection) == []
    await abandoned_are_finished(tap, connection)
    again = await tap.call("POST", "/v1/refunds", "key", charge=charge)
    assert (again.status, again.body["status"]) == (200, "succeeded")
    assert await find_faults(connection) == []


async def test_a_hold_that_expires_is_told_of_by_its_charge(tap: InProcess, connection: Connection) -> None:
    charge = await held(tap)
    tap.clock.time += CAPTURE_WINDOW_SECONDS + 1
    assert await tap.copies[0].sweeper.expire_holds() == 1
    assert await told(connection, about="charge") == ["charge.succeeded", "charge.expired"]
    assert (await tap.post(f"charges/{charge}/capture")).body["error"]["code"] == "charge_expired_for_capture"
    assert (await tap.post("refunds", charge=charge)).body["error"]["code"] == "charge_already_refunded"
    assert await find_faults(connection) == []


async def test_a_capture_that_is_declined_leaves_the_hold(at_a_bank: InProcess, bank: Bank, connection: Connection) -> None:
    charge = (await at_a_bank.post("charges", **ASKED, source="tok_visa", capture="false")).id
    bank.answer = DECLINED
    declined = await at_a_bank.call("POST", f"/v1/charges/{charge}/capture", "key")
    assert (declined.status, declined.body["error"]["code"], declined.body["error"]["charge"]) == (402, "card_declined", charge)
    assert (await at_a_bank.call("POST", f"/v1/charges/{charge}/capture", "key")).body == declined.body
    shown = await at_a_bank.get(f"charges/{charge}")
    assert (shown["status"], shown["captured"], shown["failure_code"]) == ("succeeded", False, "card_declined")
    bank.answer = APPROVED
    captured = await at_a_bank.post(f"charges/{charge}/capture")
    assert (captured.status, captured.body["captured"], captured.body["failure_code"]) == (200, True, None)
    assert await find_faults(connection) == []


async def test_the_intent_behind_a_charge_cannot_be_reached(tap: InProcess, connection: Connection) -> None:
    await held(tap)
    hidden: str = await connection.fetchval("SELECT id FROM payments.payment_intents")
    assert hidden.startswith("chi_")
    for method, path in (("GET", ""), ("POST", ""), ("POST", "/confirm"), ("POST", "/capture"), ("POST", "/cancel")):
        answer = await tap.call(method, f"/v1/payment_intents/{hidden}{path}")
        assert (answer.status, answer.body["error"]["code"]) == (404, "resource_missing"), path
    assert (await tap.get("payment_intents"))["data"] == []
    assert (await tap.post("refunds", payment_intent=hidden)).status == 400


async def test_the_intent_behind_a_charge_is_not_searched(tap: InProcess, connection: Connection) -> None:
    charge = (await tap.post("charges", **ASKED, source="tok_visa")).id
    await connection.execute(
        "INSERT INTO search.changes (merchant_id, livemode, kind, object_id) SELECT 1, false, 'payment_intent', id FROM payments.payment_intents"
    )
    while await Indexing(tap.pool, RowByRow(SystemClock(), Logger("test", io.BytesIO()))).index():
        pass
    assert [row["object_id"] for row in await connection.fetch("SELECT object_id FROM search.documents")] == [charge]
