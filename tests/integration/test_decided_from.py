"""Each use case, while a rival changes each object that it read, just after it was read: nothing is committed that was decided from what isn't any more."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from payments.storage import versions
from payments.storage.books import find_faults
from payments.storage.database import Connection
from payments.storage.payments import Begin, Settlement
from tests.integration.use_cases import CARD_ON_FILE, CHARGE, CUSTOMER, INTENT, PRICE, PRODUCT, USE_CASES, Act, paid
from tests.support.in_process import Answer, InProcess, in_process
from tests.support.rival import Read, content, in_hand, touch, watched_reads

Rival = Callable[[InProcess, Connection, Read], Awaitable[None]]


async def touched(_: InProcess, connection: Connection, read: Read) -> None:
    await touch(connection, read)


async def card_is_detached(tap: InProcess, _: Connection, read: Read) -> None:
    assert (await tap.post(f"payment_methods/{read.object_id}/detach")).status == 200


async def customer_is_deleted(tap: InProcess, _: Connection, read: Read) -> None:
    assert (await tap.call("DELETE", f"/v1/customers/{read.object_id}")).status == 200


async def card_pays_for_another(tap: InProcess, _: Connection, read: Read) -> None:
    await paid(tap, payment_method=read.object_id)


async def price_is_made(tap: InProcess, _: Connection, read: Read) -> None:
    assert (await tap.post("prices", product=read.object_id, currency="usd", unit_amount="300")).status == 200


async def price_is_archived(tap: InProcess, _: Connection, read: Read) -> None:
    assert (await tap.post(f"prices/{read.object_id}", active="false")).status == 200


async def charge_is_refunded(tap: InProcess, _: Connection, read: Read) -> None:
    assert (await tap.post("refunds", charge=read.object_id, amount="1500")).status == 200


async def intent_is_captured(tap: InProcess, _: Connection, read: Read) -> None:
    assert (await tap.post(f"payment_intents/{read.object_id}/capture", amount_to_capture="1000")).status == 200


async def intent_is_canceled(tap: InProcess, _: Connection, read: Read) -> None:
    assert (await tap.post(f"payment_intents/{read.object_id}/cancel")).status == 200


async def amount_is_changed(tap: InProcess, _: Connection, read: Read) -> None:
    assert (await tap.post(f"payment_intents/{read.object_id}", amount="9900")).status == 200


async def intent_is_confirmed(tap: InProcess, _: Connection, read: Read) -> None:
    assert (await tap.post(f"payment_intents/{read.object_id}/confirm", payment_method="pm_card_visa")).status == 200


REAL_RIVALS: dict[tuple[str, str], list[Rival]] = {
    ("create_and_confirm", CARD_ON_FILE): [card_is_detached],
    ("create_and_confirm", CUSTOMER): [customer_is_deleted],
    ("create_and_confirm_with_a_one_off_card", CARD_ON_FILE): [card_pays_for_another],
    ("create", CARD_ON_FILE): [card_is_detached],
    ("create", CUSTOMER): [customer_is_deleted],
    ("confirm_with_the_named_card", INTENT): [intent_is_canceled, amount_is_changed, intent_is_confirmed],
    ("confirm_with_the_named_card", CARD_ON_FILE): [card_is_detached],
    ("confirm_with_the_named_card", CUSTOMER): [customer_is_deleted],
    ("confirm_with_a_given_card", CARD_ON_FILE): [card_is_detached],
    ("confirm_with_a_one_off_card", CARD_ON_FILE): [card_pays_for_another],
    ("capture", INTENT): [intent_is_captured, intent_is_canceled],
    ("capture_in_part", INTENT): [intent_is_captured, intent_is_canceled],
    ("cancel_a_hold", INTENT): [intent_is_captured, intent_is_canceled],
    ("cancel", INTENT): [intent_is_confirmed],
    ("refund_by_charge", CHARGE): [charge_is_refunded],
    ("refund_by_intent", CHARGE): [charge_is_refunded],
    ("update_the_amount", INTENT): [intent_is_confirmed, intent_is_canceled],
    ("update_the_amount_under_a_challenge", INTENT): [intent_is_confirmed, intent_is_canceled],
    ("update_the_card", CARD_ON_FILE): [card_is_detached],
    ("update_the_customer", CUSTOMER): [customer_is_deleted],
    ("attach", CUSTOMER): [customer_is_deleted],
    ("attach", CARD_ON_FILE): [card_pays_for_another],
    ("attach_a_new_card", CUSTOMER): [customer_is_deleted],
    ("detach", CUSTOMER): [customer_is_deleted],
    ("set_the_default_card", CARD_ON_FILE): [card_is_detached],
    ("set_the_default_card", CUSTOMER): [customer_is_deleted],
    ("charge_a_token", CARD_ON_FILE): [card_pays_for_another],
    ("charge_a_customer", CARD_ON_FILE): [card_is_detached],
    ("charge_a_customer", CUSTOMER): [customer_is_deleted],
    ("add_a_source", CUSTOMER): [customer_is_deleted],
    ("replace_the_default_source", CARD_ON_FILE): [card_is_detached],
    ("delete_the_default_source", CARD_ON_FILE): [card_is_detached],
    ("update_charge", CHARGE): [charge_is_refunded],
    ("update_payment_method", CARD_ON_FILE): [card_is_detached],
    ("set_the_default_price", PRICE): [price_is_archived],
    ("delete_product", PRODUCT): [price_is_made],
    ("complete_a_challenge", INTENT): [intent_is_canceled, amount_is_changed, intent_is_confirmed],
    ("complete_a_challenge", CARD_ON_FILE): [card_is_detached],
    ("complete_a_challenge", CUSTOMER): [customer_is_deleted],
    ("fail_a_challenge", INTENT): [intent_is_canceled, amount_is_changed, intent_is_confirmed],
}
"""What others really do to an object that a use case has read, besides any change at all."""


@pytest.fixture
async def tap(database_url: str) -> AsyncGenerator[InProcess]:
    async with in_process(database_url) as made:
        yield made


async def read_by(act: Act, patch: pytest.MonkeyPatch) -> tuple[Answer, list[Read]]:
    reads: list[Read] = []

    async def note(read: Read, _: Any) -> None:
        reads.append(read)

    with watched_reads(patch, note):
        return await act(), reads


@dataclass(slots=True)
class Raced:
    """A call during which a rival was quicker."""

    answer: Answer
    wrote: bool
    """Whether the call changed anything after its rival had."""
    rivalled: Read


async def race(tap: InProcess, connection: Connection, patch: pytest.MonkeyPatch, name: str, kind: str, rival: Rival) -> Raced:
    """Have the rival change the object of a kind after the use case has read it for the last time."""
    _, reads = await read_by(await USE_CASES[name].prepare(tap), patch)
    times = sum(read.kind == kind for read in reads)
    act = await USE_CASES[name].prepare(tap)
    seen: list[Read] = []
    left: list[dict[str, str]] = []

    async def overtake(read: Read, _: Any) -> None:
        if read.kind == kind:
            seen.append(read)
            if len(seen) == times:
                await rival(tap, connection, read)
                left.append(await content(connection))

    with watched_reads(patch, overtake):
        answer = await act()
    return Raced(answer, await content(connection) != left[0], seen[-1])


@pytest.mark.parametrize("name", USE_CASES)
async def test_nothing_is_committed_that_was_decided_from_what_changed(
    tap: InProcess, connection: Connection, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    case = USE_CASES[name]
    answer, reads = await read_by(await case.prepare(tap), monkeypatch)
    assert answer.status == 200
    assert {read.kind for read in reads} == case.reads, "the table doesn't say what the use case reads"
    for kind in sorted(case.reads):
        for rival in (touched, *REAL_RIVALS.get((name, kind), ())):
            raced = await race(tap, connection, monkeypatch, name, kind, rival)
            what = f"{kind}: {rival.__name__}: {raced.answer}"
            if kind in case.not_decided_from:
                assert raced.answer.status == 200, what
                assert await still_touched(connection, raced.rivalled), f"{what}: the rival's change was lost"
            else:
                assert raced.answer.status in (400, 404, 409, 429), what
                assert not raced.wrote, what
    assert await find_faults(connection) == []


async def still_touched(connection: Connection, read: Read) -> bool:
    return await connection.fetchval(f"SELECT document -> 'metadata' ->> 'touched' = 'yes' FROM {read.table} WHERE id = $1", read.object_id)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("refund_by_charge", CHARGE),
        ("confirm_with_the_named_card", CARD_ON_FILE),
        ("capture", CHARGE),
        ("complete_a_challenge", CUSTOMER),
        ("attach", CUSTOMER),
    ],
)
async def test_without_the_comparison_the_test_above_would_fail(
    tap: InProcess, connection: Connection, monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    for unit in (Begin, Settlement):
        monkeypatch.setattr(unit, "compared", lambda _: [])
    monkeypatch.setattr(versions, "locks_of", lambda _: {})
    raced = await race(tap, connection, monkeypatch, name, kind, touched)
    assert raced.answer.status == 200
    assert raced.wrote


@pytest.mark.parametrize("name", USE_CASES)
async def test_nobody_waits_for_what_another_commit_has_in_hand(
    tap: InProcess, database_url: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """So two calls, each of which has what the other wants, can't wait for one another."""
    case = USE_CASES[name]
    for kind in sorted(case.reads):
        act = await case.prepare(tap)
        async with in_hand(database_url) as take:

            async def overtake(read: Read, _: Any, kind: str = kind, take: Callable[[Read], Awaitable[None]] = take) -> None:
                if read.kind == kind:
                    await take(read)

            with watched_reads(monkeypatch, overtake):
                answer = await act()
        assert (answer.status == 200) == (kind in case.not_decided_from), f"{kind}: {answer}"
        assert answer.status in (200, 409, 429), f"{kind}: {answer}"
