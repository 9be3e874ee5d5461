"""Holds responses against our own OpenAPI document, more strictly than a client would: no field may come that isn't described."""

import re
from functools import cache
from typing import Any, cast

from jsonschema import Draft202012Validator

from tests.support.openapi import kept
from tests.support.shapes import Schema


def violations(body: dict[str, Any]) -> list[str]:
    """What is wrong with an object, list or error; its schema is found by what it says that it is."""
    if body.get("object") in ("list", "search_result"):
        return [fault for item in body["data"] for fault in violations(item)]
    name = "error" if "error" in body else body["object"]
    return _faults(f"deleted_{name}" if body.get("deleted") else name, body)


def violations_of(method: str, path: str, status: int, body: Any) -> list[str]:
    """What is wrong with an operation's response; `path` has placeholders."""
    described = kept()["paths"][path][method.lower()]["responses"]
    if str(status) not in described:
        return [f"{method} {path} answered with {status}, which isn't described: {body}"]
    if "$ref" in described[str(status)]:
        return _faults("error", body)
    validator = _validator(f"{method} {path}")
    return [_said(f"{method} {path}", error) for error in validator.iter_errors(body)]


def _faults(name: str, body: Any) -> list[str]:
    return [_said(name, error) for error in _validator(name).iter_errors(body)]


def _said(name: str, error: Any) -> str:
    return f"{name}.{'.'.join(map(str, error.absolute_path))}: {error.message[:300]}"


@cache
def _validator(name: str) -> Draft202012Validator:
    method, _, path = name.partition(" ")
    if not path:
        return Draft202012Validator({**_closed_components(), "$ref": f"#/components/schemas/{name}"})
    content = kept()["paths"][path][method.lower()]["responses"]["200"]["content"]
    return Draft202012Validator({**_closed_components(), **_closed(content["application/json"]["schema"])})


@cache
def _closed_components() -> Schema:
    return {"components": {"schemas": {name: _closed(schema) for name, schema in kept()["components"]["schemas"].items()}}}


def _closed(schema: Any) -> Any:
    """The same, without room for what isn't described."""
    if isinstance(schema, list):
        return [_closed(each) for each in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    made: Schema = {
        key: {name: _closed(each) for name, each in value.items()} if key == "properties" else _closed(value)
        for key, value in cast("Schema", schema).items()
    }
    if "object" in made.get("type", ()):
        made.setdefault("additionalProperties", False)
    return made


def template_of(path: str) -> str:
    """The path that describes a request's, with placeholders."""
    return next(each for each in kept()["paths"] if re.fullmatch(re.sub(r"{\w+}", "[^/]+", each), path))
