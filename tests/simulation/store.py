"""The real PostgreSQL behind simulated connections: each statement is carried out at one moment, whole, and the seed says what becomes of its answer.

All of a simulation is one transaction of the server, which is rolled back at its end: nothing is left, and nothing is waited for on a disk. What the
services take for transactions are savepoints in it. One of them at a time is open, since locks are the server's to wait for, and it can't be told when it does.
"""

import asyncio
import datetime
import re
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import Context
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, cast

import asyncpg

from payments.storage.database import BY_KEY
from payments.storage.sql import queries
from tests.simulation.faults import STATEMENT, Faults, Harm
from tests.simulation.loop import EPOCH, WORLD, Process, SimulatedLoop, current_process

_PREPARED = """
CREATE SCHEMA simulation;
GRANT USAGE ON SCHEMA simulation TO PUBLIC;
CREATE FUNCTION simulation.now() RETURNS timestamptz LANGUAGE sql STABLE AS $$ SELECT current_setting('simulation.now')::timestamptz $$;
DO $$ DECLARE found record; BEGIN
    FOR found IN SELECT d.adrelid::regclass AS its_table, a.attname AS its_column FROM pg_attrdef d
        JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE pg_get_expr(d.adbin, d.adrelid) = 'now()'
    LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET DEFAULT simulation.now()', found.its_table, found.its_column);
    END LOOP;
END $$;
"""
"""What is made once in a database: the time of the simulation, in place of the server's."""
_NIGHT_SECONDS = 60.0
"""A process that stands still for longer than that is alone in it only at the beginning and at the end."""
_SETTINGS = {**BY_KEY, "search_path": "simulation, pg_catalog", "timezone": "UTC", "simulation.now": "2000-01-01 00:00Z"}


class OverError(ConnectionError):
    """The simulation has ended; nothing takes effect any more."""


class Server:
    """A database that simulations use one after another; synchronous, since the simulated time stands while it works."""

    def __init__(self, url: str) -> None:
        """`url`: of a migrated database that nobody else uses."""
        self._loop = asyncio.SelectorEventLoop()
        self._connection: Any = self.wait(cast("Any", asyncpg).connect(url, server_settings=_SETTINGS))
        if not self.wait(self._connection.fetchval("SELECT to_regnamespace('simulation') IS NOT NULL")):
            self.wait(self._connection.execute(_PREPARED))
        self._sequences: list[Any] = []

    def wait(self, work: Any) -> Any:
        """Return what comes of work on the connection, whatever loop is running meanwhile."""
        outer = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        try:
            return self._loop.run_until_complete(work)
        finally:
            asyncio._set_running_loop(outer)

    def execute(self, statement: str, *arguments: object) -> Any:
        return self.wait(self._connection.execute(statement, *arguments))

    def call(self, method: str, query: str, arguments: Sequence[object]) -> Any:
        return self.wait(getattr(self._connection, method)(query, *arguments))

    def begin(self) -> None:
        """Begin a simulation: as it was left by whoever prepared it, sequences included."""
        sequences = self.call("fetch", "SELECT schemaname, sequencename, last_value, start_value FROM pg_sequences", ())
        if not self._sequences:
            self._sequences = sequences
        self.execute("BEGIN")
        for schema, name, last, start in self._sequences:
            self.call(
                "fetchval",
                "SELECT setval(format('%I.%I', $1::text, $2::text)::regclass, $3, $4)",
                (schema, name, last or start, last is not None),
            )

    def end(self) -> None:
        """Forget it."""
        self.execute("ROLLBACK")

    def close(self) -> None:
        """Disconnect."""
        self.wait(self._connection.close())
        self._loop.close()


@cache
def _names() -> dict[str, str]:
    found: dict[str, str] = {}
    for file in sorted(each.name for each in files("payments.storage").iterdir() if each.name.endswith(".sql")):
        for name, text in queries(file).items():
            found.setdefault(text, f"{file.removesuffix('.sql')}.{name}")
    return found


@cache
def name_of(statement: str) -> str:
    """Return what a statement is called in its file."""
    known = _names().get(statement.strip())
    if known is not None:
        return known
    if "'key_taken'" in statement:
        return "commit.begin"
    if "closed AS (" in statement:
        return "commit.settle"
    return " ".join(statement.split())[:60]


@cache
def _is_ordered(statement: str) -> bool:
    """Tell whether a statement says itself in which order its rows come."""
    return "ORDER BY" in re.split(r"\bRETURNING\b|\n\)", statement)[-1]


WRITES = frozenset({"commit.begin", "commit.settle"})
"""What the database may refuse, beside what stands in a transaction: it is to be taken back without all that was before."""


