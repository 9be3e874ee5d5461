"""What all layouts of settlement files have in common."""

import datetime
from collections import defaultdict
from dataclasses import dataclass, field

from payments.domain.money import CURRENCIES
from payments.domain.settlement import SettlementHeader, SettlementLine, UnreadableFile

DAYS_MAX = 31
"""How many days one file may cover: all that was booked on them and isn't in it is said to be missing there."""

_YEAR_MIN = 1970
_AHEAD = datetime.timedelta(days=1)
"""How far ahead an acquirer's clock may be."""


@dataclass(slots=True)
class Sum:
    """What lines of one currency come to, in minor units."""

    lines: int = 0
    amount: int = 0
    """Signed: what the acquirer pays us, before its fees."""
    fee: int = 0


@dataclass(slots=True)
class Totals:
    """What the lines that were read come to."""

    lines: int = 0
    """All of them."""
    unread: int = 0
    """Those of which it isn't known what they say."""
    sums: dict[str, Sum] = field(default_factory=lambda: defaultdict(Sum))

    def add(self, line: SettlementLine) -> None:
        """Count a line."""
        self.lines += 1
        found = self.sums[line.currency]
        found.lines += 1
        found.amount += line.signed
        found.fee += line.fee


def moment(text: str) -> datetime.datetime | None:
    """Return a time in UTC, None for what is none: it needs a zone, and is of this age."""
    try:
        found = datetime.datetime.fromisoformat(text)
        return None if found.tzinfo is None or found.year < _YEAR_MIN else found.astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        return None


def check_header(header: SettlementHeader, today: datetime.date) -> SettlementHeader:
    """Return the header; raises `UnreadableFile` for days that no file can be of."""
    if header.last_day < header.first_day:
        raise UnreadableFile("it ends before the day on which it begins")
    if header.last_day > today:
        raise UnreadableFile(f"it covers {header.last_day}, which is in the future")
    if (header.last_day - header.first_day).days >= DAYS_MAX:
        raise UnreadableFile(f"it covers more than {DAYS_MAX} days")
    if header.created.date() > today + _AHEAD:
        raise UnreadableFile(f"it was made on {header.created.date()}, which is in the future")
    if header.created.date() < header.first_day:
        raise UnreadableFile(f"it was made on {header.created.date()}, before what it covers")
    return header


def unbookable(line: SettlementLine, today: datetime.date) -> str | None:
    """Return why a line that can be read can't be booked, None when it can."""
    if line.currency not in CURRENCIES:
        return f"the currency {line.currency} isn't known"
    if line.value_date > today:
        return f"the value date {line.value_date} is in the future: the money isn't there yet"
    return None
