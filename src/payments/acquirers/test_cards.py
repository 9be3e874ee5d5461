"""The cards of test mode, and what each does.

Source: Stripe's testing documentation. None of these numbers is a real card's.
"""

from enum import StrEnum

from msgspec import Struct

from payments.domain.outcome import RiskLevel


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
    AUTHENTICATE_UNLESS_SET_UP = "authenticate_unless_set_up"
    """3-D Secure first, but not for a payment while the cardholder is away that they agreed to before."""
    AUTHENTICATE_UNLESS_OFF_SESSION = "authenticate_unless_off_session"
    """As if its holder had agreed to all payments while they are away."""
    AUTHENTICATE_IF_ASKED = "authenticate_if_asked"
    """3-D Secure where the merchant wants it."""
    FAILS_IF_ASKED = "fails_if_asked"
    """3-D Secure where the merchant wants it, and it can't be carried out."""
    REFUND_PENDING = "refund_pending"
    REFUND_FAILS = "refund_fails"
    AVAILABLE_AT_ONCE = "available_at_once"
    DISPUTED_AS_FRAUDULENT = "disputed_as_fraudulent"
    DISPUTED_AS_NOT_RECEIVED = "disputed_as_not_received"
    INQUIRED_ABOUT = "inquired_about"
    """Its holder asks about the payment, and disputes nothing yet."""


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
    country: str = "US"
    cvc_check: str = "pass"
    """What the issuer says of a code that is given; of one that isn't only what is worth telling."""
    address_line1_check: str = "pass"
    address_postal_code_check: str = "pass"
    risk_level: RiskLevel = "normal"

    def verdict(self, check: str, *, given: bool, by_name: bool) -> str | None:
        """Return what is known of a check: of data that is given, and of a card by its name what makes it that card."""
        found: str = getattr(self, check)
        return found if given or (by_name and found != "pass") else None


_APPROVED = """
4242424242424242 pm_card_visa credit
4000056655665556 pm_card_visa_debit debit
5555555555554444 pm_card_mastercard credit
2223003122003222 - credit
5200828282828210 pm_card_mastercard_debit debit
5105105105105100 pm_card_mastercard_prepaid prepaid
378282246310005 pm_card_amex credit
371449635398431 - credit
6011111111111117 pm_card_discover credit
6011000990139424 - credit
6011981111111113 - debit
3056930009020004 pm_card_diners credit
36227206271667 - credit
6555900000604105 - credit
3566002020360505 pm_card_jcb credit
6200000000000005 pm_card_unionpay credit
6200000000000047 - debit
6205500000000000004 - credit
4000051230000072 pm_card_debit_visaFsaProductCode debit
5200828282828897 pm_card_mastercard_debit_mastercardFsaProductCode debit
4000008400000076 pm_card_credit_disableEnterpriseCardFeatures credit
4000000000005423 pm_card_createIssuerFraudRecord credit
4000002500001001 pm_card_visa_cartesBancaires credit FR
5555552500001001 pm_card_mastercard_cartesBancaires credit FR
4000050360000001 pm_card_visa_debit_eftposAuCoBranded debit AU
5555050360000080 pm_card_mastercard_debit_eftposAuCoBranded debit AU
5200007840000022 pm_card_ae_mastercard credit AE
4000058260000005 pm_card_gb_debit debit GB
5555558265554449 pm_card_gb_mastercard credit GB
3530111333300000 - credit JP
4000007640000003 pm_card_th_credit credit TH
4000057640000008 pm_card_th_debit debit TH
"""

_BY_COUNTRY = """
AE 4000007840000001
AR 4000000320000021
AT 4000000400000008
AU 4000000360000006
BE 4000000560000004
BG 4000001000000000
BR 4000000760000002
BY 4000001120000005
CA 4000001240000000
CH 4000007560000009
CL 4000001520000001
CN 4000001560000002
CO 4000001700000003
CR 4000001880000005
CY 4000001960000008
CZ 4000002030000002
DE 4000002760000016
DK 4000002080000001
EC 4000002180000000
EE 4000002330000009
ES 4000007240000007
FI 4000002460000001
FR 4000002500000003
GB 4000008260000000
GI 4000002920000005
GR 4000003000000030
HK 4000003440000004
HR 4000001910000009
HU 4000003480000005
IE 4000003720000005
IN 4000003560000008
IT 4000003800000008
JP 4000003920000003
LI 4000004380000004
LT 4000004400000000
LU 4000004420000006
LV 4000004280000005
MT 4000004700000007
MX 4000004840008001
MY 4000004580000002
NL 4000005280000002
NO 4000005780000007
NZ 4000005540000008
PA 4000005910000000
PE 4000006040000068
PL 4000006160000005
PT 4000006200000007
PY 4000006000000066
RO 4000006420000001
SA 4000006820000007
SE 4000007520000008
SG 4000007020000003
SI 4000007050000006
SK 4000007030000001
TW 4000001580000008
UY 4000008580000003
"""
"""Visa credit cards, `pm_card_at` and so on. They succeed without authentication, as Stripe's do."""

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

