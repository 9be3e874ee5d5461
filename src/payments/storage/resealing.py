"""Seals anew, under the key in use, what was sealed under older ones: in small batches, beside live payments.

A batch is a transaction of its own, and takes only rows that nobody has in hand: no payment waits for more than one batch, and none is waited for. Whoever
is interrupted leaves values that are sealed under one key or the other, all of which can be opened; the next run goes on with what is left.
"""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from payments.runtime.seal import Sealer, SealError
from payments.runtime.seal_contexts import account_number_context, number_context, response_context, secret_context
from payments.storage.claims import KEPT_SECONDS
from payments.storage.database import Connection, Queries, Row
from payments.storage.sql import queries

_SQL = queries("resealing.sql")
BATCH_ROWS = 100
"""As many as are opened and sealed in a few milliseconds."""
_ROUNDS_MAX = 5
"""What somebody else had in hand is left for the next round."""
DIGESTS = "request digests"
"""They can't be made anew without the request, and are of no use after a day."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """One column with sealed values."""

    name: str
    query: str
    context: Callable[[int, bool, str], bytes]


SEALED_KINDS = (
    _Kind("card numbers", "card_numbers", number_context),
    _Kind("account numbers", "account_numbers", account_number_context),
    _Kind("webhook secrets", "webhook_secrets", secret_context),
    _Kind("previous webhook secrets", "previous_webhook_secrets", secret_context),
    _Kind("earlier webhook secrets", "earlier_webhook_secrets", secret_context),
    _Kind("stored answers", "stored_answers", response_context),
)


@dataclass(frozen=True, slots=True)
class KeyUse:
    """How many values there are under one key."""

    what: str
    key_id: int
    """0: damaged, so that no key opens it."""
    count: int


@dataclass(slots=True)
class Resealed:
    """What a run did, and left."""

    done: int = 0
    unreadable: int = 0
    """Values that no key opens, since they are damaged, or theirs isn't known any more; they stay as they are."""
    left: int = 0
    """Values that aren't under the key in use."""


async def envelope_uses(connection: Queries) -> list[KeyUse]:
    """Count what is sealed or digested under each key."""
    return [KeyUse(row["what"], row["key_id"], row["count"]) for row in await connection.fetch(_SQL["envelope_uses"], KEPT_SECONDS)]


async def reseal(connection: Connection, sealer: Sealer, *, batch_rows: int = BATCH_ROWS) -> Resealed:
    """Seal everything anew that isn't under the key in use, until nothing is left that can be."""
    total = Resealed()
    await connection.execute(_SQL["plan_each_batch"])
    for _ in range(_ROUNDS_MAX):
        done = total.unreadable = 0
        for kind in SEALED_KINDS:
            resealed, unreadable = await _pass_through(connection, sealer, kind, batch_rows)
            done, total.unreadable = done + resealed, total.unreadable + unreadable
        total.done += done
        total.left = sum(use.count for use in await envelope_uses(connection) if use.what != DIGESTS and use.key_id != sealer.key_in_use)
        if not done or total.left <= total.unreadable:
            break
    return total


async def _pass_through(connection: Connection, sealer: Sealer, kind: _Kind, batch_rows: int) -> tuple[int, int]:
    """Go through a table once, in the order of its key; returns how many values were sealed anew, and how many can't be."""
    done = unreadable = 0
    after: tuple[int, bool, str] = (0, False, "")
    while True:
        async with connection.transaction():
            rows = await connection.fetch(_SQL[kind.query], *after, sealer.key_in_use, batch_rows)
            if not rows:
                return done, unreadable
            sealed = [(row, anew) for row in rows if (anew := _seal_anew(sealer, kind, row)) is not None]
            columns = [[row[name] for row, _ in sealed] for name in ("merchant_id", "livemode", "key")]
            await connection.execute(_SQL[f"put_{kind.query}"], *columns, [anew for _, anew in sealed])
        done, unreadable = done + len(sealed), unreadable + len(rows) - len(sealed)
        after = rows[-1]["merchant_id"], rows[-1]["livemode"], rows[-1]["key"]


def _seal_anew(sealer: Sealer, kind: _Kind, row: Row) -> str | bytes | None:
    """Return a value under the key in use, as its column has it; None for one that can't be opened."""
    context = kind.context(row["merchant_id"], row["livemode"], row["bound_to"])
    sealed: Any = row["sealed"]
    try:
        if isinstance(sealed, str):
            return base64.b64encode(sealer.seal(sealer.open(base64.b64decode(sealed, validate=True), context), context)).decode("ascii")
        return sealer.seal(sealer.open(sealed, context), context)
    except (SealError, binascii.Error):
        return None
