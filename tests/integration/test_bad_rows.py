"""In each sweep there may be a row with which nothing can be done: it holds up no other, however few are looked at together."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest

from payments.acquirers.notices import DisputeDecided
from payments.domain.sandbox_clock import KEPT_SECONDS
from payments.payment_api import indexing
from payments.payment_api.indexing import Indexing
from payments.runtime.jobs import PartFailed
from payments.storage import availability
from payments.storage.database import Connection
from payments.storage.keys import create_merchant
from payments.transaction_processor import sandbox_clocks, sweeper
from payments.transaction_processor.money import money_sweeper
from payments.transaction_processor.sandbox_clocks import SandboxClockKeeper
from tests.integration.use_cases import paid
from tests.support.in_process import InProcess, in_process

DAY = 24 * 3600
SPOIL = "UPDATE {table} SET document = (document::jsonb - 'livemode')::json WHERE id = $1"
"""Makes a row that no code can read; what SQL knows of it stays."""
Made = Callable[[InProcess], Awaitable[str]]


@pytest.fixture
async def tap(database_url: str) -> AsyncGenerator[InProcess]:
    async with in_process(database_url) as tap:
        yield tap


@pytest.fixture(autouse=True)
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of one, so that a bad row is all of it."""
    for module, name in (
        (sweeper, "_BATCH"),
        (money_sweeper, "_BATCH"),
        (sandbox_clocks, "_BATCH"),
        (availability, "BATCH"),
        (indexing, "_CHANGES_AT_ONCE"),
    ):
        monkeypatch.setattr(module, name, 1)


async def hold(tap: InProcess) -> str:
    return (await paid(tap, capture_method="manual"))["id"]


async def capture(tap: InProcess) -> str:
    await paid(tap)
    (change, *_) = (await tap.get("balance_transactions", limit="1"))["data"]
    return change["id"]


async def disputed(tap: InProcess) -> str:
    intent = await paid(tap, payment_method="pm_card_createDispute")
    tap.clock.time += 5
    await tap.copies[0].money.take_notices()
    (dispute,) = (await tap.get("disputes", payment_intent=intent["id"]))["data"]
    return dispute["id"]


async def status_of(tap: InProcess, kind: str, made: str) -> bool:
    return (await tap.get(f"{kind}/{made}"))["status"] in ("canceled", "lost", "expired")


async def released(tap: InProcess, made: str) -> bool:
    return await tap.pool.fetchval("SELECT released_at IS NOT NULL FROM payments.balance_transactions WHERE id = $1", made)


async def session(tap: InProcess) -> str:
    line = {"quantity": "1", "price_data][currency": "usd", "price_data][unit_amount": "2000", "price_data][product_data][name": "Shoes"}
    what = {"mode": "payment", "success_url": "https://shop.example/paid", **{f"line_items[0][{key}]": line[key] for key in line}}
    return (await tap.post("checkout/sessions", **what)).id


async def searchable(tap: InProcess, made: str) -> bool:
    return not await tap.pool.fetchval("SELECT EXISTS (SELECT FROM search.changes WHERE object_id = $1)", made)


async def customer(tap: InProcess) -> str:
    made = (await tap.post("customers", name="Ada")).id
    await tap.pool.execute("INSERT INTO search.changes (merchant_id, livemode, kind, object_id) VALUES (1, false, 'customer', $1)", made)
    return made


SWEEPS: dict[str, tuple[Made, str, Callable[[InProcess], Awaitable[int]], Callable[[InProcess, str], Awaitable[bool]]]] = {
    "holds": (
        hold,
        "payments.payment_intents",
        lambda tap: tap.copies[0].sweeper.expire_holds(),
        lambda tap, made: status_of(tap, "payment_intents", made),
    ),
    "funds": (capture, "payments.balance_transactions", lambda tap: tap.copies[0].sweeper.release_funds(), released),
    "disputes": (
        disputed,
        "payments.disputes",
        lambda tap: tap.copies[0].money.end_past_due(),
        lambda tap, made: status_of(tap, "disputes", made),
    ),
    "checkout": (
        session,
        "payments.checkout_sessions",
        lambda tap: tap.closing.sweep(),
        lambda tap, made: status_of(tap, "checkout/sessions", made),
    ),
    "index": (customer, "payments.customers", lambda tap: Indexing(tap.pool, tap.closing.rows).index_changes(), searchable),
}
"""How a row is made that will be due, where it lies, what looks for it, and how it is known that it was done."""


@pytest.mark.parametrize("name", SWEEPS)
async def test_a_bad_row_holds_up_no_other(tap: InProcess, connection: Connection, name: str) -> None:
    make, table, sweep, is_done = SWEEPS[name]
    bad = await make(tap)
    await connection.execute("DELETE FROM search.backfill")
    await connection.execute(SPOIL.format(table=table), bad)
    good = [await make(tap) for _ in range(2)]
    tap.clock.time += 60 * DAY
    for _ in range(6):
        await sweep(tap)
    assert [await is_done(tap, each) for each in good] == [True, True]


