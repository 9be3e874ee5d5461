"""What bitmaps say of a query is what looking at each document says: of some they are certain, of none wrongly."""

import random
from typing import Any, get_args

from hypothesis import given
from hypothesis import strategies as st

from payments.search.bitmaps import BLOCK_DOCUMENTS, decode, encode, places
from payments.search.fields import SEARCHED, FieldType, Values, field_of
from payments.search.language import Clause, Operator, Query
from payments.search.matching import matching
from payments.search.terms import NUMBER_BITS, terms_of

TEXTS = st.sampled_from(["Ada", "ada king", "King Ada", "adaking", "abcabd", "bcabca", "+43 660", "straße", "İstanbul", "a", "...", "aaaa"])
NUMBERS = st.sampled_from([0, 1, 2, 99, 100, 2**20, 2**NUMBER_BITS - 1]) | st.integers(0, 300)
KEYS = ("plan", "Plan")


def values_for(kind: str) -> st.SearchStrategy[Values]:
    fields = {field: NUMBERS if each is FieldType.NUMERIC else TEXTS for field, each in SEARCHED[kind].items()}
    return st.fixed_dictionaries({}, optional={**fields, **{f"metadata\0{key}": TEXTS for key in KEYS}})  # pyright: ignore[reportReturnType, reportArgumentType]


@st.composite
def clauses(draw: st.DrawFn, kind: str) -> Clause:
    field = draw(st.sampled_from(["metadata", *SEARCHED[kind]]))
    numeric = SEARCHED[kind].get(field) is FieldType.NUMERIC
    value = None if draw(st.integers(0, 6)) == 0 else str(draw(NUMBERS | st.integers(-5, 2**50))) if numeric else draw(TEXTS)
    operators: tuple[str, ...] = (":",)
    if value is not None and numeric:
        operators = tuple(each for each in get_args(Operator) if each != "~")
    elif value is not None and SEARCHED[kind].get(field) is FieldType.STRING and len(value.casefold()) >= 3:
        operators = (":", "~")
    operator: Any = draw(st.sampled_from(operators))
    key = draw(st.sampled_from(KEYS)) if field == "metadata" else None
    return Clause(field=field, key=key, operator=operator, value=value, quoted=True, negated=draw(st.booleans()))


def truth(clause: Clause, values: Values) -> bool:
    """What a clause means, said anew."""
    value = values.get(field_of(clause))
    if clause.value is None:
        found = value is None
    elif value is None:
        found = False
    elif isinstance(value, int):
        wanted = int(clause.value)
        found = {":": value == wanted, ">": value > wanted, "<": value < wanted, ">=": value >= wanted, "<=": value <= wanted}[
            clause.operator
        ]
    elif clause.operator == "~":
        found = clause.value.casefold() in value.casefold()
    else:
        return matching_words(clause, value) is not clause.negated
    return found is not clause.negated


def matching_words(clause: Clause, value: str) -> bool:
    wanted, had = (clause.value or "").casefold(), value.casefold()
    if clause.field in ("email", "name", "phone"):
        return (wanted in {"...", "+43 660"} and wanted == had) or (f" {wanted} " in f" {had} " and wanted != "...") or wanted == had
    return wanted == had


@given(st.data())
def test_bounds_hold(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(list(SEARCHED)))
    documents = data.draw(st.lists(values_for(kind), min_size=1, max_size=20))
    query = Query(tuple(data.draw(st.lists(clauses(kind), min_size=1, max_size=4))), data.draw(st.booleans()))
    postings: dict[int, int] = {}
    for place, values in enumerate(documents):
        for term in terms_of(kind, values):
            postings[term] = postings.get(term, 0) | 1 << place
    wanted = matching(kind, query)
    assert wanted.terms >= {each for condition in wanted.conditions for each in condition.terms}
    certain, possible = wanted.bounds({term: bits for term, bits in postings.items() if term in wanted.terms})
    assert certain & ~possible == 0
    for place, values in enumerate(documents):
        holds = wanted.holds(values)
        assert holds or not certain >> place & 1, (query, values)
        assert not holds or possible >> place & 1, (query, values)
        if kind in ("customer", "payment_intent", "charge"):
            combined = [truth(clause, values) for clause in query.clauses]
            assert holds == (any(combined) if query.any_of_them else all(combined)), (query, values)


@given(st.sets(st.integers(0, BLOCK_DOCUMENTS - 1), max_size=200))
def test_a_block_is_stored_as_it_is(members: set[int]) -> None:
    bits = sum(1 << each for each in members)
    assert decode(encode(bits)) == bits
    assert list(places(bits)) == sorted(members, reverse=True)


def test_a_full_block_is_two_kilobytes_and_a_single_document_a_few_bytes() -> None:
    full = (1 << BLOCK_DOCUMENTS) - 1
    assert decode(encode(full)) == full
    assert len(encode(full)) == 1 + BLOCK_DOCUMENTS // 8
    assert len(encode(1 << BLOCK_DOCUMENTS - 1)) == 3
    half = sum(1 << each for each in random.Random(1).sample(range(BLOCK_DOCUMENTS), BLOCK_DOCUMENTS // 2))
    assert decode(encode(half)) == half
