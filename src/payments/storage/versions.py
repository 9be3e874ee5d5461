"""Comparing all that a decision was read from, in the commit that acts on it.

A commit that acts on objects names each of them as it was read. They are locked first, those that it changes and those that it only relied on; a unit of
which any has moved on writes nothing. So a stale charge can't be refunded, whichever object the request named.
"""

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum

import msgspec
from msgspec import Struct

from payments.domain.attempt import Attempt
from payments.domain.charge import Charge
from payments.domain.customer import Customer
from payments.domain.errors import ObjectLocked
from payments.domain.payment_intent import PaymentIntent
from payments.domain.payment_method import PaymentMethod
from payments.domain.refund import Refund
from payments.storage.database import Connection
from payments.storage.sql import queries

_SQL = queries("versions.sql")

Versioned = Customer | PaymentMethod | PaymentIntent | Charge | Refund
"""What changes version by version."""

_TABLES: dict[type[Versioned | Attempt], tuple[str, str]] = {
    Customer: ("payments.customers", "o.version = c.version"),
    PaymentMethod: ("payments.payment_methods", "o.version = c.version"),
    PaymentIntent: ("payments.payment_intents", "o.version = c.version AND o.open_attempt IS NOT DISTINCT FROM c.open_attempt"),
    Charge: ("payments.charges", "o.version = c.version"),
    Refund: ("payments.refunds", "o.version = c.version"),
    Attempt: ("payments.attempts", "o.closed_at IS NULL AND o.answered = c.answered"),
}
"""Where each kind is stored, and what it means that it hasn't moved on."""


class Strength(StrEnum):
    """What may happen to a locked row beside this commit."""

    SHARE = "SHARE"
    """Others may rely on it, too; nobody may change it."""
    UPDATE = "UPDATE"
    """This commit changes it."""


class _Row(Struct, frozen=True):
    unit: str
    merchant_id: int
    livemode: bool
    id: str
    version: int | None = None
    open_attempt: str | None = None
    answered: bool | None = None


class Compared(Struct, frozen=True):
    """One object that a unit of a commit was decided from."""

    unit: str
    kind: type[Versioned | Attempt]
    strength: Strength
    row: _Row

    @property
    def identity(self) -> tuple[type[Versioned | Attempt], int, bool, str]:
        """Which object it is."""
        return self.kind, self.row.merchant_id, self.row.livemode, self.row.id


def relied_on(unit: str, subject: Versioned) -> Compared:
    """Compare `subject`, as it was read; the commit doesn't change it."""
    open_attempt = subject.open_attempt if isinstance(subject, PaymentIntent) else None
    return _compared(unit, subject, Strength.SHARE, subject.version, open_attempt)


def changing(unit: str, subject: Versioned, *, open_attempt: str | None = None) -> Compared:
    """Compare what `subject` was, which is given as it shall be, one version on; `open_attempt`: what the intent was with the acquirer on."""
    return _compared(unit, subject, Strength.UPDATE, subject.version - 1, open_attempt)


def still_open(unit: str, attempt: Attempt, *, answered: bool) -> Compared:
    """Compare an attempt, which must have no outcome yet; `answered`: whether the merchant was told so, by the event that answers the request."""
    row = _Row(unit, attempt.merchant_id, attempt.livemode, attempt.id, answered=answered)
    return Compared(unit, Attempt, Strength.UPDATE, row)


def _compared(unit: str, subject: Versioned, strength: Strength, version: int, open_attempt: str | None) -> Compared:
    return Compared(unit, type(subject), strength, _Row(unit, subject.merchant_id, subject.livemode, subject.id, version, open_attempt))


async def lock_unmoved(connection: Connection, compared: Iterable[Compared]) -> set[str]:
    """Lock what is as it was read, and return the units of which something is not, or is changed by a unit before them."""
    candidates, moved = _without_conflicts(compared)
    found: Counter[str] = Counter()
    for kind, (table, unmoved) in _TABLES.items():
        for strength in Strength:
            rows = [each.row for each in candidates if each.kind is kind and each.strength is strength]
            if rows:
                query = _SQL["lock"].format(table=table, unmoved=unmoved, strength=strength)
                found.update(row["unit"] for row in await connection.fetch(query, msgspec.json.encode(rows).decode()))
    wanted = Counter(each.unit for each in candidates)
    return moved | {unit for unit, count in wanted.items() if found[unit] != count}


async def require_unmoved(connection: Connection, *subjects: Versioned) -> None:
    """Lock what a single change relies on; raises `ObjectLocked` when any of it isn't as it was read."""
    if await lock_unmoved(connection, [relied_on("", subject) for subject in subjects]):
        raise ObjectLocked


def _without_conflicts(compared: Iterable[Compared]) -> tuple[list[Compared], set[str]]:
    """Set aside the units that can't be committed together with those before them: they would act on what those change."""
    units: dict[str, list[Compared]] = {}
    for each in compared:
        units.setdefault(each.unit, []).append(each)
    kept: list[Compared] = []
    moved: set[str] = set()
    strengths: dict[object, Strength] = {}
    for unit, wanted in units.items():
        if any(Strength.UPDATE in (each.strength, strengths[each.identity]) for each in wanted if each.identity in strengths):
            moved.add(unit)
            continue
        strengths.update((each.identity, each.strength) for each in wanted)
        kept += wanted
    return kept, moved
