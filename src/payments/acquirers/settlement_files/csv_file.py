"""Our own layout, of plain lines: docs/reconciliation.md."""

import datetime
import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import IO

from payments.acquirers.settlement_files.layout import Totals, check_header, moment, unbookable
from payments.domain.settlement import LineKind, RefusedLine, SettlementHeader, SettlementLine, UnreadableFile

VERSION = "1"
_LINE_BYTES_MAX = 1_024
_NAME = r"[A-Za-z0-9_.:-]{1,64}"
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_AMOUNT_DIGITS, _FEE_DIGITS = 12, 10
"""A million lines of such amounts still fit into an account's 64 bits."""
_KINDS = {each.value: each for each in LineKind}
_HEADER = re.compile(rf"H,([0-9]+),({_NAME}),({_NAME}),({_DATE}),({_DATE}),([0-9TZ:.+-]{{20,35}})\r?\n")
_FIELDS = {
    "reference": re.compile(_NAME),
    "acquirer's reference": re.compile(_NAME),
    "kind": re.compile("|".join(_KINDS)),
    "amount": re.compile(rf"[0-9]{{1,{_AMOUNT_DIGITS}}}"),
    "currency": re.compile(r"[a-z]{3}"),
    "fee": re.compile(rf"-?[0-9]{{1,{_FEE_DIGITS}}}"),
    "value date": re.compile(_DATE),
}
_LINE = re.compile("L," + ",".join(f"({each.pattern})" for each in _FIELDS.values()) + r"\r?\n")
_SUM = re.compile(r"S,([a-z]{3}),([0-9]{1,12}),(-?[0-9]{1,19}),(-?[0-9]{1,19})\r?\n")
_TRAILER = re.compile(r"T,([0-9]{1,12}),([0-9a-f]{64})\r?\n?")


class CsvFile:
    """Reads a file."""

    def __init__(self, file: IO[bytes], today: datetime.date) -> None:
        """Read the header; raises `UnreadableFile`. `today`: in UTC."""
        self._file = file
        self._today = today
        self._hash = hashlib.sha256()
        self._totals = Totals()
        self._said: dict[str, tuple[int, int, int]] = {}
        self._dates: dict[str, datetime.date | None] = {}
        self.faults: list[str] = []
        self.header = check_header(_header(self._next() or ""), today)

    @property
    def digest(self) -> bytes:
        """SHA-256 of what was read."""
        return self._hash.digest()

    def _next(self) -> str | None:
        """Return the next line, None at the end; of one that is too long, or no text, what isn't a line."""
        raw = self._file.readline(_LINE_BYTES_MAX)
        if not raw:
            return None
        self._before = self._hash.copy()
        self._hash.update(raw)
        if len(raw) == _LINE_BYTES_MAX and not raw.endswith(b"\n"):
            while (more := self._file.readline(_LINE_BYTES_MAX)) and not more.endswith(b"\n"):
                self._hash.update(more)
            self._hash.update(more)
            return "too long\n"
        return raw.decode("ascii", errors="replace")

    def lines(self) -> Iterator[SettlementLine | RefusedLine]:
        """Read the lines, and then the end."""
        number, totals = 1, self._totals
        while (text := self._next()) is not None:
            number += 1
            found = _LINE.fullmatch(text)
            if found is None:
                if text.startswith(("S,", "T,")):
                    self._end(text)
                    return
                totals.lines += 1
                totals.unread += 1
                yield RefusedLine(number, _what_is_wrong(text))
                continue
            reference, acquirer_reference, kind, amount, currency, fee, day = found.groups()
            value_date = self._date(day)
            if value_date is None or int(amount) == 0:
                totals.lines += 1
                totals.unread += 1
                yield RefusedLine(number, f"{day} is no date" if value_date is None else "the amount is 0")
                continue
            line = SettlementLine(number, reference, acquirer_reference, _KINDS[kind], int(amount), currency, int(fee), value_date)
            totals.add(line)
            reason = unbookable(line, self._today)
            yield line if reason is None else RefusedLine(number, reason)
        self.faults.append("it ends without a trailer: it may have been cut off")

    def _date(self, day: str) -> datetime.date | None:
        """Return a day, of which a file has few."""
        if day not in self._dates:
            if len(self._dates) > 1000:
                self._dates.clear()
            self._dates[day] = _date(day)
        return self._dates[day]

    def _end(self, text: str | None) -> None:
        while text is not None and (found := _SUM.fullmatch(text)) is not None:
            if found[1] in self._said:
                self.faults.append(f"it has two sums of {found[1]}")
            self._said[found[1]] = (int(found[2]), int(found[3]), int(found[4]))
            text = self._next()
        trailer = None if text is None else _TRAILER.fullmatch(text)
        if trailer is None:
            self.faults.append("its trailer can't be read")
            return
        if trailer[2] != self._before.hexdigest():
            self.faults.append("the checksum isn't that of what stands before it: it was changed, or damaged on its way")
        if int(trailer[1]) != self._totals.lines:
            self.faults.append(f"the trailer says {trailer[1]} lines, and there are {self._totals.lines}")
        if not self._totals.unread:
            found_sums = {currency: (each.lines, each.amount, each.fee) for currency, each in self._totals.sums.items()}
            self.faults += [
                f"the sum of {currency} says {_words(self._said.get(currency))}, and the lines come to {_words(found_sums.get(currency))}"
                for currency in sorted(self._said.keys() | found_sums.keys())
                if self._said.get(currency) != found_sums.get(currency)
            ]
        if self._next() is not None:
            self.faults.append("something stands after the trailer")


