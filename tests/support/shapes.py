"""What a renderer makes of an object, as a JSON schema: it is shown every kind of value that the object's type allows, and what comes of that is put together.

A renderer is asked with values that are chosen anew for each field, until nothing new comes of it; the choice is the same each time. A string of which the type says nothing
more is one that nobody else has: where it comes out again, any string may. It notes what it is compared with, and is that in one of the next rounds, so that
each way through the renderer is gone. Constants are what they are: an enumeration.
"""

import random
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from typing import Any, Literal, cast

import msgspec
from msgspec import Struct

_ROUND = 50
_ROUNDS_THE_SAME = 2
_MARK = "\x1a"
_INTEGERS = (-3, 0, 1, 1_790_000_000)
_ONE = _MARK + "any"
_HINTED = 0.4
"""How often a free string is something that it was compared with."""

Schema = dict[str, Any]


@cache
def _annotations(annotated: Any) -> dict[str, Any]:
    return typing.get_type_hints(annotated)


@cache
def _fields(struct: type[Struct]) -> tuple[tuple[str, Any], ...]:
    return tuple((each.name, each.type) for each in msgspec.structs.fields(struct))


class _Given(str):
    """A string that an object has, whatever it is."""

    __slots__ = ()


class _Free(_Given):
    """One that may be any."""

    __slots__ = ("hints",)
    hints: set[str]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str) and not isinstance(other, _Given):
            self.hints.add(other)
        return str.__eq__(self, cast("str", other))

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__

    def startswith(self, prefix: str | tuple[str, ...], *bounds: Any) -> bool:  # type: ignore[override]
        self.hints |= {each + _ONE for each in ((prefix,) if isinstance(prefix, str) else prefix)}
        return str.startswith(self, prefix, *bounds)


class Values:
    """Values of a type, chosen as if by chance."""

    def __init__(self, *, looked_up: Mapping[str, Iterable[str]] | None = None, plain: bool = False) -> None:
        """`looked_up`: field → what renderers look it up by, which a string can't note; `plain`: no string notes anything, so that each can be encoded."""
        self._choice = random.Random(1)
        self._hints: dict[str, set[str]] = {}
        self._looked_up = looked_up or {}
        self._plain_strings = plain

    def arguments(self, function: Callable[..., Any]) -> dict[str, Any]:
        """Values for the parameters of a function."""
        hints = _annotations(function)
        return {name: self.of(hints[name], name) for name in hints if name != "return"}

    def of(self, annotation: Any, place: str) -> Any:
        """A value of a type; `place` is where it will be."""
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if origin in (typing.Union, types.UnionType):
            return self.of(self._choice.choice(arguments), place)
        if origin is typing.Annotated:
            return self.of(arguments[0], place)
        if origin is Literal:
            return self._choice.choice(arguments)
        if origin is list:
            return [self.of(arguments[0], f"{place}[]") for _ in range(self._choice.choice((0, 1)))]
        if origin is dict:
            return self._choice.choice(({}, {_MARK + "key": self.of(arguments[1], f"{place}{{}}")}))
        return self._plain(annotation, place)

    def _plain(self, annotation: Any, place: str) -> Any:
        match annotation:
            case type() if issubclass(annotation, Struct):
                return self._struct(annotation, place)
            case type() if is_dataclass(annotation):
                named = _annotations(annotation)
                return annotation(**{each.name: self.of(named[each.name], f"{place}.{each.name}") for each in fields(annotation)})
            case type() if issubclass(annotation, Enum):
                return self._choice.choice(list(annotation))
            case _ if annotation is str:
                return self._string(place)
            case _ if annotation is bool:
                return self._choice.choice((False, True))
            case _ if annotation is int:
                return self._choice.choice(_INTEGERS)
            case _ if annotation is float:
                return self._choice.choice((0.0, 2.5))
            case _ if annotation is datetime:
                return datetime.fromtimestamp(1_790_000_000, UTC)
            case _ if annotation is object:
                return _MARK
            case _ if annotation is msgspec.Raw:
                return msgspec.Raw(b"{}")
            case _ if annotation is types.NoneType or annotation is None:
                return None
            case _:
                raise TypeError(f"{place} is of a type that no value is known of: {annotation}")

    def _struct(self, struct: type[Struct], place: str) -> Any:
        return struct(**{name: self.of(annotation, f"{place}.{name}") for name, annotation in _fields(struct)})

    def _string(self, place: str) -> str:
        if self._plain_strings:
            return _ONE
        hints = self._hints.setdefault(place, set(self._looked_up.get(place.rpartition(".")[2], ())))
        if self._choice.random() < _HINTED and hints:
            return _Given(self._choice.choice(sorted(hints)))
        free = _Free(_ONE)
        free.hints = hints
        return free


