"""Holds responses against Stripe's schemas."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

_DATA = [
    Path(__file__).parents[1] / "data" / f"stripe-{name}.json"
    for name in ("schemas", "older-schemas", "account-schema", "test-clock-schema", "confirmation-token-schema", "customer-session-schema")
]
_KEPT = ("type", "anyOf", "items", "additionalProperties", "required", "$ref")


def violations(body: dict[str, Any]) -> list[str]:
    """What is wrong with an object of the API, list or error; the schema is found by its `object`."""
    if body.get("object") in ("list", "search_result"):
        return [fault for item in body["data"] for fault in violations(item)]
    name = "error" if "error" in body else body["object"]
    if body.get("deleted"):
        name = f"deleted_{name}"
    faults = [f"{name}.{'.'.join(map(str, error.absolute_path))}: {error.message[:200]}" for error in _validator(name).iter_errors(body)]
    if name == "event":
        faults += violations(body["data"]["object"])
    return faults


def schema(name: str) -> dict[str, Any]:
    """Stripe's own description of an object."""
    return schemas()[name]


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator({**_document(), "$ref": f"#/components/schemas/{name}"})


@cache
def _document() -> dict[str, Any]:
    return {"components": {"schemas": {name: _convert(schema) for name, schema in schemas().items()}}}


@cache
def schemas() -> dict[str, Any]:
    """All that are kept."""
    return {name: schema for path in _DATA for name, schema in json.loads(path.read_text())["components"]["schemas"].items()}


def _convert(schema: Any) -> Any:
    """OpenAPI 3.0 to JSON Schema, with `x-always-present` required as well."""
    if isinstance(schema, list):
        return [_convert(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    out: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            out[key] = {name: _convert(item) for name, item in value.items()}
        elif key == "enum":
            out[key] = value + ([None] if schema.get("nullable") else [])
        elif key in _KEPT:
            out[key] = _convert(value)
    if "x-always-present" in schema:
        out["required"] = out.get("required", []) + schema["x-always-present"]
    if schema.get("nullable") and "type" in out:
        out["type"] = [out["type"], "null"]
    elif schema.get("nullable") and "anyOf" in out:
        out["anyOf"] = [*out["anyOf"], {"type": "null"}]
    return out
