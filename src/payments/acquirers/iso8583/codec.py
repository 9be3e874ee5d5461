"""Messages as bytes: the field formats of ISO 8583:1987, in ASCII or with numbers in BCD. The library packs; what is in which field is written here.

Of the BCD variants this is the common one: numbers of odd length are filled up with a zero on the left, account and institution numbers on the right; what isn't
a number is ASCII; lengths are BCD; the bitmap is binary.
"""

import copy
from typing import Any, Literal

import iso8583
from iso8583.specs import default_ascii

Encoding = Literal["ascii", "bcd"]
Bitmap = Literal["hex", "binary"]
Fields = dict[str, str]
"""A message: `t` is its type, `2` to `128` its fields."""

_NUMBERS = frozenset(
    [
        "2",
        "3",
        "4",
        "5",
        "6",
        "7",
        "8",
        "9",
        "10",
        "11",
        "12",
        "13",
        "14",
        "15",
        "16",
        "17",
        "18",
        "19",
        "20",
        "21",
        "22",
        "23",
        "24",
        "25",
        "26",
        "27",
        "32",
        "33",
        "53",
        "66",
        "67",
        "68",
        "69",
        "70",
        "71",
        "72",
        "73",
        "74",
        "75",
        "76",
        "77",
        "78",
        "79",
        "80",
        "81",
        "82",
        "83",
        "84",
        "85",
        "86",
        "87",
        "88",
        "89",
        "90",
        "99",
        "100",
    ]
)
_BINARY = frozenset({"52", "64", "65", "96", "128"})


class MalformedError(ValueError):
    """The bytes are no message; says in which field and where, and nothing of what is in it."""


class Codec:
    """Packs and unpacks messages."""

    def __init__(self, encoding: Encoding, bitmap: Bitmap) -> None:
        self._spec = _specification(encoding, bitmap)

    def encode(self, message: Fields) -> bytes:
        """Pack a message; raises `MalformedError`."""
        try:
            raw, _ = iso8583.encode(dict(message), self._spec)
        except iso8583.EncodeError as mistake:
            raise MalformedError(f"{mistake.msg} (field {mistake.field})") from None
        return bytes(raw)

    def decode(self, raw: bytes) -> Fields:
        """Unpack a message; raises `MalformedError`."""
        try:
            fields, _ = iso8583.decode(raw, self._spec)
        except iso8583.DecodeError as mistake:
            raise MalformedError(f"{mistake.msg} (field {mistake.field}, byte {mistake.pos})") from None
        if not (fields["t"].isascii() and fields["t"].isdigit()):
            raise MalformedError("the type is no number (field t, byte 0)")
        for name, value in fields.items():
            if name in _NUMBERS and not (value.isascii() and value.isdigit()):
                raise MalformedError(f"not a number (field {name})")
        return {name: value for name, value in fields.items() if name not in ("h", "p", "1")}


def _specification(encoding: Encoding, bitmap: Bitmap) -> dict[str, dict[str, Any]]:
    specification: dict[str, dict[str, Any]] = copy.deepcopy(dict(default_ascii))  # pyright: ignore[reportArgumentType]
    if encoding == "bcd":
        for name, field in specification.items():
            if name in _NUMBERS or name == "t":
                side = "right_pad" if field["len_type"] else "left_pad"
                field.update({"data_enc": "b", "len_count": "nibbles", side: "0"})
            elif name in _BINARY:
                field.update({"data_enc": "b", "max_len": 8})
            if field["len_type"]:
                field.update({"len_enc": "bcd", "len_type": (field["len_type"] + 1) // 2})
    if encoding == "bcd" or bitmap == "binary":
        for name in ("p", "1"):
            specification[name].update({"data_enc": "b", "max_len": 8})
    return specification
