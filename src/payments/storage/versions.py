"""Comparing all that a decision was read from, in the commit that acts on it.

A commit that acts on objects names each of them as it was read. They are locked first, those that it changes and those that it only relied on; a unit of
which any has moved on writes nothing. So a stale charge can't be refunded, whichever object the request named.
"""

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct

from payments.domain.attempt import Attempt
from payments.domain.bank_account import BankAccount
from payments.domain.charge import Charge
from payments.domain.checkout import CheckoutSession, PaymentLink
from payments.domain.customer import Customer
from payments.domain.errors import ObjectLocked
from payments.domain.payment_intent import PaymentIntent
from payments.domain.payment_method import PaymentMethod
from payments.domain.price import Price
from payments.domain.product import Product
from payments.domain.refund import Refund
from payments.storage.columns import Columns, Row, array
from payments.storage.database import Connection
from payments.storage.sql import queries

_SQL = queries("versions.sql")

Versioned = Customer | PaymentMethod | PaymentIntent | Charge | Refund | Product | Price | BankAccount | CheckoutSession | PaymentLink
"""What changes version by version."""


class KeptCustomer:
    """A customer who need only not have been deleted, whatever else changed of them."""


Kind = type[Versioned | Attempt | KeptCustomer]

_TABLES: dict[Kind, tuple[str, str]] = {
    Customer: ("payments.customers", "o.version = n.version"),
    KeptCustomer: ("payments.customers", "NOT o.deleted"),
    PaymentMethod: ("payments.payment_methods", "o.version = n.version"),
    PaymentIntent: ("payments.payment_intents", "o.version = n.version AND o.open_attempt IS NOT DISTINCT FROM n.open_attempt"),
    Charge: ("payments.charges", "o.version = n.version"),
    Product: ("payments.products", "o.version = n.version"),
    Price: ("payments.prices", "o.version = n.version"),
    BankAccount: ("payments.bank_accounts", "o.version = n.version"),
    CheckoutSession: ("payments.checkout_sessions", "o.version = n.version"),
    PaymentLink: ("payments.payment_links", "o.version = n.version"),
    Refund: ("payments.refunds", "o.version = n.version"),
    Attempt: ("payments.attempts", "o.closed_at IS NULL AND o.answered = n.answered"),
}
"""Where each kind is stored, and what it means that it hasn't moved on."""


class Strength(StrEnum):
    """What may happen to a locked row beside this commit."""

    SHARE = "SHARE"
    """Others may rely on it, too; nobody may change it."""
    UPDATE = "UPDATE"
    """This commit changes it."""


COMPARED = Columns("unit text, merchant_id bigint, livemode boolean, id text, version integer, open_attempt text, answered boolean")
"""Of rows that are compared."""

Target = tuple[Kind, Strength]
"""Rows of one table, locked with one strength: what one lock is about."""

LOCKS: dict[Target, str] = {
    (kind, strength): _SQL["lock"].format(rows="{rows}", table=table, unmoved=unmoved, strength=strength)
    for kind, (table, unmoved) in _TABLES.items()
    for strength in Strength
}
"""What returns the units of the rows that it locked; in the order in which a commit locks."""


class Compared(Struct, frozen=True):
    """One object that a unit of a commit was decided from, and as what it was read."""

    unit: str
    kind: Kind
    strength: Strength
    merchant_id: int
    livemode: bool
    id: str
    version: int | None = None
    open_attempt: str | None = None
    answered: bool | None = None

    @property
    def identity(self) -> tuple[Kind, int, bool, str]:
        """Which object it is."""
        return self.kind, self.merchant_id, self.livemode, self.id


def relied_on(unit: str, subject: Versioned) -> Compared:
    """Compare `subject`, as it was read; the commit doesn't change it."""
    open_attempt = subject.open_attempt if isinstance(subject, PaymentIntent) else None
    return _compared(unit, subject, Strength.SHARE, subject.version, open_attempt)


def changing(unit: str, subject: Versioned, *, open_attempt: str | None = None) -> Compared:
    """Compare what `subject` was, which is given as it shall be, one version on; `open_attempt`: what the intent was with the acquirer on."""
    return _compared(unit, subject, Strength.UPDATE, subject.version - 1, open_attempt)


def still_there(unit: str, method: PaymentMethod) -> Compared:
    """Compare the customer whom a card is attached to: they must not be deleted, now or while this commit is under way."""
    return Compared(unit, KeptCustomer, Strength.SHARE, method.merchant_id, method.livemode, method.customer or "")


def still_open(unit: str, attempt: Attempt, *, answered: bool) -> Compared:
    """Compare an attempt, which must have no outcome yet; `answered`: whether the merchant was told so, by the event that answers the request."""
    return Compared(unit, Attempt, Strength.UPDATE, attempt.merchant_id, attempt.livemode, attempt.id, answered=answered)


def _compared(unit: str, subject: Versioned, strength: Strength, version: int, open_attempt: str | None) -> Compared:
    return Compared(unit, type(subject), strength, subject.merchant_id, subject.livemode, subject.id, version, open_attempt)


def locks_of(compared: Iterable[Compared]) -> dict[Target, list[Row]]:
    """Return what a batch locks, in the order in which it does. A unit that can't be committed together with those before it locks nothing, so it is found moved."""
    found: dict[Target, list[Row]] = {}
    for each in _without_conflicts(compared):
        found.setdefault((each.kind, each.strength), []).append(COMPARED.row(each))
    return {target: found[target] for target in LOCKS if target in found}


async def require_unmoved(connection: Connection, *subjects: Versioned) -> None:
    """Lock what a single change relies on; raises `ObjectLocked` when any of it isn't as it was read."""
    for target, rows in locks_of(relied_on("", subject) for subject in subjects).items():
        locked = await connection.fetch(LOCKS[target].format(rows=COMPARED.source(1)), array(rows))
        if len(locked) != len(rows):
            raise ObjectLocked


def _without_conflicts(compared: Iterable[Compared]) -> list[Compared]:
    """Leave out the units that can't be committed together with those before them: they would act on what those change."""
    units: dict[str, list[Compared]] = {}
    for each in compared:
        units.setdefault(each.unit, []).append(each)
    kept: list[Compared] = []
    strengths: dict[object, Strength] = {}
    for wanted in units.values():
        if any(Strength.UPDATE in (each.strength, strengths[each.identity]) for each in wanted if each.identity in strengths):
            continue
        strengths.update((each.identity, each.strength) for each in wanted)
        kept += wanted
    return kept
