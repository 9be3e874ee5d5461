"""The bank's record: a SQLite file. An order is in it before it is answered, with its answer: so an order that comes again, even to another process, gets the same."""

import datetime
import hmac
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib.resources import files
from pathlib import Path

from msgspec import Struct

_FILE = "record.sql"
_DAY_SECONDS = 24 * 3600


class BankOrder(Struct, frozen=True, kw_only=True):
    """What the bank is asked, whatever the protocol."""

    reference: str
    kind: str
    """`authorize`, `increment`, `capture`, `void`, `refund`, `verify`."""
    amount: int
    currency: str
    original: str | None = None
    capture: bool = False
    number: str | None = None
    """The card's: decided by, and not kept."""

    def __repr__(self) -> str:
        return f"BankOrder({self.reference}, {self.kind}, …)"

    @property
    def claims(self) -> bool:
        """Whether it moves money to the merchant."""
        return self.kind == "capture" or (self.kind == "authorize" and self.capture)


class Recorded(Struct, frozen=True, kw_only=True):
    """An order in the record."""

    reference: str
    root: str
    kind: str
    original: str | None
    amount: int
    currency: str
    claims: bool
    approved: bool
    answer: bytes

    def is_about(self, order: BankOrder) -> bool:
        """Tell whether an order of the same reference is the same order."""
        return (self.kind, self.original, self.amount, self.currency) == (order.kind, order.original, order.amount, order.currency)


class Settled(Struct, frozen=True, kw_only=True):
    """An order that moved money."""

    number: int
    """The bank's own of the order."""
    reference: str
    kind: str
    amount: int
    currency: str


class Standing(Struct, frozen=True, kw_only=True):
    """Where an authorization stands; amounts in minor units."""

    held: int
    claimed: int
    refunded: int
    voided: bool


class Record:
    """Keeps orders. Cards are kept as what is equal for equal numbers, and useless without the key."""

    def __init__(self, path: Path, digest_key: bytes) -> None:
        """Open a file, or make one; its directory is the caller's."""
        self._sql = _queries()
        self._digest_key = digest_key
        self._connection = sqlite3.connect(path, isolation_level=None)
        # A process that dies loses nothing of what was written so; a machine that dies might.
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute(self._sql["create"])
        self._connection.execute(self._sql["index"])

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def find(self, reference: str) -> Recorded | None:
        """Return an order."""
        row = self._connection.execute(self._sql["find"], (reference,)).fetchone()
        if row is None:
            return None
        reference, root, kind, original, amount, currency, claims, approved, answer = row
        return Recorded(
            reference=reference,
            root=root,
            kind=kind,
            original=original,
            amount=amount,
            currency=currency,
            claims=bool(claims),
            approved=bool(approved),
            answer=answer,
        )

    def repeated(self, reference: str) -> None:
        """Count that an order came again."""
        self._connection.execute(self._sql["repeated"], (reference,))

    def insert(self, order: BankOrder, root: str, *, approved: bool, answer: bytes, now: float) -> None:
        """Record an order with its answer."""
        digest = None if order.number is None else hmac.digest(self._digest_key, order.number.encode(), "sha256").hex()
        last4 = None if order.number is None else order.number[-4:]
        self._connection.execute(
            self._sql["insert"],
            (
                order.reference,
                root,
                order.kind,
                order.original,
                order.amount,
                order.currency,
                order.claims,
                approved,
                digest,
                last4,
                answer,
                now,
            ),
        )

    def reverse(self, reference: str) -> bool:
        """Undo an order; False when there is none that was approved."""
        return self._connection.execute(self._sql["reverse"], (reference,)).rowcount > 0

    def standing(self, root: str) -> Standing:
        """Return where an authorization stands."""
        held, claimed, refunded, voided = self._connection.execute(self._sql["standing"], (root,)).fetchone()
        return Standing(held=held, claimed=claimed, refunded=refunded, voided=bool(voided))

    def totals(self) -> list[dict[str, object]]:
        """Return what was approved, by kind and currency."""
        rows = self._connection.execute(self._sql["totals"]).fetchall()
        return [
            {"kind": kind, "currency": currency, "claims": bool(claims), "orders": orders, "amount": amount}
            for kind, currency, claims, orders, amount in rows
        ]


def settled_orders(path: Path, day: datetime.date) -> Iterator[Settled]:
    """Return what moved money on a day, UTC, while the bank goes on; raises `sqlite3.Error`."""
    begin = datetime.datetime.combine(day, datetime.time(), datetime.UTC).timestamp()
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        for number, reference, kind, amount, currency in connection.execute(_queries()["settled"], (begin, begin + _DAY_SECONDS)):
            yield Settled(number=number, reference=reference, kind=kind, amount=amount, currency=currency)


def _queries() -> dict[str, str]:
    """Read the named statements; those of `storage` are PostgreSQL's, and of a layer that isn't below this one."""
    text = (files("payments.acquirers.far_end") / _FILE).read_text(encoding="utf-8")
    named = (part.partition(":") for part in text.split("-- ")[1:])
    return {name: rest.partition("\n")[2].strip() for name, _, rest in named}
