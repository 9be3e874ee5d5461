"""The query language: a text becomes clauses, or an error that says where it stops being one.

Source: Stripe, "Search query language". A grammar reads it; what the fields of a query are is checked in `fields`.
"""

import re
from functools import cache
from typing import Any, Literal, cast

from msgspec import Struct

from payments.domain.errors import InvalidRequest

CLAUSES_MAX = 10
Operator = Literal[":", "~", ">", "<", ">=", "<="]

_GRAMMAR = r"""
query: clause (connector clause)*
connector: [AND | OR]
clause: [MINUS] field OPERATOR value
field: NAME ["[" STRING "]"]
?value: STRING | NUMBER | NULL

AND.2: /and\b/i
OR.2: /or\b/i
NULL.2: /null\b/i
MINUS: "-"
NAME: /[A-Za-z_][A-Za-z0-9_.]*/
OPERATOR: ">=" | "<=" | ">" | "<" | ":" | "~"
NUMBER: /-?[0-9]+(\.[0-9]+)?(?![0-9A-Za-z_.])/
STRING: /"(\\.|[^"\\])*"|'(\\.|[^'\\])*'/s
%ignore /\s+/
"""
_EXPECTED = {
    "NAME": "a field",
    "MINUS": "-",
    "OPERATOR": "an operator",
    "STRING": "a value in quotation marks",
    "NUMBER": "a number",
    "NULL": "null",
    "AND": "AND",
    "OR": "OR",
    "LSQB": "[",
    "RSQB": "]",
    "$END": "the end",
}
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class Clause(Struct, frozen=True, kw_only=True):
    """One condition of a query."""

    field: str
    """As written, without the key of `metadata['key']`."""
    key: str | None = None
    operator: Operator
    value: str | None
    """None for null."""
    quoted: bool
    negated: bool


class Query(Struct, frozen=True):
    """Clauses that must hold all, or any of them."""

    clauses: tuple[Clause, ...]
    any_of_them: bool = False


def unparsable(why: str) -> InvalidRequest:
    """Return the error for a query that can't be understood."""
    return InvalidRequest(
        f"We were unable to parse your search query. {why} See https://stripe.com/docs/search#search-query-language for the query language.",
        param="query",
    )


def parse_query(text: str) -> Query:
    """Read a query; raises `InvalidRequest`, which says at which character it can't be read further."""
    from lark.exceptions import UnexpectedInput  # noqa: PLC0415 - a service that isn't searched needn't load the parser

    try:
        tree = _parser().parse(text)
    except UnexpectedInput as failure:
        raise unparsable(_reason(text, failure)) from None
    clauses = tuple(_clause(each) for each in tree.children[::2])
    connectors = {str(each.children[0] or "AND").upper() for each in tree.children[1::2]}
    if len(clauses) > CLAUSES_MAX:
        raise unparsable(f"A query has at most {CLAUSES_MAX} clauses, and this one has {len(clauses)}.")
    if len(connectors) > 1:
        raise unparsable("AND and OR can't be combined in one query; clauses that are separated by a space are combined with AND.")
    return Query(clauses, connectors == {"OR"})


@cache
def _parser() -> Any:
    from lark import Lark  # noqa: PLC0415 - as above

    return Lark(_GRAMMAR, start="query", parser="lalr", maybe_placeholders=True)


def _reason(text: str, failure: Any) -> str:
    position: int | None = getattr(failure, "pos_in_stream", None)
    names: set[str] = getattr(failure, "allowed", None) or getattr(failure, "accepts", None) or getattr(failure, "expected", None) or set()
    wanted = " or ".join(sorted({_EXPECTED[name] for name in names if name in _EXPECTED})) or "something else"
    # At the end of the text the parser says where its last token began, or nothing.
    if position is None or position >= len(text) or getattr(getattr(failure, "token", None), "type", None) == "$END":
        return f"It ends at character {len(text) + 1}, where {wanted} was expected."
    quote = text[position] in "\"'"
    found = f"a quotation mark without its counterpart at character {position + 1}" if quote and "STRING" in names else None
    return (
        f"There is {found}."
        if found
        else f"At character {position + 1} there is {text[position : position + 20]!r}, where {wanted} was expected."
    )


def _clause(tree: Any) -> Clause:
    minus, field, operator, value = tree.children
    name, key = field.children
    null, quoted = value.type == "NULL", value.type == "STRING"
    return Clause(
        field=str(name),
        key=None if key is None else _unquoted(str(key)),
        operator=cast("Operator", str(operator)),
        value=None if null else _unquoted(str(value)) if quoted else str(value),
        quoted=quoted,
        negated=minus is not None,
    )


def _unquoted(text: str) -> str:
    return _ESCAPED.sub(r"\1", text[1:-1])
