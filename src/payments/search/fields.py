"""What is searched of each kind of object, and which operators each field takes. Fields are paths of what the API shows of an object.

Source: Stripe, "Search": supported query fields for each resource.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, cast

from payments.domain.errors import InvalidRequest
from payments.search.language import Clause, Query, unparsable

SUBSTRING_CHARACTERS_MIN = 3


class FieldType(StrEnum):
    """How a field is compared."""

    TOKEN = "token"  # noqa: S105 - Stripe's word for it
    """Exactly, whatever the case."""
    STRING = "string"
    """By all words of the value in their order, or by a part; whatever the case."""
    NUMERIC = "numeric"


_OPERATORS: dict[FieldType, frozenset[str]] = {
    FieldType.TOKEN: frozenset({":"}),
    FieldType.STRING: frozenset({":", "~"}),
    FieldType.NUMERIC: frozenset({":", ">", "<", ">=", "<="}),
}
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_METADATA = "metadata"
_METADATA_FIELD = "metadata\0"
"""Followed by the merchant's key: no field of ours is called like that."""

Values = dict[str, str | int]
"""What is searched of one object: field → value. What an object has not isn't there."""

_COMMON = {"created": FieldType.NUMERIC}
_CARDS = ("card", "card_present", "interac_present")
_OF_CARDS = ("brand", "exp_month", "exp_year", "fingerprint", "last4")

SEARCHED: dict[str, dict[str, FieldType]] = {
    "payment_intent": {
        **_COMMON,
        "amount": FieldType.NUMERIC,
        "currency": FieldType.TOKEN,
        "customer": FieldType.TOKEN,
        "status": FieldType.TOKEN,
    },
    "charge": {
        **_COMMON,
        "amount": FieldType.NUMERIC,
        "billing_details.address.postal_code": FieldType.TOKEN,
        "currency": FieldType.TOKEN,
        "customer": FieldType.TOKEN,
        "disputed": FieldType.TOKEN,
        **{f"payment_method_details.{source}.{name}": FieldType.TOKEN for source in _CARDS for name in _OF_CARDS},
        "refunded": FieldType.TOKEN,
        "status": FieldType.TOKEN,
    },
    "customer": {**_COMMON, "email": FieldType.STRING, "name": FieldType.STRING, "phone": FieldType.STRING},
    "product": {
        "active": FieldType.TOKEN,
        "description": FieldType.STRING,
        "name": FieldType.STRING,
        "shippable": FieldType.TOKEN,
        "url": FieldType.STRING,
    },
    "price": {
        "active": FieldType.TOKEN,
        "currency": FieldType.TOKEN,
        "lookup_key": FieldType.STRING,
        "product": FieldType.STRING,
        "type": FieldType.TOKEN,
    },
}
"""By kind; metadata is searched of each."""
_PATHS = {kind: [(field, tuple(field.split("."))) for field in fields] for kind, fields in SEARCHED.items()}


def type_of(kind: str, field: str) -> FieldType:
    """Return how a field of a kind is compared."""
    return FieldType.TOKEN if field.startswith(_METADATA_FIELD) else SEARCHED[kind][field]


def values_of(body: Mapping[str, Any]) -> Values:
    """Return what is searched of an object, given as the API shows it."""
    kind = cast("str", body["object"])
    found: Values = {}
    for field, path in _PATHS[kind]:
        value = _at(body, path)
        if value is not None:
            found[field] = value if isinstance(value, int) and not isinstance(value, bool) else _text(value)
    if kind == "charge":  # true when nothing is left, false when something is, and null when nothing went back
        found.pop("refunded", None)
        if body["amount_refunded"]:
            found["refunded"] = _text(body["refunded"])
    for key, value in cast("Mapping[str, str]", body[_METADATA]).items():
        found[f"{_METADATA_FIELD}{key}"] = value
    return found


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _at(body: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: object = body
    for part in path:
        value = cast("Mapping[str, object]", value).get(part) if isinstance(value, dict) else None
    return value


def field_of(clause: Clause) -> str:
    """Return what a clause is about, as `values_of` calls it."""
    return clause.field if clause.key is None else f"{_METADATA_FIELD}{clause.key}"


def check_fields(kind: str, path: str, query: Query) -> None:
    """Raise `InvalidRequest` for a field that objects of a kind aren't searched by, or that can't be compared like that. `path` is the kind's."""
    resource = path.rpartition("/")[2]
    for clause in query.clauses:
        if (clause.field == _METADATA) is (clause.key is None) or (clause.field != _METADATA and clause.field not in SEARCHED[kind]):
            shown = clause.field if clause.key is None else f"{clause.field}['{clause.key[:100]}']"
            raise InvalidRequest(
                f"Field `{shown[:200]}` is an unsupported search field for resource `{resource}`. "
                f"See https://stripe.com/docs/search#query-fields-for-{resource.replace('_', '-')} for a list of supported fields.",
                param="query",
            )
        _check_comparison(clause, type_of(kind, field_of(clause)))


def _check_comparison(clause: Clause, field_type: FieldType) -> None:
    if clause.operator not in _OPERATORS[field_type]:
        raise unparsable(f"The operator `{clause.operator}` can't be used with the field `{clause.field}`, which is of type {field_type}.")
    if clause.value is None:
        if clause.operator != ":":
            raise unparsable(f"null can only be compared with `:`, and not with `{clause.operator}`.")
    elif field_type is FieldType.NUMERIC:
        if not _INTEGER.fullmatch(clause.value):
            raise unparsable(f"The field `{clause.field}` is compared with integers, and `{clause.value[:40]}` is none.")
    elif clause.operator == "~" and len(clause.value.casefold()) < SUBSTRING_CHARACTERS_MIN:
        raise unparsable(f"A part to look for has at least {SUBSTRING_CHARACTERS_MIN} characters; `{clause.value}` is shorter.")
