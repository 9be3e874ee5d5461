"""A rival: whoever changes an object between its being read and the commit that was decided from it."""

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import pytest

from payments.storage.database import Connection, Queries, connect
from payments.storage.nouns import Noun

TABLES = (
    "payments.customers",
    "payments.payment_methods",
    "payments.payment_intents",
    "payments.attempts",
    "payments.charges",
    "payments.refunds",
    "payments.products",
    "payments.prices",
    "payments.balance_transactions",
    "payments.events",
    "payments.idempotency_claims",
    "notifications.outbox",
    "ledger.transfers",
    "ledger.balances",
    "simulator.journal",
)


@dataclass(frozen=True, slots=True)
class Read:
    """An object that was read to decide something."""

    table: str
    object_id: str

    @property
    def kind(self) -> str:
        return self.table.removeprefix("payments.").removesuffix("s")


OnRead = Callable[[Read, Any], Awaitable[None]]


@contextmanager
def watched_reads(patch: pytest.MonkeyPatch, on_read: OnRead) -> Generator[None]:
    """Have `on_read` called after each object is read, before the reader goes on; what it reads itself isn't told of."""
    get, page, muted = Noun.get, Noun.page, ContextVar("muted", default=False)

    async def tell(noun: Noun[Any], found: Any) -> None:
        if found is None or muted.get():
            return
        token = muted.set(True)
        try:
            await on_read(Read(noun.table, found.id), found)
        finally:
            muted.reset(token)

    async def watched_get(noun: Noun[Any], connection: Queries, *arguments: Any) -> Any:
        found = await get(noun, connection, *arguments)
        await tell(noun, found)
        return found

    async def watched_page(noun: Noun[Any], connection: Queries, *arguments: Any) -> Any:
        objects, more = await page(noun, connection, *arguments)
        for found in objects:
            await tell(noun, found)
        return objects, more

    with patch.context() as patched:
        patched.setattr(Noun, "get", watched_get)
        patched.setattr(Noun, "page", watched_page)
        yield


async def touch(connection: Connection, read: Read) -> None:
    """Change an object as any update would, one version on, and nothing else."""
    changed = await connection.execute(
        f"UPDATE {read.table} SET version = version + 1,"
        " document = (document::jsonb || jsonb_build_object('version', version + 1, 'metadata', jsonb_build_object('touched', 'yes')))::json"
        " WHERE id = $1",
        read.object_id,
    )
    assert changed == "UPDATE 1"


async def content(connection: Connection) -> dict[str, str]:
    """A digest of every table that a payment writes."""
    return {table: await connection.fetchval(f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t") for table in TABLES}


@contextlib.asynccontextmanager
async def unchanged(connection: Connection) -> AsyncGenerator[None]:
    """What is done in this context writes nothing."""
    before = await content(connection)
    yield
    after = await content(connection)
    assert [table for table in TABLES if before[table] != after[table]] == []


@contextlib.asynccontextmanager
async def in_hand(database_url: str) -> AsyncGenerator[Callable[[Read], Awaitable[None]]]:
    """Another commit, which takes objects to change them and isn't done until this context is left: whoever waits for it waits in vain."""
    async with connect(database_url) as connection, connection.transaction():

        async def take(read: Read) -> None:
            await connection.execute(f"SELECT FROM {read.table} WHERE id = $1 FOR UPDATE", read.object_id)

        yield take
