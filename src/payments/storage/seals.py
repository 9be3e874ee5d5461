"""The hash chain over the ledger's transfers: seals are made after commits, and proven again later.

A transfer is sealed when its transaction and all with lower numbers are over: nothing can come in below any more. No commit waits for that, or writes anything
for it but the number of its transaction.
"""

import hmac
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from payments.ledger.seals import BEGINNING, Place, Seal, disagreements, named_faults, seal_after, split
from payments.runtime.seal import Sealer, key_of
from payments.storage.database import Connection, Queries, Row
from payments.storage.sql import queries

TRANSFERS_MAX = 2_000
"""In a seal. Their digests are chained on the event loop: 1.5 ms."""
_PLACES = ("{of_seal}", "{digest}")


def _with_parts(found: dict[str, str]) -> dict[str, str]:
    """What a seal is over is written once for all statements that read it."""
    whole = dict(found)
    for name in (each.strip("{}") for each in _PLACES):
        whole = {key: query.replace(f"{{{name}}}", found[name]) for key, query in whole.items()}
    return whole


_SQL = _with_parts(queries("seals.sql"))


class NumbersWentBackError(Exception):
    """The database counts its transactions from a lower number than those of sealed transfers, as one does that was restored from a dump."""


class NotOursError(Exception):
    """The newest seal isn't signed under a key that is known here: nothing is sealed behind it, since that would vouch for it."""


@dataclass(frozen=True, slots=True)
class Proven:
    """A run of seals that was held against what is there."""

    last: Seal
    """As it is stored."""
    faults: Sequence[str]


async def seal_next(connection: Connection, sealer: Sealer, *, transfers_max: int = TRANSFERS_MAX) -> int:
    """Seal what isn't yet, as many transfers as a seal takes, and return how many those were; 0 as well when another copy is at it.

    Raises `NumbersWentBackError`, `NotOursError`.
    """
    async with connection.transaction():
        if not await connection.fetchval(_SQL["only_one"]):
            return 0
        row = await connection.fetchrow(_SQL["last_seal"])
        last = BEGINNING if row is None or row["number"] is None else seal_of(row)
        if row is None or row["finished_below"] <= last.last.recorded_in:
            raise NumbersWentBackError
        if last.number > 0 and not _is_ours(last, sealer):
            raise NotOursError
        rows = await _unsealed(connection, last.last, transfers_max)
        if not rows and not _is_signed_under_older_key(last, sealer):
            return 0
        seal = seal_after(last, _place(rows[-1]) if rows else last.last, [each["digest"] for each in rows])
        await add_seal(connection, replace(seal, signature=sealer.sign(seal.statement)))
    return len(rows)


async def _unsealed(connection: Connection, last: Place, transfers_max: int) -> list[Row]:
    if last.recorded_in == 0 and (history := await connection.fetch(_SQL["rest_of_history"], last.posting, last.kind, transfers_max)):
        return history
    return await connection.fetch(_SQL["unsealed"], last.recorded_in, last.posting, last.kind, transfers_max)


def _is_signed_under_older_key(seal: Seal, sealer: Sealer) -> bool:
    """Tell whether the chain wants a signature under the key in use, before the other one is taken away."""
    return seal.number > 0 and key_of(seal.signature) < sealer.key_in_use


async def add_seal(connection: Queries, seal: Seal) -> None:
    """Store a seal."""
    last = seal.last
    place = (last.recorded_in, last.posting, last.kind)
    await connection.execute(
        _SQL["add_seal"], seal.number, seal.transfers, seal.total, *place, seal.head, seal.fingerprints, seal.signature
    )


async def newest_seals(connection: Queries, count: int) -> list[Row]:
    """Return the newest seals as rows, the newest first."""
    return await connection.fetch(_SQL["newest_seals"], count)