@dataclass(slots=True)
class Store:
    """One simulation's database."""

    server: Server
    loop: SimulatedLoop
    faults: Faults
    tell: Callable[[str], None]
    kill: Callable[[Process], None]
    after: Callable[[str], None]
    """Called after each statement, with its name: what must hold at any moment is asked there."""
    notify: Callable[[str], None]
    outside: Context
    """Of nobody's process."""
    commits: int = 0
    over: bool = False
    _now: float = -1.0
    _open: bool = False
    """There is a savepoint of a statement, which isn't needed any more."""
    _owner: "Session | None" = None
    _waiting: "deque[tuple[Session, asyncio.Future[None]]]" = field(default_factory=deque["tuple[Session, asyncio.Future[None]]"])

    def pool(self) -> "Session":
        """Return what a service takes for a pool: of the process that runs. All work as the owner; rights are other tests' business."""
        return Session(self, current_process())

    async def take(self, session: "Session") -> None:
        """Wait until no other transaction is open, and have one."""
        if self._owner is not None or self._waiting:
            turn: asyncio.Future[None] = self.loop.create_future()
            self._waiting.append((session, turn))
            await turn
        self._owner = session

    def give(self) -> None:
        """Let the next one have its turn."""
        self._owner = None
        while self._waiting:
            session, turn = self._waiting.popleft()
            if session.process.alive and not turn.done():
                self._owner = session
                turn.set_result(None)
                return

    def forget(self, process: Process) -> None:
        """Let others have the turn of a process that was killed."""
        if self._owner is not None and self._owner.process is process:
            self.give()

    def begin(self, savepoint: str | None, *, tells_time: bool) -> None:
        """Set when it is, with a savepoint to return to."""
        said: list[str] = []
        if savepoint is not None and self._open:
            self._open = False
            said.append("RELEASE SAVEPOINT statement")
        if tells_time and self.loop.time() != self._now:
            self._now = self.loop.time()
            said.append(f"SET simulation.now = '{_timestamp(EPOCH + self._now)}'")
        if savepoint is not None:
            said.append(f"SAVEPOINT {savepoint}")
            self._open = savepoint == "statement"
        if said:
            self.server.execute("; ".join(said))

    def commit(self, savepoint: str, *, whole: bool) -> None:
        """Keep what was done since a savepoint; `whole`: what is deferred to the end of a transaction is asked now."""
        self.server.execute(
            f"{'SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED; ' if whole else ''}RELEASE SAVEPOINT {savepoint}"
        )
        self.commits += whole

    def undo(self, savepoint: str) -> None:
        """Forget what was done since a savepoint, settings included."""
        self._now, self._open = -1.0, False
        if not self.over:
            self.server.execute(f"ROLLBACK TO SAVEPOINT {savepoint}; RELEASE SAVEPOINT {savepoint}")

    def carry_out(self, method: str, query: str, arguments: Sequence[object], *, alone: bool) -> Any:
        """Carry out a statement now; `alone`: it is a transaction by itself."""
        name = name_of(query)
        savepoint = "statement" if alone and name in WRITES else None
        self.begin(savepoint, tells_time=savepoint is not None or "now()" in query)
        try:
            found = self.server.call(method, query, arguments)
        except asyncpg.PostgresError:
            if savepoint is not None:
                self.undo(savepoint)
            raise
        self.commits += savepoint is not None
        if method == "fetch" and not _is_ordered(query):
            # In whatever order the server found them: so in one that doesn't depend on where they lie.
            found = sorted(
                found, key=lambda row: [(each is None, str(type(each)), each if each is not None else 0) for each in row.values()]
            )
        return found

    def ask(self, query: str, *arguments: object) -> list[Any]:
        """Ask what the services don't know that they are asked."""
        return self.carry_out("fetch", query, arguments, alone=False)


def _timestamp(unix_seconds: float) -> str:
    return datetime.datetime.fromtimestamp(unix_seconds, datetime.UTC).isoformat(timespec="microseconds")


