"""A dispute goes from the acquirer's notice to its end, and its money with it: once, however often anything is told, asked or swept."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import asyncpg
import msgspec
import pytest

from payments.acquirers.notices import DisputeDecided
from payments.acquirers.simulated_disputes import NOTICE_SECONDS, RESPONSE_SECONDS
from payments.domain.dispute import EVIDENCE_CHARACTERS_MAX
from payments.storage import notices
from payments.storage.books import find_faults
from payments.storage.database import Connection
from payments.transaction_processor.money.booking import Bookkeeper
from tests.integration.use_cases import intent, paid
from tests.support.in_process import InProcess, in_process

DISPUTED = "pm_card_createDispute"
INQUIRED = "pm_card_createDisputeInquiry"
WINNING = {"evidence[uncategorized_text]": "winning_evidence"}
LOSING = {"evidence[uncategorized_text]": "losing_evidence"}
FEE = 1500


@pytest.fixture
async def tap(database_url: str) -> AsyncGenerator[InProcess]:
    async with in_process(database_url, copies=2) as made:
        yield made


async def sweep(tap: InProcess) -> None:
    """Both copies at once, until neither finds anything."""
    tap.clock.time += NOTICE_SECONDS
    while sum(await asyncio.gather(*(copy.money.take_notices() for copy in tap.copies))):
        pass


async def disputed(tap: InProcess, card: str = DISPUTED) -> Any:
    await paid(tap, payment_method=card)
    await sweep(tap)
    (found,) = (await tap.get("disputes"))["data"][:1]
    return found


async def available(tap: InProcess) -> int:
    return (await tap.get("balance"))["available"][0]["amount"]


async def events_of(connection: Connection, dispute: str) -> list[str]:
    rows = await connection.fetch("SELECT type FROM payments.events WHERE object_id = $1 ORDER BY id", dispute)
    return [row["type"].removeprefix("charge.dispute.") for row in rows]


async def test_a_dispute_withdraws_its_amount_and_a_fee(tap: InProcess, connection: Connection) -> None:
    dispute = await disputed(tap)
    assert (dispute["status"], dispute["reason"], dispute["amount"]) == ("needs_response", "fraudulent", 2000)
    (withdrawal,) = dispute["balance_transactions"]
    assert (withdrawal["amount"], withdrawal["fee"], withdrawal["net"]) == (-2000, FEE, -2000 - FEE)
    assert (withdrawal["type"], withdrawal["reporting_category"], withdrawal["source"]) == ("adjustment", "dispute", dispute["id"])
    assert await available(tap) == -2000 - FEE
    charge = await tap.get(f"charges/{dispute['charge']}")
    assert charge["disputed"]
    assert (await tap.get(f"charges/{dispute['charge']}/dispute"))["id"] == dispute["id"]
    refused = await tap.post("refunds", charge=dispute["charge"])
    assert (refused.status, refused.body["error"]["code"]) == (400, "charge_disputed")
    assert await events_of(connection, dispute["id"]) == ["created", "funds_withdrawn"]
    assert await find_faults(connection) == []


@pytest.mark.parametrize(("evidence", "status", "back"), [(WINNING, "won", 2000), (LOSING, "lost", 0)])
async def test_the_evidence_decides(tap: InProcess, connection: Connection, evidence: dict[str, str], status: str, back: int) -> None:
    dispute = await disputed(tap)
    submitted = await tap.post(f"disputes/{dispute['id']}", **evidence)
    assert submitted.body["status"] == "under_review"
    assert submitted.body["evidence_details"]["submission_count"] == 1
    await sweep(tap)  # sends it
    await sweep(tap)  # hears the verdict
    ended = await tap.get(f"disputes/{dispute['id']}")
    assert ended["status"] == status
    assert await available(tap) == -2000 - FEE + back
    told = await events_of(connection, dispute["id"])
    assert told == ["created", "funds_withdrawn", "updated", *(["funds_reinstated"] if back else []), "closed"]
    if back:
        assert [(each["amount"], each["fee"], each["reporting_category"]) for each in ended["balance_transactions"]] == [
            (-2000, FEE, "dispute"),
            (2000, 0, "dispute_reversal"),
        ]
        assert (await tap.post("refunds", charge=dispute["charge"])).status == 200
    else:
        assert (await tap.post("refunds", charge=dispute["charge"])).body["error"]["code"] == "charge_disputed"
    assert await find_faults(connection) == []


async def test_an_inquiry_moves_no_money(tap: InProcess, connection: Connection) -> None:
    dispute = await disputed(tap, INQUIRED)
    assert (dispute["status"], dispute["balance_transactions"], dispute["is_charge_refundable"]) == ("warning_needs_response", [], True)
    assert (await tap.post("refunds", charge=dispute["charge"], amount="500")).status == 200
    answered = await tap.post(f"disputes/{dispute['id']}", **WINNING)
    assert answered.body["status"] == "warning_under_review"
    await sweep(tap)
    await sweep(tap)
    assert (await tap.get(f"disputes/{dispute['id']}"))["status"] == "warning_closed"
    assert await available(tap) == -500
    assert await find_faults(connection) == []


async def test_what_is_staged_is_sent_when_it_is_said(tap: InProcess, connection: Connection) -> None:
    dispute = await disputed(tap)
    path = f"disputes/{dispute['id']}"
    staged = await tap.post(path, submit="false", **{"evidence[customer_name]": "Ada", **LOSING})
    assert (staged.body["status"], staged.body["evidence_details"]["has_evidence"]) == ("needs_response", True)
    staged = await tap.post(path, submit="false", **{"evidence[customer_name]": "", **WINNING})
    assert staged.body["evidence"]["customer_name"] is None
    assert (await tap.post(path, **{"metadata[order]": "7"})).body["status"] == "needs_response"
    await sweep(tap)
    assert (await tap.post(path, submit="true")).body["status"] == "under_review"
    await sweep(tap)
    await sweep(tap)
    ended = await tap.get(path)
    assert (ended["status"], ended["metadata"]) == ("won", {"order": "7"})
    assert (await tap.post(path, **{"metadata[order]": "8"})).body["metadata"] == {"order": "8"}
    assert await find_faults(connection) == []


async def test_whoever_gives_in_loses_for_good(tap: InProcess, connection: Connection) -> None:
    dispute = await disputed(tap)
    path = f"disputes/{dispute['id']}"
    assert (await tap.post(f"{path}/close")).body["status"] == "lost"
    for refused in (await tap.post(f"{path}/close"), await tap.post(path, **WINNING)):
        assert (refused.status, refused.body["error"]["message"]) == (400, "This dispute is already closed.")
    await sweep(tap)
    assert (await tap.get(path))["status"] == "lost"
    assert await available(tap) == -2000 - FEE
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute("UPDATE payments.disputes SET status = 'won'")
    assert await find_faults(connection) == []


async def test_evidence_is_handed_in_once(tap: InProcess) -> None:
    dispute = await disputed(tap)
    path = f"disputes/{dispute['id']}"
    assert (await tap.post(path, submit="true")).body["error"]["param"] == "submit"  # there is none yet
    assert (await tap.post(path, **{"evidence[customer_name]": "Ada"})).status == 200
    for refused in (await tap.post(path, **WINNING), await tap.post(f"{path}/close")):
        assert refused.status == 400
        assert "already been submitted" in refused.body["error"]["message"]


async def test_a_bank_reads_only_so_much(tap: InProcess) -> None:
    dispute = await disputed(tap)
    long = ["access_activity_log", "cancellation_rebuttal", "product_description", "refund_policy_disclosure", "uncategorized_text"]
    long += ["cancellation_policy_disclosure", "duplicate_charge_explanation", "refund_refusal_explanation"]
    evidence = {f"evidence[{name}]": "x" * 20_000 for name in long}
    refused = await tap.post(f"disputes/{dispute['id']}", **evidence)
    assert refused.body["error"]["param"] == "evidence"
    assert f"{EVIDENCE_CHARACTERS_MAX:,}" in refused.body["error"]["message"]
    del evidence[f"evidence[{long[0]}]"]
    assert (await tap.post(f"disputes/{dispute['id']}", submit="false", **evidence)).status == 200


@pytest.mark.parametrize(("card", "status"), [(DISPUTED, "lost"), (INQUIRED, "warning_closed")])
async def test_whoever_is_silent_until_the_deadline_loses(tap: InProcess, connection: Connection, card: str, status: str) -> None:
    dispute = await disputed(tap, card)
    path = f"disputes/{dispute['id']}"
    assert (await tap.post(path, submit="false", **WINNING)).status == 200  # staged isn't answered
    assert await tap.copies[0].money.end_past_due() == 0
    tap.clock.time += RESPONSE_SECONDS
    for late in (await tap.post(path, **WINNING), await tap.post(f"{path}/close")):
        assert "deadline" in late.body["error"]["message"]
    assert sum(await asyncio.gather(*(copy.money.end_past_due() for copy in tap.copies))) == 1
    assert (await tap.get(path))["status"] == status
    assert (await tap.post(path, **WINNING)).body["error"]["message"] == "This dispute is already closed."
    assert await find_faults(connection) == []


@pytest.mark.parametrize("seed", range(5))
async def test_of_an_answer_and_giving_in_at_once_one_holds(tap: InProcess, connection: Connection, seed: int) -> None:
    dispute = await disputed(tap)
    path = f"disputes/{dispute['id']}"
    tap.clock.time += seed
    answers = await asyncio.gather(
        tap.post(path, **WINNING), tap.post(f"{path}/close"), tap.post(path, **LOSING), tap.post(f"{path}/close")
    )
    assert sorted(each.status == 200 for each in answers) == [False, False, False, True]
    await sweep(tap)
    await sweep(tap)
    assert await find_faults(connection) == []


async def test_a_notice_that_comes_again_makes_one_dispute(tap: InProcess, connection: Connection) -> None:
    dispute = await disputed(tap)
    await connection.execute("UPDATE simulator.notices SET heard = false")
    await sweep(tap)
    told_anew = "UPDATE payments.notices SET look_at = 1, result = NULL"
    await connection.execute(told_anew)  # as one of another reference about the same payment
    await sweep(tap)
    assert [each["id"] for each in (await tap.get("disputes"))["data"]] == [dispute["id"]]
    assert await available(tap) == -2000 - FEE
    assert await find_faults(connection) == []


async def test_a_crash_between_hearing_and_booking_loses_nothing(tap: InProcess, connection: Connection, monkeypatch: Any) -> None:
    await paid(tap, payment_method=DISPUTED)

    async def crash(*_: Any) -> bool:
        raise ConnectionError

    with monkeypatch.context() as broken:
        broken.setattr(tap.copies[0].money.acquirers.sandbox.__class__, "acknowledge_notice", crash)
        tap.clock.time += NOTICE_SECONDS
        await tap.copies[0].money.take_notices()
    with monkeypatch.context() as broken:
        broken.setattr(Bookkeeper, "write", crash)
        await connection.execute("UPDATE payments.notices SET look_at = 1, result = NULL")
        await tap.copies[0].money.take_notices()
    await sweep(tap)
    assert len((await tap.get("disputes"))["data"]) == 1
    assert await find_faults(connection) == []


async def test_a_notice_waits_for_what_it_is_about(tap: InProcess, connection: Connection) -> None:
    dispute = await disputed(tap)
    early = DisputeDecided(reference="d1", merchant_id=1, livemode=False, case="case_later", won=True)
    await notices.record(tap.copies[0].processor.pool, "simulator", "d1", msgspec.json.encode(early), int(tap.clock.now()))
    await sweep(tap)
    assert await connection.fetchval("SELECT tries FROM payments.notices WHERE reference = 'd1'") > 0
    await connection.execute(
        "UPDATE payments.disputes SET acquirer_case = 'case_later', "
        "document = (document::jsonb || jsonb_build_object('acquirer_case', 'case_later'))::json"
    )
    tap.clock.time += 3600
    await sweep(tap)
    assert (await tap.get(f"disputes/{dispute['id']}"))["status"] == "won"
    assert await find_faults(connection) == []


async def test_a_refund_and_a_dispute_at_once_return_no_more_than_was_paid(tap: InProcess, connection: Connection) -> None:
    for _ in range(5):
        payment = await paid(tap, payment_method=DISPUTED)
        tap.clock.time += NOTICE_SECONDS
        await asyncio.gather(
            tap.post("refunds", payment_intent=payment["id"], amount="700"), *(copy.money.take_notices() for copy in tap.copies)
        )
        await sweep(tap)
        charge = await tap.get(f"charges/{payment['latest_charge']}")
        dispute = await tap.get(f"charges/{charge['id']}/dispute")
        assert dispute["amount"] + charge["amount_refunded"] == 2000
    assert await find_faults(connection) == []


async def test_a_refunded_payment_has_nothing_left_to_dispute(tap: InProcess, connection: Connection) -> None:
    payment = await paid(tap, payment_method=DISPUTED)
    assert (await tap.post("refunds", payment_intent=payment["id"])).status == 200
    await sweep(tap)
    assert (await tap.get("disputes"))["data"] == []
    assert await connection.fetchval("SELECT result FROM payments.notices") == "nothing left to dispute"


async def test_a_hold_is_disputed_when_it_is_captured_and_once(tap: InProcess, connection: Connection) -> None:
    held = await paid(tap, payment_method=DISPUTED, capture_method="manual")
    await sweep(tap)
    assert (await tap.get("disputes"))["data"] == []
    for _ in range(2):
        await tap.post(f"payment_intents/{held['id']}/capture", amount_to_capture="500", final_capture="false")
        await sweep(tap)
    (dispute,) = (await tap.get("disputes", payment_intent=held["id"]))["data"]
    assert dispute["amount"] == 500
    assert await find_faults(connection) == []


async def test_the_database_takes_no_dispute_of_more_than_was_captured(tap: InProcess, connection: Connection) -> None:
    payment = await paid(tap)
    forged = """
        INSERT INTO payments.disputes (merchant_id, livemode, id, created, version, status, charge, payment_intent, amount, currency, acquirer_case,
            answer_by, document)
        VALUES (1, false, 'dp_x', 1, 1, 'needs_response', $1, $2, $3, 'usd', 'x', 1, '{}')
    """
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(forged, payment["latest_charge"], payment["id"], 2001)


async def test_repetitions_get_the_first_answer(tap: InProcess) -> None:
    dispute = await disputed(tap)
    path = f"/v1/disputes/{dispute['id']}/close"
    first = await tap.call("POST", path, key="k")
    assert first.body["status"] == "lost"
    again = await tap.call("POST", path, key="k")
    assert again.body == first.body


async def test_lists_are_narrowed(tap: InProcess) -> None:
    first = await disputed(tap)
    await intent(tap)
    tap.clock.time += 100
    second = await disputed(tap, "pm_card_createDisputeProductNotReceived")
    assert second["reason"] == "product_not_received"
    for filters, found in (
        ({"charge": first["charge"]}, [first]),
        ({"payment_intent": second["payment_intent"]}, [second]),
        ({"created[gte]": str(second["created"])}, [second]),
    ):
        assert [each["id"] for each in (await tap.get("disputes", **filters))["data"]] == [each["id"] for each in found]
    changes = (await tap.get("balance_transactions", type="adjustment"))["data"]
    assert {each["source"] for each in changes} == {first["id"], second["id"]}
