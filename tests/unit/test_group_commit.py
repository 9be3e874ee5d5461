"""Many callers, one transaction, with bounds, and each with its own result."""

import asyncio
from collections.abc import Sequence

import pytest

from payments.domain.errors import Overloaded
from payments.storage.database import CONNECTION_FAILURES
from payments.storage.group_commit import GroupCommit


class Table:
    """Commits rows when it is let; a row that says so is refused by the database."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.committed: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.at_once = 0
        self.at_once_max = 0

    async def write(self, rows: Sequence[str]) -> list[str]:
        self.batches.append(list(rows))
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        try:
            await self.gate.wait()
            await asyncio.sleep(0)
        finally:
            self.at_once -= 1
        if any(row.startswith("bad") for row in rows):
            raise ValueError("bad row")
        if "lost" in rows:
            raise ConnectionResetError
        self.committed += rows
        return [row.upper() for row in rows]


async def test_what_arrives_together_is_one_batch() -> None:
    table = Table()
    group = GroupCommit(table.write, name="test")
    assert await asyncio.gather(*(group.submit(row) for row in "abc")) == ["A", "B", "C"]
    assert table.batches == [["a", "b", "c"]]


async def test_what_arrives_during_a_commit_is_the_next_batch() -> None:
    table = Table()
    group = GroupCommit(table.write, name="test")
    table.gate.clear()
    first = asyncio.create_task(group.submit("a"))
    await asyncio.sleep(0.01)
    later = [asyncio.create_task(group.submit(row)) for row in "bcd"]
    await asyncio.sleep(0)
    table.gate.set()
    await asyncio.gather(first, *later)
    assert table.batches == [["a"], ["b", "c", "d"]]


async def test_a_lone_row_does_not_wait() -> None:
    table = Table()
    assert await GroupCommit(table.write, name="test").submit("a") == "A"


async def test_a_bad_row_fails_alone() -> None:
    table = Table()
    group = GroupCommit(table.write, name="test")
    rows = ["a", "b", "bad 1", "c", "d", "e", "bad 2", "f"]
    results = await asyncio.gather(*(group.submit(row) for row in rows), return_exceptions=True)
    assert [str(result) for result in results] == ["A", "B", "bad row", "C", "D", "E", "bad row", "F"]
    assert sorted(table.committed) == list("abcdef")


async def test_a_lost_connection_fails_the_whole_batch_at_once() -> None:
    table = Table()
    group = GroupCommit(table.write, name="test")
    results = await asyncio.gather(*(group.submit(row) for row in ["a", "lost", "b"]), return_exceptions=True)
    assert all(isinstance(result, ConnectionResetError) for result in results)
    assert len(table.batches) == 1, "what may have been committed is not committed again"
    assert await group.submit("c") == "C"


async def test_a_batch_has_a_bound() -> None:
    table = Table()
    group = GroupCommit(table.write, name="test", batch_rows_max=2)
    await asyncio.gather(*(group.submit(row) for row in "abcde"))
    assert [len(batch) for batch in table.batches] == [2, 2, 1]


async def test_too_much_waiting_is_refused_rather_than_queued() -> None:
    table = Table()
    group = GroupCommit(table.write, name="test", queue_rows_max=3)
    table.gate.clear()
    waiting = [asyncio.create_task(group.submit("a"))]
    await asyncio.sleep(0.01)
    waiting += [asyncio.create_task(group.submit(row)) for row in "bcd"]
    await asyncio.sleep(0)
    assert group.queued_rows == 3
    with pytest.raises(Overloaded):
        await group.submit("e")
    table.gate.set()
    assert await asyncio.gather(*waiting) == ["A", "B", "C", "D"]


async def test_as_many_batches_run_at_once_as_allowed() -> None:
    for writers in (1, 2, 3):
        table = Table()
        group = GroupCommit(table.write, name="test", batch_rows_max=2, writers_max=writers)
        table.gate.clear()
        waiting: list[asyncio.Task[str]] = []
        for row in "abcdefgh":
            waiting.append(asyncio.create_task(group.submit(row)))
            await asyncio.sleep(0.001)
        assert table.at_once == writers
        table.gate.set()
        assert await asyncio.gather(*waiting) == list("ABCDEFGH")
        assert table.at_once_max == writers


async def test_rows_handed_in_as_a_batch_ends_are_not_forgotten() -> None:
    table = Table()
    group = GroupCommit(table.write, name="test")

    async def caller() -> None:
        for _ in range(50):
            await group.submit("a")

    async with asyncio.timeout(10):
        await asyncio.gather(*(caller() for _ in range(20)))
    assert len(table.committed) == 1000


async def test_closing_commits_what_was_accepted_and_refuses_more() -> None:
    table = Table()
    group = GroupCommit(table.write, name="test")
    waiting = [asyncio.create_task(group.submit(row)) for row in "ab"]
    await asyncio.sleep(0)
    await group.close()
    assert await asyncio.gather(*waiting) == ["A", "B"]
    with pytest.raises(Overloaded):
        await group.submit("c")


async def test_a_caller_that_left_harms_nobody() -> None:
    table = Table()
    group = GroupCommit(table.write, name="test")
    table.gate.clear()
    gone, stays = asyncio.create_task(group.submit("a")), asyncio.create_task(group.submit("b"))
    await asyncio.sleep(0.01)
    gone.cancel()
    table.gate.set()
    assert await stays == "B"
    assert table.committed == ["a", "b"]


async def test_a_writer_that_is_ended_leaves_nobody_waiting_and_has_a_successor() -> None:
    table = Table()
    group = GroupCommit(table.write, name="test", batch_rows_max=1)
    table.gate.clear()
    waiting = [asyncio.create_task(group.submit(row)) for row in "abc"]
    await asyncio.sleep(0.01)
    (writer,) = group._writers
    writer.cancel()
    table.gate.set()
    first, *others = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(first, CONNECTION_FAILURES), "whether it is committed is not known"
    assert others == ["B", "C"]
    assert await group.submit("d") == "D"


async def test_a_write_that_answers_too_little_is_not_repeated_and_leaves_nobody_waiting() -> None:
    batches: list[list[str]] = []

    async def write(batch: Sequence[str]) -> list[str]:
        batches.append(list(batch))
        return ["only one"]

    group = GroupCommit(write, name="test")
    answers = await asyncio.gather(group.submit("a"), group.submit("b"), return_exceptions=True)
    assert [type(answer) for answer in answers] == [AssertionError] * 2
    assert batches == [["a", "b"]]
    assert await group.submit("c") == "only one"


async def test_a_write_that_hangs_shows_and_an_idle_group_does_not() -> None:
    table, seconds = Table(), [0.0]
    group = GroupCommit(table.write, name="test", now=lambda: seconds[0])
    seconds[0] = 100
    assert group.stalled_seconds == 0
    table.gate.clear()
    waiting = asyncio.create_task(group.submit("a"))
    await asyncio.sleep(0.01)
    assert group.stalled_seconds == 0
    seconds[0] = 170
    assert group.stalled_seconds == 70
    table.gate.set()
    await waiting
    assert group.stalled_seconds == 0
