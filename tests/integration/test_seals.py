"""The ledger proves itself: whatever somebody with the database changes of its history is found, and named."""

import asyncio
import io
from collections.abc import AsyncGenerator

import asyncpg
import pytest

from payments.ledger.seals import BEGINNING, Place, Seal
from payments.runtime.keyring import KeyRing
from payments.runtime.logging import Logger
from payments.runtime.seal import EnvelopeKeys, GivenKeyProvider, Sealer
from payments.storage.database import Connection, Pool, connect, open_pool
from payments.storage.seals import _SQL, NotOursError, NumbersWentBackError, newest_seals, prove_all, seal_next, seal_of
from payments.transaction_processor.sealing import LedgerSealer
from tests.integration.builders import Key

ROLE = "tap_transaction_processor"
SEALER = Sealer(Key())
PER_SEAL = 3


def ring(*key_ids: int) -> Sealer:
    """The first key is the one in use."""
    return Sealer(GivenKeyProvider(EnvelopeKeys(KeyRing({key_id: bytes([key_id]) * 32 for key_id in key_ids}), b"f" * 32)))


async def post(connection: Connection, *numbers: int, columns: str = "", values: str = "") -> None:
    """A capture for each number, as a commit inserts them."""
    await connection.execute(
        "INSERT INTO ledger.accounts (holder, livemode, kind, currency, normal_side) VALUES ('acquirer:simulator', false, 'receivable', 'usd', 'debit'),"
        " ('merchant:1', false, 'pending', 'usd', 'credit') ON CONFLICT DO NOTHING"
    )
    await connection.execute(
        f"INSERT INTO ledger.transfers (posting, kind, phase, debit_account, credit_account, amount, currency, occurred_at{columns})"
        " SELECT format('txn_%s', lpad(n::text, 4, '0')), 'capture', 'posted', d.id, c.id, n + 1, 'usd', extract(epoch FROM now())::bigint"
        f"{values} FROM unnest($1::int[]) n, ledger.accounts d, ledger.accounts c WHERE d.kind = 'receivable' AND c.kind = 'pending'",
        list(numbers),
    )


async def seal_all(connection: Connection, sealer: Sealer = SEALER) -> None:
    while await seal_next(connection, sealer, transfers_max=PER_SEAL):
        pass


async def faults(connection: Connection, sealer: Sealer | None = SEALER) -> list[str]:
    return [fault async for proven in prove_all(connection, sealer, seals_at_once=2) for fault in proven.faults]


async def head(connection: Connection) -> Seal:
    rows = await newest_seals(connection, 1)
    return seal_of(rows[0]) if rows else BEGINNING


@pytest.fixture
async def pool(database_url: str) -> AsyncGenerator[Pool]:
    async with open_pool(database_url, role=ROLE, name="test") as opened:
        yield opened


@pytest.fixture
async def history(connection: Connection, pool: Pool) -> Connection:
    """Eleven transfers, five of them from before there were seals, under the seals of 3, 2, 3 and 3; and one that isn't sealed yet."""
    await post(connection, *range(1, 6), columns=", recorded_in", values=", 0")
    for number in range(6, 12):
        await post(connection, number)
    async with pool.acquire() as service:
        await seal_all(service)
    await post(connection, 12)
    return connection


def put_in(posting: str, recorded_in: str) -> str:
    """Insert a transfer like another one."""
    return (
        f"INSERT INTO ledger.transfers SELECT '{posting}', kind, phase, debit_account, credit_account, 5, currency, occurred_at, {recorded_in}"
        " FROM ledger.transfers WHERE posting = 'txn_0007'"
    )


