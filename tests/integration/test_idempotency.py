"""A repeated request gets the first one's answer, and does nothing again."""

import asyncio
import dataclasses
import hashlib
from collections.abc import AsyncGenerator

import msgspec
import pytest

from payments.domain.api_version import NEWEST
from payments.domain.errors import IdempotencyMismatch
from payments.domain.principal import KeyKind, Principal
from payments.runtime.ids import new_id
from payments.runtime.seal import EnvelopeKeys, GivenKeyProvider, Sealer
from payments.storage.claims import KEPT_SECONDS, purge_expired
from payments.storage.database import Connection, Pool, open_pool
from payments.wire.api import Call, Reply
from payments.wire.idempotency import Idempotency
from tests.integration.builders import FakeClock, Key


@pytest.fixture
async def pool(database_url: str) -> AsyncGenerator[Pool]:
    async with open_pool(database_url, role="tap_payment_api", name="test") as opened:
        yield opened


@pytest.fixture
def idempotency(pool: Pool) -> Idempotency:
    return Idempotency(pool, Sealer(Key()), FakeClock())


def call(key: str | None = "k", *, merchant_id: int = 1, livemode: bool = False, endpoint: str = "POST /v1/x", **params: object) -> Call:
    return Call(
        principal=Principal(
            merchant_id=merchant_id, livemode=livemode, kind=KeyKind.SECRET, account_id="acct_1", key_id="key_1", api_version=NEWEST
        ),
        path={},
        params=dict(params),
        expand=(),
        request_id=new_id("req"),
        idempotency_key=key,
        endpoint=endpoint,
        api_version="2026-10-28.endive",
        received_at=int(FakeClock().now()),
        digest=Sealer(Key()).digest,
    )


class Mutation:
    """Counts how often it ran."""

    def __init__(self) -> None:
        self.runs = 0

    async def __call__(self, connection: Connection) -> Reply:
        self.runs += 1
        await connection.fetchval("SELECT pg_sleep(0.02)")
        return Reply(200, f'{{"run": {self.runs}, "secret": "whsec_x"}}'.encode())


@pytest.mark.parametrize(("stored", "answered"), [("2024-06-20", "2024-06-20"), (None, NEWEST)])
async def test_a_repetition_is_answered_in_the_first_ones_version(
    idempotency: Idempotency, connection: Connection, stored: str | None, answered: str
) -> None:
    """A claim without one was made by code that knew the newest only."""
    first = call()
    first.api_version = "2024-06-20"
    assert (await idempotency.once(first, Mutation())).api_version is None, "the caller's own"
    await connection.execute("UPDATE payments.idempotency_claims SET api_version = $1", stored)
    assert (await idempotency.once(call(), Mutation())).api_version == answered


async def test_a_repetition_is_answered_byte_for_byte(idempotency: Idempotency) -> None:
    mutation = Mutation()
    first = await idempotency.once(call(a="1", b="2"), mutation)
    again = await idempotency.once(call(b="2", a="1"), mutation)
    assert (again.status, again.body, again.replayed) == (first.status, first.body, True)
    assert not first.replayed
    assert mutation.runs == 1


@pytest.mark.parametrize("other", [call(a="2"), call(a="1", b="1"), call(a="1", endpoint="POST /v1/y")])
async def test_another_request_under_the_same_key_is_refused(idempotency: Idempotency, other: Call) -> None:
    await idempotency.once(call(a="1"), Mutation())
    with pytest.raises(IdempotencyMismatch, match="Try using a key other than 'k'"):
        await idempotency.once(other, Mutation())


async def test_of_many_at_once_one_runs(idempotency: Idempotency) -> None:
    mutation = Mutation()
    replies = await asyncio.gather(*(idempotency.once(call(), mutation) for _ in range(8)))
    assert mutation.runs == 1
    assert sorted(reply.replayed for reply in replies) == [False] + [True] * 7
    assert len({reply.body for reply in replies}) == 1


async def test_a_refused_mutation_frees_its_key(idempotency: Idempotency) -> None:
    async def refuse(_: Connection) -> Reply:
        raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        await idempotency.once(call(), refuse)
    assert (await idempotency.once(call(), Mutation())).replayed is False


async def test_keys_belong_to_a_merchant_and_a_mode(idempotency: Idempotency) -> None:
    mutation = Mutation()
    for each in (call(), call(merchant_id=2), call(livemode=True)):
        assert not (await idempotency.once(each, mutation)).replayed
    assert mutation.runs == 3


async def test_without_a_key_everything_runs(idempotency: Idempotency) -> None:
    mutation = Mutation()
    for _ in range(2):
        await idempotency.once(call(None), mutation)
    assert mutation.runs == 2


