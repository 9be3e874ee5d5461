"""The ledger as journals of plain text accounting, pure: hledger's and Beancount's, and lines of CSV. One journal is of one mode.

Money that moved stands under assets, liabilities, income and expenses. Holds are promises: they stand under equity, both sides, so that they add nothing to those.
Debits are positive, credits negative. Sources: hledger 1.40, "Journal"; Beancount 3, "Language Syntax".
"""

import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from payments.domain.money import CURRENCIES
from payments.ledger.chart import AccountKind
from payments.ledger.transfer import Phase

_ROOTS = {
    AccountKind.FEES: "income",
    AccountKind.LOSSES: "expenses",
    AccountKind.RECEIVABLE: "assets",
    AccountKind.SETTLED: "assets",
}
_OTHERWISE = {"debit": "assets", "credit": "liabilities"}
_HOLDS = "equity:holds"
OPENING = "equity:opening-balances"
_BEFORE_ALL = date(1970, 1, 1)


class JournalFormat(StrEnum):
    """What a journal can be written as."""

    HLEDGER = "hledger"
    BEANCOUNT = "beancount"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class JournalAccount:
    """An account, as a journal knows it."""

    holder: str
    kind: str
    currency: str
    normal_side: str

    @property
    def title(self) -> str:
        """What it is called on the command line."""
        return f"{self.holder}:{self.kind}"

    def name(self, *, held: bool) -> str:
        """Return its name in the tree of accounts."""
        root = _HOLDS if held else _ROOTS.get(AccountKind(self.kind), _OTHERWISE[self.normal_side])
        return f"{root}:{self.title}"


@dataclass(frozen=True, slots=True)
class JournalTransfer:
    """A transfer, with its accounts."""

    posting: str
    kind: str
    phase: str
    debit: JournalAccount
    credit: JournalAccount
    amount: int
    currency: str
    occurred_at: int
    """Unix seconds."""

    @property
    def sides(self) -> tuple[tuple[str, int], tuple[str, int]]:
        """The accounts' names, and what is added to each, in minor units; a hold that ends takes off what it put on."""
        held, signed = self.phase != Phase.POSTED, -self.amount if self.phase == Phase.RELEASED else self.amount
        return (self.debit.name(held=held), signed), (self.credit.name(held=held), -signed)

    @property
    def day(self) -> date:
        """When it happened, by UTC."""
        return datetime.fromtimestamp(self.occurred_at, UTC).date()


Balances = Mapping[tuple[str, str], int]
"""By the name of an account and its currency: minor units, debits positive."""


class Journal(ABC):
    """Writes a journal, line by line."""

    @abstractmethod
    def begin(self, accounts: Sequence[JournalAccount]) -> Iterator[str]:
        """Declare what there is."""

    @abstractmethod
    def opening(self, day: date, balances: Balances) -> Iterator[str]:
        """Begin with balances."""

    @abstractmethod
    def transfer(self, transfer: JournalTransfer) -> str:
        """Write one transfer."""

    @abstractmethod
    def closing(self, day: date, balances: Balances) -> Iterator[str]:
        """Have whoever reads it compare what comes out, at the end of a day, with balances."""


def journal(journal_format: JournalFormat) -> Journal:
    """Return what writes a format."""
    return {JournalFormat.HLEDGER: Hledger, JournalFormat.BEANCOUNT: Beancount, JournalFormat.CSV: Csv}[journal_format]()


def decimal(minor_units: int, currency: str) -> str:
    """Return an amount with as many decimals as its currency has: `decimal(-5, "usd") == "-0.05"`."""
    exponent = CURRENCIES[currency].exponent
    whole, fraction = divmod(abs(minor_units), 10**exponent)
    return f"{'-' if minor_units < 0 else ''}{whole}" + (f".{fraction:0{exponent}d}" if exponent else "")


def _money(minor_units: int, currency: str) -> str:
    return f"{decimal(minor_units, currency)} {currency.upper()}"


def _names(accounts: Iterable[JournalAccount]) -> list[tuple[str, list[str]]]:
    """Return all names there may be, with their currencies."""
    found: dict[str, set[str]] = {}
    for account in accounts:
        for held in (False, True):
            found.setdefault(account.name(held=held), set()).add(account.currency)
        found.setdefault(OPENING, set()).add(account.currency)
    return [(name, sorted(currencies)) for name, currencies in sorted(found.items())]


def _completed(balances: Balances) -> Balances:
    """Add what makes balances add up to nothing: all accounts together do so by themselves, some of them don't."""
    missing: dict[tuple[str, str], int] = {}
    for (_, currency), amount in balances.items():
        missing[OPENING, currency] = missing.get((OPENING, currency), 0) - amount
    return {**balances, **{key: amount for key, amount in missing.items() if amount}}


