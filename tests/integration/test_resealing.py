"""The envelope key is replaced beside live payments: what was sealed before opens after, and at last nothing is under the old key."""

import asyncio
import base64
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import asyncpg
import pytest

from payments.acquirers.sealed_card import CardSealer
from payments.domain.card import Card, Pan
from payments.domain.payment_method import PaymentMethod
from payments.domain.webhook_endpoint import WebhookEndpoint
from payments.notification_service.channels.webhook import secret_context
from payments.runtime.ids import new_id
from payments.runtime.seal import EnvelopeKeys, GivenKeyProvider, Sealer
from payments.storage import claims, webhook_endpoints
from payments.storage.claims import Claim
from payments.storage.database import Connection, connect
from payments.storage.resealing import DIGESTS, KeyUse, envelope_uses, reseal
from payments.wire.kinds import PAYMENT_METHOD, WEBHOOK_ENDPOINT
from tests.integration.test_maintenance import run
from tests.support.explained import Explained

NUMBER = "4242424242424242"
BEFORE = EnvelopeKeys.of(b"o" * 32)
AFTER = EnvelopeKeys(BEFORE.ring.with_key(b"n" * 32).using(2), BEFORE.fingerprint_key)
DROPPED = EnvelopeKeys(AFTER.ring.without(1), AFTER.fingerprint_key)


def sealer(keys: EnvelopeKeys) -> Sealer:
    return Sealer(GivenKeyProvider(keys))


@dataclass
class Kept:
    """What is sealed in the database."""

    methods: list[PaymentMethod]
    endpoints: list[WebhookEndpoint]
    claims: list[Claim]


async def card(connection: Connection, keys: EnvelopeKeys, merchant_id: int = 1) -> PaymentMethod:
    shown = Card(brand="visa", last4="4242", exp_month=12, exp_year=2034, fingerprint="f")
    method = PaymentMethod(id=new_id("pm"), merchant_id=merchant_id, livemode=False, created=1, card=shown)
    sealed = CardSealer(sealer(keys)).seal_number(merchant_id, False, method.id, Pan(NUMBER))
    await PAYMENT_METHOD.noun.insert(connection, method, sealed_number=sealed)
    return method


async def fill(connection: Connection, keys: EnvelopeKeys, *, cards: int = 25) -> Kept:
    made = Kept([await card(connection, keys, 1 + number % 3) for number in range(cards)], [], [])
    own = sealer(keys)
    for number in range(7):
        endpoint = WebhookEndpoint(
            id=new_id("we"),
            merchant_id=1 + number % 3,
            livemode=bool(number % 2),
            created=1,
            url="https://e.example",
            enabled_events=["*"],
        )
        await WEBHOOK_ENDPOINT.noun.insert(connection, endpoint, sealed_secret=own.seal(b"whsec_1", secret_context(endpoint)))
        if number % 2:
            for secret in (b"whsec_2", b"whsec_3"):
                sealed = own.seal(secret, secret_context(endpoint))
                await webhook_endpoints.rotate_secret(connection, endpoint, sealed, 3600, new_id("whs"))
        made.endpoints.append(endpoint)
    for number in range(9):
        claim = Claim(
            merchant_id=1 + number % 3,
            livemode=False,
            key=f"key {number}",
            request_id=new_id("req"),
            path="POST /v1/customers",
            fingerprint=own.digest(b"parameters"),
            created=int(datetime.now(UTC).timestamp()),
        )
        await claims.insert(connection, claim)
        if number % 3:  # the others are answered by an event
            context = f"response {claim.merchant_id} False {claim.request_id}".encode()
            await claims.finish(connection, claim, 200, own.seal(b"{}", context))
        made.claims.append(claim)
    return made


async def check_opens(connection: Connection, kept: Kept, keys: EnvelopeKeys) -> None:
    own = sealer(keys)
    for method in kept.methods:
        sealed = await connection.fetchval("SELECT sealed_number FROM payments.payment_methods WHERE id = $1", method.id)
        assert CardSealer(own).open_number(method, sealed).reveal() == NUMBER
    for endpoint in kept.endpoints:
        row = await connection.fetchrow(
            "SELECT sealed_secret, sealed_previous_secret FROM notifications.webhook_endpoints WHERE id = $1", endpoint.id
        )
        assert row is not None
        opened = [own.open(each, secret_context(endpoint)) for each in (row["sealed_secret"], row["sealed_previous_secret"]) if each]
        earlier = await connection.fetch(
            "SELECT sealed FROM notifications.earlier_secrets WHERE endpoint_id = $1 ORDER BY id DESC", endpoint.id
        )
        opened += [own.open(each["sealed"], secret_context(endpoint)) for each in earlier]
        secrets = [b"whsec_1", b"whsec_2", b"whsec_3", b"whsec_4"]
        assert set(opened) in (set(secrets[:1]), set(secrets[:3]), {secrets[0], secrets[3]}, set(secrets))
    for claim in kept.claims:
        found = await claims.find(connection, claim.merchant_id, claim.livemode, claim.key)
        assert found is not None
        if found.sealed_body is not None:
            assert own.open(found.sealed_body, f"response {claim.merchant_id} False {claim.request_id}".encode()) == b"{}"


