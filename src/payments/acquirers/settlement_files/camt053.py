"""ISO 20022 camt.053, the bank-to-customer statement: docs/reconciliation.md says which of its elements are read.

A file with a document type is refused before anything of it is parsed: without one there are no entities, neither to be expanded nor to be fetched.
"""

import datetime
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain
from typing import IO
from xml.sax.saxutils import escape

from payments.acquirers.settlement_files.camt053_parts import Found, Part, read_parts
from payments.acquirers.settlement_files.layout import check_header, moment, unbookable
from payments.domain.money import CURRENCIES
from payments.domain.settlement import LineKind, RefusedLine, SettlementHeader, SettlementLine, UnreadableFile

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_CURRENCY = re.compile("[a-z]{3}")
_DECIMAL = re.compile(r"[0-9]{1,18}(\.[0-9]{1,5})?")
_DIGITS_MAX = 12
_SHOWN_CHARACTERS = 70
_KINDS = {each.upper(): each for each in LineKind}
_CREDIT, _DEBIT = "CRDT", "DBIT"


class _Wrong(Exception):
    """An entry can't be read."""


@dataclass(slots=True)
class _Sum:
    amount: Decimal = Decimal(0)
    net: Decimal = Decimal(0)


@dataclass(slots=True)
class _Totals:
    """What the entries of a statement come to."""

    entries: int = 0
    unread: int = 0
    """Those of which it isn't known what they come to."""
    sums: dict[str, _Sum] = field(default_factory=lambda: defaultdict(_Sum))
    """By currency."""


class Camt053File:
    """Reads a file, which may have a statement for each currency."""

    def __init__(self, file: IO[bytes], today: datetime.date) -> None:
        """Read up to the end of the first entry; raises `UnreadableFile`. `today`: in UTC."""
        self._today = today
        self._hash = hashlib.sha256()
        self._found = read_parts(file, self._hash)
        self._number = 0
        self.faults: list[str] = []
        self._first = next(self._found, None)
        if self._first is None:
            raise UnreadableFile("it has no statement")
        self.header = check_header(_header_of(self._first), today)

    @property
    def digest(self) -> bytes:
        """SHA-256 of what was read."""
        return self._hash.digest()

    def lines(self) -> Iterator[SettlementLine | RefusedLine]:
        """Read the entries, and compare each statement's end with them."""
        totals = _Totals()
        try:
            for found in chain([] if self._first is None else [self._first], self._found):
                if found.entry is not None:
                    yield self._entry(found.entry, totals)
                else:
                    self._end(found.statement, totals)
                    totals = _Totals()
        except UnreadableFile as failure:
            self.faults.append(f"its end can't be read, it may have been cut off: {failure}")

    def _entry(self, entry: Part, totals: _Totals) -> SettlementLine | RefusedLine:
        self._number += 1
        totals.entries += 1
        try:
            amount, currency, direction = _booked(entry)
        except _Wrong as mistake:
            totals.unread += 1
            return RefusedLine(self._number, str(mistake))
        found = totals.sums[currency]
        found.amount += amount
        found.net += amount if direction == _CREDIT else -amount
        try:
            line = self._line(entry, amount, currency, direction)
        except _Wrong as mistake:
            return RefusedLine(self._number, str(mistake))
        reason = unbookable(line, self._today)
        return line if reason is None else RefusedLine(line.number, reason)

    def _line(self, entry: Part, amount: Decimal, currency: str, direction: str) -> SettlementLine:
        if (entry.get("Sts/Cd") or entry.get("Sts")) != "BOOK":
            raise _Wrong("it isn't booked: Sts isn't BOOK")
        details: list[Part] = entry.get("TxDtls", [])
        if len(details) != 1:
            raise _Wrong(f"it stands for {len(details)} transactions: an entry for each is needed")
        reference = details[0].get("Refs/EndToEndId", "")
        acquirer_reference = entry.get("AcctSvcrRef") or details[0].get("Refs/AcctSvcrRef", "")
        if _NAME.fullmatch(reference) is None:
            raise _Wrong("EndToEndId has no reference of ours")
        if _NAME.fullmatch(acquirer_reference) is None:
            raise _Wrong("AcctSvcrRef has no reference of the bank's")
        kind = _KINDS.get(entry.get("BkTxCd/Prtry/Cd", ""), LineKind.CAPTURE if direction == _CREDIT else LineKind.REFUND)
        if kind.pays_us != (direction == _CREDIT):
            raise _Wrong(f"a {kind} isn't {direction}")
        fee, included = _charges(entry, currency)
        gross = amount + fee if included and kind.pays_us else amount - fee if included else amount
        return SettlementLine(
            number=self._number,
            reference=reference,
            acquirer_reference=acquirer_reference,
            kind=kind,
            amount=_minor_units(gross, currency, at_least=1),
            currency=currency,
            fee=_minor_units(fee, currency, at_least=None),
            value_date=_day(entry.get("ValDt/Dt") or entry.get("ValDt/DtTm", "")[:10]),
        )

    def _end(self, statement: Part, totals: _Totals) -> None:
        """Compare what a statement says of its entries with them; their sums only where all of them can be read."""
        name = _shown(statement.get("Id")) or "a statement"
        found = list(totals.sums.values()) or [_Sum()]
        if len(found) > 1:
            self.faults.append(f"{name} has entries in {' and '.join(totals.sums)}")
            return
        entries, net = statement.get("TxsSummry/TtlNtries/NbOfNtries"), _balance_change(statement)
        total = statement.get("TxsSummry/TtlNtries/Sum")
        if not entries and net is None:
            self.faults.append(f"{name} says neither how many entries it has nor what they come to, so nobody knows whether they are all")
        elif not entries and totals.unread:
            self.faults.append(
                f"{name} doesn't say how many entries it has, and {totals.unread} can't be read, so nobody knows whether they are all"
            )
        if entries and entries != str(totals.entries):
            self.faults.append(f"{name} says {_shown(entries)} entries, and there are {totals.entries}")
        if totals.unread:
            return
        if total and _decimal(total) != found[0].amount:
            self.faults.append(f"{name} says that they come to {_shown(total)}, and they come to {found[0].amount}")
        if net is not None and net != found[0].net:
            self.faults.append(f"the balance of {name} changes by {net}, and its entries come to {found[0].net}")


