"""The pepper is replaced: keys of merchants work on with the one that they were stored with, and those that are at hand are stored anew."""

import asyncio

import pytest

from payments.domain.errors import AuthenticationFailed
from payments.domain.principal import KeyKind
from payments.runtime.keyring import KeyRing
from payments.storage.database import Connection, connect, open_pool
from payments.storage.keys import (
    create_key,
    create_merchant,
    find_principal,
    hash_anew,
    key_hash,
    pepper_uses,
    provide_test_key,
    revoke_key,
)
from payments.wire.auth import Authenticator
from tests.integration.builders import FakeClock

BEFORE = KeyRing.of(b"o" * 32)
AFTER = BEFORE.with_key(b"n" * 32).using(2)
DROPPED = AFTER.without(1)


async def a_key(connection: Connection, pepper: KeyRing) -> str:
    merchant_id = await create_merchant(connection, "Test")
    return (await create_key(connection, merchant_id, livemode=True, kind=KeyKind.SECRET, pepper=pepper)).plaintext


async def test_keys_of_both_peppers_are_known_until_one_is_dropped(database_url: str, connection: Connection) -> None:
    old, new = await a_key(connection, BEFORE), await a_key(connection, AFTER)
    assert await pepper_uses(connection) == {1: 1, 2: 1}
    async with open_pool(database_url, role="tap_payment_api", name="test") as pool:
        both = Authenticator(pool, AFTER, FakeClock())
        for key in (old, new, old):
            assert (await both.authenticate(f"Bearer {key}")).livemode
        with pytest.raises(AuthenticationFailed):
            await both.authenticate(f"Bearer {old}x")
        only_new = Authenticator(pool, DROPPED, FakeClock())
        await only_new.authenticate(f"Bearer {new}")
        with pytest.raises(AuthenticationFailed):
            await only_new.authenticate(f"Bearer {old}")


async def test_a_key_at_hand_is_stored_anew_and_works_all_the_while(connection: Connection) -> None:
    key = await a_key(connection, BEFORE)
    assert await hash_anew(connection, key, AFTER)
    assert await find_principal(connection, key_hash(key, DROPPED)) is not None
    assert await pepper_uses(connection) == {2: 1}
    assert await hash_anew(connection, key, AFTER), "again it changes nothing"
    assert not await hash_anew(connection, f"{key}x", AFTER)


async def test_a_revoked_key_needs_no_pepper_and_stays_revoked(connection: Connection) -> None:
    sandbox = "sk_test_" + "ab" * 32
    assert await provide_test_key(connection, sandbox, merchant_name="Sandbox", pepper=BEFORE)
    key_id = await connection.fetchval("SELECT id FROM payments.api_keys")
    await revoke_key(connection, key_id)
    assert await pepper_uses(connection) == {}
    assert not await provide_test_key(connection, sandbox, merchant_name="Sandbox", pepper=AFTER)
    assert not await provide_test_key(connection, sandbox, merchant_name="Sandbox", pepper=DROPPED), "it is remembered under the new one"
    assert await find_principal(connection, key_hash(sandbox, DROPPED)) is None


async def test_a_key_that_is_provided_by_several_at_once_is_stored_anew_once(database_url: str, connection: Connection) -> None:
    sandbox = "sk_test_" + "cd" * 32
    await provide_test_key(connection, sandbox, merchant_name="Sandbox", pepper=BEFORE)

    async def provide() -> bool:
        async with connect(database_url) as own:
            return await provide_test_key(own, sandbox, merchant_name="Sandbox", pepper=AFTER)

    assert await asyncio.gather(*(provide() for _ in range(6))) == [False] * 6
    assert await connection.fetchval("SELECT count(*) FROM payments.api_keys") == 1
    assert await find_principal(connection, key_hash(sandbox, DROPPED)) is not None
