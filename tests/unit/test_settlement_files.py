"""Settlement files: what is written is read, and what is broken, cut off or hostile is said and never believed."""

import datetime
import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payments.acquirers.settlement_files.camt053 import Camt053File, write_camt053
from payments.acquirers.settlement_files.csv_file import CsvFile, write_csv
from payments.acquirers.settlement_files.opening import open_settlement_file
from payments.domain.settlement import LineKind, RefusedLine, SettlementFile, SettlementHeader, SettlementLine, UnreadableFile

DAY = datetime.date(2026, 11, 27)
TODAY = datetime.date(2026, 11, 28)
HEADER = SettlementHeader(
    acquirer="bank", reference="bank-1", first_day=DAY, last_day=DAY, created=datetime.datetime(2026, 11, 28, 2, tzinfo=datetime.UTC)
)
LINES = [
    SettlementLine(2, "att_1", "B1", LineKind.CAPTURE, 2000, "usd", 26, TODAY),
    SettlementLine(3, "att_2", "B2", LineKind.REFUND, 500, "usd", 0, TODAY),
    SettlementLine(4, "att_3", "B3", LineKind.CAPTURE, 700, "jpy", 3, TODAY),
]

names = st.text("abcXYZ019_.:-", min_size=1, max_size=35)
lines = st.lists(
    st.builds(
        SettlementLine,
        number=st.just(0),
        reference=names,
        acquirer_reference=names,
        kind=st.sampled_from(LineKind),
        amount=st.integers(1, 10**12 - 1),
        currency=st.sampled_from(["usd", "eur", "jpy", "kwd", "isk"]),
        fee=st.integers(-(10**6), 10**6),
        value_date=st.dates(DAY, TODAY),
    ),
    max_size=6,
)


def csv_of(given_lines: list[SettlementLine]) -> bytes:
    out = io.BytesIO()
    write_csv(out, HEADER, given_lines)
    return out.getvalue()


def camt_of(given_lines: list[SettlementLine]) -> bytes:
    out = io.BytesIO()
    write_camt053(out, HEADER, given_lines)
    return out.getvalue()


def read(raw: bytes) -> tuple[SettlementFile, list[SettlementLine | RefusedLine]]:
    file = open_settlement_file(io.BytesIO(raw), TODAY)
    return file, list(file.lines())


@settings(max_examples=25)
@given(lines)
def test_what_is_written_as_csv_is_read(given_lines: list[SettlementLine]) -> None:
    file, found = read(csv_of(given_lines))
    assert (file.header, file.faults) == (HEADER, [])
    assert found == [line._replace(number=number) for number, line in enumerate(given_lines, 2)]


@settings(max_examples=25)
@given(lines)
def test_what_is_written_as_camt053_is_read(given_lines: list[SettlementLine]) -> None:
    """Where nothing is left of what a fee is more than, the fee isn't in the amount."""
    file, found = read(camt_of(given_lines))
    assert (file.header, file.faults) == (HEADER, [])
    by_currency = sorted(given_lines, key=lambda line: line.currency)
    assert found == [line._replace(number=number) for number, line in enumerate(by_currency, 1)]


BROKEN_LINES = {
    "L,att_9,B9,capture,20.00,usd,0,2026-11-28": "no amount: '20.00'",
    "L,att_9,B9,capture,-2000,usd,0,2026-11-28": "no amount",
    "L,att_9,B9,capture,0,usd,0,2026-11-28": "the amount is 0",
    "L,att_9,B9,capture,1000000000000,usd,0,2026-11-28": "no amount",
    "L,att_9,B9,sale,2000,usd,0,2026-11-28": "no kind: 'sale'",
    "L,att_9,B9,capture,2000,USD,0,2026-11-28": "no currency: 'USD'",
    "L,att_9,B9,capture,2000,xyz,0,2026-11-28": "the currency xyz isn't known",
    "L,att_9,B9,capture,2000,usd,x,2026-11-28": "no fee",
    "L,att_9,B9,capture,2000,usd,0,28.11.2026": "no value date",
    "L,att_9,B9,capture,2000,usd,0,2026-02-30": "2026-02-30 is no date",
    "L,att_9,B9,capture,2000,usd,0,2026-11-29": "in the future",
    "L,att 9,B9,capture,2000,usd,0,2026-11-28": "no reference: 'att 9'",
    "L,att_9,B9\t,capture,2000,usd,0,2026-11-28": "no acquirer's reference",
    'L,"att_9",B9,capture,2000,usd,0,2026-11-28': "no reference",
    "L,att_9,B9,capture,2000,usd,0": "6 fields after L, and 7 are needed",
    "L,": "1 fields",
    "": "none of L, S and T",
    "X": "none of L, S and T",
    "L,att_é,B9,capture,2000,usd,0,2026-11-28": "no reference",
    "L," + 5000 * "a": "more than 1024 bytes",
}