def write_camt053(file: IO[bytes], header: SettlementHeader, lines: Sequence[SettlementLine]) -> None:
    """Write a file with a statement for each currency; version 08."""
    created = header.created.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    begin, end = f"{header.first_day}T00:00:00Z", f"{header.last_day + datetime.timedelta(days=1)}T00:00:00Z"

    def put(text: str) -> None:
        file.write(text.encode())

    put(f'<?xml version="1.0" encoding="UTF-8"?>\n<Document xmlns="{NAMESPACE}"><BkToCstmrStmt>\n')
    put(f"<GrpHdr><MsgId>{escape(header.reference)}</MsgId><CreDtTm>{created}</CreDtTm></GrpHdr>\n")
    for currency in sorted({line.currency for line in lines}) or ["usd"]:
        written = [_Written.of(line) for line in lines if line.currency == currency]
        net = sum((each.signed for each in written), Decimal(0))
        put(f"<Stmt><Id>{escape(header.reference)}-{currency}</Id><CreDtTm>{created}</CreDtTm>")
        put(f"<FrToDt><FrDtTm>{begin}</FrDtTm><ToDtTm>{end}</ToDtTm></FrToDt>")
        put(f"<Acct><Id><Othr><Id>{escape(header.acquirer or 'account')}</Id></Othr></Id><Ccy>{currency.upper()}</Ccy></Acct>\n")
        put(_balance("OPBD", Decimal(0), currency, header.first_day) + _balance("CLBD", net, currency, header.last_day))
        total = sum((each.amount for each in written), Decimal(0))
        put(f"<TxsSummry><TtlNtries><NbOfNtries>{len(written)}</NbOfNtries><Sum>{total:f}</Sum></TtlNtries></TxsSummry>\n")
        for each in written:
            put(each.xml(header.last_day))
        put("</Stmt>\n")
    put("</BkToCstmrStmt></Document>\n")


@dataclass(frozen=True, slots=True)
class _Written:
    """A line as an entry. Its amount is what is booked: less the fee, where something is left."""

    line: SettlementLine
    amount: Decimal
    fee: Decimal
    included: bool = field(default=True)

    @classmethod
    def of(cls, line: SettlementLine) -> "_Written":
        scale = Decimal(1).scaleb(-CURRENCIES[line.currency].exponent)
        amount, fee = line.amount * scale, line.fee * scale
        net = amount - fee if line.kind.pays_us else amount + fee
        return cls(line, net, fee) if net > 0 else cls(line, amount, fee, included=False)

    @property
    def signed(self) -> Decimal:
        return self.amount if self.line.kind.pays_us else -self.amount

    def xml(self, booked: datetime.date) -> str:
        line, currency = self.line, self.line.currency.upper()
        charges = (
            f"<Chrgs><Rcrd><Amt Ccy={currency!r}>{abs(self.fee):f}</Amt><CdtDbtInd>{_DEBIT if self.fee > 0 else _CREDIT}</CdtDbtInd>"
            f"<ChrgInclInd>{str(self.included).lower()}</ChrgInclInd></Rcrd></Chrgs>"
            if self.fee
            else ""
        )
        return (
            f"<Ntry><Amt Ccy={currency!r}>{self.amount:f}</Amt><CdtDbtInd>{_CREDIT if line.kind.pays_us else _DEBIT}</CdtDbtInd>"
            f"<Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>{booked}</Dt></BookgDt><ValDt><Dt>{line.value_date}</Dt></ValDt>"
            f"<AcctSvcrRef>{escape(line.acquirer_reference)}</AcctSvcrRef><BkTxCd><Prtry><Cd>{line.kind.upper()}</Cd></Prtry></BkTxCd>"
            f"{charges}<NtryDtls><TxDtls><Refs><EndToEndId>{escape(line.reference)}</EndToEndId></Refs></TxDtls></NtryDtls></Ntry>\n"
        )


