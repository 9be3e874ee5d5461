"""Ids: a prefix that names the kind, and 24 base62 characters that sort by time.

Eight characters of milliseconds, sixteen of randomness. Within a process ids strictly increase, so that objects made in one millisecond keep their order.
"""

import secrets
import time

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""In ASCII order: comparing ids byte by byte compares their times."""
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
_RANDOM_BITS = 94  # below 62**16, with room for the steps of one millisecond
_STEP_BITS = 32


class IdGenerator:
    """Makes ids; one per process is enough."""

    def __init__(self) -> None:
        """Start with no id made."""
        self._millisecond = 0
        self._random = 0

    def __call__(self, prefix: str) -> str:
        """Return `prefix_` and 24 characters."""
        millisecond = time.time_ns() // 1_000_000
        if millisecond > self._millisecond:
            self._millisecond = millisecond
            self._random = secrets.randbits(_RANDOM_BITS)
        else:  # the same millisecond, or a clock that was set back
            self._random += 1 + secrets.randbits(_STEP_BITS)
        return f"{prefix}_{_base62(self._millisecond, 4)}{_base62(self._random, 8)}"


def _base62(number: int, pairs: int) -> str:
    parts = [""] * pairs
    for index in range(pairs - 1, -1, -1):
        number, remainder = divmod(number, 3844)
        parts[index] = _PAIRS[remainder]
    return "".join(parts)


new_id = IdGenerator()
"""Make an id, `new_id("pi")`. The process-wide order of ids is the reason why this one object is shared."""