class Hledger(Journal):
    """hledger's journal format; `hledger check --strict` finds nothing in it."""

    def begin(self, accounts: Sequence[JournalAccount]) -> Iterator[str]:
        """Declare commodities with their decimals, and accounts."""
        for currency in sorted({account.currency for account in accounts}):
            exponent = CURRENCIES[currency].exponent
            yield f"commodity 1000.{'0' * exponent} {currency.upper()}\n"
        for name, _ in _names(accounts):
            yield f"account {name}\n"

    def opening(self, day: date, balances: Balances) -> Iterator[str]:
        """One transaction."""
        if balances:
            yield f"\n{day} opening balances\n"
        for (name, currency), amount in _completed(balances).items():
            yield f"    {name}  {_money(amount, currency)}\n"

    def transfer(self, transfer: JournalTransfer) -> str:
        """One transaction, with the ids as tags."""
        (debit, added), (credit, taken) = transfer.sides
        currency = transfer.currency
        return (
            f"\n{transfer.day} {transfer.kind}  ; posting:{transfer.posting}, kind:{transfer.kind}, occurred:{transfer.occurred_at}\n"
            f"    {debit}  {_money(added, currency)}\n    {credit}  {_money(taken, currency)}\n"
        )

    def closing(self, day: date, balances: Balances) -> Iterator[str]:
        """Balance assertions."""
        if balances:
            yield f"\n{day} balances in Tap\n"
        for (name, currency), amount in balances.items():
            yield f"    {name}  {_money(0, currency)} = {_money(amount, currency)}\n"


class Beancount(Journal):
    """Beancount's language; `bean-check` finds nothing in it."""

    def begin(self, accounts: Sequence[JournalAccount]) -> Iterator[str]:
        """Open each account, in its currencies."""
        yield 'option "title" "Tap"\n'
        for name, currencies in _names(accounts):
            yield f"{_BEFORE_ALL} open {_beancount_name(name)} {','.join(each.upper() for each in currencies)}\n"

    def opening(self, day: date, balances: Balances) -> Iterator[str]:
        """One transaction."""
        if balances:
            yield f'\n{day} * "opening balances"\n'
        for (name, currency), amount in _completed(balances).items():
            yield f"  {_beancount_name(name)}  {_money(amount, currency)}\n"

    def transfer(self, transfer: JournalTransfer) -> str:
        """One transaction, with the ids as metadata."""
        (debit, added), (credit, taken) = transfer.sides
        currency = transfer.currency
        return (
            f'\n{transfer.day} * "{transfer.kind}"\n  posting: "{transfer.posting}"\n  kind: "{transfer.kind}"\n  occurred: {transfer.occurred_at}\n'
            f"  {_beancount_name(debit)}  {_money(added, currency)}\n  {_beancount_name(credit)}  {_money(taken, currency)}\n"
        )

    def closing(self, day: date, balances: Balances) -> Iterator[str]:
        """Balance directives, which are about the beginning of a day."""
        if balances:
            yield "\n"
        for (name, currency), amount in balances.items():
            yield f"{day + timedelta(days=1)} balance {_beancount_name(name)}  {_money(amount, currency)}\n"


def _beancount_name(name: str) -> str:
    """Return a name of which each part begins with a capital letter or a digit, and has letters, digits and hyphens: other characters are written as a hyphen, their
    code and a hyphen, so that no two names become one.
    """
    return ":".join(_beancount_part(part) for part in name.split(":"))


def _beancount_part(part: str) -> str:
    spelt = "".join(each if (each.isascii() and each.isalnum()) or each == "-" else f"-{ord(each):x}-" for each in part.replace("_", "-"))
    return spelt if spelt[:1].isdigit() else spelt[:1].upper() + spelt[1:] if spelt[:1].isalpha() else f"X{spelt}"


class Csv(Journal):
    """A line a transfer, under a line of names; amounts are positive, the accounts say from where to where."""

    COLUMNS = ("posting", "kind", "phase", "occurred_at", "debit", "credit", "amount", "currency", "minor_units")

    def begin(self, accounts: Sequence[JournalAccount]) -> Iterator[str]:
        """Name the columns."""
        del accounts
        yield _csv_line(self.COLUMNS)

    def opening(self, day: date, balances: Balances) -> Iterator[str]:
        """Say nothing: a line is a transfer."""
        del day, balances
        yield from ()

    def transfer(self, transfer: JournalTransfer) -> str:
        """One line."""
        at = datetime.fromtimestamp(transfer.occurred_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        amount = decimal(transfer.amount, transfer.currency)
        sides = (transfer.debit.title, transfer.credit.title)
        return _csv_line((transfer.posting, transfer.kind, transfer.phase, at, *sides, amount, transfer.currency.upper(), transfer.amount))

    def closing(self, day: date, balances: Balances) -> Iterator[str]:
        """Say nothing."""
        del day, balances
        yield from ()


def _csv_line(values: Iterable[object]) -> str:
    """RFC 4180, but for line ends."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue()
