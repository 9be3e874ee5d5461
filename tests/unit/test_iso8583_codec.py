"""Messages are the bytes that another implementation makes of them, and what a host writes otherwise is read."""

from collections.abc import Mapping
from typing import Any

import pytest

from payments.acquirers.iso8583.codec import FIELDS, Codec, Fields, MalformedError

MESSAGE: Fields = {
    "t": "0421",
    "2": "378282246310005",
    "3": "000000",
    "4": "000000002000",
    "7": "0115080000",
    "11": "000007",
    "12": "080000",
    "13": "0115",
    "14": "3012",
    "18": "5661",
    "22": "010",
    "25": "59",
    "28": "D00000050",
    "32": "12345",
    "37": "YHV3ZZ4RVYTL",
    "38": "AB12  ",
    "39": "68",
    "41": "TAP1    ",
    "42": "000000000000001",
    "43": "Shoes and sons           Bern         CH",
    "44": "more",
    "49": "840",
    "52": "0102030405060708",
    "54": "1002840C000000010000",
    "63": "private",
    "90": "010000000201150800000000012345600000000000",
    "95": "000000001500000000000000000000000000000000",
    "97": "C0000000000000100",
    "102": "12345678",
    "128": "A1A2A3A4A5A6A7A8",
}
PACKED = {
    ("ascii", "hex"): (
        "30343231463233433434393130454630393430323030303030303432383430303030303131353337383238323234363331303030353030303030303030303030303030323030"
        "3030313135303830303030303030303037303830303030303131353330313235363631303130353944303030303030353030353132333435594856335A5A34525659544C4142"
        "313220203638544150312020202030303030303030303030303030303153686F657320616E6420736F6E7320202020202020202020204265726E202020202020202020434830"
        "346D6F72653834303031303230333034303530363037303830323031303032383430433030303030303031303030303030377072697661746530313030303030303032303131"
        "35303830303030303030303031323334353630303030303030303030303030303030303030313530303030303030303030303030303030303030303030303030303030303030"
        "3043303030303030303030303030303130303038313233343536373841314132413341344135413641374138"
    ),
    ("ascii", "binary"): (
        "30343231F23C44910EF0940200000042840000013135333738323832323436333130303035303030303030303030303030303032303030303131353038303030303030303030"
        "37303830303030303131353330313235363631303130353944303030303030353030353132333435594856335A5A34525659544C414231322020363854415031202020203030"
        "3030303030303030303030303153686F657320616E6420736F6E7320202020202020202020204265726E202020202020202020434830346D6F72653834303031303230333034"
        "30353036303730383032303130303238343043303030303030303130303030303037707269766174653031303030303030303230313135303830303030303030303031323334"
        "35363030303030303030303030303030303030303031353030303030303030303030303030303030303030303030303030303030303030433030303030303030303030303031"
        "30303038313233343536373841314132413341344135413641374138"
    ),
    ("bcd", "binary"): (
        "0421F23C44910EF0940200000042840000011537828224631000500000000000000020000115080000000007080000011530125661001059440000005005123450594856335A"
        "5A34525659544C4142313220203638544150312020202030303030303030303030303030303153686F657320616E6420736F6E7320202020202020202020204265726E202020"
        "2020202020204348046D6F7265383430010203040506070800203130303238343043303030303030303130303030000770726976617465010000000201150800000000012345"
        "600000000000303030303030303031353030303030303030303030303030303030303030303030303030303030303030430000000000000100083132333435363738A1A2A3A4"
        "A5A6A7A8"
    ),
}
"""The message by jPOS 2.1.9: its ISO87APackager, ISO87APackagerBBitmap and ISO87BPackager."""


@pytest.mark.parametrize("form", PACKED)
def test_a_message_is_the_bytes_that_jpos_makes_of_it(form: tuple[Any, Any]) -> None:
    raw = bytes.fromhex(PACKED[form])
    assert Codec(*form).encode(MESSAGE) == raw
    assert Codec(*form).decode(raw) == MESSAGE


