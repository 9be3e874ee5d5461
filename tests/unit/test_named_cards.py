"""Each card of Stripe's testing page does here, by number and by name, what that page says."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from payments.acquirers.sealed_card import CardSealer
from payments.acquirers.test_cards import BY_ALIAS, BY_NUMBER, Behaviour
from payments.domain.api_version import NEWEST
from payments.domain.card import Pan
from payments.domain.errors import InvalidRequest
from payments.domain.people import Address, BillingDetails
from payments.domain.principal import KeyKind, Principal
from payments.payment_api.card_vault import CardParam, CardVault
from payments.payment_api.intent_params import CaptureParams, CreateParams, UpdateParams, check_statement_descriptors
from payments.runtime.seal import Sealer
from payments.wire.params import parse
from tests.integration.builders import FakeClock, Key

MERCHANT = Principal(merchant_id=1, livemode=False, kind=KeyKind.SECRET, account_id="acct_1", key_id="key_1", api_version=NEWEST)
ADDRESS = BillingDetails(address=Address(line1="Ring 1", postal_code="8010"))

NAMES = {
    "pm_card_visa": ("4242424242424242", "visa", "credit", "US"),
    "pm_card_us": ("4242424242424242", "visa", "credit", "US"),
    "pm_card_visa_debit": ("4000056655665556", "visa", "debit", "US"),
    "pm_card_mastercard": ("5555555555554444", "mastercard", "credit", "US"),
    "pm_card_mastercard_debit": ("5200828282828210", "mastercard", "debit", "US"),
    "pm_card_mastercard_prepaid": ("5105105105105100", "mastercard", "prepaid", "US"),
    "pm_card_amex": ("378282246310005", "amex", "credit", "US"),
    "pm_card_discover": ("6011111111111117", "discover", "credit", "US"),
    "pm_card_diners": ("3056930009020004", "diners", "credit", "US"),
    "pm_card_jcb": ("3566002020360505", "jcb", "credit", "US"),
    "pm_card_unionpay": ("6200000000000005", "unionpay", "credit", "US"),
    "pm_card_visa_cartesBancaires": ("4000002500001001", "visa", "credit", "FR"),
    "pm_card_visa_debit_eftposAuCoBranded": ("4000050360000001", "visa", "debit", "AU"),
    "pm_card_gb": ("4000008260000000", "visa", "credit", "GB"),
    "pm_card_gb_debit": ("4000058260000005", "visa", "debit", "GB"),
    "pm_card_gb_mastercard": ("5555558265554449", "mastercard", "credit", "GB"),
    "pm_card_ae_mastercard": ("5200007840000022", "mastercard", "credit", "AE"),
    "pm_card_de": ("4000002760000016", "visa", "credit", "DE"),
    "pm_card_jp": ("4000003920000003", "visa", "credit", "JP"),
    "pm_card_br": ("4000000760000002", "visa", "credit", "BR"),
    "pm_card_th_credit": ("4000007640000003", "visa", "credit", "TH"),
    "pm_card_th_debit": ("4000057640000008", "visa", "debit", "TH"),
}

DECLINED = {
    "pm_card_chargeDeclined": ("card_declined", "generic_decline"),
    "pm_card_visa_chargeDeclined": ("card_declined", "generic_decline"),
    "pm_card_visa_chargeDeclinedInsufficientFunds": ("card_declined", "insufficient_funds"),
    "pm_card_visa_chargeDeclinedLostCard": ("card_declined", "lost_card"),
    "pm_card_visa_chargeDeclinedStolenCard": ("card_declined", "stolen_card"),
    "pm_card_visa_chargeDeclinedVelocityLimitExceeded": ("card_declined", "card_velocity_exceeded"),
    "pm_card_chargeDeclinedExpiredCard": ("expired_card", None),
    "pm_card_chargeDeclinedIncorrectCvc": ("incorrect_cvc", None),
    "pm_card_cvcDecline": ("incorrect_cvc", None),
    "pm_card_chargeDeclinedProcessingError": ("processing_error", None),
    "pm_card_chargeCustomerFail": ("card_declined", "generic_decline"),
    "pm_card_threeDSecureRequiredProcessingError": ("card_declined", "generic_decline"),
    "pm_card_radarBlock": ("card_declined", "fraudulent"),
}

AUTHENTICATED = {
    "pm_card_authenticationRequired": None,
    "pm_card_threeDSecure2Required": None,
    "pm_card_threeDSecureRequired": None,
    "pm_card_threeDSecureRequiredChargeDeclined": "generic_decline",
    "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds": "insufficient_funds",
}

CHECKS = {
    "pm_card_visa": ("pass", "pass", "pass"),
    "pm_card_avsFail": ("fail", "fail", "pass"),
    "pm_card_avsLine1Fail": ("fail", "pass", "pass"),
    "pm_card_avsZipFail": ("pass", "fail", "pass"),
    "pm_card_avsUnchecked": ("unavailable", "unavailable", "pass"),
    "pm_card_cvcCheckFail": ("pass", "pass", "fail"),
}
"""Line 1, postal code, CVC."""


@pytest.fixture(scope="module")
def vault() -> CardVault:
    return CardVault(CardSealer(Sealer(Key())), FakeClock())


@pytest.mark.parametrize(("name", "expected"), NAMES.items())
def test_a_name_stands_for_its_card(vault: CardVault, name: str, expected: tuple[str, str, str, str]) -> None:
    number, *described = expected
    assert BY_ALIAS[name].number == number
    assert BY_ALIAS[name].behaviour is Behaviour.APPROVE
    for alias in (name, name.replace("pm_card_", "tok_")):
        card = vault.from_alias(MERCHANT, alias).method.card
        assert [card.brand, card.funding, card.country] == described
        assert card.last4 == number[-4:]


@pytest.mark.parametrize(("name", "expected"), DECLINED.items())
def test_a_name_of_a_declined_card_is_declined_by_its_codes(name: str, expected: tuple[str, str | None]) -> None:
    card = BY_ALIAS[name]
    assert (card.code, card.decline_code) == expected
    assert card.behaviour in (Behaviour.DECLINE, Behaviour.DECLINE_ON_CHARGE, Behaviour.BLOCK)


@pytest.mark.parametrize(("name", "declined_after"), AUTHENTICATED.items())
def test_a_name_of_a_card_that_wants_authentication_wants_it(name: str, declined_after: str | None) -> None:
    assert (BY_ALIAS[name].behaviour, BY_ALIAS[name].decline_code) == (Behaviour.AUTHENTICATE, declined_after)


@pytest.mark.parametrize(("name", "expected"), CHECKS.items())
def test_checks_are_those_of_the_card_where_there_is_something_to_check(
    vault: CardVault, name: str, expected: tuple[str, str, str]
) -> None:
    line1, postal_code, cvc = expected

    def checks(method_of: CardParam, details: BillingDetails | None) -> list[str | None]:
        made = vault.from_alias(MERCHANT, method_of.token, details) if method_of.token else vault.vault(MERCHANT, method_of, details)
        card = made.method.card
        return [card.address_line1_check, card.address_postal_code_check, card.cvc_check]

    typed = CardParam(number=BY_ALIAS[name].number, exp_month=12, exp_year=2050, cvc="123")
    assert checks(typed, ADDRESS) == [line1, postal_code, cvc]
    assert checks(typed, None) == [None, None, cvc]
    assert checks(CardParam(number=typed.number, exp_month=12, exp_year=2050), ADDRESS) == [line1, postal_code, None]
    by_name = CardParam(token=name.replace("pm_card_", "tok_"))
    assert checks(by_name, ADDRESS) == [line1, postal_code, None if cvc == "pass" else cvc]
    # By its name alone a card is what makes it that card: there is nothing else that the name could be for.
    assert checks(by_name, None) == [None if verdict == "pass" else verdict for verdict in expected]


def test_numbers_are_numbers_and_names_are_distinct() -> None:
    assert [number for number in BY_NUMBER if Pan(number).reveal() != number] == []
    assert len(BY_ALIAS) % 2 == 0
    assert {name.replace("pm_card_", "tok_") for name in BY_ALIAS} == {name for name in BY_ALIAS if name.startswith("tok_")}


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("SHOP", "The statement descriptor must be at least 5 characters."),
        ("A" * 23, f"The statement descriptor must be at most 22 characters. {'A' * 23} is 23 characters long."),
        ("12345", "The statement descriptor must contain at least one alphabetic character."),
        *((f"SHOP{sign}1", "contains characters that aren't allowed") for sign in "<>\\'\"*\n\x00\x7f™店"),
    ],
)
@pytest.mark.parametrize("params", [CreateParams, UpdateParams, CaptureParams])
def test_a_statement_says_what_schemes_print(params: type[CreateParams | UpdateParams | CaptureParams], text: str, refusal: str) -> None:
    given_ = {"amount": 100, "currency": "usd"} if params is not CaptureParams else {}
    with pytest.raises(InvalidRequest) as refused:
        check_statement_descriptors(parse({**given_, "statement_descriptor": text}, params))
    assert refusal in refused.value.message
    assert refused.value.param == "statement_descriptor"


@pytest.mark.parametrize(
    ("suffix", "allowed"), [("O 1", True), ("É 1A", True), ("", True), ("123", False), ("A*", False), ("A" * 23, False)]
)
def test_a_suffix_may_be_short_and_says_something_too(suffix: str, allowed: bool) -> None:
    params = parse({"amount": 100, "currency": "usd", "statement_descriptor_suffix": suffix}, CreateParams)
    if allowed:
        check_statement_descriptors(params)
    else:
        with pytest.raises(InvalidRequest):
            check_statement_descriptors(params)


@example("Shoes\xad")
@example("Shoes\xa0")
@given(st.text(max_size=30))
def test_whatever_passes_can_be_printed(text: str) -> None:
    try:
        check_statement_descriptors(CaptureParams(statement_descriptor=text))
    except InvalidRequest:
        return
    assert text == "" or (5 <= len(text) <= 22 and text.isprintable() and not set(text) & set("<>\\'\"*"))
