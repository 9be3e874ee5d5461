"""Ids: a prefix that names the kind, and 24 base62 characters that sort by time.

Eight characters of milliseconds, four that count within the millisecond, twelve of randomness. Within a process ids strictly increase, so that objects
made in one millisecond keep their order.
"""

import os

from payments.runtime.clock import Clock, SystemClock

ID_CHARACTERS_MAX = 255
"""What is longer than that is nobody's id, and needn't be looked for."""
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""In ASCII order: comparing ids byte by byte compares their times."""
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
_RANDOM_CHARACTERS = 12
_MILLISECONDS_MAX = 62**8 - 1
_COUNTS = 62**4
_DRAWN_IDS = 512
"""Randomness is drawn for many ids at once: a system call each would be a tenth of a payment's time."""
_TO_ALPHABET = bytes(_ALPHABET[byte % 62].encode()[0] for byte in range(256))


class IdGenerator:
    """Makes ids; one per process is enough."""

    def __init__(self, clock: Clock | None = None) -> None:
        """Start with no id made, by the machine's clock unless there is a better one."""
        self._clock = clock or SystemClock()
        self._millisecond = 0
        self._time_part = ""
        self._count = 0
        self._random = ""
        self._used = 0

    def follow(self, clock: Clock) -> None:
        """Go by another clock from now on; ids increase all the same."""
        self._clock = clock

    def __call__(self, prefix: str) -> str:
        """Return `prefix_` and 24 characters."""
        millisecond = int(self._clock.now() * 1000)
        if millisecond > self._millisecond:
            self._begin(millisecond)
        else:  # the same millisecond, or a clock that was set back
            self._count += 1
            if self._count == _COUNTS:
                self._begin(self._millisecond + 1)
        start = self._used
        if start == len(self._random):
            self._random = os.urandom(_RANDOM_CHARACTERS * _DRAWN_IDS).translate(_TO_ALPHABET).decode("ascii")
            start = 0
        self._used = start + _RANDOM_CHARACTERS
        high, low = divmod(self._count, 3844)
        return f"{prefix}_{self._time_part}{_PAIRS[high]}{_PAIRS[low]}{self._random[start : self._used]}"

    def _begin(self, millisecond: int) -> None:
        self._millisecond = millisecond
        self._time_part = _base62(millisecond)
        self._count = 0


def first_id_from(prefix: str, unix_seconds: int) -> str:
    """Return the start of the ids that are made from a time on: every earlier id sorts before it, every later one after it."""
    return f"{prefix}_{_base62(min(max(unix_seconds * 1000, 0), _MILLISECONDS_MAX))}"


def made_at(object_id: str) -> float:
    """Return when an id was made, unix seconds; of what isn't quite one, the earliest that sorts before it."""
    milliseconds = 0
    for place in range(8):
        character = object_id.partition("_")[2][place : place + 1]
        if not character or character not in _ALPHABET:
            return milliseconds * 62 ** (8 - place) / 1000
        milliseconds = milliseconds * 62 + _ALPHABET.index(character)
    return milliseconds / 1000


def _base62(number: int) -> str:
    """Eight characters."""
    parts = [""] * 4
    for index in range(3, -1, -1):
        number, remainder = divmod(number, 3844)
        parts[index] = _PAIRS[remainder]
    return "".join(parts)


new_id = IdGenerator()
"""Make an id, `new_id("pi")`. The process-wide order of ids is the reason why this one object is shared; a composition root gives it the service's clock."""