async def test_a_key_is_forgotten_after_a_day(idempotency: Idempotency, connection: Connection) -> None:
    mutation = Mutation()
    await idempotency.once(call(), mutation)
    await connection.execute("UPDATE payments.idempotency_claims SET created = created - $1", KEPT_SECONDS + 1)
    assert not (await idempotency.once(call(a="other"), mutation)).replayed
    assert mutation.runs == 2


async def test_a_stored_response_is_sealed(idempotency: Idempotency, connection: Connection) -> None:
    await idempotency.once(call(), Mutation())
    stored = await connection.fetchval("SELECT sealed_body FROM payments.idempotency_claims")
    assert b"whsec" not in stored


def rotated(pool: Pool, keys: EnvelopeKeys, *, a: str) -> tuple[Idempotency, Call]:
    """A process that knows these keys, and a call to it."""
    sealer = Sealer(GivenKeyProvider(keys))
    return Idempotency(pool, sealer, FakeClock()), dataclasses.replace(call(a=a), digest=sealer.digest)


async def test_a_repetition_is_one_across_a_replaced_envelope_key(pool: Pool, idempotency: Idempotency) -> None:
    before = EnvelopeKeys.of(b"k" * 32)
    after = EnvelopeKeys(before.ring.with_key(b"n" * 32).using(2), before.fingerprint_key)
    mutation = Mutation()
    first = await idempotency.once(call(a="1"), mutation)
    later, again = rotated(pool, after, a="1")
    assert (await later.once(again, mutation)).body == first.body
    with pytest.raises(IdempotencyMismatch):
        await later.once(rotated(pool, after, a="2")[1], mutation)
    assert mutation.runs == 1


async def test_a_repetition_that_can_not_be_compared_any_more_is_not_carried_out(pool: Pool, connection: Connection) -> None:
    before = EnvelopeKeys.of(b"k" * 32)
    both = EnvelopeKeys(before.ring.with_key(b"n" * 32).using(2), before.fingerprint_key)
    dropped = EnvelopeKeys(both.ring.without(1), both.fingerprint_key)
    mutation = Mutation()
    now, asked = rotated(pool, both, a="1")
    first = await now.once(asked, mutation)
    await connection.execute("UPDATE payments.idempotency_claims SET fingerprint = 'h1:' || substring(fingerprint FROM 4)")
    later, again = rotated(pool, dropped, a="1")
    assert (await later.once(again, mutation)).body == first.body
    assert mutation.runs == 1


async def test_no_digest_is_kept_that_could_be_searched_for(idempotency: Idempotency, connection: Connection) -> None:
    """A card number and its security code are guessed in minutes where a bare digest over them is known."""
    asked = call(card={"number": "4242424242424242", "cvc": "123"})
    await idempotency.once(asked, Mutation())
    kept: str = await connection.fetchval("SELECT fingerprint FROM payments.idempotency_claims")
    assert (
        kept
        == asked.fingerprint
        == Sealer(Key()).digest(asked.endpoint.encode() + b"\n" + msgspec.json.encode(asked.params, order="sorted"))
    )
    assert kept != Sealer(Key(b"o" * 32)).digest(asked.endpoint.encode() + b"\n" + msgspec.json.encode(asked.params, order="sorted"))
    for algorithm in sorted(hashlib.algorithms_guaranteed - {"shake_128", "shake_256"}):
        assert (
            hashlib.new(algorithm, asked.endpoint.encode() + b"\n" + msgspec.json.encode(asked.params, order="sorted")).hexdigest()
            not in kept
        )


@pytest.mark.parametrize("left", ["", "0" * 64])
async def test_a_claim_of_the_previous_version_is_answered_and_not_made_again(
    idempotency: Idempotency, connection: Connection, left: str
) -> None:
    mutation = Mutation()
    first = await idempotency.once(call(a="1"), mutation)
    await connection.execute("UPDATE payments.idempotency_claims SET fingerprint = $1", left)
    assert (await idempotency.once(call(a="1"), mutation)).body == first.body
    await purge_expired(connection, FakeClock().now())
    assert await connection.fetchval("SELECT fingerprint FROM payments.idempotency_claims") == ""
    assert mutation.runs == 1


async def test_a_key_is_bound_to_its_endpoint(idempotency: Idempotency) -> None:
    await idempotency.once(call(), Mutation())
    with pytest.raises(IdempotencyMismatch, match=r"for the same endpoint they were first used for \('/v1/y' vs '/v1/x'\)\. Try"):
        await idempotency.once(call(endpoint="POST /v1/y"), Mutation())
