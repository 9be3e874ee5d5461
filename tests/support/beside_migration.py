"""Payments of the previous version's code, before a migration, beside it and after it."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from payments.storage.migrate import migrate
from tests.support.recorded_statements import Recording, replaying

OPERATIONS = ("payment", "capture", "payment", "refund", "cancellation", "decline")
"""What goes on meanwhile."""
_BEFORE = ("payment",) * 6 + OPERATIONS
"""What there is before, in these shares: a payment is the quickest to make."""
CLIENTS = 3
T = TypeVar("T")


@dataclass
class Beside:
    applied: int = 0
    """Migrations."""
    migration_seconds: float = 0.0
    before_ms: list[float] = field(default_factory=list[float])
    """What each operation took while there was no migration yet."""
    beside_ms: list[float] = field(default_factory=list[float])
    after: int = 0
    """Operations of the previous version's code after it."""

    @property
    def slowest_ms(self) -> tuple[float, float]:
        """Of the operations before it, and of those beside it."""
        return max(self.before_ms, default=0.0), max(self.beside_ms, default=0.0)


async def prepare(database_url: str, recording: Recording, directory: Path, payments: int) -> None:
    """A database as the previous version made it, with at least so many payments."""
    await asyncio.to_thread(migrate, database_url, directory)
    async with replaying(database_url, recording) as replay:
        for name, said in recording.operations.items():
            assert await replay.operation(said), name

    async def fill(count: int) -> None:
        async with replaying(database_url, recording, durable=False) as replay:
            for name in itertools.islice(itertools.cycle(_BEFORE), count):
                await replay.operation(recording.operations[name], anew=True)

    await asyncio.gather(*(fill(payments // CLIENTS + 1) for _ in range(CLIENTS)))


async def pay_beside_migration(database_url: str, recording: Recording, migrations: Path, *, operations: int = 60) -> Beside:
    """Migrate while clients go on with the previous version's code; raises whatever any of its statements does. `operations`: before it and after it."""
    beside, phase = Beside(), "before"
    enough = asyncio.Event()
    counts = {"before": 0, "beside": 0, "after": 0}

    async def client(names: Sequence[str]) -> None:
        async with replaying(database_url, recording) as replay:
            for name in itertools.cycle(names):
                began, in_phase = time.perf_counter(), phase
                await replay.operation(recording.operations[name], anew=True)
                taken_ms = (time.perf_counter() - began) * 1000
                (beside.before_ms if in_phase == "before" else beside.beside_ms if in_phase == "beside" else []).append(taken_ms)
                counts[phase] += 1
                if counts[phase] >= operations:
                    enough.set()
                if phase == "after" and counts["after"] >= operations:
                    return

    clients = [asyncio.create_task(client(OPERATIONS[number:] + OPERATIONS[:number])) for number in range(CLIENTS)]
    try:
        await _unless_failed(enough.wait(), clients)
        phase, began = "beside", time.perf_counter()
        beside.applied = await _unless_failed(asyncio.to_thread(migrate, database_url, migrations), clients)
        beside.migration_seconds = time.perf_counter() - began
        phase = "after"
        await asyncio.gather(*clients)
    finally:
        for each in clients:
            each.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
    beside.after = counts["after"]
    return beside


async def _unless_failed(what: Awaitable[T], clients: Sequence[asyncio.Task[None]]) -> T:
    """Wait for something; raises what ended a client before."""
    waiting = asyncio.ensure_future(what)
    done, _ = await asyncio.wait({waiting, *clients}, return_when=asyncio.FIRST_COMPLETED)
    for each in done - {waiting}:
        each.result()
    return await waiting
