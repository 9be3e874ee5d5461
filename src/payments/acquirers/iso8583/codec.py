"""Messages as bytes: the fields of ISO 8583:1987, in ASCII or with numbers in BCD.

Of the BCD variants this is the common one: numbers of odd length are filled up with a zero on the left, those of variable length on the right unless the host wants
it otherwise; of signed amounts the sign is a letter; what isn't a number is text; lengths are BCD; the bitmap is binary.

What is written is as the standard has it. What is read may be longer than the standard allows, and in text each byte is one character, whatever the host meant by
it: a field that nobody here looks at must not cost the answer that it is in.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Encoding = Literal["ascii", "bcd"]
Bitmap = Literal["hex", "binary"]
Padding = Literal["right", "left"]
Fields = dict[str, str]
"""A message: `t` is its type, `2` to `128` its fields; what is binary is in hexadecimal."""

_FORMATS = """
  2 n..19      3 n6         4 n12        5 n12        6 n12        7 n10        8 n8         9 n8        10 n8        11 n6        12 n6        13 n4
 14 n4        15 n4        16 n4        17 n4        18 n4        19 n3        20 n3        21 n3        22 n3        23 n3        24 n3        25 n2
 26 n2        27 n1        28 x+n8      29 x+n8      30 x+n8      31 x+n8      32 n..11     33 n..11     34 ns..28    35 z..37     36 ans...104
 37 an12      38 an6       39 an2       40 an3       41 ans8      42 ans15     43 ans40     44 an..25    45 an..76    46 an...999  47 an...999
 48 an...999  49 an3       50 an3       51 an3       52 b64       53 n16       54 an...120  55 ans...999 56 ans...999 57 ans...999 58 ans...999
 59 ans...999 60 ans...999 61 ans...999 62 ans...999 63 ans...999 64 b64       65 b8        66 n1        67 n2        68 n3        69 n3        70 n3
 71 n4        72 n4        73 n6        74 n10       75 n10       76 n10       77 n10       78 n10       79 n10       80 n10       81 n10       82 n12
 83 n12       84 n12       85 n12       86 n16       87 n16       88 n16       89 n16       90 n42       91 an1       92 an2       93 an5       94 an7
 95 an42      96 b64       97 x+n16     98 ans25     99 n..11    100 n..11    101 ans..17  102 ans..28  103 ans..28  104 ans...100
""" + "\n".join(f"{number} ans...999" for number in range(105, 128)) + "\n128 b64"  # fmt: skip
"""In the standard's own notation: `n` numbers, `z` a track, `b` bits, or bytes where their length varies, `x+n` a number after its sign, all else text; `..` and `...` are of variable length."""
FORMAT_PATTERN = r"^(a|an|ans|as|ns|n|s|x\+n|z|b)(\.{2,3})?([1-9][0-9]{0,2})\Z"
_FIELD_MAX = 128
FIELDS = frozenset(str(number) for number in range(2, _FIELD_MAX + 1))
"""Their names; the first is the second bitmap."""
_LOOKED_AT = ("2", "3", "4", "7", "11", "70", "90")
"""Numbers that somebody here reads."""
_TEXT = "latin-1"


class MalformedError(ValueError):
    """The bytes are no message; says in which field and where, and nothing of what is in it."""


@dataclass(frozen=True, slots=True)
class _Format:
    """How a field is written."""

    kind: str
    length_digits: int
    """Of the length before it; 0 where it is fixed."""
    length: int
    """Characters, or bytes of what is binary; at most where it varies."""
    packed: bool
    """Two digits are a byte."""