def write_csv(file: IO[bytes], header: SettlementHeader, lines: Iterable[SettlementLine]) -> None:
    """Write a file; the lines' numbers are given anew."""
    digest, totals = hashlib.sha256(), Totals()

    def put(*fields: object) -> None:
        raw = (",".join(map(str, fields)) + "\n").encode("ascii")
        digest.update(raw)
        file.write(raw)

    created = header.created.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    put("H", VERSION, header.acquirer or "", header.reference, header.first_day, header.last_day, created)
    for line in lines:
        totals.add(line)
        put("L", line.reference, line.acquirer_reference, line.kind, line.amount, line.currency, line.fee, line.value_date)
    for currency, each in sorted(totals.sums.items()):
        put("S", currency, each.lines, each.amount, each.fee)
    checksum = digest.hexdigest()
    put("T", totals.lines, checksum)


def _header(text: str) -> SettlementHeader:
    found = _HEADER.fullmatch(text)
    if found is None:
        raise UnreadableFile("its first line is no header: H,1,ACQUIRER,FILE,FIRST DAY,LAST DAY,TIME")
    version, acquirer, reference, first, last, created = found.groups()
    if version != VERSION:
        raise UnreadableFile(f"it is of version {version} of the layout; version {VERSION} is known")
    first_day, last_day, made = _date(first), _date(last), moment(created)
    if first_day is None or last_day is None or made is None:
        raise UnreadableFile("a date in its header is none; times need a zone, as in 2026-11-28T02:00:00Z")
    return SettlementHeader(acquirer=acquirer, reference=reference, first_day=first_day, last_day=last_day, created=made)


def _what_is_wrong(text: str) -> str:
    """Return why a line can't be read."""
    if text == "too long\n":
        return f"it has more than {_LINE_BYTES_MAX} bytes"
    if not text.endswith("\n"):
        return "it was cut off"
    kind, *fields = text.rstrip("\r\n").split(",")
    if kind != "L":
        return "it begins with none of L, S and T"
    if len(fields) != len(_FIELDS):
        return f"it has {len(fields)} fields after L, and {len(_FIELDS)} are needed"
    wrong = [name for (name, pattern), value in zip(_FIELDS.items(), fields, strict=True) if pattern.fullmatch(value) is None]
    return f"this is no {wrong[0]}: {fields[list(_FIELDS).index(wrong[0])][:40]!r}" if wrong else "it can't be read"


def _date(day: str) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(day)
    except ValueError:
        return None


def _words(found: tuple[int, int, int] | None) -> str:
    return "nothing" if found is None else "{} lines, {}, fees {}".format(*found)