_AUTHENTICATED = """
4000002760003184 pm_card_authenticationRequired -
4000000000003220 pm_card_threeDSecure2Required -
4000000000003063 pm_card_threeDSecureRequired -
4000008260003178 pm_card_authenticationRequiredChargeDeclinedInsufficientFunds insufficient_funds
4000008400001629 pm_card_threeDSecureRequiredChargeDeclined generic_decline
"""

_SPECIAL = (
    TestCard(number="4000002500003155", alias="pm_card_authenticationRequiredOnSetup", behaviour=Behaviour.AUTHENTICATE_UNLESS_SET_UP),
    TestCard(
        number="4000003800000446",
        alias="pm_card_authenticationRequiredSetupForOffSession",
        behaviour=Behaviour.AUTHENTICATE_UNLESS_OFF_SESSION,
    ),
    TestCard(number="4000000000003055", alias="pm_card_threeDSecureOptional", behaviour=Behaviour.AUTHENTICATE_IF_ASKED),
    TestCard(
        number="4000000000003097",
        alias="pm_card_threeDSecureOptionalProcessingError",
        behaviour=Behaviour.FAILS_IF_ASKED,
        code="processing_error",
    ),
    TestCard(
        number="4000000000000341",
        alias="pm_card_chargeCustomerFail",
        behaviour=Behaviour.DECLINE_ON_CHARGE,
        decline_code="generic_decline",
    ),
    TestCard(
        number="4000008400001280",
        alias="pm_card_threeDSecureRequiredProcessingError",
        behaviour=Behaviour.DECLINE_ON_CHARGE,
        decline_code="generic_decline",
    ),
    TestCard(
        number="4100000000000019",
        alias="pm_card_radarBlock",
        behaviour=Behaviour.BLOCK,
        decline_code="fraudulent",
        risk_level="highest",
    ),
    TestCard(number="4000000000004954", alias="pm_card_riskLevelHighest", risk_level="highest"),
    TestCard(number="4000000000009235", alias="pm_card_riskLevelElevated", risk_level="elevated"),
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
    TestCard(number="4000000000000259", alias="pm_card_createDispute", behaviour=Behaviour.DISPUTED_AS_FRAUDULENT),
    TestCard(number="4000000000002685", alias="pm_card_createDisputeProductNotReceived", behaviour=Behaviour.DISPUTED_AS_NOT_RECEIVED),
    TestCard(number="4000000000001976", alias="pm_card_createDisputeInquiry", behaviour=Behaviour.INQUIRED_ABOUT),
    TestCard(number="4000000000000077", alias="pm_card_bypassPending", behaviour=Behaviour.AVAILABLE_AT_ONCE),
    TestCard(number="4000003720000278", alias="pm_card_bypassPendingInternational", behaviour=Behaviour.AVAILABLE_AT_ONCE, country="IE"),
)


def _named(alias: str) -> str | None:
    return None if alias == "-" else alias


def _approved(line: str) -> TestCard:
    number, alias, funding, *country = line.split()
    return TestCard(number=number, alias=_named(alias), funding=funding, country=country[0] if country else "US")


def _of_country(line: str) -> TestCard:
    country, number = line.split()
    return TestCard(number=number, alias=f"pm_card_{country.lower()}", country=country)


def _declined(line: str) -> TestCard:
    number, alias, code, decline_code = line.split()
    return TestCard(number=number, alias=alias, behaviour=Behaviour.DECLINE, code=code, decline_code=_named(decline_code))


def _authenticated(line: str) -> TestCard:
    number, alias, decline_code = line.split()
    return TestCard(number=number, alias=alias, behaviour=Behaviour.AUTHENTICATE, decline_code=_named(decline_code))


TEST_CARDS: tuple[TestCard, ...] = (
    *(_approved(line) for line in _APPROVED.strip().splitlines()),
    *(_of_country(line) for line in _BY_COUNTRY.strip().splitlines()),
    *(_declined(line) for line in _DECLINED.strip().splitlines()),
    *(_authenticated(line) for line in _AUTHENTICATED.strip().splitlines()),
    *_SPECIAL,
)

BY_NUMBER: dict[str, TestCard] = {card.number: card for card in TEST_CARDS}

_NAMES: dict[str, TestCard] = {
    **{card.alias: card for card in TEST_CARDS if card.alias is not None},
    # Names that go about beside those of the documentation.
    **{f"pm_card_{card.alias.rpartition('_')[2]}": card for card in TEST_CARDS if card.alias and "_chargeDeclined" in card.alias},
    **{f"pm_card_visa_{card.alias.rpartition('_')[2]}": card for card in TEST_CARDS if card.alias and "_chargeDeclined" in card.alias},
    "pm_card_us": BY_NUMBER["4242424242424242"],
    "pm_card_amex_threeDSecureNotSupported": BY_NUMBER["378282246310005"],
    "pm_card_debit_visaHsaProductCode": BY_NUMBER["4000051230000072"],
    "pm_card_chargeDeclinedFraudulent": BY_NUMBER["4100000000000019"],
    "pm_card_cvcDecline": BY_NUMBER["4000000000000127"],
}
BY_ALIAS: dict[str, TestCard] = {**_NAMES, **{name.replace("pm_card_", "tok_"): card for name, card in _NAMES.items()}}
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
