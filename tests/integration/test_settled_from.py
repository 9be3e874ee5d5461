"""Commit 2 of each kind of attempt, while each object that it acts on moves on: it writes nothing, and is settled again on what they are then."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass

import pytest

from payments.acquirers.acquirer import FailedRefund, Order
from payments.acquirers.notices import DisputeAnswer, Notice
from payments.domain.attempt import AttemptKind
from payments.domain.event import Event
from payments.domain.outcome import Approved, AuthenticationRequired, Declined, Final, NotFound, Outcome, Unknown
from payments.storage.attempts import OpenAttempt
from payments.storage.books import find_faults
from payments.storage.commit import EncodedUnit
from payments.storage.database import Connection
from payments.storage.payments import encode_settlement
from payments.transaction_processor.settlement import Terms, settlement_of
from payments.transaction_processor.sweeper import refund_failure_attempt
from tests.integration.use_cases import Act, cancel_a_hold, capture, capture_in_part, intent, paid, refund_by_charge
from tests.support.in_process import InProcess, in_process
from tests.support.rival import Read, in_hand, touch, unchanged

APPROVED = Approved(authorization_code="123456")
DECLINED = Declined(code="card_declined", decline_code="generic_decline", message="Your card was declined.")
UNKNOWN = Unknown(reason="timeout")

INTENT, CHARGE, REFUND, ATTEMPT = "payments.payment_intents", "payments.charges", "payments.refunds", "payments.attempts"
CARD = "payments.payment_methods"

LEASE_END = 2.0**40
"""Later than any of these takes."""


class Bank:
    """An acquirer that answers what the test says."""

    name = "simulator"
    needs_card = False

    def __init__(self) -> None:
        self.answer: Outcome = APPROVED

    async def execute(self, order: Order) -> Outcome:  # noqa: ARG002 - the protocol's
        return self.answer

    async def inquire(self, order: Order) -> Final | Unknown | NotFound:  # noqa: ARG002 - the protocol's
        return self.answer

    async def give_up(self, order: Order) -> Final | Unknown | NotFound:  # noqa: ARG002 - the protocol's
        return self.answer

    async def health(self) -> str | None:
        return None

    async def failed_refunds(self) -> list[FailedRefund]:
        return []

    async def acknowledge(self, report: FailedRefund) -> None:
        pass

    async def notices(self) -> list[Notice]:
        return []

    async def acknowledge_notice(self, reference: str) -> None:
        pass

    async def answer_dispute(self, answer: DisputeAnswer) -> None:
        pass

    async def verify_card(self, order: Order) -> Outcome:  # noqa: ARG002 - the protocol's
        return APPROVED


@pytest.fixture
def bank() -> Bank:
    return Bank()


@pytest.fixture
async def tap(database_url: str, bank: Bank) -> AsyncGenerator[InProcess]:
    async with in_process(database_url, acquirer=bank) as made:
        yield made


async def authorize(tap: InProcess) -> Act:
    made = await intent(tap)
    return lambda: tap.post(f"payment_intents/{made['id']}/confirm", payment_method="pm_card_visa")


async def authorize_a_hold(tap: InProcess) -> Act:
    made = await intent(tap, capture_method="manual")
    return lambda: tap.post(f"payment_intents/{made['id']}/confirm", payment_method="pm_card_visa")


async def authorize_and_keep(tap: InProcess) -> Act:
    customer = (await tap.post("customers")).id
    made = await intent(tap, customer=customer, setup_future_usage="off_session")
    return lambda: tap.post(f"payment_intents/{made['id']}/confirm", payment_method="pm_card_visa")


async def increment(tap: InProcess) -> Act:
    growing = {"payment_method_options[card][request_incremental_authorization]": "if_available"}
    made = await paid(tap, capture_method="manual", **growing)
    return lambda: tap.post(f"payment_intents/{made['id']}/increment_authorization", amount="3000")


@dataclass(frozen=True, slots=True)
class Ending:
    """An attempt, what it was answered, and which objects that changes."""

    prepare: Callable[[InProcess], Awaitable[Act]]
    outcome: Outcome
    changes: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.prepare.__name__}-{self.outcome.__class__.__name__}"


ENDINGS = [
    Ending(authorize, APPROVED, (INTENT, ATTEMPT)),
    Ending(authorize, DECLINED, (INTENT, ATTEMPT)),
    Ending(authorize, UNKNOWN, (INTENT, ATTEMPT)),
    Ending(authorize, AuthenticationRequired(), (INTENT, ATTEMPT)),
    Ending(authorize_a_hold, APPROVED, (INTENT, ATTEMPT)),
    Ending(authorize_and_keep, APPROVED, (INTENT, CARD, ATTEMPT)),
    Ending(capture, APPROVED, (INTENT, CHARGE, ATTEMPT)),
    Ending(capture, DECLINED, (INTENT, ATTEMPT)),
    Ending(capture_in_part, APPROVED, (INTENT, CHARGE, ATTEMPT)),
    Ending(increment, APPROVED, (INTENT, CHARGE, ATTEMPT)),
    Ending(increment, DECLINED, (INTENT, ATTEMPT)),
    Ending(cancel_a_hold, APPROVED, (INTENT, CHARGE, ATTEMPT)),
    Ending(cancel_a_hold, DECLINED, (INTENT, CHARGE, ATTEMPT)),
    Ending(refund_by_charge, APPROVED, (REFUND, ATTEMPT)),
    Ending(refund_by_charge, DECLINED, (REFUND, CHARGE, ATTEMPT)),
    Ending(refund_by_charge, UNKNOWN, (ATTEMPT,)),
]


async def begun(tap: InProcess, prepare: Callable[[InProcess], Awaitable[Act]]) -> OpenAttempt:
    """Take a use case as far as commit 1, and return what would be handed over."""
    act = await prepare(tap)
    held: list[OpenAttempt] = []
    carry_out = tap.handover.carry_out_work

    async def hold(work: OpenAttempt) -> Event:
        held.append(work)
        raise Held

    tap.handover.carry_out_work = hold
    with pytest.raises(Held):
        await act()
    tap.handover.carry_out_work = carry_out
    return held[0]


class Held(Exception):
    """The attempt was recorded, and is kept back."""


async def encoded(tap: InProcess, work: OpenAttempt, outcome: Outcome) -> EncodedUnit:
    processor = tap.copies[0].processor
    settlement = settlement_of(work, outcome, Terms(int(tap.clock.now()), await processor.fees.of(1), "simulator", "http://tap"))
    assert settlement is not None
    return await encode_settlement(settlement, processor.accounts)


async def move(tap: InProcess, connection: Connection, work: OpenAttempt, table: str) -> None:
    """Change one of the objects; an attempt moves on when another copy is quicker to learn its outcome, or to tell that it isn't known yet."""
    if table != ATTEMPT:
        await touch(connection, Read(table, ids_of(work)[table] or ""))
        return
    told = UNKNOWN if work.attempt.kind in (AttemptKind.AUTHORIZE, AttemptKind.REFUND) else APPROVED
    assert await tap.copies[0].store.settle([await encoded(tap, work, told)]) == [True]


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending.name)
async def test_an_outcome_is_settled_on_what_its_objects_are_then(
    tap: InProcess, bank: Bank, connection: Connection, ending: Ending
) -> None:
    for table in ending.changes:
        bank.answer = APPROVED
        work = await begun(tap, ending.prepare)
        await move(tap, connection, work, table)
        late = await encoded(tap, work, ending.outcome)
        async with unchanged(connection):
            assert await tap.copies[0].store.settle([late]) == [False], table
        bank.answer = ending.outcome
        told = await tap.copies[0].processor.process(work, LEASE_END)
        if table != ATTEMPT:
            assert told is not None
            assert told.id == work.attempt.outcome_event
            assert (
                await connection.fetchval(f"SELECT document -> 'metadata' ->> 'touched' FROM {table} WHERE id = $1", ids_of(work)[table])
                == "yes"
            )
    assert await find_faults(connection) == []


