"""API keys: found by their keyed hash, refused when revoked, never stored."""

import base64

import pytest

from payments.domain.errors import AuthenticationFailed
from payments.domain.principal import KeyKind
from payments.storage.database import Connection, open_pool
from payments.storage.keys import UnknownKeyError, create_key, create_merchant, list_keys, revoke_key
from payments.wire.auth import REMEMBERED_SECONDS, Authenticator
from tests.integration.builders import FakeClock

PEPPER = b"p" * 32


async def test_a_key_opens_its_merchant_and_mode_until_it_is_revoked(database_url: str, connection: Connection) -> None:
    merchant_id = await create_merchant(connection, "Test")
    key = await create_key(connection, merchant_id, livemode=True, kind=KeyKind.SECRET, pepper=PEPPER)
    assert key.plaintext.startswith("sk_live_")
    assert key.plaintext not in repr(key)
    clock = FakeClock()
    async with open_pool(database_url, role="tap_payment_api", name="test") as pool:
        authenticator = Authenticator(pool, PEPPER, clock)
        basic = base64.b64encode(f"{key.plaintext}:".encode()).decode()
        for header in (f"Bearer {key.plaintext}", f"bearer  {key.plaintext} ", f"Basic {basic}"):
            principal = await authenticator.authenticate(header)
            assert (principal.merchant_id, principal.livemode, principal.kind) == (merchant_id, True, KeyKind.SECRET)
        for header in (None, "", "Bearer", "Bearer sk_live_guess", f"Digest {key.plaintext}", "Basic !!!", f"Bearer {key.plaintext}x"):
            with pytest.raises(AuthenticationFailed):
                await authenticator.authenticate(header)
        with pytest.raises(AuthenticationFailed):
            await Authenticator(pool, b"x" * 32, clock).authenticate(f"Bearer {key.plaintext}")
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
