"""A sandbox's time moves forward on request: what is due by then happens, in that sandbox, and in no other."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from msgspec.structs import replace

from payments.domain.sandbox_clock import KEPT_SECONDS
from payments.storage.books import find_faults
from payments.storage.database import Connection
from payments.storage.keys import create_merchant
from payments.storage.merchant_tasks import SettingsOrder, change_settings
from payments.transaction_processor.money.payout_steps import arrival_date
from payments.transaction_processor.sandbox_clocks import SandboxClockKeeper
from tests.support.in_process import InProcess, in_process

DAY = 24 * 3600
CLOCKS = "test_helpers/test_clocks"
CARD = {"amount": "2000", "currency": "usd", "confirm": "true", "payment_method": "pm_card_visa"}


@pytest.fixture
async def tap(database_url: str) -> AsyncGenerator[InProcess]:
    async with in_process(database_url) as tap:
        yield tap


def keeper(tap: InProcess) -> SandboxClockKeeper:
    processor = tap.copies[0].processor
    return SandboxClockKeeper(pool=processor.pool, waker=processor.waker, clock=tap.clock, rows=tap.copies[0].sweeper.rows)


async def sweep(tap: InProcess) -> None:
    """As the service does by itself, a few seconds later."""
    tap.clock.time += 3
    await tap.copies[0].sweeper.expire_holds()
    await tap.copies[0].sweeper.release_funds()
    await keeper(tap).finish()


async def clock_at(tap: InProcess, ahead_seconds: int) -> str:
    made = await tap.post(CLOCKS, frozen_time=str(int(tap.clock.now())), name="Testing")
    assert made.body["status"] == "ready"
    await tap.post(f"{CLOCKS}/{made.id}/advance", frozen_time=str(int(tap.clock.now()) + ahead_seconds))
    tap.clock.time += 3  # by then everybody knows
    return made.id


def knowing(tap: InProcess, ahead_seconds: int) -> None:
    """What finding out whose a key is finds out as well."""
    tap.principal = replace(tap.principal, ahead_seconds=ahead_seconds)


async def test_a_hold_runs_out_and_the_next_one_has_its_own_week(tap: InProcess, connection: Connection) -> None:
    held = await tap.post("payment_intents", **CARD, capture_method="manual")
    clock = await clock_at(tap, 6 * DAY)
    await sweep(tap)
    assert (await tap.get(f"payment_intents/{held.id}"))["status"] == "requires_capture"
    assert (await tap.get(f"{CLOCKS}/{clock}"))["status"] == "ready"
    target = int(tap.clock.now()) + 8 * DAY
    advancing = await tap.post(f"{CLOCKS}/{clock}/advance", frozen_time=str(target))
    assert advancing.body["status"] == "advancing"
    assert advancing.body["status_details"] == {"advancing": {"target_frozen_time": target}}
    tap.clock.time += 3
    later = await tap.post("payment_intents", **CARD, capture_method="manual")
    charge = await tap.get(f"charges/{later.body['latest_charge']}")
    assert charge["payment_method_details"]["card"]["capture_before"] == pytest.approx(target + 7 * DAY, abs=10)
    assert charge["created"] == int(tap.clock.now())
    await sweep(tap)
    canceled = await tap.get(f"payment_intents/{held.id}")
    assert (canceled["status"], canceled["cancellation_reason"]) == ("canceled", "expired")
    assert (await tap.get(f"payment_intents/{later.id}"))["status"] == "requires_capture"
    ready = await tap.get(f"{CLOCKS}/{clock}")
    assert (ready["status"], ready["frozen_time"], ready["status_details"]) == ("ready", target, {})
    types = [row["type"] for row in await connection.fetch("SELECT type FROM payments.events WHERE object_id = $1 ORDER BY id", clock)]
    assert types == [f"test_helpers.test_clock.{each}" for each in ("created", "advancing", "ready", "advancing", "ready")]
    assert await find_faults(connection) == []


async def test_funds_become_available_two_days_later_by_the_sandboxes_own_time(tap: InProcess, connection: Connection) -> None:
    await tap.post("payment_intents", **CARD)
    clock = await clock_at(tap, 3 * DAY)
    assert (await tap.get(f"{CLOCKS}/{clock}"))["status"] == "advancing"
    await sweep(tap)
    released = "SELECT count(*) FROM payments.balance_transactions WHERE released_at IS NOT NULL"
    assert await connection.fetchval(released) == 1
    await tap.post("payment_intents", **CARD)
    await sweep(tap)
    assert await connection.fetchval(released) == 1, "what was captured after that waits for its own two days"
    knowing(tap, 3 * DAY)
    await tap.post(f"{CLOCKS}/{clock}/advance", frozen_time=str(int(tap.clock.now()) + 6 * DAY))
    tap.clock.time += 3
    await sweep(tap)
    assert await connection.fetchval(released) == 2
    assert await find_faults(connection) == []


async def test_the_days_of_automatic_payouts_are_the_sandboxes_own(tap: InProcess, connection: Connection) -> None:
    given = {"object": "bank_account", "account_number": "000123456789", "country": "US", "currency": "usd", "routing_number": "110000000"}
    await tap.post("accounts/acct_1/external_accounts", **{f"external_account[{name}]": value for name, value in given.items()})
    await change_settings(connection, SettingsOrder(payouts="weekly", payout_anchor="monday"))
    tap.clock.time += (3 - int(tap.clock.time) // DAY % 7) % 7 * DAY  # a Sunday: day 0 was a Thursday
    await tap.post("payment_intents", **CARD)
    paydays = tap.copies[0].paydays
    assert await paydays.pay() == 0
    clock = await clock_at(tap, 5 * DAY)
    knowing(tap, 5 * DAY)
    assert await paydays.pay() == 0, "funds become available first"
    await sweep(tap)
    assert (await tap.get(f"{CLOCKS}/{clock}"))["status"] == "advancing", "the payday since then is to be made up for"
    assert await paydays.pay() == 1
    await sweep(tap)
    assert (await tap.get(f"{CLOCKS}/{clock}"))["status"] == "ready"
    (payout,) = (await tap.get("payouts"))["data"]
    assert payout["created"] == pytest.approx(int(tap.clock.now()), abs=10)
    assert payout["arrival_date"] == arrival_date(int(tap.clock.now()) + 5 * DAY)
    await tap.post(f"{CLOCKS}/{clock}/advance", frozen_time=str(int(tap.clock.now()) + 7 * DAY))
    await tap.post("payment_intents", **{**CARD, "payment_method": "pm_card_bypassPending"})
    tap.clock.time += 3
    assert await paydays.pay() == 0, "Sunday"
    knowing(tap, 7 * DAY)
    await sweep(tap)
    await tap.post(f"{CLOCKS}/{clock}/advance", frozen_time=str(int(tap.clock.now()) + 8 * DAY))
    tap.clock.time += 3
    assert await paydays.pay() == 1, "Monday"
    assert await find_faults(connection) == []


async def test_the_deadline_of_a_dispute_passes(tap: InProcess) -> None:
    paid = await tap.post("payment_intents", **{**CARD, "payment_method": "pm_card_createDispute"})
    tap.clock.time += 5
    await tap.copies[0].money.take_notices()
    (dispute,) = (await tap.get("disputes", payment_intent=paid.id))["data"]
    clock = await clock_at(tap, 40 * DAY)
    await sweep(tap)
    assert (await tap.get(f"{CLOCKS}/{clock}"))["status"] == "advancing", "the dispute is to be ended first"
    await tap.copies[0].money.end_past_due()
    await sweep(tap)
    assert (await tap.get(f"disputes/{dispute['id']}"))["status"] == "lost"
    assert (await tap.get(f"{CLOCKS}/{clock}"))["status"] == "ready"
    later = await tap.post("payment_intents", **{**CARD, "payment_method": "pm_card_createDispute"})
    tap.clock.time += 5
    await tap.copies[0].money.take_notices()
    await tap.copies[0].money.end_past_due()
    (dispute,) = (await tap.get("disputes", payment_intent=later.id))["data"]
    assert dispute["status"] == "needs_response"
    assert dispute["evidence_details"]["due_by"] > int(tap.clock.now()) + 40 * DAY


async def test_a_session_expires_and_the_next_one_has_its_own_day(tap: InProcess) -> None:
    line = {"quantity": "1", "price_data][currency": "usd", "price_data][unit_amount": "2000", "price_data][product_data][name": "Shoes"}
    what = {"mode": "payment", "success_url": "https://shop.example/paid", **{f"line_items[0][{key}]": line[key] for key in line}}
    first = await tap.post("checkout/sessions", **what)
    clock = await clock_at(tap, 2 * DAY)
    knowing(tap, 2 * DAY)
    await sweep(tap)
    assert (await tap.get(f"{CLOCKS}/{clock}"))["status"] == "advancing", "the session is to be expired first"
    await tap.closing.sweep()
    await sweep(tap)
    assert (await tap.get(f"checkout/sessions/{first.id}"))["status"] == "expired"
    assert (await tap.get(f"{CLOCKS}/{clock}"))["status"] == "ready"
    second = await tap.post("checkout/sessions", **what)
    assert second.body["expires_at"] == pytest.approx(int(tap.clock.now()) + 3 * DAY, abs=10)
    await tap.closing.sweep()
    assert (await tap.get(f"checkout/sessions/{second.id}"))["status"] == "open"


async def test_no_other_sandbox_and_no_live_mode_notices(tap: InProcess, connection: Connection, database_url: str) -> None:
    assert await create_merchant(connection, "Other") == 2
    async with in_process(database_url, merchant=None) as other, in_process(database_url, merchant=None) as live:
        other.principal = replace(other.principal, merchant_id=2, account_id="acct_2")
        live.principal = replace(live.principal, livemode=True)
        number = {"payment_method_data[type]": "card", "payment_method_data[card][number]": "4242424242424242"}
        expiry = {"payment_method_data[card][exp_month]": "12", "payment_method_data[card][exp_year]": "2034"}
        hold = {"amount": "2000", "currency": "usd", "confirm": "true", "capture_method": "manual", **number, **expiry}
        held = [await each.post("payment_intents", **hold) for each in (tap, other)]
        assert (await live.post(CLOCKS, frozen_time=str(int(live.clock.now())))).body["error"]["message"].startswith("Test clocks are only")
        clock = await clock_at(tap, 30 * DAY)
        assert (await other.call("GET", f"/v1/{CLOCKS}/{clock}")).status == 404
        assert (await other.post(f"{CLOCKS}/{clock}/advance", frozen_time=str(int(tap.clock.now()) + 40 * DAY))).status == 404
        await sweep(tap)
        states = [(await each.get(f"payment_intents/{made.id}"))["status"] for each, made in zip((tap, other), held, strict=True)]
        assert states == ["canceled", "requires_capture"]


@pytest.mark.parametrize("ahead_seconds", [-1, 0, -DAY, 100 * 365 * DAY, 2 * 366 * DAY + 60, 10**15])
async def test_a_clock_moves_forward_by_two_years_at_most(tap: InProcess, ahead_seconds: int) -> None:
    now = int(tap.clock.now())
    clock = await tap.post(CLOCKS, frozen_time=str(now))
    refused = await tap.post(f"{CLOCKS}/{clock.id}/advance", frozen_time=str(max(now + ahead_seconds, 0)))
    assert (refused.status, refused.body["error"]["param"]) == (400, "frozen_time")
    assert (await tap.get(f"{CLOCKS}/{clock.id}"))["frozen_time"] == now


async def test_a_sandbox_has_one_clock_and_never_goes_back_without_it(tap: InProcess) -> None:
    clock = await clock_at(tap, 30 * DAY)
    refused = await tap.post(CLOCKS, frozen_time=str(int(tap.clock.now()) + 40 * DAY))
    assert (refused.status, refused.body["error"]["message"][:38]) == (400, "This sandbox has a test clock already.")
    assert (await tap.call("DELETE", f"/v1/{CLOCKS}/{clock}")).body == {"id": clock, "object": "test_helpers.test_clock", "deleted": True}
    assert (await tap.call("GET", f"/v1/{CLOCKS}/{clock}")).status == 404
    assert (await tap.get(CLOCKS))["data"] == []
    refused = await tap.post(CLOCKS, frozen_time=str(int(tap.clock.now())))
    assert (refused.status, refused.body["error"]["param"]) == (400, "frozen_time")
    again = await tap.post(CLOCKS, frozen_time=str(int(tap.clock.now()) + 30 * DAY))
    assert again.body["status"] == "ready"


async def test_a_clock_that_is_advanced_twice_at_once_is_advanced_once(tap: InProcess) -> None:
    clock = await tap.post(CLOCKS, frozen_time=str(int(tap.clock.now())))
    targets = [str(int(tap.clock.now()) + days * DAY) for days in (1, 2, 3, 4)]
    answers = await asyncio.gather(*(tap.post(f"{CLOCKS}/{clock.id}/advance", frozen_time=target) for target in targets))
    (won,) = [answer for answer in answers if answer.status == 200]
    assert {answer.status for answer in answers} <= {200, 400, 429}
    assert (await tap.get(f"{CLOCKS}/{clock.id}"))["frozen_time"] == won.body["frozen_time"]
    refused = await tap.post(f"{CLOCKS}/{clock.id}/advance", frozen_time=str(int(tap.clock.now()) + 9 * DAY))
    assert (refused.status, refused.body["error"]["code"]) == (400, "test_clock_advancing")


async def test_payments_that_run_while_the_clock_moves_keep_the_books_in_order(tap: InProcess, connection: Connection) -> None:
    async def pay(number: int) -> None:
        made = await tap.post("payment_intents", **CARD, capture_method="manual" if number % 2 else "automatic")
        assert made.status == 200
        if number % 4 == 1:
            assert (await tap.post(f"payment_intents/{made.id}/capture")).status in (200, 400, 429)

    async def move() -> None:
        clock = await tap.post(CLOCKS, frozen_time=str(int(tap.clock.now())))
        for days in (8, 16, 24):
            await tap.post(f"{CLOCKS}/{clock.id}/advance", frozen_time=str(int(tap.clock.now()) + days * DAY))
            await sweep(tap)

    await asyncio.gather(move(), *(pay(number) for number in range(24)))
    await sweep(tap)
    assert await find_faults(connection) == []


async def test_an_old_clock_is_deleted(tap: InProcess) -> None:
    clock = await tap.post(CLOCKS, frozen_time=str(int(tap.clock.now())))
    assert clock.body["deletes_after"] == clock.body["created"] + KEPT_SECONDS
    assert await keeper(tap).delete_old() == 0
    tap.clock.time += KEPT_SECONDS + 1
    assert await keeper(tap).delete_old() == 1
    assert (await tap.call("GET", f"/v1/{CLOCKS}/{clock.id}")).status == 404
