"""What a merchant has goes to their bank: never more than that, never twice, and back when it doesn't arrive."""

import asyncio
import datetime
from collections.abc import AsyncGenerator
from typing import Any

import asyncpg
import msgspec
import pytest

from payments.acquirers.notices import PayoutFailed
from payments.storage import notices
from payments.storage.books import find_faults
from payments.storage.database import Connection
from payments.storage.keys import MerchantError, create_merchant
from payments.storage.merchant_tasks import SettingsOrder, change_settings
from payments.transaction_processor.money import paydays
from payments.transaction_processor.money.payout_steps import PENDING_SECONDS, arrival_date
from tests.integration.use_cases import paid
from tests.support.in_process import Answer, InProcess, in_process

DAY = 24 * 3600
ACCOUNTS = "accounts/acct_1/external_accounts"
AT_ONCE = "pm_card_bypassPending"
NET = 2000 - 88
"""What is available of a payment."""


@pytest.fixture
async def tap(database_url: str) -> AsyncGenerator[InProcess]:
    async with in_process(database_url, copies=2) as made:
        yield made


async def bank_account(tap: InProcess, number: str = "000123456789", currency: str = "usd", **more: str) -> Any:
    given = {"object": "bank_account", "account_number": number, "country": "US", "currency": currency, "routing_number": "110000000"}
    made = await tap.post(ACCOUNTS, **{f"external_account[{name}]": value for name, value in given.items()}, **more)
    assert made.status == 200, made
    return made.body


async def ready(tap: InProcess, number: str = "000123456789") -> Any:
    """A merchant with money and a bank account."""
    await paid(tap, payment_method=AT_ONCE)
    return await bank_account(tap, number)


async def pay_out(tap: InProcess, amount: int = NET, **more: str) -> Answer:
    return await tap.post("payouts", amount=str(amount), currency="usd", **more)


async def sweep(tap: InProcess) -> None:
    """Both copies at once, until neither finds anything: what is due is sent, and told."""
    for _ in range(2):
        tap.clock.time += PENDING_SECONDS
        while sum(await asyncio.gather(*(copy.money.take_notices() for copy in tap.copies))):
            pass


async def available(tap: InProcess) -> int:
    return (await tap.get("balance"))["available"][0]["amount"]


async def events_of(connection: Connection, subject: str) -> list[str]:
    return [row["type"] for row in await connection.fetch("SELECT type FROM payments.events WHERE object_id = $1 ORDER BY id", subject)]


async def test_a_payout_takes_what_is_available_and_arrives(tap: InProcess, connection: Connection) -> None:
    account = await ready(tap)
    payout = (await pay_out(tap, NET, statement_descriptor="TAP", description="Week 1", **{"metadata[week]": "1"})).body
    assert (payout["status"], payout["amount"], payout["destination"]) == ("pending", NET, account["id"])
    assert (payout["statement_descriptor"], payout["metadata"], payout["automatic"]) == ("TAP", {"week": "1"}, False)
    assert await available(tap) == 0
    change = await tap.get(f"balance_transactions/{payout['balance_transaction']}")
    assert (change["type"], change["net"], change["source"], change["reporting_category"]) == ("payout", -NET, payout["id"], "payout")
    await sweep(tap)
    now = await tap.get(f"payouts/{payout['id']}")
    assert (now["status"], now["trace_id"]["status"]) == ("paid", "supported")
    assert await events_of(connection, payout["id"]) == ["payout.created", "payout.updated", "payout.paid"]
    assert await find_faults(connection) == []


async def test_nobody_is_paid_what_they_do_not_have(tap: InProcess, connection: Connection) -> None:
    await ready(tap)
    refused = await pay_out(tap, NET + 1)
    assert (refused.status, refused.body["error"]["code"]) == (400, "balance_insufficient")
    assert "$19.12" in refused.body["error"]["message"]
    await paid(tap)  # pending only
    assert (await pay_out(tap, NET + 1)).body["error"]["code"] == "balance_insufficient"
    assert await available(tap) == NET
    assert await connection.fetchval("SELECT count(*) FROM payments.payouts") == 0