@dataclass
class Seen:
    """What was seen at one place."""

    times: int = 0
    objects: int = 0
    """How often it was a hash."""
    types: set[str] = field(default_factory=set[str])
    constants: set[Any] = field(default_factory=set[Any])
    is_free: bool = False
    """Any string was seen."""
    properties: "dict[str, Seen]" = field(default_factory=dict)
    values: "Seen | None" = None
    """Of a hash whose keys are the merchant's own."""
    items: "Seen | None" = None
    is_anything: bool = False

    def see(self, value: Any) -> None:
        """Take note of a value."""
        self.times += 1
        match value:
            case None:
                self.types.add("null")
            case bool():
                self.types.add("boolean")
                self.constants.add(value)
            case int():
                self.types.add("integer")
            case float():
                self.types.add("number")
            case str():
                self._see_string(value)
            case Mapping():
                self._see_hash(cast("Mapping[str, Any]", value))
            case list():
                self.types.add("array")
                self.items = self.items or Seen()
                for each in cast("list[Any]", value):
                    self.items.see(each)
            case _:
                raise TypeError(f"no JSON: {value!r}")

    def _see_string(self, value: str) -> None:
        self.types.add("string")
        if isinstance(value, _Given) or _MARK in value:
            self.is_free = True
            self.is_anything |= not isinstance(value, _Given) and value == _MARK
        else:
            self.constants.add(value)

    def _see_hash(self, value: Mapping[str, Any]) -> None:
        self.types.add("object")
        self.objects += 1
        for name, each in value.items():
            if name.startswith(_MARK):
                self.values = self.values or Seen()
                self.values.see(each)
            else:
                self.properties.setdefault(name, Seen()).see(each)

    def schema(self) -> Schema:
        """Describe it."""
        if self.is_anything:
            return {}
        kinds = sorted(self.types - {"null"}, key=("object", "array", "string", "integer", "number", "boolean").index)
        if "number" in kinds and "integer" in kinds:
            kinds.remove("integer")
        described = [self._described(kind) for kind in kinds]
        if "null" in self.types:
            described.append({"type": "null"})
        if len(described) == 1:
            return described[0]
        if len(described) == 2 and described[1] == {"type": "null"}:
            first = described[0]
            return {
                **first,
                "type": [first["type"], "null"],
                **({"enum": [*first["enum"], None]} if "enum" in first else {}),
            }
        return {"anyOf": described}

    def _described(self, kind: str) -> Schema:
        match kind:
            case "object":
                known: Schema = {"type": "object"}
                if self.properties:
                    known["properties"] = {name: each.schema() for name, each in self.properties.items()}
                    required = [name for name, each in self.properties.items() if each.times == self.objects]
                    if required:
                        known["required"] = required
                if self.values is not None:
                    known["additionalProperties"] = self.values.schema()
                return known
            case "array":
                assert self.items is not None
                return {"type": "array", "items": self.items.schema()} if self.items.times else {"type": "array", "maxItems": 0}
            case "string" if not self.is_free:
                return {"type": "string", "enum": sorted(each for each in self.constants if isinstance(each, str))}
            case "boolean" if len(truths := {each for each in self.constants if isinstance(each, bool)}) == 1:
                return {"type": "boolean", "enum": [*truths]}
            case _:
                return {"type": kind}


def observed(renderers: Iterable[Callable[..., Any]], values: Values) -> dict[bool, Seen]:
    """What renderers make, by whether it is what is left of something deleted. They are asked until nothing new comes of it; values that one refuses are none
    that there are."""
    found: dict[bool, Seen] = {}
    last, the_same = None, 0
    while the_same < _ROUNDS_THE_SAME:
        for render in renderers:
            for _ in range(_ROUND):
                arguments = values.arguments(render)
                with suppress(ValueError):
                    body = render(**arguments)
                    found.setdefault("deleted" in body, Seen()).see(body)
        made = {is_deleted: each.schema() for is_deleted, each in found.items()}
        last, the_same = made, the_same + 1 if made == last else 0
    return found
