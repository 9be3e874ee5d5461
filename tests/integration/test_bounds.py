"""Refunded ≤ captured ≤ authorized, whoever writes to the database and however: what the code compares the database refuses as well."""

import asyncio
from collections.abc import AsyncGenerator

import asyncpg
import pytest

from payments.storage.database import Connection, Pool, connect, open_pool
from tests.integration.use_cases import intent, paid
from tests.support.in_process import InProcess, in_process

OWNER, API, PROCESSOR, NOTIFICATIONS = None, "tap_payment_api", "tap_transaction_processor", "tap_notification_service"
ROLES = (OWNER, API, PROCESSOR, NOTIFICATIONS)

REFUND = (
    "INSERT INTO payments.refunds (merchant_id, livemode, id, created, version, status, charge, payment_intent, amount, currency, document)"
    " SELECT merchant_id, livemode, 're_' || {number}, 0, 1, '{status}', id, payment_intent, {amount}, currency, '{{}}' FROM payments.charges"
)

BREAKS = {
    "more is captured of a charge than was authorized": "UPDATE payments.charges SET amount_captured = amount + 1",
    "more is refunded of a charge than was authorized": "UPDATE payments.charges SET amount_refunded = amount + 1",
    "more is refunded of a charge than was captured": "UPDATE payments.charges SET amount_refunded = amount_captured + 1",
    "less is captured than was refunded": "UPDATE payments.charges SET amount_captured = amount_refunded - 1",
    "less than nothing is refunded": "UPDATE payments.charges SET amount_refunded = -1",
    "more is received than was authorized": "UPDATE payments.payment_intents SET amount_received = amount + 1",
    "more is received and capturable than was authorized": "UPDATE payments.payment_intents SET amount_capturable = amount - amount_received + 1",
    "a refund of more than is left": REFUND.format(number=9, status="succeeded", amount=1001),
    "a pending refund of more than is left": REFUND.format(number=9, status="pending", amount=1001),
    "a refund of a charge that doesn't exist": REFUND.format(number=9, status="pending", amount=1).replace(" id, pay", " 'ch_none', pay"),
    "a refund of less than nothing": REFUND.format(number=9, status="pending", amount=-1),
    "a failed refund that succeeds after all": "UPDATE payments.refunds SET status = 'succeeded' WHERE id = 're_2'",
    "a failed refund that is pending again": "UPDATE payments.refunds SET status = 'pending' WHERE id = 're_2'",
    "a refund that grows": "UPDATE payments.refunds SET amount = 2001 WHERE id = 're_1'",
}
"""Of a charge of 2000, all captured, of which 1000 was refunded (re_1), and 1500 failed to be (re_2)."""

HOLD_BREAKS = {
    "more is captured of a hold than was authorized": "UPDATE payments.charges SET amount_captured = amount + 1",
    "some of a hold is refunded": "UPDATE payments.charges SET amount_refunded = 1",
    "a refund of a hold": REFUND.format(number=9, status="pending", amount=1),
    "more is capturable than was authorized": "UPDATE payments.payment_intents SET amount_capturable = amount + 1",
}


@pytest.fixture
async def tap(database_url: str) -> AsyncGenerator[InProcess]:
    async with in_process(database_url) as made:
        yield made


async def refused(database_url: str, role: str | None, statement: str) -> None:
    """By the bound, or since the role has no such right at all."""
    async with open_pool(database_url, role=role, name="test") as pool:
        with pytest.raises((asyncpg.CheckViolationError, asyncpg.InsufficientPrivilegeError)) as refusal:
            await pool.execute(statement)
    assert role is not OWNER or refusal.type is asyncpg.CheckViolationError


async def refund_in_part(tap: InProcess, connection: Connection) -> None:
    charge = (await paid(tap))["latest_charge"]
    await connection.execute(REFUND.format(number=1, status="succeeded", amount=1000))
    await connection.execute(REFUND.format(number=2, status="failed", amount=1500))
    await connection.execute("UPDATE payments.charges SET amount_refunded = 1000 WHERE id = $1", charge)


async def test_nobody_breaks_a_bound(tap: InProcess, database_url: str, connection: Connection) -> None:
    await refund_in_part(tap, connection)
    for role in ROLES:
        for statement in BREAKS.values():
            await refused(database_url, role, statement)


async def test_nobody_breaks_the_bound_of_a_hold(tap: InProcess, database_url: str) -> None:
    await paid(tap, capture_method="manual")
    for role in ROLES:
        for statement in HOLD_BREAKS.values():
            await refused(database_url, role, statement)


async def test_what_is_left_may_be_refunded(tap: InProcess, connection: Connection) -> None:
    await refund_in_part(tap, connection)
    await connection.execute(REFUND.format(number=9, status="pending", amount=1000))
    await connection.execute("UPDATE payments.refunds SET status = 'succeeded' WHERE id = 're_9'")
    await connection.execute(REFUND.format(number=10, status="failed", amount=2000))


@pytest.mark.parametrize("role", [OWNER, API, PROCESSOR])
async def test_of_two_refunds_at_once_the_second_sees_the_first(tap: InProcess, database_url: str, role: str | None) -> None:
    await paid(tap)
    async with connect(database_url) as watch, open_pool(database_url, role=role, name="rivals") as pool:
        first, second = await both(pool, watch)
    assert first is None
    assert isinstance(second, asyncpg.CheckViolationError)


async def both(pool: Pool, watch: Connection) -> tuple[None, BaseException | None]:
    """Insert two refunds that are too much together: the second while the first isn't committed."""
    async with pool.acquire() as one, pool.acquire() as two:
        async with one.transaction():
            await one.execute(REFUND.format(number=3, status="pending", amount=1200))
            late = asyncio.create_task(two.execute(REFUND.format(number=4, status="pending", amount=1200)))
            while not await watch.fetchval(
                "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'rivals' AND wait_event_type = 'Lock')"
            ):
                assert not late.done(), "it didn't wait for the first"
        (raised,) = await asyncio.gather(late, return_exceptions=True)
    return None, raised if isinstance(raised, BaseException) else None


async def test_an_intent_of_less_can_hold_no_more(tap: InProcess, database_url: str) -> None:
    made = await intent(tap, payment_method="pm_card_visa", confirm="true", capture_method="manual")
    assert (await tap.post(f"payment_intents/{made['id']}/capture", amount_to_capture="2001")).status == 400
    await refused(database_url, OWNER, "UPDATE payments.payment_intents SET amount = amount_capturable - 1")