@pytest.mark.parametrize("_", range(3))
async def test_of_two_payouts_of_everything_at_once_one_wins(tap: InProcess, connection: Connection, _: int) -> None:
    await ready(tap)
    answers = await asyncio.gather(*(pay_out(tap) for _ in range(6)))
    assert sorted(each.status for each in answers) == [200, *[400] * 5]
    assert {each.body["error"]["code"] for each in answers if each.status == 400} == {"balance_insufficient"}
    assert await find_faults(connection) == []


async def test_payouts_beside_refunds_and_disputes_leave_the_books_in_order(tap: InProcess, connection: Connection) -> None:
    payments = [await paid(tap, payment_method=AT_ONCE) for _ in range(4)]
    await paid(tap, payment_method="pm_card_createDispute")
    await bank_account(tap)
    tap.clock.time += 5
    answers = await asyncio.gather(
        *(pay_out(tap, 3 * NET // 4) for _ in range(6)),
        *(tap.post("refunds", payment_intent=each["id"], amount="900") for each in payments),
        *(copy.money.take_notices() for copy in tap.copies),
    )
    assert {each.status for each in answers if isinstance(each, Answer)} <= {200, 400}
    await sweep(tap)
    assert await find_faults(connection) == []


async def test_the_database_pays_out_no_more_than_there_is(tap: InProcess, connection: Connection) -> None:
    account = await ready(tap)
    await paid(tap, payment_method="pm_card_createDispute")
    await sweep(tap)
    assert await available(tap) < 0
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(
            "INSERT INTO payments.payouts (merchant_id, livemode, id, created, version, status, amount, currency, destination, arrival_date, document)"
            " VALUES (1, false, 'po_x', 1, 1, 'pending', 1, 'usd', $1, 1, '{}')",
            account["id"],
        )


async def test_a_pending_payout_can_be_canceled_and_no_other(tap: InProcess, connection: Connection) -> None:
    await ready(tap)
    payout = (await pay_out(tap)).body
    canceled = (await tap.post(f"payouts/{payout['id']}/cancel")).body
    assert canceled["status"] == "canceled"
    change = await tap.get(f"balance_transactions/{canceled['failure_balance_transaction']}")
    assert (change["type"], change["net"], change["reporting_category"]) == ("payout_cancel", NET, "payout_reversal")
    assert await available(tap) == NET
    assert (await tap.post(f"payouts/{payout['id']}/cancel")).status == 400
    other = (await pay_out(tap)).body
    await sweep(tap)
    assert (await tap.post(f"payouts/{other['id']}/cancel")).status == 400
    assert (await tap.get(f"payouts/{payout['id']}"))["status"] == "canceled"
    assert await events_of(connection, payout["id"]) == ["payout.created", "payout.canceled"]
    assert await find_faults(connection) == []


async def test_of_canceling_and_sending_at_once_one_holds(tap: InProcess, connection: Connection) -> None:
    await ready(tap)
    for _ in range(5):
        payout = (await pay_out(tap)).body
        tap.clock.time += PENDING_SECONDS
        canceled, _ = await asyncio.gather(
            tap.post(f"payouts/{payout['id']}/cancel"), asyncio.gather(*(copy.money.take_notices() for copy in tap.copies))
        )
        await sweep(tap)
        assert (await tap.get(f"payouts/{payout['id']}"))["status"] == ("canceled" if canceled.status == 200 else "paid")
        if canceled.status != 200:
            await paid(tap, payment_method=AT_ONCE)
    assert await find_faults(connection) == []


@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("000111111116", "no_account"),
        ("000111111113", "account_closed"),
        ("000222222227", "insufficient_funds"),
        ("000333333335", "debit_not_authorized"),
        ("000444444440", "invalid_currency"),
    ],
)
async def test_what_the_bank_refuses_comes_back(tap: InProcess, connection: Connection, number: str, code: str) -> None:
    account = await ready(tap, number)
    payout = (await pay_out(tap)).body
    await sweep(tap)
    failed = await tap.get(f"payouts/{payout['id']}")
    assert (failed["status"], failed["failure_code"]) == ("failed", code)
    change = await tap.get(f"balance_transactions/{failed['failure_balance_transaction']}")
    assert (change["type"], change["net"]) == ("payout_failure", NET)
    assert await available(tap) == NET
    assert (await tap.get(f"{ACCOUNTS}/{account['id']}"))["status"] == "errored"
    assert await events_of(connection, payout["id"]) == ["payout.created", "payout.updated", "payout.failed"]
    assert (await tap.post(f"{ACCOUNTS}/{account['id']}", account_holder_name="Ada")).body["status"] == "new"
    assert await find_faults(connection) == []


