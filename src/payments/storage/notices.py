"""What acquirers and banks told: stored once by reference, and done with in the transaction of what follows from it."""

from dataclasses import dataclass

from payments.storage.database import Connection, Queries
from payments.storage.sql import queries

_SQL = queries("notices.sql")


@dataclass(frozen=True, slots=True)
class StoredNotice:
    """A notice that nothing has followed from yet."""

    source: str
    reference: str
    document: str


async def record(connection: Queries, source: str, reference: str, document: bytes, now: int) -> None:
    """Store a notice, unless it is known already."""
    await connection.execute(_SQL["record"], source, reference, now, document.decode())


async def anything_due(connection: Queries, now: int) -> bool:
    """Tell whether there is a notice to be looked at, or anything to be sent, by `now`, unix seconds."""
    return bool(await connection.fetchval(_SQL["anything_due"], now))


async def waiting(connection: Queries, now: int, limit: int) -> list[StoredNotice]:
    """Return notices that are to be looked at by `now`, unix seconds."""
    rows = await connection.fetch(_SQL["waiting"], now, limit)
    return [StoredNotice(row["source"], row["reference"], row["document"]) for row in rows]


async def finish(connection: Connection, notice: StoredNotice, result: str) -> bool:
    """Say what followed from a notice; False when somebody else has. Whoever does it at once with another waits until that one is done, or has given up."""
    done: bool | None = await connection.fetchval(_SQL["finish"], notice.source, notice.reference, result)
    return done is not None


async def put_off(connection: Queries, notice: StoredNotice, now: int) -> None:
    """Look at a notice again later."""
    await connection.execute(_SQL["put_off"], notice.source, notice.reference, now)
