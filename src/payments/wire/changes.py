"""Partial updates: what parameters make of an object.

A parameter that isn't given is `UNSET`, and leaves its field as it was. An empty string, where a parameter may be one, unsets the field: it has its default again.
Source: Stripe, "Update a customer" and every other update.
"""

from functools import cache
from typing import Any, ClassVar, TypeVar, cast

from msgspec import NODEFAULT, UNSET, Struct
from msgspec.structs import fields, replace

from payments.domain.errors import InvalidRequest
from payments.domain.resource import R, next_version
from payments.wire.params import MetadataParam

S = TypeVar("S", bound=Struct)

METADATA_KEYS_MAX = 50
METADATA_KEY_CHARACTERS_MAX = 40
METADATA_VALUE_CHARACTERS_MAX = 500


class HashParam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A hash as a parameter, with fields that are called like those of what it becomes."""

    OF: ClassVar[type[Struct]]
    """What it becomes."""
    MERGES: ClassVar[bool] = False
    """Whether what isn't given of it, or of the hashes in it, stays as it was. Else it is all anew."""

    def value(self) -> Any:
        """Return what it becomes where there was nothing."""
        return _value(None, self, merges=False)


def changed(subject: R, params: Struct, **others: Any) -> R:
    """Return `subject` one version on, with what is given. Parameters that no field is called like are the caller's to see to; `others` is what the caller made
    of them. Raises `InvalidRequest` for metadata beyond its limits.
    """
    return next_version(subject, **(given(subject, params) | others))


def made(subject: S, params: Struct, **others: Any) -> S:
    """The same of an object that isn't stored yet."""
    return replace(subject, **(given(subject, params) | others))


def given(subject: Struct, params: Struct, *, merges: bool = False) -> dict[str, Any]:
    """Return the fields of `subject` that parameters give, with their new values."""
    changes: dict[str, Any] = {}
    for name in _in_common(type(subject), type(params)):
        value = getattr(params, name)
        if value is UNSET:
            continue
        if name == "metadata":
            changes[name] = merge_metadata(getattr(subject, name), value)
        elif value == "":
            changes[name] = _default(type(subject), name)
        else:
            changes[name] = _value(getattr(subject, name), value, merges=merges)
    return changes


@cache
def _in_common(subject: type[Struct], params: type[Struct]) -> tuple[str, ...]:
    return tuple(name for name in params.__struct_fields__ if name in subject.__struct_fields__)


def _default(struct: type[Struct], name: str) -> Any:
    (field,) = [each for each in fields(struct) if each.name == name]
    return field.default if field.default_factory is NODEFAULT else field.default_factory()


def _value(old: Any, value: Any, *, merges: bool) -> Any:
    match value:
        case HashParam():
            merges = merges or value.MERGES
            if merges and old is not None:
                return replace(old, **given(old, value, merges=True))
            parts = {name: getattr(value, name) for name in value.__struct_fields__}
            return value.OF(**{name: _value(None, part, merges=False) for name, part in parts.items() if part is not UNSET and part != ""})
        case list():
            return [_value(None, each, merges=False) for each in cast("list[Any]", value)]
        case _:
            return value


def merge_metadata(old: dict[str, str], given: MetadataParam) -> dict[str, str]:
    """Merge metadata: an empty value removes its key, an empty string instead of a hash removes all. Raises `InvalidRequest` past the limits."""
    if isinstance(given, str):
        if given:
            raise InvalidRequest("Invalid metadata: metadata must be a set of key-value pairs.", param="metadata")
        return {}
    merged = dict(old)
    for key, value in given.items():
        if isinstance(value, dict | list):
            raise InvalidRequest(f"Invalid metadata value for '{key[:40]}': values must be strings.", param="metadata")
        text = _plain(value)
        if len(key) > METADATA_KEY_CHARACTERS_MAX or "[" in key or "]" in key:
            raise InvalidRequest(
                f"Metadata keys must be {METADATA_KEY_CHARACTERS_MAX} characters or less and contain no square brackets, and '{key[:60]}' is not.",
                param=f"metadata[{key[:60]}]",
            )
        if len(text) > METADATA_VALUE_CHARACTERS_MAX:
            raise InvalidRequest(
                f"Metadata values must be {METADATA_VALUE_CHARACTERS_MAX} characters or less; the value of '{key}' has {len(text)}.",
                param=f"metadata[{key}]",
            )
        if text:
            merged[key] = text
        else:
            merged.pop(key, None)
    if len(merged) > METADATA_KEYS_MAX:
        raise InvalidRequest(f"You can have at most {METADATA_KEYS_MAX} metadata keys.", param="metadata")
    return merged


def _plain(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)
