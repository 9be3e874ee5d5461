"""What each currency allows: its decimals on the wire, the multiples that networks carry, the smallest and the largest charge."""

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.acquirers.iso8583.currencies import amount_of, minor_units_of
from payments.domain.errors import InvalidRequest
from payments.domain.fees import FeeSchedule
from payments.domain.money import CURRENCIES, format_amount
from payments.payment_api.intent_params import check_amount, check_step

PRESENTMENT = """
aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn bzd cad cdf chf clp cny cop crc cve czk djf dkk dop dzd
egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad
mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp
sle sos srd std szl thb tjs tnd top try ttd twd tzs uah ugx usd uyu uzs vnd vuv wst xaf xcd xcg xof xpf yer zar zmw
"""
"""Source: docs.stripe.com/currencies, "Supported presentment currencies", and the five of "Three-decimal currencies"."""

ZERO_DECIMAL = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf"
"""Source: docs.stripe.com/currencies, "Zero-decimal currencies"; UGX stands there too, and its special case says that it is sent with two decimals."""

THREE_DECIMAL = "bhd jod kwd omr tnd"
"""Source: docs.stripe.com/currencies, "Three-decimal currencies": the last digit must be 0."""

WHOLE_WITH_DECIMALS = "isk ugx"
"""Source: docs.stripe.com/currencies, "Special cases": two decimals, always 00. HUF and TWD are whole in payouts only."""

SMALLEST = """
usd 50|aed 200|aud 50|bgn 100|brl 50|cad 50|chf 50|czk 1500|dkk 250|eur 50|gbp 30|hkd 400|huf 17500|inr 50|jpy 50|mxn 1000|myr 200|nok 300|nzd 50
pln 200|ron 200|sek 300|sgd 50|thb 1000
"""
"""Source: docs.stripe.com/currencies, "Minimum and maximum charge amounts", by settlement currency."""

DIGITS = {"idr": 12, "lbp": 11, "cop": 10, "huf": 10, "jpy": 10, "inr": 9}
"""Source: docs.stripe.com/currencies, "Minimum and maximum charge amounts": how many digits an `amount` may have; 8 in every other currency."""

presentment = PRESENTMENT.split()
zero_decimal, three_decimal, whole_with_decimals = ZERO_DECIMAL.split(), THREE_DECIMAL.split(), WHOLE_WITH_DECIMALS.split()
coarse = three_decimal + whole_with_decimals
smallest = {each.split()[0]: int(each.split()[1]) for each in re.findall(r"[a-z]{3} [0-9]+", SMALLEST)}
codes = st.sampled_from(sorted(CURRENCIES))


