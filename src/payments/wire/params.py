"""Turns decoded parameters into typed ones, with Stripe's errors for what doesn't fit.

The happy path is one call into msgspec. Only when that refuses is the reason translated.
"""

import re
from typing import Annotated, Any, TypeVar, cast

import msgspec
from msgspec import Meta, Struct
from msgspec.inspect import BoolType, DictType, EnumType, IntType, ListType, LiteralType, StructType, Type, UnionType, type_info

from payments.domain.errors import InvalidRequest
from payments.domain.people import is_email
from payments.wire.stripe_parameters import is_stripes

T = TypeVar("T")

Text = Annotated[str, Meta(max_length=5_000)]
ShortText = Annotated[str, Meta(max_length=500)]
MetadataParam = dict[str, Any] | str
"""A hash to merge, or `""` to remove all."""


class NoParams(Struct, frozen=True, forbid_unknown_fields=True):
    """For operations without parameters."""


def parse(params: dict[str, object], cls: type[T], operation: str = "") -> T:
    """Convert decoded parameters to the struct `cls`; raises `InvalidRequest` with Stripe's code, message and parameter. What Stripe takes for an operation,
    `POST /v1/customers/{id}`, and Tap doesn't, is refused in words of its own.
    """
    for _ in range(_AMENDMENTS_MAX):
        try:
            parsed = msgspec.convert(params, cls, strict=False)
        except msgspec.ValidationError as refusal:
            if not _unpad_integer(str(refusal), params, cls) and not _drop_telemetry(str(refusal), params):
                raise _translate(str(refusal), params, cls, operation) from None
        else:
            _check(params, parsed, [], cls)
            return parsed
    raise InvalidRequest("Invalid request: too many parameters are integers with leading zeros.")


def _drop_telemetry(refusal: str, params: dict[str, object]) -> bool:
    """Take away what a client tells of itself to Stripe's fraud prevention, which says nothing of what is asked for. Tells whether that was the reason."""
    unknown, location = _UNKNOWN.match(refusal), _AT.search(refusal)
    path = _path(location[1]) if location else []
    parent = _at(params, path)
    if unknown is None or unknown[1] not in _TELEMETRY or path not in ([], ["payment_method_data"]) or not isinstance(parent, dict):
        return False
    del parent[unknown[1]]
    return True


def _unpad_integer(refusal: str, params: dict[str, object], cls: type[object]) -> bool:
    """Take the zeros before an integer away, which msgspec refuses: 08 is 8. Tells whether that was the reason.

    Without `int`, which raises for some thousand digits.
    """
    location = _AT.search(refusal)
    path = _path(location[1]) if location else []
    given = _at(params, path)
    padded = _PADDED.fullmatch(given) if isinstance(given, str) else None
    if not path or padded is None or not any(isinstance(each, IntType) for each in _types(type_info(cls), path)):
        return False
    parent, plain = _at(params, path[:-1]), padded[1] + padded[2]
    if not isinstance(parent, dict) or plain == given:
        return False
    parent[path[-1]] = plain
    return True


def _check(given: object, parsed: object, path: list[str], cls: type[object]) -> None:
    """Refuse what msgspec takes for something that nobody meant: `1e3` or `2000.0` for an integer, what no 53 bits hold, and the word `null` for nothing,
    as a form says it whose sender had no value: a refund of the amount `null` isn't one of all. And refuse what no mail can go to.
    """
    match parsed:
        case Struct() if isinstance(given, dict):
            for name, each in cast("dict[str, object]", given).items():
                _check(each, getattr(parsed, name, each), [*path, name], cls)
        case list() if isinstance(given, list):
            for index, (each, value) in enumerate(zip(cast("list[object]", given), cast("list[object]", parsed), strict=True)):
                _check(each, value, [*path, str(index)], cls)
        case int() if not isinstance(parsed, bool) and not _is_integer(given, parsed):
            raise InvalidRequest(f"Invalid integer: {str(given)[:100]}", code="parameter_invalid_integer", param=_bracketed(path))
        case str() if parsed and path[-1:] == [_RECEIPT_EMAIL] and not is_email(parsed):
            raise InvalidRequest(f"Invalid email address: {parsed[:100]}", code="email_invalid", param=_bracketed(path))
        case None if given is not None:
            raise _unfit(cls, path, str(given))
        case _:
            pass


