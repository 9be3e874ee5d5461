"""The OpenAPI document that is served says what the code does, and what the code shows fits it."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from payments.domain.api_version import NEWEST
from payments.domain.errors import InvalidRequest
from payments.payment_api.given_card import ExcludedTypes
from payments.wire.params import parse
from tests.support.documented import violations
from tests.support.openapi import DOCUMENT, document, encoded
from tests.support.public_api import endpoints
from tests.support.rendered_samples import samples
from tests.support.stripe_schema import schema


def test_the_document_that_is_served_is_what_the_code_makes() -> None:
    """`python -m tests.support.public_api` writes it."""
    assert encoded().decode() == DOCUMENT.read_text(encoding="utf-8")


def test_each_operation_is_described_once() -> None:
    described = {f"{method.upper()} {path}": each for path, methods in document()["paths"].items() for method, each in methods.items()}
    assert described.keys() == {endpoint.operation for endpoint in endpoints()}
    assert len({each["operationId"] for each in described.values()}) == len(described)


def _references(within: Any) -> Iterator[str]:
    match within:
        case {"$ref": str(name)}:
            yield name
        case dict():
            for each in within.values():
                yield from _references(each)
        case list():
            for each in within:
                yield from _references(each)
        case _:
            pass


def test_what_is_referred_to_is_there_and_nothing_else_is() -> None:
    components = document()["components"]
    there = {f"#/components/{group}/{name}" for group, named in components.items() for name in named if group != "securitySchemes"}
    assert set(_references(document())) == there


@pytest.mark.parametrize(("name", "body"), samples(NEWEST).items())
def test_what_is_rendered_fits_the_document(name: str, body: dict[str, Any]) -> None:
    assert violations(body) == [], name


def test_what_is_excluded_is_what_stripe_knows() -> None:
    """Clients read it of the intent as an enumeration: what isn't in that can't be read by those that are typed."""
    stripes = schema("payment_intent")["properties"]["excluded_payment_method_types"]["items"]["enum"]
    assert sorted(msgspec.json.schema(ExcludedTypes)["items"]["enum"]) == sorted(stripes)
    (created,) = (each for each in endpoints() if each.operation == "POST /v1/payment_intents")
    with pytest.raises(InvalidRequest, match="excluded_payment_method_types"):
        parse({"amount": 100, "currency": "usd", "excluded_payment_method_types": ["cash"]}, created.params, created.operation)
