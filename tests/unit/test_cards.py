"""A card number never shows itself."""

import json
import pickle

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.domain.card import Pan, check_cvc, check_expiry
from payments.domain.errors import CardError


def with_check_digit(digits: str) -> str:
    for last in "0123456789":
        try:
            Pan(digits + last)
        except CardError:
            continue
        return digits + last
    raise AssertionError("one of ten digits always fits")


numbers = st.text("0123456789", min_size=11, max_size=18).map(with_check_digit)


@given(numbers)
def test_a_card_number_never_shows_itself(number: str) -> None:
    pan = Pan(number)
    hidden = number[6:-4]
    for shown in (str(pan), repr(pan), f"{pan}", f"{pan!r:>30}", repr([pan]), str({"pan": pan}), repr(CardError("x", code="y"))):
        if len(hidden) > 3 and hidden not in number[:6] + number[-4:]:  # digits that are all alike are seen anyway
            assert hidden not in shown.replace("*" * len(hidden), "")
        assert number not in shown
    assert pan.reveal() == number
    assert str(pan) == number[:6] + "*" * (len(number) - 10) + number[-4:]


@given(numbers)
def test_a_card_number_is_never_serialised(number: str) -> None:
    for serialise in (pickle.dumps, msgspec.json.encode, json.dumps):
        with pytest.raises(TypeError):
            serialise(Pan(number))


@given(numbers, st.integers(0, 18))
def test_one_wrong_digit_is_noticed(number: str, position: int) -> None:
    position %= len(number)
    wrong = number[:position] + str((int(number[position]) + 1) % 10) + number[position + 1 :]
    with pytest.raises(CardError) as refused:
        Pan(wrong)
    assert refused.value.code == "incorrect_number"
    assert wrong not in str(refused.value)


@pytest.mark.parametrize("typed", ["", "1234", "4242x42424242424", "42424242424242424242424242", "٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢"])
def test_what_is_no_number_is_invalid(typed: str) -> None:
    with pytest.raises(CardError) as refused:
        Pan(typed)
    assert refused.value.code == "invalid_number"


def test_numbers_are_taken_as_people_type_them() -> None:
    assert Pan("4242 4242-4242 4242") == Pan("4242424242424242")


@pytest.mark.parametrize(
    ("number", "brand"),
    [
        ("4242424242424242", "visa"),
        ("5555555555554444", "mastercard"),
        ("2223003122003222", "mastercard"),
        ("378282246310005", "amex"),
        ("6011111111111117", "discover"),
        ("3056930009020004", "diners"),
        ("3566002020360505", "jcb"),
        ("6200000000000005", "unionpay"),
        (with_check_digit("900000000000000"), "unknown"),
    ],
)
def test_the_range_tells_the_scheme(number: str, brand: str) -> None:
    assert Pan(number).brand == brand


@pytest.mark.parametrize(
    ("month", "year", "code"),
    [
        (0, 2030, "invalid_expiry_month"),
        (13, 2030, "invalid_expiry_month"),
        (12, 2025, "invalid_expiry_year"),
        (10, 2026, "invalid_expiry_month"),
        (1, 2077, "invalid_expiry_year"),
    ],
)
def test_an_expired_card_is_refused(month: int, year: int, code: str) -> None:
    with pytest.raises(CardError) as refused:
        check_expiry(month, year, now_year=2026, now_month=11)
    assert refused.value.code == code


def test_a_card_is_good_until_the_end_of_its_month() -> None:
    check_expiry(11, 2026, now_year=2026, now_month=11)


def test_american_express_has_four_digits() -> None:
    check_cvc("1234", "amex")
    check_cvc("123", "visa")
    for wrong, brand in (("1234", "visa"), ("12", "amex"), ("12a", "visa"), ("", "visa")):
        with pytest.raises(CardError):
            check_cvc(wrong, brand)
