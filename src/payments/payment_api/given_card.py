"""The parameters by which a card is given, for a payment or to be kept, and what else both kinds of intent take alike."""

from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from payments.domain.confirmation_token import ConfirmationToken
from payments.domain.errors import InvalidRequest
from payments.domain.payment_intent import AutomaticPaymentMethods
from payments.payment_api.card_vault import CardParam
from payments.wire.api import Call
from payments.wire.changes import HashParam
from payments.wire.older_versions import AUTOMATIC_PAYMENT_METHODS_FROM, PAYMENT_METHOD_TYPES_REFUSED_FROM
from payments.wire.params import MetadataParam, Text
from payments.wire.people_params import BillingDetailsParam

Id = Annotated[str, Meta(max_length=255)]
PaymentMethodTypes = Annotated[list[Annotated[str, Meta(max_length=100)]], Meta(max_length=100)]
"""More than Stripe knows. Whatever is kept of a payment has a bound: each of its events holds all of it."""
ExcludedTypes = Annotated[list[Literal[
    "acss_debit", "affirm", "afterpay_clearpay", "alipay", "alma", "amazon_pay", "au_becs_debit", "bacs_debit", "bancontact", "billie", "bizum",
    "blik", "boleto", "card", "cashapp", "crypto", "customer_balance", "eps", "fpx", "giropay", "grabpay", "ideal", "kakao_pay", "klarna", "konbini",
    "kr_card", "mb_way", "mobilepay", "multibanco", "naver_pay", "nz_bank_account", "oxxo", "p24", "pay_by_bank", "payco", "paynow", "paypal",
    "paypay", "payto", "pix", "promptpay", "revolut_pay", "samsung_pay", "satispay", "scalapay", "sepa_debit", "sequra", "sofort", "sunbit", "swish",
    "twint", "upi", "us_bank_account", "wechat_pay", "zip",
]], Meta(max_length=100)]  # fmt: skip
"""Those that Stripe knows: clients read them of the intent as an enumeration."""


class AutomaticPaymentMethodsParam(HashParam, frozen=True, kw_only=True):
    """Let Tap choose the payment methods: cards."""

    OF = AutomaticPaymentMethods

    enabled: bool
    allow_redirects: Literal["always", "never"] = "always"


class PaymentMethodDataParam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A card given with the payment itself."""

    type: Literal["card"]
    card: CardParam
    billing_details: BillingDetailsParam | UnsetType = UNSET
    allow_redisplay: Literal["always", "limited", "unspecified"] = "unspecified"
    metadata: MetadataParam | UnsetType = UNSET


class GivenCard(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A card, one on file or a new one, and where its holder goes back to."""

    allowed_payment_method_types: Annotated[list[Literal["card"]], Meta(max_length=100)] | Literal[""] | UnsetType = UNSET
    excluded_payment_method_types: ExcludedTypes | Literal[""] | UnsetType = UNSET
    payment_method: Id | None = None
    payment_method_data: PaymentMethodDataParam | None = None
    payment_method_types: PaymentMethodTypes | None = None
    return_url: Text | UnsetType = UNSET
    use_stripe_sdk: bool | None = None
    """Accepted: it chooses between two ways of 3-D Secure in Stripe's own browser library, and Tap has one."""


def check_version_takes(call: Call, params: GivenCard) -> None:
    """Refuse parameters that the caller's API version has no more; raises `InvalidRequest`."""
    if params.payment_method_types is not None and call.api_version >= PAYMENT_METHOD_TYPES_REFUSED_FROM:
        raise InvalidRequest(
            "The payment_method_types parameter is no longer supported. Use allowed_payment_method_types instead.",
            code="payment_method_types_no_longer_supported",
            param="payment_method_types",
        )


def automatic_payment_methods(
    params: GivenCard, given: AutomaticPaymentMethodsParam | UnsetType, api_version: str
) -> AutomaticPaymentMethods | None:
    """Return whether Tap chooses the payment methods of a new intent: as given, else where the version has it so and the caller doesn't choose himself."""
    if given:
        return given.value()
    chosen = params.payment_method_types is not None or api_version < AUTOMATIC_PAYMENT_METHODS_FROM
    return None if chosen else AutomaticPaymentMethods(enabled=True)


P = TypeVar("P", bound=GivenCard)


def with_token(params: P, token: ConfirmationToken | None) -> P:
    """Return the parameters of a confirmation with what its token says and they don't."""
    said = {} if token is None else {"return_url": token.return_url, "setup_future_usage": token.setup_future_usage}
    filled = {name: value for name, value in said.items() if value is not None and getattr(params, name, None) is UNSET}
    return replace(params, **filled) if filled else params


def check_given_card(params: GivenCard) -> None:
    """Raise `InvalidRequest` for values that contradict each other or that Tap can't serve."""
    if params.payment_method is not None and params.payment_method_data is not None:
        raise InvalidRequest(
            "You may only specify one of these parameters: payment_method, payment_method_data.", param="payment_method_data"
        )
    if params.payment_method_types is not None and "card" not in params.payment_method_types:
        raise InvalidRequest("Tap takes cards only: payment_method_types must contain card.", param="payment_method_types")
    if "card" in (params.excluded_payment_method_types or ()):
        raise InvalidRequest("Tap takes cards only: card can't be excluded.", param="excluded_payment_method_types")
    if params.return_url:
        check_return_url(params.return_url)


def check_return_url(url: str) -> None:
    """Any scheme that leads back to the merchant, an app's own included, and none that a browser would run."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    scheme = parts.scheme.lower()
    # urlsplit drops line breaks and blanks at the ends, and whoever shows the URL would not.
    if (
        any(character <= " " or character == "\x7f" for character in url)
        or not scheme
        or scheme in {"javascript", "data", "vbscript", "file", "blob"}
        or not (parts.netloc or parts.path)
    ):
        raise InvalidRequest("Not a valid URL", code="url_invalid", param="return_url")
