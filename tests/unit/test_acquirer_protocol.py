"""The protocol's OpenAPI document says what the code says."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from payments.acquirers.http.acquirer import _message
from payments.acquirers.http.messages import AnswerMessage, ApprovedMessage, CardMessage, DeclinedMessage, OrderMessage, ThreeDSecureMessage
from payments.acquirers.http.signature import is_signed_answer, request_headers
from payments.domain.attempt import AttemptKind
from payments.runtime.ids import new_id
from tests.support.acquirers_to_test import authorization, follow_up

DOCUMENT: dict[str, Any] = json.loads((Path(__file__).parents[2] / "docs" / "acquirer-protocol.json").read_text())
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]


@pytest.mark.parametrize(
    ("name", "struct"),
    [
        ("Order", OrderMessage),
        ("Card", CardMessage),
        ("ThreeDSecure", ThreeDSecureMessage),
        ("Approved", ApprovedMessage),
        ("Declined", DeclinedMessage),
    ],
)
def test_each_message_has_the_fields_that_the_document_says(name: str, struct: type[msgspec.Struct]) -> None:
    said = set(SCHEMAS[name]["properties"]) - {"type"}
    fields = msgspec.structs.fields(struct)
    assert said == {field.name for field in fields}
    assert set(SCHEMAS[name]["required"]) - {"type"} == {field.name for field in fields if field.required}


@pytest.mark.parametrize("order", [authorization(), follow_up(AttemptKind.REFUND, "att_2")], ids=["authorization", "refund"])
def test_what_is_sent_is_valid(order: Any) -> None:
    validator = jsonschema.Draft202012Validator({"$ref": "#/components/schemas/Order", "components": DOCUMENT["components"]})
    validator.validate(msgspec.json.decode(msgspec.json.encode(_message(order))))


def test_an_outcome_of_the_document_can_be_read() -> None:
    for name in ("Approved", "Declined", "Pending", "NotFound"):
        example = {
            "reference": "att_1",
            "amount": 1,
            "currency": "usd",
            "authorization_code": "1",
            "type": SCHEMAS[name]["properties"]["type"]["const"],
        }
        msgspec.convert(example, AnswerMessage)


POST: dict[str, Any] = DOCUMENT["paths"]["/orders"]["post"]


def examples(place: dict[str, Any]) -> dict[str, Any]:
    return {name: each["value"] for name, each in place["content"]["application/json"]["examples"].items()}


def test_the_examples_are_what_the_document_says_of_them() -> None:
    for schema, found in (("Order", examples(POST["requestBody"])), ("Outcome", examples(POST["responses"]["200"]))):
        validator = jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{schema}", "components": DOCUMENT["components"]})
        for each in found.values():
            validator.validate(each)
            msgspec.convert(each, OrderMessage if schema == "Order" else AnswerMessage)


def test_a_bank_can_try_its_signatures_on_the_example() -> None:
    example: dict[str, Any] = POST["x-signed-example"]
    secret, time = example["secret"].encode(), int(example["headers"]["Tap-Timestamp"])
    assert request_headers("tap-1", secret, time, example["method"], example["path"], example["body"].encode()) == example["headers"]
    answer = example["answer"]
    signature = answer["headers"]["Tap-Signature"]
    assert is_signed_answer(secret, example["headers"]["Tap-Signature"], answer["status"], answer["body"].encode(), signature)
    assert json.loads(example["body"]) == examples(POST["requestBody"])["payment"]
    assert json.loads(answer["body"]) == examples(POST["responses"]["200"])["approved"]


def test_our_references_are_as_the_document_says() -> None:
    for kind in ("att", "ver"):
        assert re.fullmatch(SCHEMAS["Order"]["properties"]["reference"]["pattern"], new_id(kind))
