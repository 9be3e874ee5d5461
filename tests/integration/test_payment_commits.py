"""The two commits of a payment: whole or not at all, once, whatever runs beside them."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from msgspec.structs import replace

from payments.domain.outcome import Approved, Declined
from payments.domain.payment_intent import PaymentIntent
from payments.storage import claims
from payments.storage.accounts import Accounts
from payments.storage.books import find_faults
from payments.storage.database import Connection, Pool, open_pool
from payments.storage.group_commit import GroupCommit
from payments.storage.payments import Begun, PaymentStore, encode_settlement
from tests.integration.builders import payment, settlement
from tests.support.waiting import eventually

APPROVED = Approved(authorization_code="123456")
TABLES = ("payment_intents", "payment_methods", "attempts", "events", "charges", "balance_transactions")


@pytest.fixture
async def pool(database_url: str) -> AsyncGenerator[Pool]:
    async with open_pool(database_url, role=None, name="test") as opened:
        yield opened


@pytest.fixture
def store(pool: Pool) -> PaymentStore:
    return PaymentStore(pool)


async def counts(connection: Connection) -> dict[str, int]:
    return {name: await connection.fetchval(f"SELECT count(*) FROM payments.{name}") for name in TABLES}


async def test_a_payment_is_recorded_whole(store: PaymentStore, connection: Connection) -> None:
    begin, _ = payment(key="k")
    assert await store.begin([begin.encoded(lease_seconds=15)]) == [Begun.WON]
    assert await counts(connection) == {
        "payment_intents": 1,
        "payment_methods": 1,
        "attempts": 1,
        "events": 1,
        "charges": 0,
        "balance_transactions": 0,
    }
    assert await connection.fetchval("SELECT count(*) FROM notifications.outbox WHERE type = 'payment_intent.created'") == 1


async def test_a_taken_key_writes_nothing(store: PaymentStore, connection: Connection) -> None:
    first, second, third = payment(key="k")[0], payment(key="k")[0], payment(key="other")[0]
    assert await store.begin([first.encoded(lease_seconds=15)]) == [Begun.WON]
    before = await counts(connection)
    assert await store.begin([second.encoded(lease_seconds=15)]) == [Begun.KEY_TAKEN]
    assert await counts(connection) == before
    assert await store.begin([second.encoded(lease_seconds=15), third.encoded(lease_seconds=15)]) == [Begun.KEY_TAKEN, Begun.WON]


async def test_one_of_two_with_the_same_key_in_one_batch_wins(store: PaymentStore, connection: Connection) -> None:
    results = await store.begin([payment(key="k")[0].encoded(lease_seconds=15), payment(key="k")[0].encoded(lease_seconds=15)])
    assert sorted(results) == [Begun.KEY_TAKEN, Begun.WON]
    assert (await counts(connection))["payment_intents"] == 1


async def test_two_batches_with_the_same_keys_wait_for_each_other_in_one_direction(
    store: PaymentStore, pool: Pool, connection: Connection
) -> None:
    """As copies do to which a client sends two requests at once, and again: in a ring, both would stand still for a second, and one of them would fail."""
    first, second = (payment(key=key)[0].encoded(lease_seconds=15) for key in "ab")
    async with pool.acquire() as other, other.transaction():
        await claim(other, "a")
        writing = asyncio.create_task(store.begin([second, first]))

        async def waits() -> bool:
            return bool(await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))

        await eventually(waits, "the batch waits for the key that another one has")
        await claim(other, "b")
    assert await writing == [Begun.KEY_TAKEN, Begun.KEY_TAKEN]


async def claim(connection: Connection, key: str) -> None:
    """Have a key, as another batch does."""
    made = payment(key=key)[0].claim
    assert made is not None
    assert await claims.insert(connection, made)


async def test_a_key_belongs_to_one_merchant(store: PaymentStore) -> None:
    assert await store.begin([payment(1, key="k")[0].encoded(lease_seconds=15), payment(2, key="k")[0].encoded(lease_seconds=15)]) == [
        Begun.WON,
        Begun.WON,
    ]


async def test_an_intent_that_is_with_the_acquirer_is_locked_and_frees_the_key(store: PaymentStore, connection: Connection) -> None:
    begin, work = payment()
    await store.begin([begin.encoded(lease_seconds=15)])
    change = replace(payment(key="k")[0], creates=(), attempt=None, events=(), changes=(replace(work.intent, version=2),))
    before = await counts(connection)
    other = payment(key="unrelated")[0]
    assert await store.begin([change.encoded(lease_seconds=15), other.encoded(lease_seconds=15)]) == [Begun.LOCKED, Begun.WON]
    assert (await counts(connection))["events"] == before["events"] + 1
    assert await connection.fetchval("SELECT count(*) FROM payments.idempotency_claims WHERE key = 'k'") == 0
    assert await connection.fetchval("SELECT count(*) FROM payments.idempotency_claims WHERE key = 'unrelated'") == 1


async def test_an_outcome_is_recorded_once(store: PaymentStore, pool: Pool, connection: Connection) -> None:
    begin, work = payment()
    await store.begin([begin.encoded(lease_seconds=15)])
    approved = await encode_settlement(settlement(work, APPROVED), Accounts(pool))
    declined = await encode_settlement(settlement(work, Declined(code="card_declined", message="No.")), Accounts(pool))
    assert await store.settle([approved]) == [True]
    before = await counts(connection)
    assert await store.settle([declined]) == [False]
    assert await store.settle([approved]) == [False]
    assert await counts(connection) == before
    assert await connection.fetchval("SELECT status FROM payments.payment_intents") == "succeeded"
    assert await find_faults(connection) == []


async def test_of_two_outcomes_at_once_one_is_recorded(store: PaymentStore, pool: Pool, connection: Connection) -> None:
    accounts = Accounts(pool)
    for _ in range(10):
        begin, work = payment()
        await store.begin([begin.encoded(lease_seconds=15)])
        both = [await encode_settlement(settlement(work, APPROVED), accounts) for _ in range(2)]
        results = await asyncio.gather(*(store.settle([each]) for each in both))
        assert sorted(results) == [[False], [True]]
    assert await find_faults(connection) == []


async def test_the_books_balance_whatever_runs_at_once(store: PaymentStore, pool: Pool, connection: Connection) -> None:
    begins = GroupCommit(store.begin, name="begin", batch_rows_max=16, writers_max=2)
    settles = GroupCommit(store.settle, name="settle", batch_rows_max=16, writers_max=3)
    accounts = Accounts(pool)

    async def pay(number: int) -> None:
        begin, work = payment(number % 3, amount=1000 + number, manual=number % 5 == 0)
        assert await begins.submit(begin.encoded(lease_seconds=15)) is Begun.WON
        outcome = Declined(code="card_declined", message="No.") if number % 7 == 0 else APPROVED
        assert await settles.submit(await encode_settlement(settlement(work, outcome), accounts))

    await asyncio.gather(*(pay(number) for number in range(300)))
    assert await find_faults(connection) == []
    assert await connection.fetchval("SELECT count(*) FROM payments.charges") == 300


async def test_a_bad_row_fails_alone(store: PaymentStore, connection: Connection) -> None:
    begins = GroupCommit(store.begin, name="begin")
    units = [payment(key=f"k{number}")[0] for number in range(20)]
    bad = replace(units[7], creates=[replace(each, amount=-1) for each in units[7].creates if isinstance(each, PaymentIntent)])
    units[7] = bad
    results = await asyncio.gather(*(begins.submit(unit.encoded(lease_seconds=15)) for unit in units), return_exceptions=True)
    assert [isinstance(result, Exception) for result in results] == [number == 7 for number in range(20)]
    assert (await counts(connection))["payment_intents"] == 19
    assert await connection.fetchval("SELECT count(*) FROM payments.idempotency_claims WHERE key = 'k7'") == 0