@st.composite
def payable(draw: st.DrawFn) -> tuple[int, str]:
    """An amount that can be captured or refunded in a currency."""
    known = CURRENCIES[draw(codes)]
    return draw(st.integers(1, known.charge_minor_units_max // known.step)) * known.step, known.code


def refused(amount: int, currency: str) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as refusal:
        check_amount(amount, currency)
    return refusal.value


def test_every_currency_of_stripe_can_be_charged_and_no_other() -> None:
    assert CURRENCIES.keys() == set(presentment)
    assert {code for code, each in CURRENCIES.items() if code != each.code} == set()


@pytest.mark.parametrize("code", presentment)
def test_a_currency_has_the_decimals_and_the_step_of_stripes_wire(code: str) -> None:
    known = CURRENCIES[code]
    assert known.exponent == (0 if code in zero_decimal else 3 if code in three_decimal else 2)
    assert known.step == (10 if code in three_decimal else 100 if code in whole_with_decimals else 1)


@pytest.mark.parametrize("code", presentment)
def test_a_currency_takes_amounts_from_its_smallest_to_its_largest(code: str) -> None:
    known = CURRENCIES[code]
    largest = 10 ** DIGITS.get(code, 8) - 1
    assert known.charge_minor_units_max == largest - largest % known.step
    assert known.charge_minor_units_min == smallest.get(code, known.charge_minor_units_min)
    for amount in (known.charge_minor_units_min, known.charge_minor_units_max):
        assert check_amount(amount, code) == check_amount(amount, code.upper()) == code
    below, above = (
        refused(amount, code) for amount in (known.charge_minor_units_min - known.step, known.charge_minor_units_max + known.step)
    )
    assert (below.code, below.param) == ("amount_too_small", "amount")
    assert (above.code, above.param) == ("amount_too_large", "amount")


@pytest.mark.parametrize("code", coarse)
@pytest.mark.parametrize("param", ["amount", "amount_to_capture"])
def test_an_amount_between_two_steps_is_refused_whether_whole_or_in_part(code: str, param: str) -> None:
    step = CURRENCIES[code].step
    for remainder in range(1, step):
        amount = 100 * CURRENCIES[code].charge_minor_units_min + remainder
        assert refused(amount, code).code == "invalid_charge_amount"
        for part in (remainder, amount):
            with pytest.raises(InvalidRequest, match=rf"Currency {code.upper()} has .* must be evenly divisible by {step}\.") as refusal:
                check_step(part, code, param)
            assert (refusal.value.code, refusal.value.param) == ("invalid_charge_amount", param)


@given(payable())
def test_any_multiple_of_the_step_can_be_captured_or_refunded(amount: tuple[int, str]) -> None:
    check_step(*amount, "amount")


@pytest.mark.parametrize("code", [code for code in presentment if code not in coarse])
def test_every_minor_unit_of_other_currencies_can_be_charged(code: str) -> None:
    first = CURRENCIES[code].charge_minor_units_min
    assert {check_amount(first + more, code) for more in range(101)} == {code}


@pytest.mark.parametrize("code", ["xxx", "", "us", "usdollar", "ghs", "btc", "hrk", "\u0415UR", "u\x00d"])
def test_what_is_no_currency_is_refused(code: str) -> None:
    assert refused(2000, code).param == "currency"


@pytest.mark.parametrize(
    ("amount", "currency", "message"),
    [
        (49, "usd", "Amount must be at least $0.50 usd"),
        (150, "kwd", "Amount must be at least 0.160 KWD"),
        (6900, "isk", "Amount must be at least 70 ISK"),
        (100_000_000, "usd", "Amount must be no more than $999,999.99"),
        (100_000_000, "isk", "Amount must be no more than 999,999 ISK"),
        (
            200_050,
            "ugx",
            (
                "Invalid amount. Currency UGX has become effectively zero-decimal and charged amounts must be evenly divisible by 100. "
                "See https://stripe.com/docs/currencies#zero-decimal for more information."
            ),
        ),
    ],
)
def test_a_refused_amount_is_told_in_stripes_words(amount: int, currency: str, message: str) -> None:
    assert refused(amount, currency).message == message


@pytest.mark.parametrize(
    ("minor_units", "currency", "shown"),
    [
        (2000, "usd", "$20.00"),
        (5, "usd", "$0.05"),
        (-150, "eur", "-€1.50"),
        (0, "eur", "€0.00"),
        (500, "jpy", "¥500"),
        (1230, "kwd", "1.230 KWD"),
        (123_456_789, "usd", "$1,234,567.89"),
        (500, "isk", "5 ISK"),
        (9950, "isk", "99.50 ISK"),
        (-200_000, "ugx", "-2,000 UGX"),
        (5000, "mga", "5,000 MGA"),
        (17_550, "huf", "175.50 HUF"),
        (999_999_999_999, "idr", "9,999,999,999.99 IDR"),
    ],
)
def test_amounts_are_shown_in_their_currency(minor_units: int, currency: str, shown: str) -> None:
    assert format_amount(minor_units, currency) == shown


@given(st.integers(-(10**15), 10**15), codes)
def test_what_is_shown_is_the_amount(minor_units: int, code: str) -> None:
    shown = format_amount(minor_units, code)
    known = CURRENCIES[code]
    number = re.sub(r"[^0-9.]", "", shown)
    assert Fraction(number) * 10**known.exponent == abs(minor_units)
    assert shown.startswith("-") == (minor_units < 0)
    assert len(number.partition(".")[2]) in {0, known.exponent}
    assert known.code.upper() in shown or (known.symbol and known.symbol in shown)


@given(payable(), st.integers(0, 10_000), st.integers(0, 1_000))
def test_a_fee_can_be_paid_in_its_currency_and_leaves_what_can_be_paid(amount: tuple[int, str], basis_points: int, fixed: int) -> None:
    captured, code = amount
    step = CURRENCIES[code].step
    fee = FeeSchedule(basis_points=basis_points, fixed_minor_units=fixed).fee(captured, code)
    assert fee % step == (captured - fee) % step == 0
    exact = Fraction(captured * basis_points, 10_000) + fixed
    assert -Fraction(step, 2) < fee - exact <= Fraction(step, 2)


@pytest.mark.parametrize(
    ("amount", "currency", "fee"),
    [
        *[(2000, "usd", 88), (50, "usd", 31), (1000, "usd", 59), (1017, "usd", 59), (1018, "usd", 60), (500, "jpy", 45)],
        *[(10_000, "isk", 300), (79_900, "isk", 2300), (80_000, "isk", 2400), (5000, "kwd", 180), (4990, "kwd", 170), (5360, "kwd", 190)],
    ],
)
def test_fees_are_rounded_half_up_to_what_can_be_paid(amount: int, currency: str, fee: int) -> None:
    assert FeeSchedule().fee(amount, currency) == fee


@given(codes, st.integers(1, 10**12), st.integers(1, 10**12))
def test_a_larger_charge_never_costs_less(code: str, one: int, other: int) -> None:
    small, large = sorted((one, other))
    assert FeeSchedule().fee(small, code) <= FeeSchedule().fee(large, code)


@given(st.sampled_from(sorted(CURRENCIES)), st.integers(0, 10**6))
def test_an_amount_in_iso_4217s_minor_units_is_the_same_amount(currency: str, steps: int) -> None:
    minor_units = steps * CURRENCIES[currency].step
    assert minor_units_of(amount_of(minor_units, currency), currency) == minor_units


def test_iso_4217_has_other_decimals_than_stripe_for_three_currencies() -> None:
    unlike = {
        each: amount_of(100 * CURRENCIES[each].step, each)
        for each in CURRENCIES
        if amount_of(100 * CURRENCIES[each].step, each) != 100 * CURRENCIES[each].step
    }
    assert unlike == {"isk": 100, "mga": 10_000, "ugx": 100}