async def test_a_report_that_cannot_be_booked_holds_up_no_other_and_is_booked_when_it_can_be(
    tap: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [(await tap.post("refunds", payment_intent=(await paid(tap, payment_method="pm_card_refundFail"))["id"])).id for _ in range(3)]
    tap.clock.time += 60
    sweeping = tap.copies[0].sweeper
    attempts = sweeping.attempts
    known, bad = attempts.refund_of, {made[0]}

    async def broken(merchant_id: int, livemode: bool, attempt_id: str) -> Any:
        found = await known(merchant_id, livemode, attempt_id)
        if found is not None and found[0].id in bad:
            raise LookupError(attempt_id)
        return found

    monkeypatch.setattr(type(attempts), "refund_of", lambda _, *given: broken(*given))
    for _ in range(4):
        await sweeping.book_failed_refunds()
    assert [(await tap.get(f"refunds/{each}"))["status"] for each in made] == ["succeeded", "failed", "failed"]
    bad.clear()
    tap.clock.time += 3600
    await sweeping.book_failed_refunds()
    assert (await tap.get(f"refunds/{made[0]}"))["status"] == "failed"


async def test_an_acquirer_that_does_not_say_holds_up_no_other_and_fails_the_job_for_as_long(
    tap: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or nobody would know that disputes aren't heard of any more: whoever isn't asked for an hour hasn't failed meanwhile."""
    made = (await tap.post("refunds", payment_intent=(await paid(tap, payment_method="pm_card_refundFail"))["id"])).id
    disputed = (await paid(tap, payment_method="pm_card_createDispute"))["id"]
    tap.clock.time += 60
    sweeping, money = tap.copies[0].sweeper, tap.copies[0].money
    (acquirer,) = sweeping.processor.acquirers

    class Silent:
        name = "silent"

        async def failed_refunds(self) -> Any:
            raise ConnectionError

        async def notices(self) -> Any:
            raise ConnectionError

    silent: list[Any] = [Silent()]
    monkeypatch.setattr(type(sweeping.processor.acquirers), "__iter__", lambda _: iter([*silent, acquirer]))
    assert await sweeping.book_failed_refunds() == 1
    assert await money.take_notices() == 1
    assert (await tap.get(f"refunds/{made}"))["status"] == "failed"
    assert len((await tap.get("disputes", payment_intent=disputed))["data"]) == 1
    for _ in range(2):
        for work in (sweeping.book_failed_refunds, money.take_notices):
            with pytest.raises(PartFailed):
                await work()
    silent.clear()
    assert [await work() for work in (sweeping.book_failed_refunds, money.take_notices)] == [0, 0]


async def test_a_notice_that_cannot_be_stored_or_booked_holds_up_no_other(tap: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    intents = [(await paid(tap, payment_method="pm_card_createDispute"))["id"] for _ in range(2)]
    tap.clock.time += 5
    bank = tap.copies[0].money.bank
    unstorable = DisputeDecided(reference="\0", merchant_id=1, livemode=False, case="\0", won=True)
    unbookable = DisputeDecided(reference="early", merchant_id=1, livemode=False, case="none", won=True)
    told = [unstorable, unbookable]

    async def notices() -> Any:
        return told

    async def acknowledge(reference: str) -> None:
        told[:] = [each for each in told if each.reference != reference]

    monkeypatch.setattr(bank, "notices", notices)
    monkeypatch.setattr(bank, "acknowledge_notice", acknowledge)
    for _ in range(8):
        await tap.copies[0].money.take_notices()
    assert told == [unstorable]
    assert [len((await tap.get("disputes", payment_intent=each))["data"]) for each in intents] == [1, 1]


async def test_a_clock_that_cannot_be_finished_or_deleted_holds_up_no_other(tap: InProcess, connection: Connection) -> None:
    assert await create_merchant(connection, "Other") == 2
    made = (await tap.post("test_helpers/test_clocks", frozen_time=str(int(tap.clock.now())))).id
    await tap.post(f"test_helpers/test_clocks/{made}/advance", frozen_time=str(int(tap.clock.now()) + DAY))
    await connection.execute(
        "INSERT INTO payments.test_clocks (merchant_id, livemode, id, created, version, status, deleted, document)"
        " SELECT 0, false, 'clock_bad', created, version, status, deleted, (document::jsonb - 'livemode')::json FROM payments.test_clocks"
    )
    await connection.execute("UPDATE payments.test_clocks SET merchant_id = 2 WHERE merchant_id = 0")
    await connection.execute("UPDATE payments.test_clocks SET merchant_id = 3 WHERE merchant_id = 1")
    await connection.execute("UPDATE payments.test_clocks SET merchant_id = 1 WHERE merchant_id = 2")
    await connection.execute(
        "UPDATE payments.test_clocks SET merchant_id = 2, document = document::jsonb || '{\"merchant_id\": 2}' WHERE merchant_id = 3"
    )
    keeper = SandboxClockKeeper(
        pool=tap.copies[0].processor.pool, waker=tap.copies[0].processor.waker, clock=tap.clock, rows=tap.copies[0].sweeper.rows
    )
    tap.clock.time += 5
    for _ in range(3):
        await keeper.finish()
    assert await connection.fetchval("SELECT status FROM payments.test_clocks WHERE id = $1", made) == "ready"
    tap.clock.time += KEPT_SECONDS + 1
    for _ in range(3):
        await keeper.delete_old()
    assert await connection.fetchval("SELECT deleted FROM payments.test_clocks WHERE id = $1", made)
