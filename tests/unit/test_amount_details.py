"""What an amount is said to be made of adds up to it, or the merchant is told."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from payments.domain.errors import InvalidRequest
from payments.domain.payment_intent import IntentStatus, PaymentIntent
from payments.domain.payment_options import AmountDetails
from payments.payment_api.amount_details import AmountDetailsParam, of_capture, of_increment, with_details
from payments.wire.params import parse

LINE = {"product_name": "Shoes", "quantity": 2, "unit_cost": 500}
AMOUNT = 1000

amounts = st.integers(0, 10_000)
lines = st.lists(
    st.fixed_dictionaries(
        {"product_name": st.just("Shoes"), "quantity": st.integers(1, 5), "unit_cost": amounts},
        optional={"tax": st.fixed_dictionaries({"total_tax_amount": amounts}), "discount_amount": st.integers(1, 100)},
    ),
    max_size=5,
)


def details(**params: Any) -> AmountDetailsParam:
    return parse(params, AmountDetailsParam)


def intent(amount: int = AMOUNT, **fields: Any) -> PaymentIntent:
    identity: dict[str, Any] = {"id": "pi_1", "merchant_id": 1, "livemode": False, "created": 1, "client_secret": "x"}
    return PaymentIntent(**identity, amount=amount, currency="usd", status=IntentStatus.REQUIRES_CAPTURE, **fields)


def total(items: list[dict[str, Any]]) -> int:
    return sum(
        each["quantity"] * each["unit_cost"] + each.get("tax", {}).get("total_tax_amount", 0) - each.get("discount_amount", 0)
        for each in items
    )


@given(lines, st.integers(-5, 5))
def test_lines_are_the_amount_or_are_refused(items: list[dict[str, Any]], off: int) -> None:
    amount = total(items)
    if items and off:
        with pytest.raises(InvalidRequest) as refused:
            details(line_items=items).of(amount + off)
        assert (refused.value.code, refused.value.param) == ("amount_details_amount_mismatch", "amount_details")
        told = details(line_items=items, enforce_arithmetic_validation=False).of(amount + off).error
        assert told is not None
        assert told.code == "amount_details_amount_mismatch"
    else:
        kept = details(line_items=items).of(amount if items else abs(amount + off))
        assert kept.error is None
        assert len({item.id for item in kept.line_items}) == len(items)


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"tax": {"total_tax_amount": 600}, "shipping": {"amount": 500}}, "amount_details_tax_shipping_discount_greater_than_amount"),
        ({"tax": {"total_tax_amount": 600}, "shipping": {"amount": 500}, "discount_amount": 100}, None),
        ({"line_items": [LINE], "tax": {"total_tax_amount": 100}, "shipping": {"amount": 100}, "discount_amount": 200}, None),
        ({"line_items": [LINE], "discount_amount": 1}, "amount_details_amount_mismatch"),
        ({"line_items": [LINE, LINE]}, "amount_details_amount_mismatch"),
    ],
)
def test_tax_shipping_and_discounts_count(params: dict[str, Any], code: str | None) -> None:
    error = details(**params, enforce_arithmetic_validation="false").of(AMOUNT).error
    assert (error and error.code) == code


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"line_items": [{"product_name": "x", "quantity": 1}]}, "line_items[0][unit_cost]"),
        ({"line_items": [{**LINE, "quantity": 0}]}, "line_items[0][quantity]"),
        ({"line_items": [{**LINE, "unit_cost": -1}]}, "line_items[0][unit_cost]"),
        ({"line_items": [{**LINE, "product_code": "x" * 13}]}, "line_items[0][product_code]"),
        ({"line_items": [{**LINE, "discount_amount": 0}]}, "line_items[0][discount_amount]"),
        ({"line_items": [LINE] * 201}, "line_items"),
    ],
)
def test_what_can_be_no_line_is_refused_by_name(params: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        details(**params)
    assert refused.value.param == param


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"discount_amount": 1, "line_items": [{**LINE, "discount_amount": 1}]}, "amount_details[discount_amount]"),
        (
            {"tax": {"total_tax_amount": 0}, "line_items": [{**LINE, "tax": {"total_tax_amount": 0}}]},
            "amount_details[tax][total_tax_amount]",
        ),
    ],
)
def test_nothing_is_said_of_all_and_of_a_line(params: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        details(**params).of(AMOUNT)
    assert refused.value.param == param


def test_another_amount_is_held_against_what_was_said_before() -> None:
    known = with_details(intent(), details(line_items=[LINE]))
    with pytest.raises(InvalidRequest):
        with_details(intent(2000, amount_details=known.amount_details), UNSET)
    doubled = with_details(intent(2000, amount_details=known.amount_details), details(line_items=[LINE, LINE]))
    assert doubled.amount_details is not None
    assert with_details(doubled, "").amount_details is None
    tolerated = with_details(intent(), details(line_items=[LINE, LINE], enforce_arithmetic_validation=False))
    mended = with_details(intent(2000, amount_details=tolerated.amount_details), UNSET).amount_details
    assert mended is not None
    assert mended.error is None


def test_captures_of_parts_have_details_of_their_own_which_add_up() -> None:
    known = with_details(intent(), details(line_items=[LINE])).amount_details
    held = intent(amount_details=known)
    assert of_capture(held, UNSET, AMOUNT) is None
    assert of_capture(held, "", 400) == AmountDetails()
    with pytest.raises(InvalidRequest) as refused:
        of_capture(held, UNSET, 400)
    assert refused.value.code == "amount_details_amount_mismatch"
    with pytest.raises(InvalidRequest):
        of_capture(held, details(line_items=[LINE]), 400)
    first = of_capture(held, details(line_items=[{**LINE, "unit_cost": 150}], shipping={"amount": 100}), 400)
    assert first is not None
    assert len(first.line_items) == 1
    partly = intent(amount_details=first, amount_received=400)
    second = of_capture(partly, details(line_items=[{**LINE, "unit_cost": 250}], shipping={"amount": 100}), 600)
    assert second is not None
    assert (len(second.line_items), second.shipping_amount, second.disagreement(AMOUNT)) == (2, 200, None)
    with pytest.raises(InvalidRequest):
        of_capture(partly, UNSET, 600)


def test_a_larger_hold_has_other_details() -> None:
    known = with_details(intent(), details(line_items=[LINE])).amount_details
    with pytest.raises(InvalidRequest):
        of_increment(intent(amount_details=known), UNSET, 2000)
    more = of_increment(intent(amount_details=known), details(line_items=[LINE, LINE]), 2000)
    assert more is not None
    assert len(more.line_items) == 2
    assert of_increment(intent(), UNSET, 2000) is None
    with pytest.raises(InvalidRequest):
        of_increment(intent(amount_received=400), details(line_items=[LINE]), AMOUNT)
