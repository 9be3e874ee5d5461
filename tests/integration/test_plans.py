"""What is looked up by a key reads what it looks for, from the first payment on and without the help of statistics."""

import asyncio
from collections.abc import Mapping

from payments.storage.database import BY_KEY, Connection, open_pool
from tests.support.in_process import in_process

_ROUNDS = 6
_AT_ONCE = 24
_ROWS_PER_LOOKUP_MAX = 8


async def _reads(connection: Connection) -> Mapping[str, tuple[int, int]]:
    """Lookups by each index, and the entries that they read, once all sessions have told of theirs."""
    rows = await connection.fetch(
        "SELECT indexrelname AS name, idx_scan, idx_tup_read FROM pg_stat_user_indexes WHERE schemaname IN ('payments', 'ledger', 'simulator')"
    )
    return {row["name"]: (row["idx_scan"], row["idx_tup_read"]) for row in rows}


async def test_no_lookup_reads_more_the_more_payments_there_are(database_url: str, connection: Connection) -> None:
    async with in_process(database_url) as tap:

        async def pay_and_refund(number: int) -> None:
            held = await tap.post(
                "payment_intents", amount="2000", currency="usd", payment_method="pm_card_visa", confirm="true", capture_method="manual"
            )
            captured = await tap.post(f"payment_intents/{held.id}/capture")
            refunded = await tap.post("refunds", payment_intent=captured.id, amount=str(1 + number))
            assert refunded.status == 200, refunded

        for _ in range(_ROUNDS):
            await asyncio.gather(*map(pay_and_refund, range(_AT_ONCE)))
        pools = [tap.pool, *(copy.processor.pool for copy in tap.copies)]
        for pool in pools:
            await pool.execute("SELECT pg_stat_force_next_flush()")
        await connection.execute("SELECT pg_stat_clear_snapshot()")
        before = await _reads(connection)
        await asyncio.gather(*map(pay_and_refund, range(_AT_ONCE)))
        for pool in pools:
            await pool.execute("SELECT pg_stat_force_next_flush()")
    # All sessions have ended, and told what they read.
    await connection.execute("SELECT pg_stat_clear_snapshot()")
    after = await _reads(connection)
    assert any(after[name] != before[name] for name in after)
    for name, (lookups, entries) in after.items():
        more, read = lookups - before[name][0], entries - before[name][1]
        assert read <= _ROWS_PER_LOOKUP_MAX * max(more, _AT_ONCE), f"{name}: {read} entries in {more} lookups"


async def test_a_plan_that_was_made_for_an_empty_table_isnt_kept(database_url: str, connection: Connection) -> None:
    """To the planner all indexes of an empty table are equal: without being asked again, it goes on with whichever it took."""
    await connection.execute("CREATE TABLE things (owner bigint, kind text, id text, PRIMARY KEY (owner, id))")
    await connection.execute("CREATE INDEX things_kind ON things (owner, kind, id)")
    async with open_pool(database_url, role=None, name="plans", size_max=1, server_settings=BY_KEY) as pool:
        query = "SELECT count(*) FROM things WHERE owner = $1 AND kind = $2"
        for _ in range(4):
            await pool.fetchval(query, 1, "rare")
        await pool.execute("INSERT INTO things SELECT 1, 'k' || n, 'i' || n FROM generate_series(1, 20000) n")
        for _ in range(16):
            await pool.fetchval(query, 1, "k7")
        await pool.execute("SELECT pg_stat_force_next_flush()")
        await pool.execute("SELECT pg_stat_reset()")
        for _ in range(20):
            assert await pool.fetchval(query, 1, "k7") == 1
        await pool.execute("SELECT pg_stat_force_next_flush()")
        read = await pool.fetchval("SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'things'")
    assert read <= 20 * _ROWS_PER_LOOKUP_MAX
