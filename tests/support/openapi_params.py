"""What operations take, as OpenAPI says it: made of the structs that parse it."""

import re
import typing
from enum import Enum
from functools import cache
from typing import Any

import msgspec
from msgspec import Struct

from payments.wire.api import Endpoint
from payments.wire.changes import METADATA_KEY_CHARACTERS_MAX, METADATA_KEYS_MAX, METADATA_VALUE_CHARACTERS_MAX
from payments.wire.params import MetadataParam
from tests.support.shapes import Schema

_REF = "#/components/schemas/{}"
_METADATA: Schema = {
    "description": "Merged into what there is; an empty value takes a key away, and an empty string in place of the hash takes all.",
    "anyOf": [
        {
            "type": "object",
            "maxProperties": METADATA_KEYS_MAX,
            "propertyNames": {"minLength": 1, "maxLength": METADATA_KEY_CHARACTERS_MAX, "pattern": r"^[^\[\]]+$"},
            "additionalProperties": {"type": "string", "maxLength": METADATA_VALUE_CHARACTERS_MAX},
        },
        {"type": "string", "enum": [""]},
    ],
}
"""What no type says: the keys are the merchant's own."""


def _name(struct: type[Struct]) -> str:
    """What the document calls a struct: `charges.CreateParams`, by the module that declares it."""
    return f"{struct.__module__.rpartition('.')[2]}.{struct.__name__.lstrip('_')}"


def params_schemas(endpoints: list[Endpoint[Any]]) -> dict[str, Schema]:
    """Describe what is in the parameters of operations, by name."""
    described: dict[str, Schema] = {}
    for each in (each for endpoint in endpoints for each in _within(endpoint.params)):
        assert described.setdefault(_name(each), _described(each)) == _described(each), f"two are called {_name(each)}"
    return described


def params_schema(struct: type[Struct]) -> Schema:
    """Describe one, without a name."""
    return _described(struct)


@cache
def _described(struct: type[Struct]) -> Schema:
    within = {each.__name__: each for each in _nested(struct)}
    assert len(within) == len(_nested(struct)), f"two are called alike in {struct}"
    _, made = msgspec.json.schema_components([struct], ref_template="{name}")
    named = {name: _REF.format(_name(each)) for name, each in within.items() if issubclass(each, Struct)}
    enums = {name: made[name] for name, each in within.items() if not issubclass(each, Struct)}
    return _plain(made[struct.__name__], named, enums)


def _within(struct: type[Struct]) -> list[type[Struct]]:
    return [inner for each in _nested(struct) if issubclass(each, Struct) for inner in (each, *_within(each))]


@cache
def _nested(struct: type[Struct]) -> tuple[type[Struct] | type[Enum], ...]:
    found = dict.fromkeys(each for field in msgspec.structs.fields(struct) for each in _types_in(field.type))
    return tuple(found)


def _types_in(annotation: Any) -> list[type[Struct] | type[Enum]]:
    if isinstance(annotation, type) and issubclass(annotation, Struct | Enum):
        return [annotation]
    return [each for argument in typing.get_args(annotation) for each in _types_in(argument)]


def _plain(schema: Any, named: dict[str, str], enums: dict[str, Schema]) -> Any:
    """Leave out what a form can't say, null, and what says nothing; name what is in it as the document does."""
    if isinstance(schema, list):
        return [_plain(each, named, enums) for each in typing.cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    known = typing.cast("Schema", schema)
    if (reference := known.get("$ref")) in enums:
        return {"type": "string", "enum": enums[reference]["enum"]}
    if reference is not None:
        return {"$ref": named[reference]}
    if known == _METADATA_AS_TYPED:
        return _METADATA
    made: Schema = {}
    for name, value in known.items():
        if name == "properties":
            made[name] = {each: _plain(below, named, enums) for each, below in value.items()}
        elif name != "title" and (name, value) != ("default", None):
            made[name] = _plain(value, named, enums)
    if "enum" in made and "type" not in made:
        made = {"type": "string", **made}
    if "pattern" in made:
        made["pattern"] = made["pattern"].replace(r"\Z", "$")
    if "anyOf" in made:
        others = [each for each in made.pop("anyOf") if each != {"type": "null"}]
        made = {**made, "anyOf": others} if len(others) > 1 else {**others[0], **made}
    if not made.get("required", True):
        del made["required"]
    if "description" in made:
        made["description"] = re.sub(r"\s+", " ", made["description"])
    return made


_METADATA_AS_TYPED = {"anyOf": msgspec.json.schema(MetadataParam)["anyOf"]}