def test_every_field_survives_the_way_at_its_longest() -> None:
    for encoding in ("ascii", "bcd"):
        codec = Codec(encoding, "hex")
        for name in sorted(FIELDS, key=int):
            longest = next(length for length in (999, 120, 104, 100, 76, *range(42, 0, -1)) if encodes(codec, name, length))
            message = {"t": "0100", name: value(name, longest)}
            assert codec.decode(codec.encode(message)) == message, name
            assert not encodes(codec, name, longest + 1)


BINARY, SIGNED = frozenset({"52", "64", "65", "96", "128"}), frozenset({"28", "29", "30", "31", "97"})


def value(name: str, length: int) -> str:
    return "AB" * length if name in BINARY else "D" + "1" * (length - 1) if name in SIGNED else "1" * length


def encodes(codec: Codec, name: str, length: int) -> bool:
    try:
        codec.encode({"t": "0100", name: value(name, length)})
    except MalformedError:
        return False
    return True


@pytest.mark.parametrize(
    ("raw", "name", "expected"),
    [
        (b"0110" + b"0000000000100000" + b"60" + b"y" * 60, "44", "y" * 60),
        (
            b"0110" + b"0000000000200000" + "Bäckerei Müller          Zürich       CH".encode("latin-1"),
            "43",
            "Bäckerei Müller          Zürich       CH",
        ),
        (b"0110" + b"0000000000000200" + b"003\x9f\x36\x00", "55", "\x9f\x36\x00"),
        (b"0110" + b"0002000000000000" + b"    ", "15", "    "),
        (b"0110" + b"0000000000100000" + b"01y", "44", "y"),
    ],
)
def test_a_field_that_nobody_looks_at_costs_no_answer(raw: bytes, name: str, expected: str) -> None:
    assert Codec("ascii", "hex").decode(raw) == {"t": "0110", name: expected}


@pytest.mark.parametrize(
    ("settings", "message", "packed"),
    [
        ({}, {"2": "378282246310005"}, "15" + "3782822463100050"),
        ({"padding": "left"}, {"2": "378282246310005"}, "15" + "0378282246310005"),
        ({"padding": "left"}, {"22": "010"}, "0010"),
        ({}, {"49": "840"}, "383430"),
        ({"formats": {"49": "n3"}}, {"49": "840"}, "0840"),
        ({"formats": {"96": "b128"}}, {"96": "AB" * 16}, "AB" * 16),
        ({"formats": {"63": "ans..99"}}, {"63": "abc"}, "03616263"),
        ({"formats": {"48": "b...999"}}, {"48": "ABCD"}, "0002ABCD"),
    ],
)
def test_what_a_host_writes_otherwise_is_a_setting(settings: Mapping[str, Any], message: Fields, packed: str) -> None:
    codec = Codec("bcd", "binary", **settings)
    raw = codec.encode({"t": "0100", **message})
    assert raw.hex().upper().endswith(packed)
    assert codec.decode(raw) == {"t": "0100", **message}


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        ({"t": "01X0"}, "type"),
        ({"4": "12"}, "field 4"),
        ({"4": "12,00       "}, "field 4"),
        ({"44": "y" * 26}, "field 44"),
        ({"43": "\u2028" * 40}, "field 43"),
        ({"28": "X"}, "field 28"),
        ({"52": "XX"}, "field 52"),
        ({"129": "1"}, "field 129"),
    ],
)
def test_nothing_is_written_that_the_standard_has_no_form_for(message: Fields, complaint: str) -> None:
    for encoding in ("ascii", "bcd"):
        with pytest.raises(MalformedError, match=complaint) as raised:
            Codec(encoding, "hex").encode({"t": "0100", **message})
        assert not any(value in str(raised.value) for value in message.values() if len(value) > 2)