@pytest.mark.parametrize("broken", BROKEN_LINES)
def test_a_broken_line_is_said_by_its_number_and_the_others_are_read(broken: str) -> None:
    whole = csv_of(LINES).decode().splitlines(keepends=True)
    _, found = read("".join([*whole[:2], broken + "\n", *whole[2:]]).encode())
    assert [each for each in found if isinstance(each, SettlementLine)] == [
        LINES[0],
        *(line._replace(number=line.number + 1) for line in LINES[1:]),
    ]
    (refused,) = [each for each in found if isinstance(each, RefusedLine)]
    assert refused.number == 3
    assert BROKEN_LINES[broken] in refused.reason


BROKEN_CSV: dict[str, Callable[[bytes], bytes]] = {
    "without a trailer": lambda raw: raw[: raw.index(b"S,")],
    "trailer can't be read": lambda raw: raw[: raw.index(b"T,")] + b"T,3,abc\n",
    "checksum isn't": lambda raw: raw.replace(b",2000,", b",2001,"),
    "says 3 lines, and there are 2": lambda raw: raw.replace(b"L,att_2,B2,refund,500,usd,0,2026-11-28\n", b""),
    "sum of usd": lambda raw: raw.replace(b"S,usd,2,1500,", b"S,usd,2,1501,"),
    "sum of jpy says nothing": lambda raw: raw.replace(b"S,jpy,1,700,3\n", b""),
    "after the trailer": lambda raw: raw + b"L,att_9,B9,capture,2000,usd,0,2026-11-28\n",
    "two sums of usd": lambda raw: raw.replace(b"S,usd,2,1500,26\n", 2 * b"S,usd,2,1500,26\n"),
}


@pytest.mark.parametrize("fault", BROKEN_CSV)
def test_a_csv_file_that_was_cut_or_changed_is_not_trusted(fault: str) -> None:
    file, _ = read(BROKEN_CSV[fault](csv_of(LINES)))
    assert any(fault in each for each in file.faults), file.faults


BROKEN_CAMT: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda raw: raw[: raw.rindex(b"<Ntry>")],
    "says 2 entries, and there are 1": lambda raw: raw[: raw.rindex(b"<Ntry>")] + raw[raw.rindex(b"</Stmt>") :],
    "that they come to": lambda raw: raw.replace(b"19.74", b"19.75", 1),
    "the balance of": lambda raw: raw.replace(b"<Amt Ccy='USD'>14.74</Amt>", b"<Amt Ccy='USD'>15.74</Amt>"),
    "says neither": lambda raw: raw.replace(b"TxsSummry", b"Other").replace(b"CLBD", b"XPCD"),
    "entries in": lambda raw: raw.replace(b"<Ntry><Amt Ccy='USD'>5.00", b"<Ntry><Amt Ccy='EUR'>5.00"),
    "1 can't be read": lambda raw: raw.replace(b"TxsSummry", b"Other").replace(b"<Ntry><Amt Ccy='USD'>5.00", b"<Ntry><Amt Ccy='USD'>5,00"),
    "junk after": lambda raw: raw + raw.partition(b"?>\n")[2],
}


@pytest.mark.parametrize("fault", BROKEN_CAMT)
def test_a_statement_that_was_cut_or_changed_is_not_trusted(fault: str) -> None:
    file, _ = read(BROKEN_CAMT[fault](camt_of(LINES)))
    assert any(fault in each for each in file.faults), file.faults


def test_what_a_statement_says_is_printed_on_one_line() -> None:
    file, _ = read(
        camt_of(LINES).replace(b"<Id>bank-1-usd</Id>", b"<Id>bank\n&#x9b;31m" + 500 * b"x" + b"</Id>").replace(b"<Sum>", b"<Sum>\n1")
    )
    assert file.faults
    assert all(each.isprintable() and len(each) < 250 for each in file.faults)


