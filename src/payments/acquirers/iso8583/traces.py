"""System trace audit numbers (DE 11): six digits that a host tells the messages of a day apart by.

They are counted where all copies count, and kept with what they were given for: so a message that is sent again or undone, by whichever process, has the number
that it had. What was begun before they were counted has the number that follows from its reference.
"""

import hashlib
from collections.abc import Mapping
from typing import Protocol

NUMBERS = 999_999
"""There are so many; after the last comes 1."""


class Traces(Protocol):
    """Gives numbers."""

    async def numbers(self, acquirer: str, created: Mapping[str, int]) -> Mapping[str, int]:
        """Return the numbers of references, each always the same; `created`: when what they are of was begun, unix seconds.

        Those are left out that have the number that follows from them.
        """
        ...


class MadeOfReferences:
    """`Traces` where nobody can count, as where an acquirer is only asked how it is."""

    async def numbers(self, acquirer: str, created: Mapping[str, int]) -> Mapping[str, int]:  # noqa: ARG002 - the protocol's
        """Return nothing: each number follows from its reference."""
        return {}


def made_of(reference: str) -> int:
    """Return the number that follows from a reference, which another one of the day may have as well."""
    return int.from_bytes(hashlib.blake2b(reference.encode(), digest_size=10, person=b"stan").digest()) % NUMBERS + 1