async def test_what_was_paid_may_come_back_once(tap: InProcess, connection: Connection) -> None:
    await ready(tap)
    payout = (await pay_out(tap)).body
    await sweep(tap)
    for reference in ("late_1", "late_1", "late_2"):
        late = PayoutFailed(
            reference=reference, merchant_id=1, livemode=False, payout=payout["id"], code="account_closed", message="Closed."
        )
        await notices.record(tap.copies[0].processor.pool, "simulated bank", reference, msgspec.json.encode(late), int(tap.clock.now()))
        await sweep(tap)
    assert (await tap.get(f"payouts/{payout['id']}"))["status"] == "failed"
    assert await available(tap) == NET
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute("UPDATE payments.payouts SET status = 'paid'")
    assert await find_faults(connection) == []


async def test_what_is_taken_back_is_the_merchants_when_the_bank_has_it(tap: InProcess, connection: Connection) -> None:
    await ready(tap)
    payout = (await pay_out(tap)).body
    assert (await tap.post(f"payouts/{payout['id']}/reverse")).status == 400  # not paid yet
    await sweep(tap)
    answers = await asyncio.gather(*(tap.post(f"payouts/{payout['id']}/reverse", **{"metadata[why]": "x"}) for _ in range(3)))
    (back,) = [each.body for each in answers if each.status == 200]
    assert (back["amount"], back["original_payout"], back["status"], back["metadata"]) == (-NET, payout["id"], "pending", {"why": "x"})
    assert (await tap.get(f"payouts/{payout['id']}"))["reversed_by"] == back["id"]
    assert await available(tap) == 0
    canceled = (await tap.post(f"payouts/{back['id']}/cancel")).body
    assert canceled["status"] == "canceled"
    assert (await tap.get(f"payouts/{payout['id']}"))["reversed_by"] is None
    back = (await tap.post(f"payouts/{payout['id']}/reverse")).body
    await sweep(tap)
    assert (await tap.get(f"payouts/{back['id']}"))["status"] == "paid"
    assert await available(tap) == NET
    assert (await tap.post(f"payouts/{back['id']}/reverse")).status == 400
    assert (await tap.post(f"payouts/{payout['id']}/reverse")).status == 400
    assert await find_faults(connection) == []