SWAP = (
    "UPDATE ledger.transfers t SET recorded_in = o.recorded_in FROM ledger.transfers o"
    " WHERE (t.posting, o.posting) IN (('txn_0007', 'txn_0010'), ('txn_0010', 'txn_0007'))"
)
TAMPERINGS = {
    "an amount": ("UPDATE ledger.transfers SET amount = 999 WHERE posting = 'txn_0007'", "seal 3: txn_0007 capture isn't what was sealed"),
    "an amount of before": (
        "UPDATE ledger.transfers SET amount = 999 WHERE posting = 'txn_0002'",
        "seal 1: txn_0002 capture isn't what was sealed",
    ),
    "whose it was": (
        "UPDATE ledger.transfers SET debit_account = credit_account, credit_account = debit_account WHERE posting = 'txn_0010'",
        "seal 4: txn_0010 capture isn't what was sealed",
    ),
    "an account's holder": (
        "UPDATE ledger.accounts SET holder = 'merchant:2' WHERE kind = 'pending'",
        "seal 1: txn_0001 capture isn't what was sealed",
    ),
    "a row is removed": (
        "DELETE FROM ledger.transfers WHERE posting = 'txn_0007'",
        "seal 3: a transfer is gone behind txn_0006 capture and before txn_0008 capture",
    ),
    "the last row of a seal": (
        "DELETE FROM ledger.transfers WHERE posting = 'txn_0008'",
        "seal 3: a transfer is gone at the end, txn_0008 capture among them",
    ),
    "a whole seal's rows": (
        "DELETE FROM ledger.transfers WHERE posting IN ('txn_0004', 'txn_0005')",
        "seal 2: 2 transfers are gone at the end, txn_0005 capture among them",
    ),
    "a row is inserted": (
        put_in("txn_0007x", "recorded_in"),
        "seal 3: txn_0007x capture was put in",
    ),
    "a row is inserted before there were seals": (
        put_in("txn_9999", "0"),
        "seal 3: txn_9999 capture was put in",
    ),
    "a row with a number below all": (
        put_in("txn_0000", "-7"),
        "seal 1: txn_0000 capture was put in",
    ),
    "two are swapped": (
        SWAP,
        "seal 3: txn_0010 capture isn't what was sealed",
    ),
    "a seal is removed": ("DELETE FROM ledger.seals WHERE number = 2", "seal 2 is missing"),
    "a seal says another number": (
        "UPDATE ledger.seals SET total = 9 WHERE number = 3",
        "seal 3 says that the chain is over 9 transfers: it is 8",
    ),
    "two seals are swapped": (
        "UPDATE ledger.seals SET head = (SELECT head FROM ledger.seals o WHERE o.number = 7 - ledger.seals.number) WHERE number IN (3, 4)",
        "seal 3 doesn't follow from seal 2: one of them was made anew, or a transfer in it was",
    ),
    "a signature": ("UPDATE ledger.seals SET signature = '' WHERE number = 2", "seal 2 isn't signed under a key that is known here"),
}


async def test_what_is_changed_of_history_is_found_and_named(history: Connection) -> None:
    assert await faults(history) == []
    assert (await head(history)).total == 11
    await history.execute("SET session_replication_role = replica")
    for what, (statement, expected) in TAMPERINGS.items():
        await history.execute("BEGIN")
        assert not (await history.execute(statement)).endswith(" 0"), what
        found = await faults(history)
        await history.execute("ROLLBACK")
        assert expected in found, (what, found)
    assert await faults(history) == []


async def test_a_chain_that_is_made_anew_as_a_whole_lacks_our_signature(history: Connection) -> None:
    """As by somebody who has the database, and not the key; and by its head, even without one."""
    before = await head(history)
    await history.execute("SET session_replication_role = replica")
    await history.execute("UPDATE ledger.transfers SET amount = 999 WHERE posting = 'txn_0007'; DELETE FROM ledger.seals")
    await seal_all(history, Sealer(Key(b"x" * 32)))
    assert await faults(history, None) == [], "the chain alone fits"
    assert "seal 3 has a signature that wasn't made with our key" in await faults(history)
    after = await head(history)
    assert (after.total, after.head != before.head) == (12, True)
    for signature in (after.signature, "h1:AAAA", "h0:AAAA", ""):
        await history.execute("UPDATE ledger.seals SET signature = $1", signature)
        with pytest.raises(NotOursError):  # nothing of ours is put behind it, which would vouch for it
            await seal_next(history, ring(3, 2))