async def find_seal(connection: Queries, number: int) -> Seal | None:
    """Return a seal, the one before the first included."""
    if number == 0:
        return BEGINNING
    row = await connection.fetchrow(_SQL["seal_before"], number)
    return None if row is None else seal_of(row)


async def unsealed_seconds(connection: Queries, sealed: Place) -> float:
    """Return how long the oldest transfer has been waiting for its seal."""
    return float(await connection.fetchval(_SQL["unsealed_age"], sealed.recorded_in))


async def count_reach(connection: Queries) -> tuple[int, int]:
    """Return how many transfers there are, and how many of them are sealed."""
    row = await connection.fetchrow(_SQL["reach"])
    return (0, 0) if row is None else (row["transfers"], row["sealed"])


async def prove_after(connection: Queries, before: Seal, seals_max: int, sealer: Sealer | None) -> Proven:
    """Hold the seals after one against the transfers that are there, so many of them at most; signatures where there is a `sealer`."""
    place = (before.last.recorded_in, before.last.posting, before.last.kind)
    rows = await connection.fetch(_SQL["sealed"], before.number, seals_max, *place)
    seals, faults = [before, *(seal_of(row) for row in rows)], list[str]()
    for row, (previous, seal) in zip(rows, pairwise(seals), strict=True):
        found = disagreements(seal, previous, split(row["digests"]))
        faults += [*found, *await _named(connection, previous, seal, found), *_unsigned(seal, sealer)]
    return Proven(seals[-1], faults)


async def prove_all(connection: Queries, sealer: Sealer | None, seals_at_once: int = 50) -> AsyncGenerator[Proven]:
    """Hold the whole chain against the transfers, run by run."""
    before = BEGINNING
    while True:
        proven = await prove_after(connection, before, seals_at_once, sealer)
        if proven.last.number == before.number:
            break
        before = proven.last
        yield proven
    if sealer is not None and before.number and not _is_ours(before, sealer) and not _unsigned(before, sealer):
        yield Proven(before, [f"the newest seal, {before.number}, is signed under key {key_of(before.signature)}, which was taken away"])


async def _named(connection: Queries, before: Seal, seal: Seal, found: Sequence[str]) -> list[str]:
    """Name the transfers that a seal is wrong about."""
    if not found or seal.number != before.number + 1:
        return []
    rows = await connection.fetch(
        _SQL["in_seal"],
        *(before.last.recorded_in, before.last.posting, before.last.kind),
        *(seal.last.recorded_in, seal.last.posting, seal.last.kind),
        seal.transfers,
    )
    named = [(f"{row['posting']} {row['kind']}", row["digest"]) for row in rows]
    return [f"seal {seal.number}: {fault}" for fault in named_faults(seal, named)]


def _is_ours(seal: Seal, sealer: Sealer) -> bool:
    """Tell whether a seal is signed under a key that is known here."""
    expected = sealer.sign(seal.statement, like=seal.signature)
    return expected != "" and hmac.compare_digest(expected.encode(), seal.signature.encode())


def _unsigned(seal: Seal, sealer: Sealer | None) -> list[str]:
    """Return what is wrong with a signature. One under a key that was taken away since is vouched for by those after it."""
    if sealer is None or _is_ours(seal, sealer):
        return []
    if sealer.sign(seal.statement, like=seal.signature):
        return [f"seal {seal.number} has a signature that wasn't made with our key"]
    number = key_of(seal.signature)
    return [] if 0 < number < sealer.newest_key else [f"seal {seal.number} isn't signed under a key that is known here"]


def seal_of(row: Row) -> Seal:
    """Return what is stored of a seal."""
    names = ("number", "transfers", "total", "head", "fingerprints", "signature")
    return Seal(**{name: row[name] for name in names}, last=_place(row))


def _place(row: Row) -> Place:
    return Place(row["recorded_in"], row["posting"], row["kind"])


Watch = Callable[[Proven], None]
"""Is told of each run of seals that was proven."""