async def under(connection: Connection, key_id: int) -> int:
    return sum(use.count for use in await envelope_uses(connection) if use.key_id == key_id and use.what != DIGESTS)


@pytest.mark.parametrize("batch_rows", [1, 7, 100])
async def test_everything_is_sealed_anew_and_opens_without_the_old_key(connection: Connection, batch_rows: int) -> None:
    kept = await fill(connection, BEFORE)
    await check_opens(connection, kept, AFTER)
    versions = await connection.fetch("SELECT id, version, document::text FROM payments.payment_methods ORDER BY id")
    done = await reseal(connection, sealer(AFTER), batch_rows=batch_rows)
    assert (done.done, done.unreadable, done.left) == (25 + 7 + 3 + 3 + 6, 0, 0)
    assert await under(connection, 1) == 0
    await check_opens(connection, kept, DROPPED)
    assert versions == await connection.fetch("SELECT id, version, document::text FROM payments.payment_methods ORDER BY id"), (
        "all else is as it was"
    )
    assert await envelope_uses(connection) == [
        KeyUse("card numbers", 2, 25),
        KeyUse("earlier webhook secrets", 2, 3),
        KeyUse("previous webhook secrets", 2, 3),
        KeyUse(DIGESTS, 1, 9),
        KeyUse("stored answers", 2, 6),
        KeyUse("webhook secrets", 2, 7),
    ]
    again = await reseal(connection, sealer(AFTER), batch_rows=batch_rows)
    assert (again.done, again.left) == (0, 0)


async def test_digests_of_yesterday_are_of_no_use_and_not_counted(connection: Connection) -> None:
    await fill(connection, BEFORE)
    await connection.execute("UPDATE payments.idempotency_claims SET created = created - 90000")
    assert DIGESTS not in {use.what for use in await envelope_uses(connection)}


class Killed(Sealer):
    """Ends the job's session in the middle of a batch, as a killed task's ends."""

    def __init__(self, keys: EnvelopeKeys, kill_after: int) -> None:
        super().__init__(GivenKeyProvider(keys))
        self.left = kill_after

    def seal(self, plaintext: bytes, context: bytes) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise ConnectionResetError
        return super().seal(plaintext, context)


@pytest.mark.parametrize("kill_after", [0, 3, 12, 27, 38])
async def test_a_job_that_is_killed_loses_nothing_and_the_next_goes_on(database_url: str, connection: Connection, kill_after: int) -> None:
    kept = await fill(connection, BEFORE)
    with pytest.raises(ConnectionResetError):
        async with connect(database_url) as own:
            await reseal(own, Killed(AFTER, kill_after), batch_rows=5)
    await check_opens(connection, kept, AFTER)
    done_before = await under(connection, 2)
    assert done_before <= kill_after
    resealed = await reseal(connection, sealer(AFTER), batch_rows=5)
    assert (resealed.done, resealed.left) == (44 - done_before, 0), "it goes on, and does nothing twice"
    await check_opens(connection, kept, DROPPED)


async def test_a_session_that_the_server_ends_loses_nothing(database_url: str, connection: Connection) -> None:
    kept = await fill(connection, BEFORE)
    async with connect(database_url) as own:
        pid = await own.fetchval("SELECT pg_backend_pid()")
        job = asyncio.create_task(reseal(own, sealer(AFTER), batch_rows=1))
        while await under(connection, 2) < 3:
            assert not job.done()
        await connection.execute("SELECT pg_terminate_backend($1)", pid)
        # The last: the driver was about to say something to the session when it learned of its end.
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError, asyncpg.InternalClientError)):
            await job
    await check_opens(connection, kept, AFTER)
    assert (await reseal(connection, sealer(AFTER))).left == 0
    await check_opens(connection, kept, DROPPED)


async def test_a_row_that_somebody_has_in_hand_is_neither_waited_for_nor_forgotten(database_url: str, connection: Connection) -> None:
    kept = await fill(connection, BEFORE)
    async with connect(database_url) as payment:
        async with payment.transaction():
            await payment.execute("UPDATE payments.payment_methods SET version = version + 1 WHERE id = $1", kept.methods[4].id)
            busy = await reseal(connection, sealer(AFTER), batch_rows=5)
            assert (busy.left, busy.unreadable) == (1, 0), "and it says so"
        assert (await reseal(connection, sealer(AFTER))).done == 1
    await check_opens(connection, kept, DROPPED)


