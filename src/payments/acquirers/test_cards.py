"""The cards of test mode, and what each does.

Source: Stripe's testing documentation. None of these numbers is a real card's.
"""

from enum import StrEnum

from msgspec import Struct


class Behaviour(StrEnum):
    """What a test card does when it is charged."""

    APPROVE = "approve"
    DECLINE = "decline"
    DECLINE_ON_CHARGE = "decline_on_charge"
    """It can be attached to a customer, and is declined when charged."""
    BLOCK = "block"
    """Our own rules stop it before the network."""
    AUTHENTICATE = "authenticate"
    """3-D Secure first, then as `decline` says, if it says anything."""
    REFUND_PENDING = "refund_pending"
    REFUND_FAILS = "refund_fails"
    AVAILABLE_AT_ONCE = "available_at_once"


class TestCard(Struct, frozen=True, kw_only=True):
    """A test card. The class isn't a test: pytest is told so."""

    __test__ = False

    number: str
    alias: str | None = None
    """The payment method that stands for the card, such as `pm_card_visa`; `tok_visa` stands for the same card."""
    behaviour: Behaviour = Behaviour.APPROVE
    code: str = "card_declined"
    """Stripe's error code when it is declined."""
    decline_code: str | None = None
    funding: str = "credit"
    cvc_check: str = "pass"
    address_line1_check: str = "pass"
    address_postal_code_check: str = "pass"


_APPROVED = """
4242424242424242 pm_card_visa credit
4000056655665556 pm_card_visa_debit debit
5555555555554444 pm_card_mastercard credit
5200828282828210 pm_card_mastercard_debit debit
5105105105105100 pm_card_mastercard_prepaid prepaid
378282246310005  pm_card_amex credit
6011111111111117 pm_card_discover credit
3056930009020004 pm_card_diners credit
3566002020360505 pm_card_jcb credit
6200000000000005 pm_card_unionpay credit
4000000000004954 pm_card_riskLevelHighest credit
4000000000009235 pm_card_riskLevelElevated credit
4000000000000259 pm_card_createDispute credit
4000000000002685 pm_card_createDisputeProductNotReceived credit
4000000000001976 pm_card_createDisputeInquiry credit
4000000000005423 pm_card_createIssuerFraudRecord credit
4000000000003055 - credit
"""

_DECLINED = """
4000000000000002 pm_card_visa_chargeDeclined card_declined generic_decline
4000000000009995 pm_card_visa_chargeDeclinedInsufficientFunds card_declined insufficient_funds
4000000000009987 pm_card_visa_chargeDeclinedLostCard card_declined lost_card
4000000000009979 pm_card_visa_chargeDeclinedStolenCard card_declined stolen_card
4000000000000069 pm_card_chargeDeclinedExpiredCard expired_card -
4000000000000127 pm_card_chargeDeclinedIncorrectCvc incorrect_cvc -
4000000000000119 pm_card_chargeDeclinedProcessingError processing_error -
4000000000006975 pm_card_visa_chargeDeclinedVelocityLimitExceeded card_declined card_velocity_exceeded
"""