async def test_a_crash_before_the_bank_has_it_sends_it_again(tap: InProcess, connection: Connection, monkeypatch: Any) -> None:
    await ready(tap)
    payout = (await pay_out(tap)).body

    async def crash(*_: Any) -> None:
        raise ConnectionError

    tap.clock.time += PENDING_SECONDS
    with monkeypatch.context() as broken:
        broken.setattr(tap.copies[0].money.bank.__class__, "pay", crash)
        await tap.copies[0].money.take_notices()
    assert (await tap.get(f"payouts/{payout['id']}"))["status"] == "in_transit"
    tap.clock.time += 60
    await sweep(tap)
    assert (await tap.get(f"payouts/{payout['id']}"))["status"] == "paid"
    assert await find_faults(connection) == []


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"amount": "0", "currency": "usd"}, "amount"),
        ({"amount": "-5", "currency": "usd"}, "amount"),
        ({"amount": "5", "currency": "xxx"}, "currency"),
        ({"amount": "5", "currency": "eur"}, "currency"),
        ({"amount": "150", "currency": "huf"}, "amount"),
        ({"amount": "5", "currency": "usd", "method": "instant"}, "method"),
        ({"amount": "5", "currency": "usd", "source_type": "fpx"}, "source_type"),
        ({"amount": "5", "currency": "usd", "destination": "ba_none"}, "destination"),
        ({"amount": "5", "currency": "usd", "payout_method": "x"}, "payout_method"),
        ({"amount": "5", "currency": "usd", "statement_descriptor": "x" * 23}, "statement_descriptor"),
        ({"currency": "usd"}, "amount"),
    ],
)
async def test_what_cannot_be_paid_out_is_refused_by_name(tap: InProcess, given: dict[str, str], param: str) -> None:
    await ready(tap)
    refused = await tap.post("payouts", **given)
    assert (refused.status // 100, refused.body["error"]["param"]) == (4, param)


async def test_nothing_is_paid_out_in_live_mode_where_no_bank_is(tap: InProcess) -> None:
    tap.principal = msgspec.structs.replace(tap.principal, livemode=True)
    await bank_account(tap)
    refused = await pay_out(tap)
    assert (refused.status, refused.body["error"]["code"]) == (400, "payouts_not_allowed")


async def test_a_currency_has_one_default_account(tap: InProcess, connection: Connection) -> None:
    first, second = await bank_account(tap), await bank_account(tap, "000111111116", **{"metadata[bank]": "2"})
    assert (first["default_for_currency"], second["default_for_currency"], second["metadata"]) == (True, False, {"bank": "2"})
    assert (first["last4"], "account_number" in first) == ("6789", False)
    assert (await bank_account(tap, currency="eur"))["default_for_currency"]
    await asyncio.gather(*(tap.post(f"{ACCOUNTS}/{second['id']}", default_for_currency="true") for _ in range(3)))
    assert not (await tap.get(f"{ACCOUNTS}/{first['id']}"))["default_for_currency"]
    assert (await tap.call("DELETE", f"/v1/{ACCOUNTS}/{second['id']}")).status == 400
    assert (await tap.call("DELETE", f"/v1/{ACCOUNTS}/{first['id']}")).body["deleted"]
    assert (await tap.call("GET", f"/v1/{ACCOUNTS}/{first['id']}")).status == 404
    assert (await tap.call("GET", "/v1/accounts/acct_other/external_accounts")).status == 403
    assert [each["id"] for each in (await tap.get(ACCOUNTS, object="bank_account"))["data"]][1:] == [second["id"]]
    assert (await tap.get(ACCOUNTS, object="card"))["data"] == []
    stored = await connection.fetch("SELECT sealed_number, document::text FROM payments.bank_accounts")
    assert not [row for row in stored if "123456789" in row["sealed_number"] or "123456789" in row["document"]]
    assert await find_faults(connection) == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"routing_number": "110000001"}, "routing_number_invalid"),
        ({"routing_number": "1"}, "routing_number_invalid"),
        ({"account_number": "12;4"}, "account_number_invalid"),
        ({"account_number": "1" * 40}, "account_number_invalid"),
    ],
)
async def test_an_account_that_can_be_none_is_refused(tap: InProcess, changes: dict[str, str], code: str) -> None:
    given = {"object": "bank_account", "account_number": "000123456789", "country": "US", "currency": "usd", "routing_number": "110000000"}
    refused = await tap.post(ACCOUNTS, **{f"external_account[{name}]": value for name, value in (given | changes).items()})
    assert refused.body["error"]["code"] == code
    assert changes.get("account_number", "?") not in str(refused.body)


async def test_lists_are_narrowed(tap: InProcess) -> None:
    account = await ready(tap)
    first = (await pay_out(tap, 100)).body
    await sweep(tap)
    tap.clock.time += 10 * 24 * 3600
    second = (await pay_out(tap, 200)).body
    for filters, found in (
        ({"status": "paid"}, [first]),
        ({"status": "pending"}, [second]),
        ({"destination": account["id"]}, [second, first]),
        ({"arrival_date[gt]": str(first["arrival_date"])}, [second]),
        ({"arrival_date": str(first["arrival_date"]), "status": "paid"}, [first]),
        ({"arrival_date[lt]": str(first["arrival_date"])}, []),
        ({"created[lte]": str(first["created"])}, [first]),
    ):
        assert [each["id"] for each in (await tap.get("payouts", **filters))["data"]] == [each["id"] for each in found], filters


async def test_repetitions_get_the_first_answer(tap: InProcess) -> None:
    await ready(tap)
    given = {"amount": str(NET), "currency": "usd"}
    first = await tap.call("POST", "/v1/payouts", key="k", **given)
    assert (await tap.call("POST", "/v1/payouts", key="k", **given)).body == first.body
    assert await available(tap) == 0