def ids_of(work: OpenAttempt) -> Mapping[str, str | None]:
    return {INTENT: work.intent.id, CARD: work.payment_method.id, CHARGE: work.attempt.charge, REFUND: work.attempt.refund}


async def test_a_card_is_kept_for_no_customer_who_was_deleted_meanwhile(tap: InProcess, connection: Connection) -> None:
    work = await begun(tap, authorize_and_keep)
    assert (await tap.call("DELETE", f"/v1/customers/{work.intent.customer}")).status == 200
    late = await encoded(tap, work, APPROVED)
    async with unchanged(connection):
        assert await tap.copies[0].store.settle([late]) == [False]
    await tap.copies[0].processor.process(work, LEASE_END)
    assert (await tap.get(f"payment_intents/{work.intent.id}"))["status"] == "succeeded"
    assert (await tap.get(f"payment_methods/{work.payment_method.id}"))["customer"] is None
    assert await find_faults(connection) == []


async def test_a_customer_stays_while_a_card_is_kept_for_them(tap: InProcess, connection: Connection, database_url: str) -> None:
    work = await begun(tap, authorize_and_keep)
    unit = await encoded(tap, work, APPROVED)
    async with in_hand(database_url) as take:
        await take(Read("payments.customers", work.intent.customer or ""))
        async with unchanged(connection):
            assert await tap.copies[0].store.settle([unit]) == [False]
    assert await tap.copies[0].store.settle([unit]) == [True]
    assert (await tap.get(f"payment_methods/{work.payment_method.id}"))["customer"] == work.intent.customer


@pytest.mark.parametrize("table", [REFUND, CHARGE, ATTEMPT])
async def test_a_refund_that_failed_after_all_is_booked_on_what_its_objects_are_then(
    tap: InProcess, connection: Connection, table: str
) -> None:
    copy = tap.copies[0]
    refunded = await begun(tap, refund_by_charge)
    await copy.processor.process(refunded, LEASE_END)
    found = await copy.processor.attempts.refund_of(1, False, refunded.attempt.id)
    assert found is not None
    attempt = refund_failure_attempt(refunded.attempt.id, *found, int(tap.clock.now()))
    assert await copy.processor.attempts.open_refund_failure(attempt)
    work = await copy.processor.attempts.load(attempt)
    assert work is not None
    late = await encoded(tap, work, DECLINED)
    if table == ATTEMPT:
        await copy.processor.resolve(attempt, LEASE_END)
    else:
        await touch(connection, Read(table, ids_of(work)[table] or ""))
    async with unchanged(connection):
        assert await copy.store.settle([late]) == [False]
    await copy.processor.resolve(attempt, LEASE_END)
    assert (await tap.get(f"refunds/{attempt.refund}"))["status"] == "failed"
    assert (await tap.get(f"charges/{attempt.charge}"))["amount_refunded"] == 0
    assert await find_faults(connection) == []


async def test_a_refund_that_its_charge_counts_already_is_settled_whoever_has_the_charge_in_hand(tap: InProcess, database_url: str) -> None:
    """It holds accounts by then: whoever has the charge may be waiting for these."""
    work = await begun(tap, refund_by_charge)
    async with in_hand(database_url) as take:
        await take(Read(CHARGE, work.attempt.charge))
        assert await tap.copies[0].store.settle([await encoded(tap, work, APPROVED)]) == [True]
