"""ISO 20022 camt.053, the bank-to-customer statement: docs/reconciliation.md says which of its elements are read.

Read entry by entry, each forgotten when it was read. A file with a document type is refused before anything of it is parsed: without one there are no
entities, neither to be expanded nor to be fetched.
"""

import datetime
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import IO, Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from xml.parsers import expat
from xml.sax.saxutils import escape

from payments.acquirers.settlement_files.layout import check_header, unbookable
from payments.domain.money import CURRENCIES
from payments.domain.settlement import LineKind, RefusedLine, SettlementHeader, SettlementLine, UnreadableFile

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
_NAMESPACES = re.compile(r"urn:iso:std:iso:20022:tech:xsd:camt\.053\.001\.(?:0[2-9]|1[0-9])")
_CHUNK_BYTES = 65_536
_ELEMENT_BYTES_MAX = 1_048_576
"""How much may stand between the ends of two entries: more would be kept in memory."""
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_DIGITS_MAX = 12
_KINDS = {each.upper(): each for each in LineKind}
_CREDIT, _DEBIT = "CRDT", "DBIT"


class _Wrong(Exception):
    """An entry can't be read."""


@dataclass(slots=True)
class _Sum:
    entries: int = 0
    amount: Decimal = Decimal(0)
    net: Decimal = Decimal(0)


