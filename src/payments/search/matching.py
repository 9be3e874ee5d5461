"""A query as sets: from the bitmaps of its terms which documents of a block match, which don't, and which have to be looked at.

Most clauses are decided by bitmaps alone. Those that look for a part of a text, or for several words in a row, know by them only which documents can match.
So each has two bounds, what certainly matches and what may; the others are combined of them, and a negation turns them round.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from payments.search import terms
from payments.search.fields import FieldType, Values, field_of, type_of
from payments.search.language import Clause, Query

Bounds = tuple[int, int]
"""Bits of a block: of what certainly matches, and of what may."""
Postings = Mapping[int, int]
"""Term → bits of a block; none for a term that no document there has."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A clause, ready to be answered."""

    terms: frozenset[int]
    """What it is answered from."""
    bounds: Callable[[Postings], Bounds]
    holds: Callable[[Values], bool]
    """Whether it is so of one document, whose values are given."""


@dataclass(frozen=True, slots=True)
class Matching:
    """A query, ready to be answered."""

    conditions: tuple[Condition, ...]
    any_of_them: bool

    @property
    def terms(self) -> frozenset[int]:
        """All that it is answered from."""
        return frozenset({terms.EVERY}).union(*(each.terms for each in self.conditions))

    def bounds(self, postings: Postings) -> Bounds:
        """Return which documents of a block certainly match, and which may."""
        every = postings.get(terms.EVERY, 0)
        certain, possible = (0, 0) if self.any_of_them else (every, every)
        for condition in self.conditions:
            lower, upper = condition.bounds(postings)
            certain, possible = (certain | lower, possible | upper) if self.any_of_them else (certain & lower, possible & upper)
        return certain & every, possible & every

    def holds(self, values: Values) -> bool:
        """Tell whether one document matches, of which it isn't certain."""
        found = (condition.holds(values) for condition in self.conditions)
        return any(found) if self.any_of_them else all(found)


def matching(kind: str, query: Query) -> Matching:
    """Make a query answerable, whose fields are checked."""
    return Matching(
        tuple(_negated(_condition(kind, each)) if each.negated else _condition(kind, each) for each in query.clauses), query.any_of_them
    )


def _negated(condition: Condition) -> Condition:
    def bounds(postings: Postings) -> Bounds:
        lower, upper = condition.bounds(postings)
        every = postings.get(terms.EVERY, 0)
        return every & ~upper, every & ~lower

    return Condition(condition.terms | {terms.EVERY}, bounds, lambda values: not condition.holds(values))


def _condition(kind: str, clause: Clause) -> Condition:
    field = field_of(clause)
    if clause.value is None:
        return _negated(_exactly(terms.present(field), lambda values: field in values))
    match type_of(kind, field):
        case FieldType.NUMERIC:
            return _number(field, clause.operator, int(clause.value))
        case FieldType.TOKEN:
            wanted = clause.value.casefold()
            return _exactly(terms.equal(field, wanted), lambda values: field in values and str(values[field]).casefold() == wanted)
        case FieldType.STRING:
            return _part(field, clause.value) if clause.operator == "~" else _phrase(field, clause.value)


def _exactly(term: int, holds: Callable[[Values], bool]) -> Condition:
    return Condition(frozenset({term}), lambda postings: (postings.get(term, 0), postings.get(term, 0)), holds)


def _number(field: str, operator: str, wanted: int) -> Condition:
    """A comparison, digit by digit. Source: O'Neil and Quass, "Improved Query Performance with Variant Indexes", bit-sliced indexes."""
    present, digits = terms.present(field), [terms.digit(field, bit) for bit in range(terms.NUMBER_BITS)]

    def bounds(postings: Postings) -> Bounds:
        less, same, more = 0, postings.get(present, 0), 0
        if wanted < 0:
            less, same, more = 0, 0, same
        elif wanted >= 2**terms.NUMBER_BITS:
            less, same, more = same, 0, 0
        for bit in reversed(range(terms.NUMBER_BITS)):
            if not same:
                break
            has = postings.get(digits[bit], 0)
            if wanted >> bit & 1:
                less, same = less | (same & ~has), same & has
            else:
                more, same = more | (same & has), same & ~has
        found = {":": same, "<": less, "<=": less | same, ">": more, ">=": more | same}[operator]
        return found, found

    def holds(values: Values) -> bool:
        if field not in values:
            return False
        value = int(values[field])
        return {
            ":": value == wanted,
            "<": value < wanted,
            "<=": value <= wanted,
            ">": value > wanted,
            ">=": value >= wanted,
        }[operator]

    return Condition(frozenset({present, *digits}), bounds, holds)


def _part(field: str, wanted: str) -> Condition:
    folded = wanted.casefold()
    parts = frozenset(terms.trigram(field, each) for each in terms.trigrams(folded))
    certain = len(folded) == terms.TRIGRAM
    return Condition(parts, _all_of(parts, certain=certain), lambda values: field in values and folded in str(values[field]).casefold())


def _phrase(field: str, wanted: str) -> Condition:
    phrase, folded = terms.words(wanted), wanted.casefold()
    parts = frozenset(terms.word(field, each) for each in phrase) or frozenset({terms.present(field)})

    def holds(values: Values) -> bool:
        if field not in values:
            return False
        if not phrase:
            return str(values[field]).casefold() == folded
        found = terms.words(str(values[field]))
        return any(found[start : start + len(phrase)] == phrase for start in range(len(found) - len(phrase) + 1))

    return Condition(parts, _all_of(parts, certain=len(phrase) == 1), holds)


def _all_of(parts: frozenset[int], *, certain: bool) -> Callable[[Postings], Bounds]:
    def bounds(postings: Postings) -> Bounds:
        found = -1
        for each in parts:
            found &= postings.get(each, 0)
        return (found if certain else 0), found

    return bounds
