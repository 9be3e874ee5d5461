"""Requests as the OpenAPI document says that they may be: drawn from its schemas, with ids of what there is among them, and with a name misspelt now and then."""

import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.support.openapi import kept
from tests.support.shapes import Schema

FORM = "application/x-www-form-urlencoded"
_DEPTH_MAX = 5
_LETTERS = string.ascii_letters + string.digits + " .-_@\u00e9\u2603\U0001f980<>'\"\\/%&+\x7f\u202e"
_KNOWN = {
    "amount": [100, 2_000],
    "country": ["US"],
    "currency": ["usd", "jpy", "kwd", "xxx"],
    "email": ["a@example.com"],
    "exp_month": [12],
    "exp_year": [2040],
    "number": ["4242424242424242", "4000000000000002", "4000002500003155", "1"],
    "payment_method": ["pm_card_visa", "pm_card_authenticationRequired", "pm_card_chargeDeclined"],
    "source": ["tok_visa"],
    "url": ["https://example.com/"],
    "return_url": ["https://example.com/"],
    "query": ["email:'a@example.com'", "metadata['a']:'b' OR amount>1"],
    "account_number": ["000123456789"],
    "routing_number": ["110000000"],
}
"""What a field of a name is likely to be, where its type says less."""


@dataclass(frozen=True)
class Requests:
    """Draws requests; `ids` are of what there is, by what names it in a path or a parameter."""

    ids: Mapping[str, str]

    def of(self, method: str, path: str) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
        """A path and the parameters."""
        described = kept()["paths"][path][method.lower()]
        content = described.get("requestBody", {}).get("content", {})
        if FORM in content:
            params = self._value("", content[FORM]["schema"], _DEPTH_MAX)
        else:
            query = [each for each in described["parameters"] if each.get("in") == "query"]
            properties = {each["name"].removesuffix("[]"): each["schema"] for each in query}
            required = [each["name"] for each in query if each.get("required")]
            params = self._value("", {"type": "object", "properties": properties, "required": required}, _DEPTH_MAX)
        return st.tuples(self._path(path), params | params.map(_misspelt))

    def _path(self, path: str) -> st.SearchStrategy[str]:
        known = path
        for name in ("account", "refund", "payment_method", "source"):
            known = known.replace(f"{{{name}}}", self.ids.get(name, "x_1"))
        collection = path.partition("/{id}")[0]
        known = known.replace("{id}", self.ids.get(collection, "x_1"))
        return st.just(known) | st.just(known) | st.just(path.replace("{", "").replace("}", ""))

    def _value(self, name: str, schema: Schema, depth: int) -> st.SearchStrategy[Any]:
        if "$ref" in schema:
            return self._value(name, kept()["components"]["schemas"][schema["$ref"].rpartition("/")[2]], depth)
        if "anyOf" in schema:
            return st.one_of([self._value(name, each, depth) for each in schema["anyOf"]])
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        match schema["type"]:
            case "object":
                return self._hash(schema, depth)
            case "array":
                return st.lists(self._value(name, schema["items"], depth - 1), max_size=min(2, schema.get("maxItems", 2)))
            case "boolean":
                return st.booleans()
            case "integer" | "number":
                low, high = schema.get("minimum", -(2**53)), schema.get("maximum", 2**53)
                return self._likely(name) | st.integers(int(low), int(high)) | st.sampled_from([int(low), int(high)])
            case _:
                length = min(schema.get("maxLength", 60), 60)
                drawn = (
                    st.from_regex(schema["pattern"])
                    if "pattern" in schema
                    else st.text(_LETTERS, min_size=schema.get("minLength", 0), max_size=length)
                )
                return self._likely(name) | drawn

    def _likely(self, name: str) -> st.SearchStrategy[Any]:
        known = [*_KNOWN.get(name, ()), *([self.ids[name]] if name in self.ids else [])]
        return st.sampled_from(known) if known else st.nothing()

    def _hash(self, schema: Schema, depth: int) -> st.SearchStrategy[dict[str, Any]]:
        properties, required = schema.get("properties", {}), schema.get("required", ())
        if not properties:
            return st.dictionaries(st.text(string.ascii_lowercase, min_size=1, max_size=8), st.text(_LETTERS, max_size=8), max_size=2)
        must = {name: self._value(name, properties[name], depth - 1) for name in required}
        if depth == 0 or len(properties) == len(must):
            return st.fixed_dictionaries(must)

        def some(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
            return st.fixed_dictionaries(must | {name: self._value(name, properties[name], depth - 1) for name in names})

        return st.lists(st.sampled_from([name for name in properties if name not in must]), max_size=4, unique=True).flatmap(some)


def _misspelt(params: dict[str, Any]) -> dict[str, Any]:
    return {**params, "mispelt": "x"} if len(params) % 5 == 4 else params
