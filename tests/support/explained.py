"""What statements really read: how many rows their plans take from tables and indexes."""

import json
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from payments.storage.database import Connection, Pool, Row


class Explained:
    """A connection that runs each statement twice: once to see what it reads."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.rows_read = 0
        """By all statements so far."""
        self.plans: Counter[str] = Counter()
        """How often each table was read in which way."""

    async def fetch(self, query: str, *args: object, timeout: float | None = None) -> list[Row]:
        await self._explain(query, args)
        return await self._connection.fetch(query, *args, timeout=timeout)

    async def fetchrow(self, query: str, *args: object, timeout: float | None = None) -> Row | None:
        await self._explain(query, args)
        return await self._connection.fetchrow(query, *args, timeout=timeout)

    async def fetchval(self, query: str, *args: object, timeout: float | None = None) -> Any:
        await self._explain(query, args)
        return await self._connection.fetchval(query, *args, timeout=timeout)

    async def execute(self, query: str, *args: object, timeout: float | None = None) -> str:
        return await self._connection.execute(query, *args, timeout=timeout)

    async def _explain(self, query: str, args: tuple[object, ...]) -> None:
        plan = json.loads(await self._connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", *args))
        for node in _nodes(plan[0]["Plan"]):
            if "Relation Name" in node:
                self.plans[f"{node['Node Type']} of {node['Relation Name']}"] += node["Actual Loops"]
        self.rows_read += sum(_read(node) for node in _nodes(plan[0]["Plan"]) if "Relation Name" in node)


class ExplainedPool:
    """Lends connections that tell how their statements are read."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.last: Explained | None = None

    @asynccontextmanager
    async def acquire(self) -> AsyncGenerator[Explained]:
        async with self._pool.acquire() as connection:
            self.last = Explained(connection)
            yield self.last


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from _nodes(below)


def _read(node: Mapping[str, Any]) -> int:
    removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return round((node["Actual Rows"] + removed) * node["Actual Loops"])