UNREADABLE = {
    "it is empty": b"",
    "neither a CSV": b"date;amount\n",
    "no header": b"H,x\n",
    "version 2": csv_of([]).replace(b"H,1,", b"H,2,"),
    "ends before": csv_of([]).replace(b"2026-11-27,2026-11-27", b"2026-11-27,2026-11-26"),
    "covers 2026-11-29": csv_of([]).replace(b"2026-11-27,2026-11-27", b"2026-11-27,2026-11-29"),
    "more than 31 days": csv_of([]).replace(b"2026-11-27,2026-11-27", b"2025-11-27,2026-11-27"),
    "was made on": csv_of([]).replace(b"2026-11-28T02", b"2026-11-26T02"),
    "need a zone": csv_of([]).replace(b"02:00:00Z", b"02:00:00.0"),
    "was made on 2026-11-30, which is in the future": csv_of([]).replace(b"2026-11-28T02", b"2026-11-30T02"),
    "a date in its header": csv_of([]).replace(b"2026-11-28T02:00:00Z", b"0001-01-01T00:00:00+10:00"),
    "whose times": re.sub(
        b"<FrDtTm>.*</ToDtTm>", b"<FrDtTm>0001-01-01T00:00:00Z</FrDtTm><ToDtTm>0001-01-01T00:00:00Z</ToDtTm>", camt_of([])
    ),
    "no XML: unclosed token": b"<Document",
    "no XML: undefined entity": camt_of([]).replace(b"bank-1", b"&bank;"),
    **{encoding: camt_of([]).replace(b"UTF-8", encoding.encode()) for encoding in ("klingon", "rot13")},
    "no XML: .*[Uu]nsupported error handling": camt_of([]).replace(b"UTF-8", b"idna"),
    "multi-byte": camt_of([]).replace(b"UTF-8", b"UTF-7"),
    "no camt.053.001 document": b"<html/>",
    "a document type": b'<!DOCTYPE Document [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + camt_of(LINES).partition(b"?>\n")[2],
    "bytes stand between": b"<?xml version='1.0'?><!--" + 3_000_000 * b"x",
    "no statement": b'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"></Document>',
}


@pytest.mark.parametrize("reason", UNREADABLE)
def test_what_is_no_settlement_file_is_refused(reason: str) -> None:
    with pytest.raises(UnreadableFile, match=reason):
        read(UNREADABLE[reason])


ENTRIES = {
    b"<Sts><Cd>BOOK</Cd></Sts>": (b"<Sts><Cd>PDNG</Cd></Sts>", "isn't booked"),
    b"<EndToEndId>att_1</EndToEndId>": (b"<EndToEndId>NOT PROVIDED</EndToEndId>", "no reference of ours"),
    b"<AcctSvcrRef>B1</AcctSvcrRef>": (b"", "no reference of the bank's"),
    b"<Cd>CAPTURE</Cd>": (b"<Cd>REFUND</Cd>", "isn't CRDT"),
    b"<CdtDbtInd>CRDT</CdtDbtInd><Sts>": (b"<CdtDbtInd>BOTH</CdtDbtInd><Sts>", "neither CRDT nor DBIT"),
    b"<Ntry><Amt Ccy='USD'>": (b"<Ntry><Amt Ccy='USD'>-", "no amount with a currency"),
    b"</TxDtls></NtryDtls>": (b"</TxDtls><TxDtls/></NtryDtls>", "stands for 2 transactions"),
    b"<ValDt><Dt>2026-11-28</Dt></ValDt>": (b"<ValDt><Dt>2026-11-29</Dt></ValDt>", "in the future"),
    b"<Chrgs><Rcrd><Amt Ccy='USD'>": (b"<Chrgs><Rcrd><Amt Ccy='EUR'>", "a charge is in another currency"),
    b">0.26</Amt>": (b">0.2601</Amt>", "can't be paid in usd"),
}


@pytest.mark.parametrize("before", ENTRIES)
def test_an_entry_that_cannot_be_booked_is_said_by_its_number(before: bytes) -> None:
    after, reason = ENTRIES[before]
    raw = camt_of(LINES[:1])
    assert before in raw
    file, (refused,) = read(raw.replace(before, after, 1))
    assert isinstance(refused, RefusedLine), refused
    assert refused.number == 1
    assert reason in refused.reason
    assert file.faults == []  # the others are booked


def test_entries_are_read_whatever_the_version_and_without_our_own_codes() -> None:
    raw = camt_of(LINES[:2]).replace(b"camt.053.001.08", b"camt.053.001.02").replace(b"<Sts><Cd>BOOK</Cd></Sts>", b"<Sts>BOOK</Sts>")
    raw = raw.replace(b"<Prtry><Cd>CAPTURE</Cd></Prtry>", b"").replace(b"<Prtry><Cd>REFUND</Cd></Prtry>", b"")
    file, found = read(raw)
    assert isinstance(file, Camt053File)
    assert found == [line._replace(number=number) for number, line in enumerate(LINES[:2], 1)]


def test_a_file_of_one_endless_line_is_read_in_pieces() -> None:
    class Endless(io.RawIOBase):
        left = 5_000_000

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any, /) -> int:
            size = min(len(buffer), self.left)
            self.left -= size
            buffer[:size] = b"a" * size
            return size

    header = csv_of([]).splitlines(keepends=True)[0]
    endless = Endless()
    file = CsvFile(io.BufferedReader(_After(header, endless)), TODAY)
    assert list(file.lines()) == [RefusedLine(2, "it has more than 1024 bytes")]
    assert "without a trailer" in file.faults[0]


class _After(io.RawIOBase):
    """A header, and then something else."""

    def __init__(self, header: bytes, rest: io.RawIOBase) -> None:
        self._header = io.BytesIO(header)
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        return self._header.readinto(buffer) or self._rest.readinto(buffer) or 0
