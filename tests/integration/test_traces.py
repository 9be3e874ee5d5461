"""Numbers of messages: no two of a day are the same until a million are used up, whichever copy gives them, and each message keeps its own."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from payments.storage.database import Connection, open_pool
from payments.storage.traces import PostgresTraces

BEFORE, NOW = 1_700_000_000, 4_000_000_000
"""When numbers weren't counted yet, and when they are; unix seconds."""


@pytest.fixture
async def copies(database_url: str) -> AsyncGenerator[list[PostgresTraces]]:
    async with open_pool(database_url, role="tap_transaction_processor", name="copies") as pool:
        made = [PostgresTraces(pool) for _ in range(2)]
        yield made
        for each in made:
            await each.close()


async def test_each_reference_has_a_number_of_its_own_and_keeps_it(copies: list[PostgresTraces], connection: Connection) -> None:
    """Also when two copies ask about the same one at the same moment, about several at once, and in several acquirers."""
    first, second = copies
    references = [f"att_{number}" for number in range(300)]
    asked = [(copy, reference) for reference in references for copy in copies]
    answers = await asyncio.gather(
        *(copy.numbers("bank", {reference: NOW, f"undo {reference}": NOW}) for copy, reference in asked),
        first.numbers("other", {"att_1": NOW}),
    )
    *of_bank, other = answers
    given: dict[str, int] = {}
    for answer in of_bank:
        for reference, number in answer.items():
            assert given.setdefault(reference, number) == number
    assert len(given) == len(set(given.values())) == 600, "two that ask at once leave out some"
    assert dict(other) == {"att_1": 1}
    assert await second.numbers("bank", {"att_7": NOW, "undo att_9": NOW}) == {name: given[name] for name in ("att_7", "undo att_9")}
    assert await connection.fetchval("SELECT last FROM payments.trace_counters WHERE acquirer = 'bank'") >= 600


async def test_after_the_last_number_comes_the_first(copies: list[PostgresTraces], connection: Connection) -> None:
    await connection.execute("INSERT INTO payments.trace_counters (acquirer, last) VALUES ('bank', 999997)")
    answer = await copies[0].numbers("bank", {f"att_{number}": NOW for number in range(4)})
    assert list(answer.values()) == [999_998, 999_999, 1, 2]
    assert await copies[1].numbers("bank", {"att_9": NOW}) == {"att_9": 3}


async def test_what_the_version_before_may_have_sent_has_the_number_that_it_makes(
    copies: list[PostgresTraces],
) -> None:
    earlier = {"att_1": BEFORE, "undo att_1": BEFORE}
    assert await copies[0].numbers("bank", earlier) == {}
    assert await copies[1].numbers("bank", {**earlier, "att_2": NOW}) == {"att_2": 1}


async def test_numbers_are_forgotten_when_nothing_is_repeated_any_more(copies: list[PostgresTraces], connection: Connection) -> None:
    await copies[0].numbers("bank", {"att_1": NOW, "att_2": NOW})
    await connection.execute("UPDATE payments.trace_numbers SET given_at = now() - interval '46 days' WHERE reference = 'att_1'")
    (job,) = copies[0].jobs()
    assert [await job.work(), await job.work()] == [1, 0]
    assert [row["reference"] for row in await connection.fetch("SELECT reference FROM payments.trace_numbers")] == ["att_2"]