class Session:
    """What a process has of the database: its pool, and each connection of it."""

    def __init__(self, store: Store, process: Process) -> None:
        self.store = store
        self.process = process
        self._depth = 0

    async def fetch(self, query: str, *args: object, timeout: float | None = None) -> list[Any]:  # noqa: ARG002 - asyncpg's signature
        return await self._say("fetch", query, args)

    async def fetchrow(self, query: str, *args: object, timeout: float | None = None) -> Any:  # noqa: ARG002 - asyncpg's signature
        return await self._say("fetchrow", query, args)

    async def fetchval(self, query: str, *args: object, timeout: float | None = None) -> Any:  # noqa: ARG002 - asyncpg's signature
        return await self._say("fetchval", query, args)

    async def execute(self, query: str, *args: object, timeout: float | None = None) -> str:  # noqa: ARG002 - asyncpg's signature
        return await self._say("execute", query, args)

    @asynccontextmanager
    async def acquire(self) -> AsyncGenerator["Session"]:
        """Lend a connection."""
        yield Session(self.store, self.process)

    def transaction(self) -> AbstractAsyncContextManager[None]:
        """Open a transaction, or a savepoint in one."""
        return self._transaction()

    @asynccontextmanager
    async def _transaction(self) -> AsyncGenerator[None]:
        store, name = self.store, f"transaction_{self._depth}"
        self._check()
        if self._depth == 0:
            await store.take(self)
            self.process.at_end.append(self._roll_back_at_end)
        store.begin(name, tells_time=True)
        self._depth += 1
        try:
            yield
            if self._depth == 1:
                await self._step("commit", lambda: self._commit(name), commits=True)
            else:
                self._commit(name)
        except BaseException:
            if self._depth:
                self._undo(name)
            raise
        finally:
            if self._depth == 0:
                self._leave()

    def _commit(self, name: str) -> None:
        self.store.commit(name, whole=self._depth == 1)
        self._depth -= 1

    def _undo(self, name: str) -> None:
        self._depth -= 1
        self.store.undo(name)

    def _leave(self) -> None:
        if self._roll_back_at_end in self.process.at_end:
            self.process.at_end.remove(self._roll_back_at_end)
            self.store.give()

    def _roll_back_at_end(self) -> None:
        """The process is killed in the middle of a transaction."""
        if self._depth:
            self._depth = 1
            self._undo("transaction_0")
        self.store.give()

    def _check(self) -> None:
        if self.store.over:
            raise OverError

    async def _say(self, method: str, query: str, arguments: Sequence[object]) -> Any:
        self._check()
        if query.startswith("NOTIFY "):
            self.store.notify(query.removeprefix("NOTIFY "))
            return "NOTIFY"
        alone = self._depth == 0
        if alone and self.store._owner is not None:
            await self.store.take(self)
            self.store.give()
        return await self._step(name_of(query), lambda: self.store.carry_out(method, query, arguments, alone=alone), commits=alone)

    async def _step(self, name: str, act: Callable[[], Any], *, commits: bool) -> Any:
        """Go to the server and back, with what may happen on the way; what isn't a commit yet is only late."""
        store, process = self.store, self.process
        harm = Harm.NONE if process is WORLD else store.faults.next(STATEMENT)
        if (not commits and harm is not Harm.DELAYED) or (harm is Harm.PAUSED and self._depth):
            harm = Harm.NONE  # all others would wait for it, not only those who want what it has locked
        await asyncio.sleep(store.faults.delay() if harm is Harm.DELAYED else store.faults.latency())
        self._check()
        if harm is Harm.PAUSED:
            seconds = store.faults.pause()
            store.tell(f"{process.name} stands still for {seconds:.3f} s before {name}")
            process.paused_until = store.loop.time() + seconds
            if seconds > _NIGHT_SECONDS:
                # The others go on for a while. Then nothing happens until shortly before it awakes, which needn't be looked at.
                store.loop.call_later(
                    _NIGHT_SECONDS / 2, store.loop.pass_time, process.paused_until - _NIGHT_SECONDS / 2, context=store.outside
                )
            await asyncio.sleep(0)
            self._check()
        if harm is Harm.CRASH_BEFORE:
            store.tell(f"{process.name} dies before {name}")
            store.kill(process)
            await asyncio.sleep(0)
        if harm is Harm.LOST:
            store.tell(f"{process.name}: {name}: lost")
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
        if store._owner is not None and store._owner is not self:
            await store.take(self)
            store.give()
        try:
            found = act()
        except asyncpg.PostgresError as failure:
            store.tell(f"{process.name}: {name}: {type(failure).__name__}")
            raise
        shown = sorted(map(str, (tuple(row.values()) for row in found))) if name in WRITES else _size(found)
        store.tell(f"{process.name}: {name}: {shown}{'' if harm is Harm.NONE else f' {harm}'}")
        store.after(name)
        if harm is Harm.CRASH_AFTER:
            store.tell(f"{process.name} dies after {name}")
            store.kill(process)
        await asyncio.sleep(store.faults.latency())
        if harm is Harm.ANSWER_LOST:
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
        return found


def _size(found: Any) -> object:
    return len(found) if isinstance(found, list) else found if isinstance(found, (int, bool, type(None))) else "…"
