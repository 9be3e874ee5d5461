"""What a call leaves behind is bounded: each event about an object holds all of it."""

from typing import Any

import pytest

from payments.domain.errors import InvalidRequest
from payments.payment_api.customers import _Params as CustomerParams
from payments.payment_api.given_card import check_given_card
from payments.payment_api.intent_params import CreateParams
from payments.wire.params import parse

PAYMENT = {"amount": 1000, "currency": "usd"}


@pytest.mark.parametrize(
    ("params", "given"),
    [
        (CreateParams, {**PAYMENT, "excluded_payment_method_types": ["klarna"] * 101}),
        (CreateParams, {**PAYMENT, "excluded_payment_method_types": ["k" * 101]}),
        (CreateParams, {**PAYMENT, "allowed_payment_method_types": ["card"] * 101}),
        (CreateParams, {**PAYMENT, "payment_method_types": ["card"] * 101}),
        (CustomerParams, {"preferred_locales": ["en"] * 101}),
    ],
)
def test_no_list_is_longer_than_anybody_needs(params: type[Any], given: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest):
        parse(given, params)


@pytest.mark.parametrize(
    "url", ["https://shop.example/\r\nSet-Cookie: a=b", "https://shop.example/a b", "\thttps://shop.example", "https:\n//a"]
)
def test_a_return_url_has_no_line_breaks_or_blanks(url: str) -> None:
    with pytest.raises(InvalidRequest, match="Not a valid URL"):
        check_given_card(parse({**PAYMENT, "return_url": url}, CreateParams))