def _is_integer(given: object, value: int) -> bool:
    return abs(value) <= _INTEGER_MAX and (isinstance(given, int) or (isinstance(given, str) and _INTEGER.fullmatch(given) is not None))


_RECEIPT_EMAIL = "receipt_email"
"""An address that Tap itself writes to, wherever it is given."""
_INTEGER = re.compile(r"[+-]?[0-9]+")
_PADDED = re.compile(r"\+?(-?)0*([0-9]{1,16})")
_AMENDMENTS_MAX = 64
"""No operation has more integers among its parameters, with all that a client tells of itself."""
_TELEMETRY = frozenset(
    {
        "client_attribution_metadata",
        "external_id",
        "guid",
        "ip",
        "muid",
        "pasted_fields",
        "payment_user_agent",
        "referrer",
        "sid",
        "time_on_page",
        "user_agent",
    }
)
"""What Stripe takes with any payment, card or customer, and describes nowhere.

Sources: the requests of Stripe's SDKs for Android, iOS and browsers, and of Active Merchant.
"""
_INTEGER_MAX = 2**53
"""What every client can hold, JavaScript's as well, and the database with room to spare."""
_AT = re.compile(r" - at `([^`]*)`$")
_MISSING = re.compile(r"Object missing required field `([^`]*)`")
_UNKNOWN = re.compile(r"Object contains unknown field `([^`]*)`")
_EXPECTED = re.compile(r"Expected `([^`]*)`")
_LENGTH = re.compile(r"Expected `[^`]*` of length (<=|>=) ([0-9]+)")
_END_CHARACTERS = 4
"""What is shown of each end of a string that is too long, as at Stripe."""
_SIGNED = {"Expected `int` >= 1": "positive", "Expected `int` >= 0": "non-negative"}
"""A bound → the integers within it. Source: Stripe's words for a negative one."""
_ENUM = re.compile(r"Invalid enum value (.*)")


def _translate(refusal: str, params: dict[str, object], cls: type[object], operation: str) -> InvalidRequest:
    location = _AT.search(refusal)
    path = _path(location[1]) if location else []
    reason = refusal[: location.start()] if location else refusal
    if match := _UNKNOWN.match(reason):
        name = _bracketed([*path, match[1]])
        message = (
            f"The parameter {name} is not supported by Tap."
            if is_stripes(operation, [*path, match[1]])
            else f"Received unknown parameter: {name}"
        )
        return InvalidRequest(message, code="parameter_unknown", param=name)
    if match := _MISSING.match(reason):
        name = _bracketed([*path, match[1]])
        return InvalidRequest(f"Missing required param: {name}.", code="parameter_missing", param=name)
    name, given = _bracketed(path), _at(params, path)
    if given == "":
        message = (
            f"You passed an empty string for '{name}'. We assume empty values are an attempt to unset a parameter; however '{name}' cannot be "
            f"unset. You should remove '{name}' from your request or supply a non-empty value."
        )
        return InvalidRequest(message, code="parameter_invalid_empty", param=name)
    shown = str(given)[:100] if isinstance(given, str | int | float | bool) else "{}"
    if _ENUM.match(reason):
        return _unfit(cls, path, shown)
    if match := _LENGTH.match(reason):
        return _of_wrong_length(given, name, "most" if match[1] == "<=" else "least", match[2])
    if match := _EXPECTED.match(reason):
        return _mistyped(match[1], name, shown, reason)
    if reason.startswith(("Number out of range", "Integer value out of range")):
        return InvalidRequest(f"Invalid integer: {shown}", code="parameter_invalid_integer", param=name)
    return InvalidRequest(f"Invalid {name}: {reason[0].lower()}{reason[1:]}.", param=name)


