"""What an acquirer says that it paid us, and how that compares with our books.

Settlement: an acquirer pays us what it captured for us. Reconciliation: its file is held against the ledger, line by line.
"""

import datetime
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple, Protocol

from msgspec import Struct


class LineKind(StrEnum):
    """What a line is about."""

    CAPTURE = "capture"
    REFUND = "refund"
    CHARGEBACK = "chargeback"
    CHARGEBACK_REVERSAL = "chargeback_reversal"
    """What was charged back was won."""

    @property
    def pays_us(self) -> bool:
        """Whether the acquirer pays us by it; else it takes that much from what it pays."""
        return self in (LineKind.CAPTURE, LineKind.CHARGEBACK_REVERSAL)


class MatchClass(StrEnum):
    """How one line, or what is booked here, compares with the other side."""

    MATCHED = "matched"
    MISSING_HERE = "missing_here"
    """The acquirer settled what isn't booked here."""
    MISSING_THERE = "missing_there"
    """It is booked here, and a file that covers its day doesn't have it."""
    AMOUNT_DIFFERS = "amount_differs"
    CURRENCY_DIFFERS = "currency_differs"
    DUPLICATED = "duplicated"
    """It was settled before: by another line of the file, or by an earlier file."""


class Availability(StrEnum):
    """When captured funds become available to the merchant."""

    SCHEDULE = "schedule"
    """So many days after they were captured."""
    SETTLEMENT = "settlement"
    """When the acquirer settled them."""


UNTIL_SETTLED = 4_102_444_800
"""When funds that wait for their settlement become available by the schedule: never; 2100-01-01 in unix seconds."""


class SettlementLine(NamedTuple):
    """One line of a file; amounts in minor units."""

    number: int
    """Where it is in the file, counted from 1: the line of a CSV file, the entry of a statement."""
    reference: str
    """Ours: that of the order, under which the acquirer knows it."""
    acquirer_reference: str
    """The acquirer's own, which no other line of its kind has."""
    kind: LineKind
    amount: int
    """Before the fee; above zero: `kind` has the direction."""
    currency: str
    fee: int
    """What the acquirer keeps; negative when it gives some back."""
    value_date: datetime.date
    """When the money is on our bank account."""

    @property
    def signed(self) -> int:
        """The amount, negative where the acquirer takes it from what it pays."""
        return self.amount if self.kind.pays_us else -self.amount


class RefusedLine(NamedTuple):
    """A line that can't be booked."""

    number: int
    reason: str


class SettlementHeader(Struct, frozen=True, kw_only=True):
    """What a file says of itself."""

    acquirer: str | None
    """As we call it; None: the file has no place for it."""
    reference: str
    """The acquirer's own name of the file."""
    first_day: datetime.date
    last_day: datetime.date
    """UTC, the days that it covers, both included."""
    created: datetime.datetime
    """When it was made: what was booked later can't be in it."""


class UnreadableFile(Exception):
    """A file can't be read as what it says that it is; the message says why, in one line."""


class SettlementFile(Protocol):
    """A file that is being read. What is wrong with it as a whole is known when all of its lines were read."""

    @property
    def header(self) -> SettlementHeader:
        """What it says of itself."""
        ...

    @property
    def faults(self) -> list[str]:
        """What its end says that isn't so; with any of them, nothing in it is to be trusted."""
        ...

    @property
    def digest(self) -> bytes:
        """SHA-256 of all of it."""
        ...

    def lines(self) -> Iterator[SettlementLine | RefusedLine]:
        """Read it, once."""
        ...