class Camt053File:
    """Reads a file, which may have a statement for each currency."""

    def __init__(self, file: IO[bytes], today: datetime.date) -> None:
        """Read up to the first entry; raises `UnreadableFile`. `today`: in UTC."""
        self._file = file
        self._today = today
        self._hash = hashlib.sha256()
        self._parser: Any = ElementTree.XMLPullParser(("start", "end"))
        self._prolog: expat.XMLParserType | None = _prolog_parser()
        self._events = self._parse()
        self._kept_bytes = 0
        self._document: Element | None = None
        self._statement: Element | None = None
        self._number = 0
        self._is_first_empty = False
        self.faults: list[str] = []
        self.header = check_header(self._read_header(), today)

    @property
    def digest(self) -> bytes:
        """SHA-256 of what was read."""
        return self._hash.digest()

    def _parse(self) -> Iterator[tuple[str, Element]]:
        """Return what begins and what ends."""
        while chunk := self._file.read(_CHUNK_BYTES):
            self._hash.update(chunk)
            self._kept_bytes += len(chunk)
            if self._kept_bytes > _ELEMENT_BYTES_MAX + _CHUNK_BYTES:
                raise UnreadableFile(f"more than {_ELEMENT_BYTES_MAX} bytes stand between two entries")
            if self._prolog is not None:
                self._prolog.Parse(chunk, False)
            self._parser.feed(chunk)
            yield from self._parser.read_events()
        self._parser.close()
        yield from self._parser.read_events()

    def _read_header(self) -> SettlementHeader:
        try:
            for event, element in self._events:
                name = _local(element)
                if self._document is None:
                    if name != "Document" or _NAMESPACES.fullmatch(_namespace(element)) is None:
                        raise UnreadableFile("it is no camt.053.001 document")
                    self._document, self._prolog = element, None
                elif event == "start" and name == "Stmt":
                    self._statement = element
                elif (event, name) in {("start", "Ntry"), ("end", "Stmt")}:
                    self._is_first_empty = event == "end"
                    return self._header_of(self._document, self._statement)
        except (ElementTree.ParseError, expat.ExpatError) as failure:
            raise UnreadableFile(f"it is no XML: {failure}") from None
        raise UnreadableFile("it has no statement")

    def _header_of(self, document: Element, statement: Element | None) -> SettlementHeader:
        if statement is None:
            raise UnreadableFile("it has an entry outside of a statement")
        reference = _text(document, "BkToCstmrStmt/GrpHdr/MsgId") or _text(statement, "Id") or ""
        created = _time(_text(statement, "CreDtTm") or _text(document, "BkToCstmrStmt/GrpHdr/CreDtTm"))
        first, last = _time(_text(statement, "FrToDt/FrDtTm")), _time(_text(statement, "FrToDt/ToDtTm"))
        if _NAME.fullmatch(reference) is None or created is None or first is None or last is None:
            raise UnreadableFile("its statement needs Id, CreDtTm and FrToDt with FrDtTm and ToDtTm, whose times have a zone")
        acquirer = _text(statement, "Acct/Id/Othr/Id")
        named = acquirer is not None and re.fullmatch(r"[a-z][a-z0-9-]{0,30}", acquirer) is not None
        return SettlementHeader(
            acquirer=acquirer if named else None,
            reference=reference,
            first_day=first.date(),
            last_day=(last - datetime.timedelta(microseconds=1)).date(),
            created=created,
        )

    def lines(self) -> Iterator[SettlementLine | RefusedLine]:
        """Read the entries, and compare each statement's end with them."""
        sums: dict[str, _Sum] = defaultdict(_Sum)
        if self._is_first_empty and self._statement is not None:
            self._end(self._statement, sums)
        try:
            space = "" if self._document is None else _space(self._document)
            entry_tag, statement_tag = space + "Ntry", space + "Stmt"
            for event, element in self._events:
                tag = element.tag
                if tag == entry_tag:
                    if event == "end" and self._statement is not None:
                        yield self._entry(element, sums)
                        self._statement.remove(element)
                        self._kept_bytes = 0
                elif tag == statement_tag:
                    if event == "start":
                        self._statement, sums = element, defaultdict(_Sum)
                    else:
                        self._end(element, sums)
                        element.clear()
        except (ElementTree.ParseError, UnreadableFile) as failure:
            self.faults.append(f"its end can't be read, it may have been cut off: {failure}")

    def _entry(self, entry: Element, sums: dict[str, _Sum]) -> SettlementLine | RefusedLine:
        self._number += 1
        try:
            amount, currency = _money(entry, "Amt")
            direction = _text(entry, "CdtDbtInd")
            if direction not in (_CREDIT, _DEBIT):
                raise _Wrong("CdtDbtInd is neither CRDT nor DBIT")
            found = sums[currency]
            found.entries += 1
            found.amount += amount
            found.net += amount if direction == _CREDIT else -amount
            line = self._line(entry, amount, currency, direction)
        except _Wrong as mistake:
            return RefusedLine(self._number, str(mistake))
        reason = unbookable(line, self._today)
        return line if reason is None else RefusedLine(line.number, reason)

    def _line(self, entry: Element, amount: Decimal, currency: str, direction: str) -> SettlementLine:
        if (_text(entry, "Sts/Cd") or _text(entry, "Sts")) != "BOOK":
            raise _Wrong("it isn't booked: Sts isn't BOOK")
        details = _all(entry, "NtryDtls/TxDtls")
        if len(details) != 1:
            raise _Wrong(f"it stands for {len(details)} transactions: an entry for each is needed")
        reference = _text(details[0], "Refs/EndToEndId") or ""
        acquirer_reference = _text(entry, "AcctSvcrRef") or _text(details[0], "Refs/AcctSvcrRef") or ""
        if _NAME.fullmatch(reference) is None:
            raise _Wrong("EndToEndId has no reference of ours")
        if _NAME.fullmatch(acquirer_reference) is None:
            raise _Wrong("AcctSvcrRef has no reference of the bank's")
        kind = _KINDS.get(_text(entry, "BkTxCd/Prtry/Cd") or "", LineKind.CAPTURE if direction == _CREDIT else LineKind.REFUND)
        if kind.pays_us != (direction == _CREDIT):
            raise _Wrong(f"a {kind} isn't {direction}")
        fee, included = _charges(entry, currency)
        gross = amount + fee if included and kind.pays_us else amount - fee if included else amount
        value_date = _day(_text(entry, "ValDt/Dt") or (_text(entry, "ValDt/DtTm") or "")[:10])
        return SettlementLine(
            number=self._number,
            reference=reference,
            acquirer_reference=acquirer_reference,
            kind=kind,
            amount=_minor_units(gross, currency, at_least=1),
            currency=currency,
            fee=_minor_units(fee, currency, at_least=None),
            value_date=value_date,
        )

    def _end(self, statement: Element, sums: dict[str, _Sum]) -> None:
        """Compare what a statement says of its entries with them."""
        name = _text(statement, "Id") or "a statement"
        found = list(sums.values()) or [_Sum()]
        if len(found) > 1:
            self.faults.append(f"{name} has entries in {' and '.join(sums)}")
            return
        entries, net = _text(statement, "TxsSummry/TtlNtries/NbOfNtries"), _balance_change(statement)
        total = _text(statement, "TxsSummry/TtlNtries/Sum")
        if entries is None and net is None:
            self.faults.append(f"{name} says neither how many entries it has nor what they come to, so nobody knows whether they are all")
        if entries is not None and entries != str(found[0].entries):
            self.faults.append(f"{name} says {entries} entries, and there are {found[0].entries}")
        if total is not None and _decimal(total) != found[0].amount:
            self.faults.append(f"{name} says that they come to {total}, and they come to {found[0].amount}")
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


