"""What is abandoned is finished, once."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from payments.acquirers.acquirer import Acquirer, Order
from payments.acquirers.registry import Acquirers
from payments.domain.card import Pan
from payments.domain.outcome import Unknown
from payments.domain.payment_intent import PaymentIntent
from payments.runtime import background
from payments.runtime.background import Background
from payments.runtime.jobs import Scheduler
from payments.runtime.logging import Logger
from payments.runtime.rows import RowByRow
from payments.storage.accounts import Accounts
from payments.storage.attempts import OpenAttempt
from payments.storage.availability import release_available_funds
from payments.storage.books import find_faults
from payments.storage.commit import EncodedUnit
from payments.storage.database import Connection, Pool, open_pool
from payments.storage.group_commit import GroupCommit
from payments.storage.keys import create_merchant
from payments.storage.payments import PaymentStore
from payments.transaction_processor import processor
from payments.transaction_processor import sweeper as sweeper_module
from payments.transaction_processor.processor import ATTEMPT_AGE_SECONDS_MAX, NeverStill, Processor
from payments.transaction_processor.sending import LeaseOver
from payments.transaction_processor.settlement import CAPTURE_WINDOW_SECONDS
from payments.transaction_processor.sweeper import Sweeper
from payments.wire.kinds import PAYMENT_INTENT
from tests.integration.builders import FakeClock, payment
from tests.support.in_process import processor_copy
from tests.support.job_book import Rows
from tests.support.waiting import eventually


@dataclass
class Copy:
    """A copy of transaction-processor, without its HTTP."""

    sweeper: Sweeper
    processor: Processor
    store: PaymentStore
    clock: FakeClock
    pool: Pool

    async def abandoned(self, *, manual: bool = False, created: int | None = None, number: str = "4242424242424242") -> OpenAttempt:
        """A payment that was recorded, and whose owner died."""
        begin, work = payment(manual=manual, created=created)
        sealed = self.processor.sealer.seal_number(1, False, work.payment_method.id, Pan(number))
        begin, work = replace(begin, sealed_number=sealed), replace(work, sealed_number=sealed)
        await self.store.begin([begin.encoded(lease_seconds=15)])
        await self.pool.execute("UPDATE payments.attempts SET lease_until = now() - interval '1 second' WHERE id = $1", work.attempt.id)
        return work

    async def intent(self, work: OpenAttempt) -> PaymentIntent:
        found = await PAYMENT_INTENT.noun.get(self.pool, 1, False, work.intent.id)
        assert found is not None
        return found


@asynccontextmanager
async def copy_of_the_service(database_url: str, clock: FakeClock) -> AsyncGenerator[Copy]:
    async with (
        processor_copy(database_url, clock) as made,
        open_pool(database_url, role="tap_payment_api", name="api") as api,
    ):
        processor = made.processor
        yield Copy(made.sweeper, processor, PaymentStore(api), clock, processor.pool)


@pytest.fixture
async def copy(database_url: str, connection: Connection) -> AsyncGenerator[Copy]:
    assert await create_merchant(connection, "Test") == 1
    async with copy_of_the_service(database_url, FakeClock()) as made:
        yield made


async def test_what_the_acquirer_never_saw_is_sent(copy: Copy, connection: Connection) -> None:
    work = await copy.abandoned()
    assert await copy.sweeper.resolve_abandoned() == 1
    assert (await copy.intent(work)).status == "succeeded"
    assert await copy.sweeper.resolve_abandoned() == 0
    assert await connection.fetchval("SELECT approvals FROM simulator.journal WHERE reference = $1", work.attempt.id) == 1
    assert await find_faults(connection) == []


async def test_what_the_acquirer_approved_is_not_sent_again(copy: Copy, connection: Connection) -> None:
    work = await copy.abandoned()
    await copy.processor.acquirers.sandbox.execute(await copy.processor.order(work, with_card=True))
    assert await copy.sweeper.resolve_abandoned() == 1
    assert (await copy.intent(work)).status == "succeeded"
    row = await connection.fetchrow("SELECT approvals, repetitions FROM simulator.journal WHERE reference = $1", work.attempt.id)
    assert row is not None
    assert (row["approvals"], row["repetitions"]) == (1, 0)


async def test_the_answer_has_the_id_that_the_key_points_at(copy: Copy, connection: Connection) -> None:
    work = await copy.abandoned()
    await copy.sweeper.resolve_abandoned()
    event = await connection.fetchrow("SELECT type FROM payments.events WHERE id = $1", work.attempt.outcome_event)
    assert event is not None
    assert event["type"] == "payment_intent.succeeded"


async def test_an_old_order_that_never_left_is_not_sent_any_more(copy: Copy) -> None:
    work = await copy.abandoned(created=int(copy.clock.now()) - ATTEMPT_AGE_SECONDS_MAX - 1)
    await copy.sweeper.resolve_abandoned()
    intent = await copy.intent(work)
    assert intent.status == "requires_payment_method"
    assert intent.last_payment_error is not None
    assert intent.last_payment_error.code == "processing_error"


async def test_a_lease_that_runs_is_respected(copy: Copy) -> None:
    work = await copy.abandoned()
    await copy.pool.execute("UPDATE payments.attempts SET lease_until = now() + interval '1 minute'")
    assert await copy.sweeper.resolve_abandoned() == 0
    assert (await copy.intent(work)).status == "processing"
    await copy.processor.attempts.hand_back([work.attempt])
    assert await copy.sweeper.resolve_abandoned() == 1


async def test_two_copies_do_nothing_twice(copy: Copy, database_url: str, connection: Connection) -> None:
    works = [await copy.abandoned(manual=number % 2 == 0) for number in range(40)]
    async with copy_of_the_service(database_url, copy.clock) as other:
        await asyncio.gather(copy.sweeper.resolve_abandoned(), other.sweeper.resolve_abandoned())
    assert {(await copy.intent(work)).status for work in works} == {"succeeded", "requires_capture"}
    assert await connection.fetchval("SELECT count(*) FROM simulator.journal WHERE repetitions > 0") == 0
    assert await find_faults(connection) == []


async def test_a_hold_that_expires_is_released(copy: Copy, connection: Connection) -> None:
    work = await copy.abandoned(manual=True)
    await copy.sweeper.resolve_abandoned()
    assert await copy.sweeper.expire_holds() == 0
    copy.clock.time += CAPTURE_WINDOW_SECONDS + 1
    assert await copy.sweeper.expire_holds() == 1
    intent = await copy.intent(work)
    assert (intent.status, intent.cancellation_reason, intent.amount_capturable) == ("canceled", "expired", 0)
    assert await copy.sweeper.expire_holds() == 0
    assert await find_faults(connection) == []


async def test_funds_become_available_when_their_time_has_come(copy: Copy, connection: Connection) -> None:
    await copy.abandoned()
    await copy.sweeper.resolve_abandoned()
    assert await copy.sweeper.release_funds() == 0
    copy.clock.time += 2 * 24 * 3600 + 1
    assert await copy.sweeper.release_funds() == 1
    assert await copy.sweeper.release_funds() == 0
    balances = await copy.processor.accounts.merchant_balances(1, False)
    assert {kind: amounts.get("usd", 0) for kind, amounts in balances.items()} == {"pending": 0, "available": 1912}
    assert await find_faults(connection) == []


async def test_a_release_of_funds_waits_for_no_second_connection(copy: Copy, connection: Connection, database_url: str) -> None:
    """Accounts that are new are opened outside of its transaction."""
    await copy.abandoned()
    await copy.sweeper.resolve_abandoned()
    later = int(copy.clock.now()) + 2 * 24 * 3600 + 1
    async with open_pool(database_url, role="tap_transaction_processor", name="one", size_max=1) as one:
        assert await release_available_funds(one, later, Accounts(one)) == 1
    assert await find_faults(connection) == []


async def test_a_hold_that_cannot_be_released_keeps_no_other_from_it_and_is_no_hot_loop(copy: Copy, connection: Connection) -> None:
    works = [await copy.abandoned(manual=True) for _ in range(3)]
    await copy.sweeper.resolve_abandoned()
    await connection.execute(
        "UPDATE payments.payment_intents SET document = (document::jsonb - 'latest_charge')::json WHERE id = $1", works[0].intent.id
    )
    copy.clock.time += CAPTURE_WINDOW_SECONDS + 1
    assert await copy.sweeper.expire_holds() == 2
    assert await copy.sweeper.expire_holds() == 0
    assert [(await copy.intent(work)).status for work in works] == ["requires_capture", "canceled", "canceled"]


class StandsStill:
    """An acquirer that is reached well, by a process that stands still for a while after each inquiry, as one that was stopped does."""

    def __init__(self, acquirer: Acquirer, clock: FakeClock, seconds: float) -> None:
        self.acquirer, self.clock, self.seconds = acquirer, clock, seconds

    def __getattr__(self, name: str) -> object:
        return getattr(self.acquirer, name)

    async def inquire(self, order: Order) -> object:
        found = await self.acquirer.inquire(order)
        self.clock.time += self.seconds
        return found


async def test_what_was_taken_over_is_not_sent_when_its_lease_may_run_out_before_the_answer(copy: Copy, connection: Connection) -> None:
    work = await copy.abandoned()
    slow = replace_in(copy, StandsStill(copy.processor.acquirers.sandbox, copy.clock, 15 - 5 + 0.1))
    assert await slow.resolve_abandoned() == 1
    assert (await copy.intent(work)).status == "processing"
    assert await connection.fetchval("SELECT count(*) FROM simulator.journal") == 0, "somebody else may be about to send it"
    await copy.processor.attempts.hand_back([work.attempt])
    assert await copy.sweeper.resolve_abandoned() == 1
    assert (await copy.intent(work)).status == "succeeded"


async def test_a_process_that_stood_still_sends_nothing_that_was_handed_to_it_before(copy: Copy, connection: Connection) -> None:
    work = await copy.abandoned()
    lease_end = copy.clock.now() + 15
    copy.clock.time += 15 - 5 + 0.1
    with pytest.raises(LeaseOver):
        await copy.processor.process(work, lease_end)
    assert await connection.fetchval("SELECT count(*) FROM simulator.journal") == 0


async def test_what_an_acquirer_left_open_is_asked_about_when_it_is_back_and_by_one_process_at_a_time(
    copy: Copy, connection: Connection
) -> None:
    """Whoever took an attempt over has as long as it has ever had: what was added, since the acquirer was silent, is taken away."""
    waiting, in_hand = await copy.abandoned(), await copy.abandoned()
    for work, taken_seconds_ago in ((waiting, 20), (in_hand, 5)):
        await connection.execute(
            "UPDATE payments.attempts SET inquiries = 5, lease_until = now() + $2::float8 * interval '1 second' WHERE id = $1",
            work.attempt.id,
            15.0 * 2**4 - taken_seconds_ago,
        )
    attempts = copy.sweeper.attempts
    assert await attempts.ask_again("another") == 0
    assert await copy.sweeper.resolve_abandoned() == 0
    assert await attempts.ask_again("simulator") == 2
    assert await attempts.ask_again("simulator") == 0, "once is enough"
    assert await copy.sweeper.resolve_abandoned() == 1
    assert [(await copy.intent(work)).status for work in (waiting, in_hand)] == ["succeeded", "processing"]
    left = await connection.fetchval("SELECT extract(epoch FROM lease_until - now()) FROM payments.attempts WHERE closed_at IS NULL")
    assert 0 < left <= 10


class Hangs:
    """An acquirer that never says anything."""

    name = "bank"
    needs_card = False

    async def inquire(self, order: Order) -> Unknown:
        await asyncio.Event().wait()
        return Unknown(reason=order.reference)


async def with_the_bank(copy: Copy, connection: Connection, count: int) -> None:
    """Abandoned payments whose lease ran out long ago, all of them with another acquirer than the sandbox."""
    for _ in range(count):
        await copy.abandoned()
    await connection.execute(
        "UPDATE payments.attempts SET document = (document::jsonb || '{\"acquirer\": \"bank\"}')::json, lease_until = lease_until - interval '1 hour'"
    )


async def test_an_acquirer_that_hangs_holds_up_no_other(copy: Copy, connection: Connection) -> None:
    await with_the_bank(copy, connection, 120)
    work = await copy.abandoned()
    sweeper = replace_in(copy, Hangs(), copy.processor.acquirers.sandbox)
    assert await sweeper.resolve_abandoned() == 100 + 1, "its share, and what is another one's"
    assert (await copy.intent(work)).status == "succeeded"
    later = await copy.abandoned()
    assert await sweeper.resolve_abandoned() == 1, "nothing more of who is still being asked"
    assert (await copy.intent(later)).status == "succeeded"
    assert await connection.fetchval("SELECT count(*) FROM payments.attempts WHERE inquiries = 0") == 20
    await sweeper.close()


class Breaks:
    """An acquirer of which something that a question waits for is ended."""

    name = "bank"
    needs_card = False

    async def inquire(self, _: Order) -> Unknown:
        raise asyncio.CancelledError


@pytest.mark.parametrize(("bank", "failure"), [(Breaks(), asyncio.CancelledError), (Hangs(), TimeoutError)], ids=["broken", "hanging"])
async def test_what_ends_a_part_that_nobody_waits_for_is_the_jobs_failure_and_it_is_done_again(
    copy: Copy, connection: Connection, monkeypatch: pytest.MonkeyPatch, bank: object, failure: type[BaseException]
) -> None:
    await with_the_bank(copy, connection, 1)
    monkeypatch.setattr(sweeper_module, "_SHARE_SECONDS_MAX", 0.2)
    monkeypatch.setattr(sweeper_module, "_ABANDONED_SECONDS", 0.0)
    sweeper = replace_in(copy, bank, copy.processor.acquirers.sandbox)
    assert await sweeper.resolve_abandoned() == 1
    await asyncio.wait(sweeper._asking.values())
    with pytest.raises(failure):
        await sweeper.resolve_abandoned()
    await connection.execute("UPDATE payments.attempts SET lease_until = now() - interval '1 second'")
    assert await sweeper.resolve_abandoned() == 1, "it isn't held for busy any more"
    await sweeper.close()


async def test_an_acquirer_that_is_silent_is_asked_about_a_few_and_the_others_make_room(copy: Copy, connection: Connection) -> None:
    await with_the_bank(copy, connection, 25)
    sweeper = replace_in(copy, Hangs(), copy.processor.acquirers.sandbox)
    acquirers = sweeper.processor.acquirers
    acquirers.heard("bank", Unknown(reason="timeout"), copy.clock.now())
    asked = await copy.processor.attempts.take_over(busy=[], silent=acquirers.silent())
    assert {name: len(rows) for name, rows in asked.items()} == {"bank": 10}
    assert await connection.fetchval("SELECT count(*) FROM payments.attempts WHERE inquiries = 1 AND lease_until > now()") == 25
    assert await copy.processor.attempts.take_over(busy=[], silent=[]) == {}
    await connection.execute("UPDATE payments.attempts SET lease_until = now() - interval '1 second'")
    await copy.processor.attempts.take_over(busy=[], silent=acquirers.silent())
    assert await copy.processor.attempts.ask_again("bank") == 25, "when it is back, all of them are asked about"


def replace_in(copy: Copy, *acquirers: object) -> Sweeper:
    sender = dataclasses.replace(copy.processor.sender, acquirers=Acquirers(acquirers))  # type: ignore[arg-type]
    processor = dataclasses.replace(copy.processor, sender=sender)
    return dataclasses.replace(copy.sweeper, processor=processor)


SWEEPS = ["sweep attempts", "sweep holds", "sweep funds", "sweep refunds", "sweep claims"]


class Away:
    """Everything that a sweep asks, while it is away."""

    def __getattr__(self, _: str) -> object:
        raise ConnectionError


async def test_an_outcome_whose_objects_are_never_still_is_left_to_whoever_comes_next(
    copy: Copy, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = await copy.abandoned()
    monkeypatch.setattr(processor, "MOVED_TRIES_MAX", 3)
    asked: list[int] = []

    async def always_moved(batch: Sequence[EncodedUnit]) -> list[bool]:
        asked.append(len(batch))
        return [False] * len(batch)

    restless = dataclasses.replace(copy.processor, settlements=GroupCommit(always_moved, name="restless"))
    with pytest.raises(NeverStill):
        await restless.process(work, copy.clock.now() + 60)
    assert asked == [1, 1, 1]
    assert await copy.sweeper.resolve_abandoned() == 1
    assert (await copy.intent(work)).status == "succeeded"
    assert await connection.fetchval("SELECT count(*) FROM simulator.journal WHERE repetitions > 0") == 0
    assert await find_faults(connection) == []


async def test_sweeps_outlive_what_they_need_and_a_log_that_cannot_be_written(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "PAUSES_SECONDS", (0.01,))
    work = await copy.abandoned()
    with open("/dev/full", "wb", buffering=0) as full:  # noqa: ASYNC230, PTH123 - a device
        log = Logger("test", full)
        away = Away()
        kept = Background(log)
        sweeper = dataclasses.replace(copy.sweeper, rows=RowByRow(copy.clock, log))
        jobs = sweeper.jobs()
        for name in ("processor", "attempts", "pool"):
            object.__setattr__(sweeper, name, away)
        Scheduler(jobs, Rows(time.monotonic).book("copy", jobs), log).keep(kept)

        async def all_are_down() -> bool:
            return sorted(kept.faults()) == sorted(SWEEPS)

        await eventually(all_are_down, "all sweeps fail")
        for name in ("processor", "attempts", "pool"):
            object.__setattr__(sweeper, name, getattr(copy.sweeper, name))

        async def payment_is_finished() -> bool:
            return (await copy.intent(work)).status == "succeeded" and not kept.faults()

        await eventually(payment_is_finished, "the sweeps are at work again")
        await kept.stop()
