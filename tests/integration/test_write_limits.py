"""What the copies tell each other is added up in the database."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from payments.domain.principal import KeyKind
from payments.storage.database import Connection, Pool, open_pool
from payments.storage.keys import UnknownKeyError, create_key, create_merchant, find_principal, key_hash, limit_key, list_keys
from payments.storage.write_limits import Told, WriteLimitStore
from tests.integration.test_api_keys import PEPPER

ROLES = ["tap_payment_api", "tap_transaction_processor", "tap_notification_service"]


@pytest.fixture(params=ROLES)
async def pool(request: pytest.FixtureRequest, database_url: str) -> AsyncGenerator[Pool]:
    """As each of the services."""
    async with open_pool(database_url, role=request.param, name="test") as pool:
        yield pool


async def test_what_is_written_is_taken_off_and_comes_back_with_time(pool: Pool, connection: Connection) -> None:
    store = WriteLimitStore(pool)
    level = (await store.tell([Told("key_1", 100, 50, written=30, wanted=40)]))["key_1"]
    assert (level.saved, level.wanted) == (20, 40)
    level = (await store.tell([Told("key_1", 0.001, 50, written=60, wanted=60)]))["key_1"]
    assert level.saved == pytest.approx(-40, abs=1)
    assert level.wanted == 100
    await connection.execute("UPDATE payments.write_limits SET told_at = told_at - interval '10 seconds'")
    assert (await store.tell([Told("key_1", 5, 50, 0, 0)]))["key_1"].saved == pytest.approx(10, abs=2)
    await connection.execute("UPDATE payments.write_limits SET told_at = told_at - interval '1 hour'")
    assert (await store.tell([Told("key_1", 5, 50, 0, 0)]))["key_1"].saved == 50
    # The server's clock was set back: nobody waits until it is where it was.
    await connection.execute("UPDATE payments.write_limits SET told_at = told_at + interval '1 hour'")
    assert (await store.tell([Told("key_1", 5, 50, 10, 10)]))["key_1"].saved == 40


async def test_many_tell_at_once_and_nothing_is_forgotten(database_url: str) -> None:
    async with open_pool(database_url, role="tap_payment_api", name="test") as pool:
        store = WriteLimitStore(pool)
        keys = [f"key_{number}" for number in range(20)]

        async def copy(number: int) -> None:
            told = [Told(key, 0.001, 1000, written=1, wanted=2) for key in (keys if number % 2 else reversed(keys))]
            for _ in range(10):
                await store.tell(told)

        await asyncio.gather(*(copy(number) for number in range(8)))
        levels = await store.tell([Told(key, 0.001, 1000, 0, 0) for key in keys])
        assert {round(level.saved) for level in levels.values()} == {1000 - 80}
        assert {level.wanted for level in levels.values()} == {160}


async def test_how_fast_a_key_may_write_is_set_for_it_alone(connection: Connection) -> None:
    merchant_id = await create_merchant(connection, "Test")
    slow, other = [await create_key(connection, merchant_id, livemode=False, kind=KeyKind.SECRET, pepper=PEPPER) for _ in range(2)]
    await limit_key(connection, slow.id, 7)
    assert {key.id: key.writes_per_second for key in await list_keys(connection)} == {slow.id: 7, other.id: None}
    principal = await find_principal(connection, key_hash(slow.plaintext, PEPPER))
    assert principal is not None
    assert (principal.key_id, principal.writes_per_second) == (slow.id, 7)
    await limit_key(connection, slow.id, None)
    assert {key.writes_per_second for key in await list_keys(connection)} == {None}
    with pytest.raises(UnknownKeyError):
        await limit_key(connection, "key_unknown", 7)