async def test_a_transaction_that_is_late_with_an_earlier_number_is_left_out_of_nothing(database_url: str, connection: Connection) -> None:
    await post(connection, 0)
    await seal_all(connection)
    async with connect(database_url) as late, connect(database_url) as later:
        transaction = late.transaction()
        await transaction.__aenter__()
        await post(late, 1)
        await post(connection, 2)
        await seal_all(connection)
        assert (await head(connection)).total == 1, "what is above an open transaction waits"
        await transaction.__aexit__(None, None, None)
        await post(later, 3)
        await seal_all(connection)
    assert (await head(connection)).total == 4
    assert await faults(connection) == []


async def test_copies_that_seal_at_once_beside_commits_leave_nothing_out_and_seal_nothing_twice(
    database_url: str, connection: Connection, pool: Pool
) -> None:
    await post(connection, 0)
    done = asyncio.Event()

    async def commit(first: int) -> None:
        async with connect(database_url) as mine:
            for number in range(first, first + 40):
                async with mine.transaction():
                    await post(mine, number)

    async def seal() -> None:
        while not done.is_set():
            async with pool.acquire() as mine:
                await seal_next(mine, SEALER, transfers_max=PER_SEAL)

    sealers = [asyncio.create_task(seal()) for _ in range(2)]
    await asyncio.gather(*(commit(1 + 40 * each) for each in range(3)))
    done.set()
    await asyncio.gather(*sealers)
    await seal_all(connection)
    assert (await head(connection)).total == 121
    assert await faults(connection) == []


async def test_a_crash_before_the_commit_leaves_no_seal_and_the_next_one_makes_it(connection: Connection) -> None:
    class CrashError(Exception):
        pass

    class Crashing(Sealer):
        def sign(self, statement: bytes, like: str | None = None) -> str:
            super().sign(statement, like)
            raise CrashError

    await post(connection, 1, 2)
    with pytest.raises(CrashError):
        await seal_next(connection, Crashing(Key()))
    assert await head(connection) == BEGINNING
    assert await seal_next(connection, SEALER) == 2
    assert await faults(connection) == []


async def test_history_goes_on_where_it_was_left_and_ends_before_what_is_new(connection: Connection) -> None:
    await post(connection, *range(1, 8), columns=", recorded_in", values=", 0")
    assert await seal_next(connection, SEALER, transfers_max=PER_SEAL) == PER_SEAL
    await post(connection, 0)
    await seal_all(connection)
    rows = await newest_seals(connection, 10)
    assert [(row["transfers"], row["posting"]) for row in reversed(rows)] == [
        (3, "txn_0003"),
        (3, "txn_0006"),
        (1, "txn_0007"),
        (1, "txn_0000"),
    ]
    assert await faults(connection) == []


async def test_a_new_key_signs_the_chain_before_the_old_one_is_taken_away(connection: Connection) -> None:
    await post(connection, 1)
    assert [await seal_next(connection, ring(1)) for _ in range(2)] == [1, 0]
    assert (await faults(connection, ring(2)))[0] == "the newest seal, 1, is signed under key 1, which was taken away"
    await seal_next(connection, ring(2, 1))
    await seal_next(connection, ring(1, 2))  # a copy that wasn't restarted yet
    assert ((await head(connection)).number, (await head(connection)).transfers) == (2, 0)
    assert await faults(connection, ring(2)) == await faults(connection, ring(1, 2)) == []


async def test_numbers_that_went_back_are_told_and_nothing_is_sealed(connection: Connection) -> None:
    """As in a database that was restored from a dump. The runbook's statements end that."""
    await post(connection, 1)
    await seal_next(connection, SEALER)
    await connection.execute("CREATE OR REPLACE FUNCTION ledger.finished_below() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT 5::bigint'")
    with pytest.raises(NumbersWentBackError):
        await seal_next(connection, SEALER)