def _balance(code: str, amount: Decimal, currency: str, day: datetime.date) -> str:
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy={currency.upper()!r}>{abs(amount):f}</Amt>"
        f"<CdtDbtInd>{_CREDIT if amount >= 0 else _DEBIT}</CdtDbtInd><Dt><Dt>{day}</Dt></Dt></Bal>\n"
    )


def _header_of(found: Found) -> SettlementHeader:
    document, statement = found.document, found.statement
    reference = document.get("GrpHdr/MsgId") or statement.get("Id", "")
    created = moment(statement.get("CreDtTm") or document.get("GrpHdr/CreDtTm", ""))
    first, last = moment(statement.get("FrToDt/FrDtTm", "")), moment(statement.get("FrToDt/ToDtTm", ""))
    if _NAME.fullmatch(reference) is None or created is None or first is None or last is None:
        raise UnreadableFile("its statement needs Id, CreDtTm and FrToDt with FrDtTm and ToDtTm, whose times have a zone")
    acquirer: str | None = statement.get("Acct/Id/Othr/Id")
    named = acquirer is not None and re.fullmatch(r"[a-z][a-z0-9-]{0,30}", acquirer) is not None
    return SettlementHeader(
        acquirer=acquirer if named else None,
        reference=reference,
        first_day=first.date(),
        last_day=(last - datetime.timedelta(microseconds=1)).date(),
        created=created,
    )


def _shown(text: str | None) -> str:
    """Return what can be printed of a text, on one line."""
    return "".join(each for each in text or "" if each.isprintable())[:_SHOWN_CHARACTERS]


def _balance_change(statement: Part) -> Decimal | None:
    """Return by how much the balance changes, None when it isn't said."""
    found: dict[str, Decimal] = {}
    for balance in statement.get("Bal", []):
        code, value = balance.get("Tp/CdOrPrtry/Cd"), _decimal(balance.get("Amt", ""))
        if code and value is not None:
            found[code] = value if balance.get("CdtDbtInd") == _CREDIT else -value
    opening = found.get("OPBD", found.get("PRCD"))
    return None if opening is None or "CLBD" not in found else found["CLBD"] - opening


def _booked(entry: Part) -> tuple[Decimal, str, str]:
    """Return by how much of which currency an entry changes the balance, and in which direction."""
    amount, currency = _money(entry)
    direction = entry.get("CdtDbtInd")
    if direction not in (_CREDIT, _DEBIT):
        raise _Wrong("CdtDbtInd is neither CRDT nor DBIT")
    return amount, currency, direction


def _charges(entry: Part, currency: str) -> tuple[Decimal, bool]:
    """Return what the bank keeps of an entry, and whether the entry's amount is without it."""
    fee, included = Decimal(0), set[bool]()
    for record in entry.get("Rcrd", []):
        amount, charged_in = _money(record)
        if charged_in != currency:
            raise _Wrong("a charge is in another currency")
        fee += amount if (record.get("CdtDbtInd") or _DEBIT) == _DEBIT else -amount
        included.add(record.get("ChrgInclInd") in ("true", "1"))
    if len(included) > 1:
        raise _Wrong("some of its charges are in its amount, and some aren't")
    return fee, True in included


def _money(part: Part) -> tuple[Decimal, str]:
    value, currency = _decimal(part.get("Amt", "")), part.get("Amt@", "").lower()
    if value is None or _CURRENCY.fullmatch(currency) is None:
        raise _Wrong("Amt is no amount with a currency")
    return value, currency


def _minor_units(amount: Decimal, currency: str, *, at_least: int | None) -> int:
    known = CURRENCIES.get(currency)
    if known is None:
        raise _Wrong(f"the currency {currency} isn't known")
    scaled = amount.scaleb(known.exponent)
    if scaled != scaled.to_integral_value() or abs(scaled) >= 10**_DIGITS_MAX:
        raise _Wrong(f"{amount} can't be paid in {currency}")
    units = int(scaled)
    if at_least is not None and units < at_least:
        raise _Wrong("nothing is left of its amount")
    return units


def _decimal(text: str) -> Decimal | None:
    """Return a number of as many digits as the standard's have."""
    return None if _DECIMAL.fullmatch(text) is None else Decimal(text)


def _day(text: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise _Wrong("ValDt is no date") from None
