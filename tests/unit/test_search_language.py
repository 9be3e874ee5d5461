"""What a search's query may be, and how one that can't be is refused: by the character where it stops being one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.domain.errors import InvalidRequest
from payments.search.fields import SEARCHED, check_fields
from payments.search.language import CLAUSES_MAX, Clause, Query, parse_query

VALUES = {
    '"one two"': "one two",
    "'one two'": "one two",
    r"'it\'s'": "it's",
    r'"say \"so\""': 'say "so"',
    r'"a\\b"': "a\\b",
    "'a\"b'": 'a"b',
    "1234": "1234",
    "0042": "0042",
    "-1": "-1",
    "null": None,
    "NULL": None,
    "''": "",
    "'é 日本 🙂'": "é 日本 🙂",
}


@pytest.mark.parametrize("written", VALUES)
def test_a_value_is_what_stands_between_its_quotation_marks(written: str) -> None:
    (clause,) = parse_query(f"email:{written}").clauses
    assert clause.value == VALUES[written]


@pytest.mark.parametrize("operator", [":", "~", ">", "<", ">=", "<="])
@pytest.mark.parametrize("spaces", ["", " ", "\n\t "])
def test_each_operator_is_read_with_or_without_spaces(operator: str, spaces: str) -> None:
    (clause,) = parse_query(f"{spaces}-amount{spaces}{operator}{spaces}'5'{spaces}").clauses
    assert (clause.field, clause.operator, clause.value, clause.negated) == ("amount", operator, "5", True)


@pytest.mark.parametrize(
    ("text", "any_of_them"),
    [
        ("a:1 b:2", False),
        ("a:1 AND b:2", False),
        ("a:1 and b:2", False),
        ("a:1 AND b:2 c:3", False),
        ("a:1 OR b:2", True),
        ("a:1 or b:2 Or c:3", True),
        ("order:1 android:2", False),
    ],
)
def test_clauses_are_combined_by_and_unless_by_or(text: str, any_of_them: bool) -> None:
    assert parse_query(text).any_of_them is any_of_them


def test_a_key_of_metadata_may_be_anything() -> None:
    (clause,) = parse_query(r"""metadata["it's \"the\" key"]:'v'""").clauses
    assert (clause.field, clause.key) == ("metadata", 'it\'s "the" key')


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("status:succeeded", "At character 8 there is 'succeeded'"),
        ("status:'x", "a quotation mark without its counterpart at character 8"),
        ("metadata['x:'y'", "At character 14 "),
        ("amount>", "It ends at character 8"),
        ("amount", "It ends at character 7"),
        ("", "It ends at character 1"),
        ("(status:'x')", "At character 1 "),
        ("status:'x' OR", "It ends at character 14"),
        ("status:'x' AND AND amount:1", "At character "),
        ("--status:'x'", "At character 2 "),
        ("status!:'x'", "At character 7 "),
        ("status:'x' OR amount:1 AND amount:2", "AND and OR can't be combined"),
        ("status:'x' OR amount:1 amount:2", "AND and OR can't be combined"),
        (" ".join(["amount:1"] * (CLAUSES_MAX + 1)), f"at most {CLAUSES_MAX} clauses"),
        ("-" * 5_000, "At character 2 "),
        ("(" * 5_000, "At character 1 "),
        ("'" * 4_999, "At character 1 "),
        ("x" * 5_000, "It ends at character 5001"),
        ("amount:" + "9" * 4_000 + "x", "At character 8 "),
        ("status:'" + "\\'" * 2_400, "a quotation mark without its counterpart at character 8"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_place(text: str, why: str) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(why)) as refused:
        parse_query(text)
    assert refused.value.param == "query"
    assert len(refused.value.message) < 400


@given(st.text(max_size=200) | st.text("amount:><~'\"\\- ANDOR[]null1", max_size=60))
def test_any_text_is_a_query_or_refused(text: str) -> None:
    try:
        found = parse_query(text)
    except InvalidRequest:
        return
    assert 1 <= len(found.clauses) <= CLAUSES_MAX


@given(st.text(max_size=50), st.text(max_size=50))
def test_whatever_is_escaped_is_read_as_it_was(key: str, value: str) -> None:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    (clause,) = parse_query(f"metadata[{quoted(key)}]:{quoted(value)}").clauses
    assert (clause.key, clause.value) == (key, value)


def clause(field: str, operator: str = ":", value: str | None = "x", key: str | None = None) -> Query:
    made: Clause = Clause(field=field, key=key, operator=operator, value=value, quoted=True, negated=False)  # pyright: ignore[reportArgumentType]
    return Query((made,))


@pytest.mark.parametrize("kind", SEARCHED)
def test_a_field_that_is_none_is_refused_by_name(kind: str) -> None:
    for query in (clause("nothing"), clause("metadata"), clause("id"), clause("created", key="x"), clause("metadata.x")):
        with pytest.raises(InvalidRequest, match="is an unsupported search field for resource") as refused:
            check_fields(kind, f"/v1/{kind}s", query)
        assert refused.value.param == "query"
    check_fields(kind, f"/v1/{kind}s", clause("metadata", key="nothing"))


@pytest.mark.parametrize(
    ("kind", "query", "why"),
    [
        ("payment_intent", clause("status", ">", "x"), "`>` can't be used with the field `status`"),
        ("payment_intent", clause("status", "~", "succ"), "`~` can't be used"),
        ("payment_intent", clause("metadata", "~", "value", key="k"), "`~` can't be used"),
        ("customer", clause("email", ">=", "1"), "`>=` can't be used"),
        ("customer", clause("email", "~", "ab"), "at least 3 characters"),
        ("customer", clause("email", "~", None), "null can only be compared with `:`"),
        ("customer", clause("created", ">", None), "null can only be compared with `:`"),
        ("charge", clause("amount", ">", "1.5"), "compared with integers"),
        ("charge", clause("amount", ":", "x"), "compared with integers"),
        ("charge", clause("amount", ":", "٣"), "compared with integers"),
        ("charge", clause("amount", ":", "9" * 19), "compared with integers"),
    ],
)
def test_a_field_is_compared_as_its_type_is(kind: str, query: Query, why: str) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(why)):
        check_fields(kind, f"/v1/{kind}s", query)