async def test_payments_go_on_while_it_runs(database_url: str, connection: Connection) -> None:
    """New cards come in under the new key, webhook secrets are rotated, cards are written: nobody's change is lost."""
    kept = await fill(connection, BEFORE, cards=60)
    stop = asyncio.Event()

    async def write() -> None:
        async with connect(database_url) as own:
            number = 0
            while not stop.is_set():
                kept.methods.append(await card(own, AFTER))
                await own.execute("UPDATE payments.payment_methods SET version = version + 1 WHERE id = $1", kept.methods[number % 60].id)
                endpoint = kept.endpoints[number % len(kept.endpoints)]
                async with own.transaction():
                    await webhook_endpoints.secrets_in_use(own, endpoint)
                    sealed = sealer(AFTER).seal(b"whsec_4", secret_context(endpoint))
                    await webhook_endpoints.rotate_secret(own, endpoint, sealed, 3600, new_id("whs"))
                number += 1
                await asyncio.sleep(0)

    writing = [asyncio.create_task(write()) for _ in range(3)]
    async with connect(database_url) as own:
        while (await reseal(own, sealer(AFTER), batch_rows=3)).left:
            pass
    stop.set()
    await asyncio.gather(*writing)
    assert await under(connection, 1) == 0
    for endpoint in kept.endpoints:
        row = await connection.fetchrow("SELECT sealed_secret FROM notifications.webhook_endpoints WHERE id = $1", endpoint.id)
        assert row is not None
        assert sealer(DROPPED).open(row["sealed_secret"], secret_context(endpoint)) in (b"whsec_1", b"whsec_3", b"whsec_4")
    await check_opens(connection, replace(kept, endpoints=[]), DROPPED)


@pytest.mark.parametrize(
    "damaged", ["", "!!!!", "AQ==", base64.b64encode(b"\x01" + b"x" * 40).decode(), base64.b64encode(b"\x09" * 50).decode()]
)
async def test_what_no_key_opens_stays_and_stops_nothing(connection: Connection, damaged: str) -> None:
    kept = await fill(connection, BEFORE)
    victim = kept.methods.pop(7)
    await connection.execute("UPDATE payments.payment_methods SET sealed_number = $1 WHERE id = $2", damaged, victim.id)
    done = await reseal(connection, sealer(AFTER), batch_rows=4)
    assert (done.done, done.unreadable, done.left) == (43, 1, 1)
    assert await connection.fetchval("SELECT sealed_number FROM payments.payment_methods WHERE id = $1", victim.id) == damaged
    await check_opens(connection, kept, DROPPED)


class ExplainedTransactions(Explained):
    """The job's connection, whose statements are looked into."""

    def transaction(self) -> AbstractAsyncContextManager[None]:
        return self._connection.transaction()


async def test_a_table_is_read_once_however_many_batches_that_takes(connection: Connection) -> None:
    rows = 1500
    async with connection.transaction():
        for _ in range(rows):
            await card(connection, BEFORE)
    await connection.execute("ANALYZE payments.payment_methods")
    explained = ExplainedTransactions(connection)
    assert (await reseal(explained, sealer(AFTER), batch_rows=50)).left == 0
    assert explained.rows_read < 5 * rows, "once to seal, and once for each count; not once for each batch"


async def test_the_task_seals_anew_and_another_says_what_is_under_each_key(database_url: str, connection: Connection) -> None:
    kept = await fill(connection, BEFORE)
    status, (line,), errors = run(database_url, "reseal", TAP_ENVELOPE_KEY=AFTER.text())
    assert (status, errors, line["event"]) == (0, "", "resealed")
    assert (line["done"], line["unreadable"], line["left"]) == (44, 0, 0)
    await check_opens(connection, kept, DROPPED)
    status, (*uses, last), errors = run(database_url, "key-uses")
    assert (status, errors, last["event"], last["count"]) == (0, "", "key uses", 6)
    assert ("key use", "card numbers", 2, 25) in [(use["event"], use["what"], use["key_id"], use["count"]) for use in uses]


def test_nothing_is_sealed_anew_without_a_key(database_url: str) -> None:
    status, (line,), _ = run(database_url, "reseal")
    assert (status, line["message"]) == (1, "TAP_ENVELOPE_KEY is not set")
    status, (line,), _ = run(database_url, "reseal", TAP_ENVELOPE_KEY="2:" + "ab" * 32)
    assert (status, line["message"]) == (1, "TAP_ENVELOPE_KEY has no fingerprint:KEY behind its keys")
