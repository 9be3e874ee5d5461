"""The protocol's OpenAPI document says what the code says."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from payments.acquirers.http.acquirer import _message
from payments.acquirers.http.messages import AnswerMessage, ApprovedMessage, CardMessage, DeclinedMessage, OrderMessage, ThreeDSecureMessage
from payments.domain.attempt import AttemptKind
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