async def schedule(connection: Connection, **order: Any) -> None:
    await change_settings(connection, SettingsOrder(**order))


async def on_schedule(tap: InProcess) -> int:
    """Both copies at once; returns how many payouts they made."""
    return sum(await asyncio.gather(*(copy.paydays.pay() for copy in tap.copies)))


async def test_a_merchant_is_paid_out_once_a_day(tap: InProcess, connection: Connection) -> None:
    account = await ready(tap)
    assert await on_schedule(tap) == 0  # by hand, unless something is set
    await schedule(connection, payouts="daily")
    assert await on_schedule(tap) == 1
    (payout,) = (await tap.get("payouts"))["data"]
    assert (payout["amount"], payout["automatic"], payout["destination"]) == (NET, True, account["id"])
    await paid(tap, payment_method=AT_ONCE)
    assert await on_schedule(tap) == 0
    await sweep(tap)
    tap.clock.time += 24 * 3600
    assert await on_schedule(tap) == 1
    assert await available(tap) == 0
    assert await find_faults(connection) == []


async def test_an_automatic_payout_is_of_what_it_pays_out(tap: InProcess, connection: Connection, monkeypatch: Any) -> None:
    monkeypatch.setattr(paydays, "_GATHERED_AT_ONCE", 2)
    await ready(tap)
    by_hand = (await pay_out(tap, 500)).body
    payments = [await paid(tap, payment_method=AT_ONCE) for _ in range(4)]
    await tap.post("refunds", payment_intent=payments[0]["id"], amount="900")
    await schedule(connection, payouts="daily")
    assert await on_schedule(tap) == 1
    (payout, *_) = (await tap.get("payouts"))["data"]
    pending = await paid(tap)
    changes = (await tap.get("balance_transactions", payout=payout["id"], limit="100"))["data"]
    assert sum(each["net"] for each in changes) == 0, "what it is of, and its own withdrawal"
    assert sum(each["net"] for each in changes if each["source"] != payout["id"]) == payout["amount"]
    assert len(changes) == 5 + 1 + 1 + 1
    assert pending["latest_charge"] not in {each["source"] for each in changes}
    charges = (await tap.get("balance_transactions", payout=payout["id"], type="charge"))["data"]
    assert {each["source"] for each in charges} >= {each["latest_charge"] for each in payments}
    refused = await tap.call("GET", "/v1/balance_transactions", payout=by_hand["id"])
    assert (refused.status, refused.body["error"]["param"]) == (400, "payout")
    assert (await tap.call("GET", "/v1/balance_transactions", payout="po_none")).status == 400
    await paid(tap, payment_method=AT_ONCE)
    tap.clock.time += 24 * 3600
    assert await on_schedule(tap) == 1
    (second, *_) = (await tap.get("payouts"))["data"]
    assert len((await tap.get("balance_transactions", payout=second["id"]))["data"]) == 2


async def test_payments_beside_an_automatic_payout_are_in_it_or_wait(tap: InProcess, connection: Connection) -> None:
    await ready(tap)
    await schedule(connection, payouts="daily")
    made, *_ = await asyncio.gather(
        on_schedule(tap),
        *(paid(tap, payment_method=AT_ONCE) for _ in range(6)),
        *(copy.sweeper.release_funds() for copy in tap.copies),
    )
    made += await on_schedule(tap)
    assert made == 1
    (payout,) = (await tap.get("payouts"))["data"]
    changes = (await tap.get("balance_transactions", payout=payout["id"], limit="100"))["data"]
    assert sum(each["net"] for each in changes) == 0
    assert await available(tap) == (8 - len(changes)) * NET
    assert await find_faults(connection) == []


async def test_what_was_gathered_for_a_payout_that_was_not_made_is_paid_on_the_next_day(
    tap: InProcess, connection: Connection, monkeypatch: Any
) -> None:
    await ready(tap)
    await schedule(connection, payouts="daily")

    async def crash(*_: Any) -> None:
        raise ConnectionError

    with monkeypatch.context() as broken:
        broken.setattr(paydays, "available_in_test", crash)
        assert await on_schedule(tap) == 0
    tap.clock.time += 24 * 3600
    assert await on_schedule(tap) == 1
    (payout,) = (await tap.get("payouts"))["data"]
    assert len((await tap.get("balance_transactions", payout=payout["id"]))["data"]) == 2


