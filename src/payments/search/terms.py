"""The terms that an object is found by: each stands for a set of documents, and a clause of a query for a combination of such sets.

A term is a number of 64 bits, made of what it means by hashing. Two that should differ and don't would need billions of others.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b

from payments.search.fields import FieldType, Values, type_of

NUMBER_BITS = 40
"""A number is a set of binary digits, each a term, so that a range is a combination of as many sets: amounts and times are shorter."""
TRIGRAM = 3
_WORD = re.compile(r"\w+")


@lru_cache(maxsize=4_096)
def _hashed(meaning: str) -> int:
    return int.from_bytes(blake2b(meaning.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big", signed=True)


EVERY = _hashed("every")
"""What every document has that can be found."""


def present(field: str) -> int:
    """Return the term of what has the field."""
    return _hashed(f"{field}\0?")


def equal(field: str, value: str) -> int:
    """Return the term of a token."""
    return _hashed(f"{field}\0={value.casefold()}")


def digit(field: str, bit: int) -> int:
    """Return the term of the numbers that have a binary digit."""
    return _hashed(f"{field}\0#{bit}")


def word(field: str, value: str) -> int:
    """Return the term of a word, which is in lower case."""
    return _hashed(f"{field}\0w{value}")


def trigram(field: str, value: str) -> int:
    """Return the term of three characters in lower case."""
    return _hashed(f"{field}\0t{value}")


def words(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return _WORD.findall(text.casefold())


def trigrams(text: str) -> set[str]:
    """Return all that stand in a text in lower case."""
    folded = text.casefold()
    return {folded[start : start + TRIGRAM] for start in range(len(folded) - TRIGRAM + 1)}


def terms_of(kind: str, values: Values) -> set[int]:
    """Return all terms of an object."""
    found = {EVERY}
    for field, value in values.items():
        field_type = type_of(kind, field)
        found.update(_of_text(field, str(value)) if field_type is FieldType.STRING else _of_value(field_type, field, value))
    return found


@lru_cache(maxsize=4_096)
def _of_value(field_type: FieldType, field: str, value: str | int) -> tuple[int, ...]:
    """Remembered: what is indexed together has the same second, currency and brand, and often the same amount."""
    if field_type is FieldType.TOKEN:
        return present(field), equal(field, str(value))
    number = min(max(int(value), 0), 2**NUMBER_BITS - 1)
    return present(field), *(digit(field, bit) for bit in range(number.bit_length()) if number >> bit & 1)


def _of_text(field: str, value: str) -> Iterator[int]:
    yield present(field)
    yield from (word(field, each) for each in words(value))
    yield from (trigram(field, each) for each in trigrams(value))