def _of_wrong_length(given: object, name: str, bound: str, length: str) -> InvalidRequest:
    if not isinstance(given, str):
        return InvalidRequest(f"Invalid array: its length must be at {bound} {length}", param=name)
    shown = given if len(given) <= 2 * _END_CHARACTERS else f"{given[:_END_CHARACTERS]}...{given[-_END_CHARACTERS:]}"
    return InvalidRequest(f"Invalid string: {shown}; must be at {bound} {length} characters", param=name)


def _mistyped(expected: str, name: str, shown: str, reason: str) -> InvalidRequest:
    # Beside others, a string is the empty one, which unsets.
    kinds = [each for each in expected.split(" | ") if each not in ("str", "null")]
    kind = kinds[0] if kinds else "str"
    if kind == "int":
        if shown.startswith("-") and (sign := _SIGNED.get(reason)) is not None:
            return InvalidRequest(f"Invalid {sign} integer", code="parameter_invalid_integer", param=name)
        if "`int` " in reason:  # a bound, such as Expected `int` >= 1
            return InvalidRequest(
                f"This value must be {reason.removeprefix('Expected `int` ').replace('>=', 'greater than or equal to').replace('<=', 'less than or equal to')}.",
                code="parameter_invalid_integer",
                param=name,
            )
        return InvalidRequest(f"Invalid integer: {shown}", code="parameter_invalid_integer", param=name)
    if kind == "bool":
        return InvalidRequest(f"Invalid boolean: {shown}", param=name)
    if kind == "array":
        return InvalidRequest("Invalid array", param=name)
    if kind == "object":
        return InvalidRequest("Invalid object", param=name)
    return InvalidRequest(f"Invalid string: {shown}", param=name)


def _unfit(cls: type[object], path: list[str], shown: str) -> InvalidRequest:
    """Say what a parameter must be that was given as another word."""
    name, types = _bracketed(path), _types(type_info(cls), path)
    if accepted := [value for each in types for value in _values(each)]:
        return InvalidRequest(f"Invalid {name}: must be {_one_of(accepted)}", param=name)
    kinds = [kind for each in types for described, kind in _KINDS if isinstance(each, described)]
    return _mistyped(kinds[0] if kinds else "str", name, shown, "")


_KINDS = ((IntType, "int"), (BoolType, "bool"), (ListType, "array"), (StructType, "object"), (DictType, "object"))
"""As msgspec calls what it expected."""


def _types(described: Type, path: list[str]) -> list[Type]:
    """Return what a parameter may be."""
    match described:
        case UnionType(types=types):
            return [found for each in types for found in _types(each, path)]
        case ListType(item_type=item) if path:
            return _types(item, path[1:])
        case StructType(fields=fields) if path:
            return [found for each in fields if each.encode_name == path[0] for found in _types(each.type, path[1:])]
        case _:
            return [] if path else [described]


def _values(described: Type) -> list[str]:
    """Return the words that a parameter may be, in alphabetical order; "", which unsets, aside."""
    match described:
        case LiteralType(values=values):
            return [str(value) for value in values if value != ""]
        case EnumType(cls=cls):
            return [str(each.value) for each in cls]
        case _:
            return []


def _one_of(values: list[str]) -> str:
    """As Stripe lists what a parameter may be."""
    match values:
        case [only]:
            return only
        case [one, other]:
            return f"one of {one} or {other}"
        case _:
            return f"one of {', '.join(values[:-1])}, or {values[-1]}"


def _path(location: str) -> list[str]:
    """`$.card.number` and `$.items[0]` as parts."""
    return re.findall(r"[^.$\[\]]+", location)


def _bracketed(parts: list[str]) -> str:
    return parts[0] + "".join(f"[{part}]" for part in parts[1:]) if parts else "body"


def _at(params: object, path: list[str]) -> object:
    for part in path:
        match params:
            case dict():
                params = cast("dict[str, object]", params).get(part)
            case list() if part.isdecimal() and int(part) < len(cast("list[object]", params)):
                params = cast("list[object]", params)[int(part)]
            case _:
                return None
    return params