class Codec:
    """Packs and unpacks messages."""

    def __init__(
        self, encoding: Encoding, bitmap: Bitmap, *, padding: Padding = "right", formats: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Take `formats` of fields for those that the standard has."""
        self._bcd = encoding == "bcd"
        self._binary_bitmap = self._bcd or bitmap == "binary"
        self._padding: Padding = padding
        standard = dict(zip(*[iter(_FORMATS.split())] * 2, strict=True))
        self._formats = {name: _format(form, bcd=self._bcd) for name, form in {**standard, **formats}.items()}

    def encode(self, message: Fields) -> bytes:
        """Pack a message; raises `MalformedError`."""
        if re.fullmatch("[0-9]{4}", message["t"]) is None:
            raise MalformedError("the type is no number (field t)")
        names = sorted(message.keys() - {"t"}, key=int)
        if not FIELDS.issuperset(names):
            raise MalformedError(f"there is no such field (field {names[-1]})")
        bits = 0
        for name in names:
            bits |= 1 << (_FIELD_MAX - int(name))
        bitmap = (bits | 1 << _FIELD_MAX - 1).to_bytes(16) if bits & (1 << 64) - 1 else (bits >> 64).to_bytes(8)
        head = bytes.fromhex(message["t"]) if self._bcd else message["t"].encode()
        parts = [head, bitmap if self._binary_bitmap else bitmap.hex().upper().encode()]
        for name in names:
            try:
                parts.append(self._write(message[name], self._formats[name]))
            except ValueError as mistake:
                raise MalformedError(f"{mistake if isinstance(mistake, MalformedError) else 'not of its kind'} (field {name})") from None
        return b"".join(parts)

    def decode(self, raw: bytes) -> Fields:
        """Unpack a message; raises `MalformedError`."""
        kind, at = _cut(raw, 0, 2 if self._bcd else 4, "t")
        fields = {"t": kind.hex() if self._bcd else kind.decode(_TEXT)}
        if re.fullmatch("[0-9]{4}", fields["t"]) is None:
            raise MalformedError("the type is no number (field t, byte 0)")
        bits, at = self._bitmap(raw, at, "p")
        numbers = [number for number in range(2, 65) if bits >> (64 - number) & 1]
        if bits >> 63:
            bits, at = self._bitmap(raw, at, "1")
            numbers += [number for number in range(65, 129) if bits >> (128 - number) & 1]
        for number in numbers:
            name = str(number)
            fields[name], at = self._read(raw, at, name)
        if at != len(raw):
            raise MalformedError(f"more than its fields (byte {at}, after field {numbers[-1] if numbers else 'p'})")
        for name in _LOOKED_AT:
            if name in fields and not (fields[name].isascii() and fields[name].isdigit()):
                raise MalformedError(f"not a number (field {name})")
        return fields

    def _write(self, value: str, form: _Format) -> bytes:
        size = len(value) // 2 if form.kind == "b" else len(value)
        if size > form.length or (not form.length_digits and size != form.length):
            raise MalformedError(f"a length of {size} where {form.length} belong")
        length = self._written_length(size, form.length_digits)
        if form.kind == "b":
            raw = bytes.fromhex(value)
            return length + (raw if self._bcd else raw.hex().upper().encode())
        sign, digits = (value[:1], value[1:]) if form.kind == "x+n" else ("", value)
        if form.kind in ("n", "x+n") and not (digits.isascii() and digits.isdigit()):
            raise MalformedError("not a number")
        if not form.packed:
            return length + value.encode(_TEXT)
        if len(digits) % 2:
            digits = f"0{digits}" if not form.length_digits or self._padding == "left" else f"{digits}0"
        return length + sign.encode(_TEXT) + bytes.fromhex(digits)

    def _written_length(self, length: int, digits: int) -> bytes:
        if not digits:
            return b""
        return bytes.fromhex(f"{length:0{digits + digits % 2}d}") if self._bcd else f"{length:0{digits}d}".encode()

    def _read(self, raw: bytes, at: int, name: str) -> tuple[str, int]:
        form = self._formats[name]
        length = form.length
        if form.length_digits:
            head, at = _cut(raw, at, (form.length_digits + 1) // 2 if self._bcd else form.length_digits, name)
            said = head.hex() if self._bcd else head.decode(_TEXT)
            if not (said.isascii() and said.isdigit()):
                raise MalformedError(f"a length that is no number (field {name}, byte {at - len(head)})")
            length = int(said)
        if form.kind == "b":
            data, at = _cut(raw, at, length if self._bcd else 2 * length, name)
            return (data.hex().upper() if self._bcd else data.decode(_TEXT)), at
        if not form.packed:
            data, at = _cut(raw, at, length, name)
            return data.decode(_TEXT), at
        sign = b""
        if form.kind == "x+n":
            sign, at = _cut(raw, at, 1, name)
            length -= 1
        data, at = _cut(raw, at, (length + 1) // 2, name)
        digits = data.hex().upper()
        if length % 2:
            digits = digits[1:] if not form.length_digits or self._padding == "left" else digits[:-1]
        return sign.decode(_TEXT) + digits, at

    def _bitmap(self, raw: bytes, at: int, name: str) -> tuple[int, int]:
        data, end = _cut(raw, at, 8 if self._binary_bitmap else 16, name)
        if self._binary_bitmap:
            return int.from_bytes(data), end
        if re.fullmatch(b"[0-9A-Fa-f]{16}", data) is None:
            raise MalformedError(f"a bitmap that is none (field {name}, byte {at})")
        return int(data, 16), end


def _cut(raw: bytes, at: int, length: int, name: str) -> tuple[bytes, int]:
    """Return the next bytes, and where they end."""
    end = at + length
    if end > len(raw):
        raise MalformedError(f"{len(raw) - at} bytes where {length} belong (field {name}, byte {at})")
    return raw[at:end], end


def _format(form: str, *, bcd: bool) -> _Format:
    found = re.fullmatch(FORMAT_PATTERN, form)
    if found is None:
        raise ValueError(form)
    kind, dots, length = found.groups()
    size = int(length) // 8 if kind == "b" and not dots else int(length) + (kind == "x+n")
    return _Format(kind, len(dots or ""), size, packed=bcd and kind in ("n", "z", "x+n"))