def _prolog_parser() -> "expat.XMLParserType":
    """Return a parser of what stands before the document, which refuses a document type."""

    def refuse(*_: object) -> None:
        raise UnreadableFile("it has a document type, in which entities could be declared: a statement has none")

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    return parser


def _balance_change(statement: Element) -> Decimal | None:
    """Return by how much the balance changes, None when it isn't said."""
    found: dict[str, Decimal] = {}
    for balance in _all(statement, "Bal"):
        amount, code = _text(balance, "Amt"), _text(balance, "Tp/CdOrPrtry/Cd")
        value = None if amount is None else _decimal(amount)
        if code is not None and value is not None:
            found[code] = value if _text(balance, "CdtDbtInd") == _CREDIT else -value
    opening = found.get("OPBD", found.get("PRCD"))
    return None if opening is None or "CLBD" not in found else found["CLBD"] - opening


def _charges(entry: Element, currency: str) -> tuple[Decimal, bool]:
    """Return what the bank keeps of an entry, and whether the entry's amount is without it."""
    fee, included = Decimal(0), set[bool]()
    for record in _all(entry, "Chrgs/Rcrd"):
        amount, charged_in = _money(record, "Amt")
        if charged_in != currency:
            raise _Wrong("a charge is in another currency")
        fee += amount if (_text(record, "CdtDbtInd") or _DEBIT) == _DEBIT else -amount
        included.add(_text(record, "ChrgInclInd") in ("true", "1"))
    if len(included) > 1:
        raise _Wrong("some of its charges are in its amount, and some aren't")
    return fee, True in included


def _money(parent: Element, name: str) -> tuple[Decimal, str]:
    found = _all(parent, name)
    value = _decimal(found[0].text or "") if found else None
    currency = (found[0].get("Ccy") or "").lower() if found else ""
    if value is None or value < 0 or re.fullmatch("[a-z]{3}", currency) is None:
        raise _Wrong(f"{name} is no amount with a currency")
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
    if re.fullmatch(r"[0-9]{1,18}(\.[0-9]{1,5})?", text.strip()) is None:
        return None
    try:
        return Decimal(text.strip())
    except InvalidOperation:
        return None


def _day(text: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise _Wrong("ValDt is no date") from None


def _time(text: str | None) -> datetime.datetime | None:
    try:
        found = datetime.datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return None if found.tzinfo is None else found.astimezone(datetime.UTC)


def _local(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _namespace(element: Element) -> str:
    return element.tag.partition("}")[0].removeprefix("{")


@cache
def _tags(space: str, path: str) -> tuple[str, ...]:
    """Return the names of a path as they are in a namespace; few of either are ever asked for."""
    return tuple(space + name for name in path.split("/"))


def _all(parent: Element, path: str) -> list[Element]:
    """Return the elements at a path of names, in whatever namespace the parent is."""
    found = [parent]
    for tag in _tags(_space(parent), path):
        found = [child for each in found for child in each.findall(tag)]
    return found


def _text(parent: Element, path: str) -> str | None:
    """Return the text of the first element at a path, None when there is none."""
    found: Element | None = parent
    for tag in _tags(_space(parent), path):
        found = found.find(tag)
        if found is None:
            return None
    text = (found.text or "").strip()
    return text or None


def _space(element: Element) -> str:
    space, bracket, _ = element.tag.rpartition("}")
    return space + bracket