async def test_a_payday_on_which_nobody_looked_is_made_up_for(tap: InProcess, connection: Connection) -> None:
    await ready(tap)
    tap.clock.time += (3 - int(tap.clock.time) // DAY % 7) % 7 * DAY  # a Sunday: day 0 was a Thursday
    await schedule(connection, payouts="weekly", payout_anchor="monday")
    assert await on_schedule(tap) == 0
    tap.clock.time += 3 * DAY
    assert await on_schedule(tap) == 1
    await paid(tap, payment_method=AT_ONCE)
    tap.clock.time += DAY
    assert await on_schedule(tap) == 0


async def test_nothing_is_paid_by_schedule_to_an_account_that_failed(tap: InProcess, connection: Connection) -> None:
    account = await ready(tap, "000111111113")
    await schedule(connection, payouts="daily")
    assert await on_schedule(tap) == 1
    await sweep(tap)
    tap.clock.time += 24 * 3600
    assert await on_schedule(tap) == 0
    await tap.post(f"{ACCOUNTS}/{account['id']}", **{"metadata[mended]": "yes"})
    assert await on_schedule(tap) == 1


async def test_who_owes_is_not_paid_out(tap: InProcess, connection: Connection) -> None:
    await ready(tap)
    await paid(tap, payment_method="pm_card_createDispute")
    await sweep(tap)
    await schedule(connection, payouts="daily")
    assert await on_schedule(tap) == 0


async def test_funds_wait_as_long_as_is_set(tap: InProcess, connection: Connection) -> None:
    await schedule(connection, payout_delay_days=5)
    await paid(tap)
    (change,) = (await tap.get("balance_transactions"))["data"]
    assert change["available_on"] - change["created"] == 5 * 24 * 3600
    assert (await tap.get("account"))["settings"]["payouts"]["schedule"] == {"delay_days": 5, "interval": "manual"}


@pytest.mark.parametrize(
    ("order", "day", "is_payday"),
    [
        ({}, "2026-02-28", False),
        ({"payouts": "daily"}, "2026-02-28", True),
        ({"payouts": "weekly", "payout_anchor": "Friday"}, "2026-01-02", True),
        ({"payouts": "weekly", "payout_anchor": "friday"}, "2026-01-03", False),
        ({"payouts": "weekly"}, "2026-01-05", True),
        ({"payouts": "monthly", "payout_anchor": "31"}, "2026-02-28", True),
        ({"payouts": "monthly", "payout_anchor": "31"}, "2026-03-30", False),
        ({"payouts": "monthly"}, "2026-03-01", True),
    ],
)
async def test_a_schedule_names_its_days(connection: Connection, order: dict[str, Any], day: str, is_payday: bool) -> None:
    await create_merchant(connection, "Test")
    _, account = await change_settings(connection, SettingsOrder(**order))
    assert account.payouts.is_payday(datetime.date.fromisoformat(day)) == is_payday
    again, shown = await change_settings(connection, SettingsOrder())
    assert (again, shown) == (1, account)


@pytest.mark.parametrize(
    "order",
    [
        {"payouts": "hourly"},
        {"payouts": "daily", "payout_anchor": "monday"},
        {"payouts": "weekly", "payout_anchor": "31"},
        {"payouts": "monthly", "payout_anchor": "32"},
        {"payout_anchor": "monday"},
        {"payout_delay_days": 31},
        {"payout_delay_days": -1},
    ],
)
async def test_a_schedule_that_can_be_none_is_not_set(connection: Connection, order: dict[str, Any]) -> None:
    await create_merchant(connection, "Test")
    with pytest.raises(MerchantError):
        await change_settings(connection, SettingsOrder(**order))


@pytest.mark.parametrize(
    ("created", "arrives"),
    [(1_767_571_200, 1_767_744_000), (1_767_916_800, 1_768_262_400)],  # Monday 5 → Wednesday 7, Friday 9 → Tuesday 13 January 2026
)
def test_a_payout_arrives_on_a_day_on_which_banks_work(created: int, arrives: int) -> None:
    assert arrival_date(created) == arrives
    assert arrival_date(created + 86_399) == arrives
