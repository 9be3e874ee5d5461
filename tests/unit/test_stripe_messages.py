"""What Stripe's answers may leave out, or have null, is read: a refund without metadata must not hide the one that is looked for."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from payments.acquirers.stripe.messages import Intent, StripeRefund, read_refunds

SCHEMAS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data" / "stripe-schemas.json").read_text())["components"]["schemas"]
VALUES: dict[str, Any] = {"string": "text", "integer": 1, "object": {}}


@pytest.mark.parametrize(("name", "struct"), [("payment_intent", Intent), ("setup_intent", Intent), ("refund", StripeRefund)])
def test_all_that_the_schema_allows_is_read(name: str, struct: type[msgspec.Struct]) -> None:
    schema = SCHEMAS[name]
    fields = {field.encode_name for field in msgspec.structs.fields(struct)} & set(schema["properties"])
    full = {field: VALUES[schema["properties"][field].get("type", "object")] for field in fields}
    least = {field: value for field, value in full.items() if field in schema["required"]}
    for given in (full, least, *({**full, field: None} for field in fields if schema["properties"][field].get("nullable"))):
        msgspec.convert(given, struct)


def test_a_refund_without_metadata_is_none_of_ours_and_no_fault() -> None:
    refund = {"id": "re_1", "status": "succeeded", "amount": 1, "currency": "usd"}
    listed = read_refunds(json.dumps({"data": [{**refund, "metadata": None}, {**refund, "metadata": {"tap_attempt": "att_1"}}]})).data
    assert [each.attempt for each in listed] == [None, "att_1"]
