"""Lists share a few connections fairly, and queue only so far."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import asyncpg
import pytest

from payments.domain.errors import Overloaded, TooManyLists, TooSlow
from payments.storage.database import Pool
from payments.wire.errors import wire_error
from payments.wire.lists import RUNNING_MAX, UNDER_WAY_MAX, WAITING_MAX, Lists


class Connections:
    """A pool that never runs out, and counts what it lends."""

    def __init__(self) -> None:
        self.lent = 0
        self.lent_max = 0

    @asynccontextmanager
    async def acquire(self) -> AsyncGenerator[object]:
        self.lent += 1
        self.lent_max = max(self.lent_max, self.lent)
        try:
            yield object()
        finally:
            self.lent -= 1


class Readers:
    """Lists under way, until they are released."""

    def __init__(self, lists: Lists) -> None:
        self._lists = lists
        self._release = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self, merchant_id: int, count: int) -> None:
        self.tasks += [asyncio.create_task(self._read(merchant_id)) for _ in range(count)]
        for _ in range(3):  # so that each has come as far as it can
            await asyncio.sleep(0)

    async def _read(self, merchant_id: int) -> None:
        async with self._lists.connection(merchant_id):
            await self._release.wait()

    async def finish(self) -> list[BaseException | None]:
        self._release.set()
        return await asyncio.gather(*self.tasks, return_exceptions=True)


def lists_on(connections: Connections, **options: Any) -> Lists:
    return Lists(cast("Pool", connections), **options)


async def test_a_merchant_runs_four_and_the_rest_of_its_lists_wait_for_them() -> None:
    connections = Connections()
    readers = Readers(lists_on(connections))
    await readers.start(1, RUNNING_MAX + WAITING_MAX)
    assert connections.lent == RUNNING_MAX
    assert await readers.finish() == [None] * (RUNNING_MAX + WAITING_MAX)
    assert (connections.lent, connections.lent_max) == (0, RUNNING_MAX)


async def test_one_more_is_refused_and_told_to_come_again_and_others_are_not_affected() -> None:
    lists = lists_on(Connections())
    readers = Readers(lists)
    await readers.start(1, RUNNING_MAX + WAITING_MAX)
    with pytest.raises(TooManyLists) as refused:
        async with lists.connection(1):
            pass
    answer = wire_error(refused.value)
    assert (answer.status, answer.headers["Stripe-Should-Retry"]) == (429, "true")
    assert b'"type":"invalid_request_error"' in answer.body
    assert b'"code":"rate_limit"' in answer.body
    async with lists.connection(2):
        pass
    await readers.finish()
    async with lists.connection(1):
        pass


async def test_who_waits_too_long_is_told_to_come_again() -> None:
    connections = Connections()
    lists = lists_on(connections, wait_seconds_max=0.01)
    readers = Readers(lists)
    await readers.start(1, RUNNING_MAX)
    with pytest.raises(TooManyLists):
        async with lists.connection(1):
            pass
    await readers.finish()
    async with lists_on(connections).connection(1):
        assert connections.lent == 1


async def test_all_merchants_together_have_a_bound_and_leave_nothing_behind() -> None:
    lists = lists_on(Connections())
    readers = Readers(lists)
    for merchant_id in range(UNDER_WAY_MAX):
        await readers.start(merchant_id, 1)
    with pytest.raises(Overloaded):
        async with lists.connection(UNDER_WAY_MAX):
            pass
    await readers.finish()
    assert lists.merchants == 0


@pytest.mark.parametrize("failure", [asyncpg.QueryCanceledError("canceling statement due to statement timeout"), TimeoutError()])
async def test_a_list_that_takes_too_long_ends_with_a_clear_answer(failure: Exception) -> None:
    connections = Connections()
    with pytest.raises(TooSlow) as ended:
        async with lists_on(connections).connection(1):
            raise failure
    answer = wire_error(ended.value)
    assert (answer.status, answer.headers["Stripe-Should-Retry"]) == (429, "false")
    assert connections.lent == 0


async def test_a_client_that_goes_away_gives_its_turn_back() -> None:
    connections = Connections()
    lists = lists_on(connections)
    readers = Readers(lists)
    await readers.start(1, RUNNING_MAX + 1)
    for task in readers.tasks:
        task.cancel()
    await readers.finish()
    assert (connections.lent, lists.merchants) == (0, 0)
