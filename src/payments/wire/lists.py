"""The database connections that lists are read on: few, apart from those of payments, and shared out among merchants.

A list may read much, and nothing waits for it but a person or a report. So it never holds a connection that a payment needs, its statements end after a few
seconds, and a merchant that asks for many at once queues behind itself.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import asyncpg

from payments.domain.errors import Overloaded, TooManyLists, TooSlow
from payments.storage.database import Connection, Pool
from payments.storage.watched_database import WatchedDatabase

RUNNING_MAX = 4
"""How many lists of one merchant run at once."""
WAITING_MAX = 8
"""How many of one merchant wait for that."""
WAIT_SECONDS_MAX = 5.0
UNDER_WAY_MAX = 256
"""Lists of all merchants, running and waiting."""
_CONNECTIONS_MAX = 6
SETTINGS = {
    "statement_timeout": "5s",
    "default_transaction_read_only": "on",
    # A plan that is made without knowing how small the limit is may read and sort everything.
    "plan_cache_mode": "force_custom_plan",
}


@dataclass(slots=True)
class _Merchant:
    turns: asyncio.Semaphore
    under_way: int = 0


class Lists:
    """Hands out connections for lists."""

    def __init__(self, pool: Pool, *, wait_seconds_max: float = WAIT_SECONDS_MAX) -> None:
        """Read through `pool`, which serves nothing else."""
        self._pool = pool
        self._wait_seconds_max = wait_seconds_max
        self._merchants: dict[int, _Merchant] = {}
        self._under_way = 0

    @property
    def merchants(self) -> int:
        """How many merchants have lists under way: nothing is kept of the others."""
        return len(self._merchants)

    @asynccontextmanager
    async def connection(self, merchant_id: int) -> AsyncGenerator[Connection]:
        """Lend a connection for one list of a merchant's.

        Raises `TooManyLists` when the merchant has too many under way, `Overloaded` when all together have, `TooSlow` when a statement takes too long.
        """
        if self._under_way >= UNDER_WAY_MAX:
            raise Overloaded
        merchant = self._merchants.get(merchant_id) or _Merchant(asyncio.Semaphore(RUNNING_MAX))
        if merchant.under_way >= RUNNING_MAX + WAITING_MAX:
            raise TooManyLists
        self._merchants[merchant_id] = merchant
        merchant.under_way += 1
        self._under_way += 1
        try:
            async with AsyncExitStack() as stack:
                connection = await self._turn(merchant, stack)
                try:
                    yield connection
                except (asyncpg.QueryCanceledError, TimeoutError):
                    raise TooSlow from None
        finally:
            self._under_way -= 1
            merchant.under_way -= 1
            if not merchant.under_way:
                del self._merchants[merchant_id]

    async def _turn(self, merchant: _Merchant, stack: AsyncExitStack) -> Connection:
        try:
            async with asyncio.timeout(self._wait_seconds_max):
                await stack.enter_async_context(merchant.turns)
                return await stack.enter_async_context(self._pool.acquire())
        except TimeoutError:
            raise TooManyLists from None


@asynccontextmanager
async def open_lists(database: WatchedDatabase) -> AsyncGenerator[Lists]:
    """Open the connections for a service's lists."""
    async with database.open_pool("lists", size_max=_CONNECTIONS_MAX, server_settings=SETTINGS) as pool:
        yield Lists(pool)
