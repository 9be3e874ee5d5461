"""Several keys for one purpose: one is used, and what was made with the others can still be read. So a key can be replaced while everything runs.

As text: `2:HEX,1:HEX`, the one in use first. Keys are told apart by their numbers, which are never given twice. A key alone, without a number, is number 1.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

KEY_BYTES = 32
KEY_ID_MAX = 255
"""A sealed value has one byte for the number of its key."""
_ENTRY = re.compile(r"(?:([1-9][0-9]{0,2}):)?([^:]*)")


class KeyRingError(ValueError):
    """A ring of keys can't be read, or can't be changed so. The message has no part of a key, and reads after the name of where the ring is."""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys by their numbers; the first is the one in use."""

    keys: Mapping[int, bytes] = field(repr=False)

    @staticmethod
    def of(key: bytes) -> "KeyRing":
        """Return a ring with one key."""
        return KeyRing({1: key})

    @staticmethod
    def parse(text: str) -> "KeyRing":
        """Read a ring; raises `KeyRingError`."""
        keys: dict[int, bytes] = {}
        entries = text.split(",")
        for entry in entries:
            match = _ENTRY.fullmatch(entry)
            if match is None or (match[1] is None and len(entries) > 1):
                raise KeyRingError("is no list of NUMBER:KEY with commas between them")
            key_id = int(match[1] or 1)
            if key_id > KEY_ID_MAX or key_id in keys:
                raise KeyRingError(f"has a number twice, or one beyond {KEY_ID_MAX}")
            keys[key_id] = _key(match[2])
        return KeyRing(keys)

    @property
    def in_use(self) -> int:
        """The number of the key that new values are made with."""
        return next(iter(self.keys))

    @property
    def key(self) -> bytes:
        """The key in use."""
        return self.keys[self.in_use]

    def text(self) -> str:
        """Return the ring as `parse` reads it; the first key of all stands alone, as code reads it that knows no other."""
        if list(self.keys) == [1]:
            return self.key.hex()
        return ",".join(f"{key_id}:{key.hex()}" for key_id, key in self.keys.items())

    def with_key(self, key: bytes) -> "KeyRing":
        """Return the ring with another key, which isn't in use yet; raises `KeyRingError` when there are no numbers left."""
        key_id = max(self.keys) + 1
        if key_id > KEY_ID_MAX:
            raise KeyRingError("has used up its numbers")
        return KeyRing({**self.keys, key_id: key})

    def using(self, key_id: int) -> "KeyRing":
        """Return the ring with another of its keys in use; raises `KeyRingError` when it has no such key."""
        self._check_there(key_id)
        return KeyRing({key_id: self.keys[key_id], **self.keys})

    def without(self, key_id: int) -> "KeyRing":
        """Return the ring without a key; raises `KeyRingError` when it has no such key, or that is in use, or has the highest number, which would be given again."""
        self._check_there(key_id)
        if key_id == self.in_use:
            raise KeyRingError(f"uses key {key_id}")
        if key_id == max(self.keys):
            raise KeyRingError(f"has key {key_id} as the newest one, whose number would be given again")
        return KeyRing({each: key for each, key in self.keys.items() if each != key_id})

    def _check_there(self, key_id: int) -> None:
        if key_id not in self.keys:
            raise KeyRingError(f"has no key {key_id}; it has {', '.join(map(str, self.keys))}")


def _key(digits: str) -> bytes:
    try:
        key = bytes.fromhex(digits)
    except ValueError:
        raise KeyRingError("is not hexadecimal") from None
    if len(key) != KEY_BYTES:
        raise KeyRingError(f"is not {KEY_BYTES} bytes in hexadecimal")
    return key