def never(_: str) -> int:
    """How often a job failed that doesn't."""
    return 0


async def proven(seals: LedgerSealer) -> int:
    """Prove a round; returns how many seals."""
    count = 0
    while found := await seals.prove():
        count += found
    return count


async def test_the_service_seals_proves_and_counts_what_is_wrong(history: Connection, pool: Pool) -> None:
    output = io.BytesIO()
    log = Logger("test", output)
    seals = LedgerSealer(pool, SEALER, log)
    while await seals.seal():
        pass
    assert await proven(seals) > 0
    assert ((await head(history)).total, seals.faults(never)) == (12, 0)
    assert log.flush()
    assert b"ledger_head" in output.getvalue()
    await history.execute("SET session_replication_role = replica; UPDATE ledger.transfers SET amount = 999 WHERE posting = 'txn_0007'")
    await proven(seals)
    assert seals.faults(never) > 0
    assert log.flush()
    assert b"txn_0007 capture isn't what was sealed" in output.getvalue()


async def test_each_copy_remembers_the_head_that_it_saw(history: Connection, pool: Pool) -> None:
    output = io.BytesIO()
    log = Logger("test", output)
    seals = LedgerSealer(pool, SEALER, log)
    await seals.look()
    await history.execute("SET session_replication_role = replica; DELETE FROM ledger.seals WHERE number = 4")
    await seals.look()
    await seals.look()
    assert seals.faults(never) == 1
    assert log.flush()
    assert b"seal 4 is gone" in output.getvalue()


async def test_what_another_copy_sealed_is_seen_and_is_no_fault(history: Connection, pool: Pool) -> None:
    seals = LedgerSealer(pool, SEALER, Logger("test", io.BytesIO()))
    await seals.look()
    await post(history, 99)
    while await seal_next(history, SEALER):
        pass
    await seals.look()
    assert (seals.unsealed_age_seconds, seals.faults(never)) == (0, 0)


def test_what_goes_on_failing_is_a_fault_of_the_chain_and_no_reason_to_take_no_payments(pool: Pool) -> None:
    seals = LedgerSealer(pool, SEALER, Logger("test", io.BytesIO()))
    jobs = {job.name: job for job in seals.jobs()}
    assert all(job.housekeeping for job in jobs.values())
    failed = dict.fromkeys(jobs, 4)
    assert seals.faults(failed.__getitem__) == 0
    failed["seal ledger"] = 5
    assert seals.faults(failed.__getitem__) == 1


async def test_a_seal_of_history_is_read_from_its_own_range(connection: Connection) -> None:
    """And not from all that comes after it."""
    await post(connection, *range(1, 61), columns=", recorded_in", values=", 0")
    await seal_all(connection)
    await connection.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
    arguments = ["5", "5", "0::bigint", "'txn_0015'::text", "'capture'::text"]
    query = _SQL["sealed"]
    for number, argument in enumerate(arguments, 1):
        query = query.replace(f"${number}::{argument.partition('::')[2]}" if "::" in argument else f"${number}", argument)
    plan = [row["QUERY PLAN"] for row in await connection.fetch(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {query}")]
    assert any("transfers_from_before" in line for line in plan)
    assert not any("Rows Removed by Filter" in line for line in plan), "\n".join(plan)


async def test_a_seal_is_never_changed_and_the_service_changes_none(history: Connection, pool: Pool) -> None:
    for statement in ("UPDATE ledger.seals SET total = 1", "DELETE FROM ledger.seals", "TRUNCATE ledger.seals"):
        for who in (history, pool):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await who.execute(statement)


def test_places_are_in_the_order_of_the_chain() -> None:
    assert Place(0, "z", "z") < Place(1, "a", "a") < Place(1, "a", "b") < Place(2, "a", "a")
