"""API keys: found by their keyed hash, refused when revoked, never stored."""

import asyncio
import base64
import gc
import tracemalloc
from typing import Any

import pytest

from payments.domain.api_version import NEWEST
from payments.domain.errors import AuthenticationFailed, Overloaded
from payments.domain.principal import KeyKind, Principal
from payments.runtime.keyring import KeyRing
from payments.storage.database import Connection, Pool, open_pool
from payments.storage.keys import UnknownKeyError, create_key, create_merchant, list_keys, revoke_key
from payments.wire.auth import REMEMBERED_SECONDS, Authenticator
from tests.integration.builders import FakeClock
from tests.support.in_process import in_process

PEPPER = KeyRing.of(b"p" * 32)


async def test_a_key_opens_its_merchant_and_mode_until_it_is_revoked(database_url: str, connection: Connection) -> None:
    merchant_id = await create_merchant(connection, "Test")
    key = await create_key(connection, merchant_id, livemode=True, kind=KeyKind.SECRET, pepper=PEPPER)
    assert key.plaintext.startswith("sk_live_")
    assert key.plaintext not in repr(key)
    clock = FakeClock()
    async with open_pool(database_url, role="tap_payment_api", name="test") as pool:
        authenticator = Authenticator(pool, PEPPER, clock)
        basic = base64.b64encode(f"{key.plaintext}:".encode()).decode()
        for header in (f"Bearer {key.plaintext}", f"bearer  {key.plaintext} ", f"Basic {basic}", f"basic  {basic} "):
            principal = await authenticator.authenticate(header)
            assert (principal.merchant_id, principal.livemode, principal.kind) == (merchant_id, True, KeyKind.SECRET)
        for header in (None, "", "Bearer", "Bearer sk_live_guess", f"Digest {key.plaintext}", "Basic !!!", f"Bearer {key.plaintext}x"):
            with pytest.raises(AuthenticationFailed):
                await authenticator.authenticate(header)
        with pytest.raises(AuthenticationFailed):
            await Authenticator(pool, KeyRing.of(b"x" * 32), clock).authenticate(f"Bearer {key.plaintext}")
        revoked_at = await revoke_key(connection, key.id)
        clock.time += REMEMBERED_SECONDS
        with pytest.raises(AuthenticationFailed):
            await authenticator.authenticate(f"Bearer {key.plaintext}")
    (record,) = await list_keys(connection)
    assert record.revoked_at == revoked_at == await revoke_key(connection, key.id)
    with pytest.raises(UnknownKeyError, match="There is no key key_unknown"):
        await revoke_key(connection, "key_unknown")


async def test_the_key_itself_is_nowhere_in_the_database(connection: Connection) -> None:
    merchant_id = await create_merchant(connection, "Test")
    key = await create_key(connection, merchant_id, livemode=False, kind=KeyKind.PUBLISHABLE, pepper=PEPPER)
    stored = str(await connection.fetch("SELECT k::text FROM payments.api_keys k"))
    assert key.plaintext[:-4] not in stored
    assert key.plaintext.removeprefix("pk_test_").encode().hex() not in stored


async def test_wrong_keys_cost_no_memory_and_few_look_ups(database_url: str, connection: Connection) -> None:
    key = await create_key(connection, await create_merchant(connection, "Test"), livemode=False, kind=KeyKind.SECRET, pepper=PEPPER)
    async with open_pool(database_url, role="tap_payment_api", name="test") as pool:
        counted = CountedPool(pool)
        authenticator = Authenticator(counted, PEPPER, FakeClock())  # pyright: ignore[reportArgumentType]
        await authenticator.authenticate(f"Bearer {key.plaintext}")
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            for number in range(200):
                with pytest.raises(AuthenticationFailed) as refused:
                    await authenticator.authenticate(f"Bearer sk_test_{number}{'x' * 30_000}")
                assert len(refused.value.message) < 100
            for number in range(2_000):
                with pytest.raises(AuthenticationFailed):
                    await authenticator.authenticate(f"Bearer sk_test_{number}")
            gc.collect()
            assert tracemalloc.get_traced_memory()[0] - before < 1_000_000
        finally:
            tracemalloc.stop()
        looked_up = counted.lookups
        assert looked_up <= 2_001, "a key that is too long isn't looked up"
        for _ in range(10):
            with pytest.raises(AuthenticationFailed):
                await authenticator.authenticate("Bearer sk_test_1999")
            await authenticator.authenticate(f"Bearer {key.plaintext}")
        assert counted.lookups == looked_up, "neither a wrong key nor the one in use is looked up again within a second"


async def test_who_tries_keys_out_is_told_to_wait_and_others_go_on(database_url: str, connection: Connection) -> None:
    key = await create_key(connection, await create_merchant(connection, "Test"), livemode=False, kind=KeyKind.SECRET, pepper=PEPPER)
    async with open_pool(database_url, role="tap_payment_api", name="test") as pool:
        counted = CountedPool(pool)
        authenticator = Authenticator(counted, PEPPER, FakeClock())  # pyright: ignore[reportArgumentType]
        await authenticator.authenticate(f"Bearer {key.plaintext}")
        tried = await asyncio.gather(
            *(authenticator.authenticate(f"Bearer sk_test_{number}") for number in range(1_000)),
            authenticator.authenticate(f"Bearer {key.plaintext}"),
            return_exceptions=True,
        )
        assert isinstance(tried[-1], Principal)
        assert {type(each) for each in tried[:-1]} == {AuthenticationFailed, Overloaded}
        assert counted.at_once_max <= 4


class CountedPool:
    """Counts the look-ups that go to the database."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.lookups = self.at_once = self.at_once_max = 0

    async def fetchrow(self, query: str, *args: object) -> object:
        self.lookups += 1
        self.at_once += 1
        self.at_once_max = max(self.at_once, self.at_once_max)
        try:
            return await self._pool.fetchrow(query, *args)
        finally:
            self.at_once -= 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)


async def test_a_customers_key_is_over_after_its_time(database_url: str, connection: Connection) -> None:
    async with in_process(database_url) as tap:
        customer = (await tap.post("customers")).id
        made = (await tap.post("ephemeral_keys", customer=customer)).body
        assert made["secret"] not in str(await connection.fetch("SELECT k::text FROM payments.ephemeral_keys k"))
        authenticator = Authenticator(tap.pool, PEPPER, tap.clock)
        for seconds_left, known in ((60, True), (-1, False)):
            await connection.execute("UPDATE payments.ephemeral_keys SET expires = extract(epoch FROM now())::bigint + $1", seconds_left)
            tap.clock.time += REMEMBERED_SECONDS
            if known:
                principal = await authenticator.authenticate(f"Bearer {made['secret']}")
                assert (principal.kind, principal.customer, principal.api_version) == (KeyKind.EPHEMERAL, customer, NEWEST)
            else:
                with pytest.raises(AuthenticationFailed):
                    await authenticator.authenticate(f"Bearer {made['secret']}")
        await connection.execute("UPDATE payments.ephemeral_keys SET expires = 0")
        another = (await tap.post("ephemeral_keys", customer=customer)).id
        assert [row["id"] for row in await connection.fetch("SELECT id FROM payments.ephemeral_keys")] == [another], (
            "the other is forgotten"
        )