_SPECIAL = (
    TestCard(
        number="4000000000000341",
        alias="pm_card_chargeCustomerFail",
        behaviour=Behaviour.DECLINE_ON_CHARGE,
        decline_code="generic_decline",
    ),
    TestCard(number="4100000000000019", alias="pm_card_radarBlock", behaviour=Behaviour.BLOCK, decline_code="fraudulent"),
    TestCard(number="4000000000000101", alias="pm_card_cvcCheckFail", cvc_check="fail"),
    TestCard(number="4000000000000036", alias="pm_card_avsZipFail", address_postal_code_check="fail"),
    TestCard(number="4000000000000028", alias="pm_card_avsLine1Fail", address_line1_check="fail"),
    TestCard(number="4000000000000010", alias="pm_card_avsFail", address_line1_check="fail", address_postal_code_check="fail"),
    TestCard(
        number="4000000000000044",
        alias="pm_card_avsUnchecked",
        address_line1_check="unavailable",
        address_postal_code_check="unavailable",
    ),
    TestCard(number="4000000000007726", alias="pm_card_pendingRefund", behaviour=Behaviour.REFUND_PENDING),
    TestCard(number="4000000000005126", alias="pm_card_refundFail", behaviour=Behaviour.REFUND_FAILS),
    TestCard(number="4000000000000077", alias="pm_card_bypassPending", behaviour=Behaviour.AVAILABLE_AT_ONCE),
    TestCard(number="4000002500003155", alias="pm_card_authenticationRequiredOnSetup", behaviour=Behaviour.AUTHENTICATE),
    TestCard(number="4000002760003184", alias="pm_card_authenticationRequired", behaviour=Behaviour.AUTHENTICATE),
    TestCard(number="4000003800000446", alias="pm_card_authenticationRequiredSetupForOffSession", behaviour=Behaviour.AUTHENTICATE),
    TestCard(number="4000000000003220", alias="pm_card_threeDSecure2Required", behaviour=Behaviour.AUTHENTICATE),
    TestCard(
        number="4000008260003178",
        alias="pm_card_authenticationRequiredChargeDeclinedInsufficientFunds",
        behaviour=Behaviour.AUTHENTICATE,
        decline_code="insufficient_funds",
    ),
    TestCard(number="4000008400001629", behaviour=Behaviour.AUTHENTICATE, decline_code="generic_decline"),
)


def _approved(line: str) -> TestCard:
    number, alias, funding = line.split()
    return TestCard(number=number, alias=None if alias == "-" else alias, funding=funding)


def _declined(line: str) -> TestCard:
    number, alias, code, decline_code = line.split()
    return TestCard(
        number=number, alias=alias, behaviour=Behaviour.DECLINE, code=code, decline_code=None if decline_code == "-" else decline_code
    )


TEST_CARDS: tuple[TestCard, ...] = (
    *(_approved(line) for line in _APPROVED.strip().splitlines()),
    *(_declined(line) for line in _DECLINED.strip().splitlines()),
    *_SPECIAL,
)

BY_NUMBER: dict[str, TestCard] = {card.number: card for card in TEST_CARDS}

_ALIASES = {card.alias: card for card in TEST_CARDS if card.alias is not None}
BY_ALIAS: dict[str, TestCard] = {
    **_ALIASES,
    **{alias.replace("pm_card_", "tok_"): card for alias, card in _ALIASES.items()},
    "pm_card_chargeDeclined": BY_NUMBER["4000000000000002"],
    "tok_chargeDeclined": BY_NUMBER["4000000000000002"],
    "pm_card_chargeDeclinedInsufficientFunds": BY_NUMBER["4000000000009995"],
    "tok_chargeDeclinedInsufficientFunds": BY_NUMBER["4000000000009995"],
    "pm_card_visa_chargeDeclinedExpiredCard": BY_NUMBER["4000000000000069"],
    "pm_card_chargeDeclinedFraudulent": BY_NUMBER["4100000000000019"],
    "tok_chargeDeclinedFraudulent": BY_NUMBER["4100000000000019"],
}
"""By payment method (`pm_card_visa`) and by the older token (`tok_visa`)."""

MESSAGES: dict[str, str] = {
    "card_declined": "Your card was declined.",
    "insufficient_funds": "Your card has insufficient funds.",
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "processing_error": "An error occurred while processing your card. Try again in a little bit.",
    "card_velocity_exceeded": "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
    "test_mode_live_card": "Your card was declined. Your request was in test mode, but used a non test card. For a list of valid test "
    "cards, visit: https://stripe.com/docs/testing.",
}
"""What the cardholder is told, by decline code, else by error code."""
EXP_MONTH = 12
"""The aliases' cards expire in December,"""
EXP_YEARS_AHEAD = 1
"""of next year."""
