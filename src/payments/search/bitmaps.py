"""Sets of documents: of each block of documents the bits of an integer, and how those are stored.

Python's integers are the bitmaps: and, or, not and counting are loops over machine words. Few documents are stored as a list of their places, many as bits.
"""

from collections.abc import Collection, Iterator
from struct import pack, unpack

BLOCK_DOCUMENTS = 16_384
"""Two kilobytes of bits: larger rows would leave no room in their page for the next version, smaller ones cost more to be read than to be combined."""
_PLACE_BYTES = 2
_AS_BITS, _AS_PLACES = b"b", b"p"


def encode(bits: int) -> bytes:
    """Return a block's stored form, whichever is smaller."""
    count, length = bits.bit_count(), (bits.bit_length() + 7) // 8
    if count * _PLACE_BYTES < length:
        return _AS_PLACES + pack(f"<{count}H", *places(bits))
    return _AS_BITS + bits.to_bytes(length, "little")


def decode(stored: bytes) -> int:
    """Return the bits of a block."""
    if stored[:1] == _AS_BITS:
        return int.from_bytes(stored[1:], "little")
    return bits_of(unpack(f"<{(len(stored) - 1) // _PLACE_BYTES}H", stored[1:]))


def bits_of(places: Collection[int]) -> int:
    """Return the bits of some places. Bit by bit, an integer would be copied for each of them."""
    octets = bytearray(max(places, default=-1) // 8 + 1)
    for place in places:
        octets[place >> 3] |= 1 << (place & 7)
    return int.from_bytes(octets, "little")


def places(bits: int) -> Iterator[int]:
    """Yield the places of the bits that are set, the highest first."""
    while bits:
        place = bits.bit_length() - 1
        yield place
        bits ^= 1 << place
