"""The parameters of payment intents, and the checks that need no object."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import UNSET, Meta, Struct, UnsetType

from payments.domain.errors import InvalidRequest
from payments.domain.money import CURRENCIES, Currency, format_amount
from payments.domain.payment_intent import AutomaticPaymentMethods, PaymentIntent
from payments.payment_api.card_vault import CardParam
from payments.payment_api.payment_options import Options, check_browser_options
from payments.wire.api import Call
from payments.wire.changes import HashParam
from payments.wire.older_versions import AUTOMATIC_ASYNC_FROM, AUTOMATIC_PAYMENT_METHODS_FROM, PAYMENT_METHOD_TYPES_REFUSED_FROM
from payments.wire.params import MetadataParam, ShortText, Text
from payments.wire.people_params import BillingDetailsParam, ShippingParam

CaptureMethod = Literal["automatic", "automatic_async", "manual"]
CancellationReason = Literal["duplicate", "fraudulent", "requested_by_customer", "abandoned"]
Amount = Annotated[int, Meta(ge=1)]
Id = Annotated[str, Meta(max_length=255)]
Description = Annotated[str, Meta(max_length=1_000)]
PaymentMethodTypes = Annotated[list[Annotated[str, Meta(max_length=100)]], Meta(max_length=100)]
"""More than Stripe knows. Whatever is kept of a payment has a bound: each of its events holds all of it."""


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


class Payer(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """With what is paid, and how it is confirmed: the part that create, update and confirm share."""

    payment_method: Id | None = None
    payment_method_data: PaymentMethodDataParam | None = None
    return_url: Text | UnsetType = UNSET
    off_session: bool | Literal["one_off", "recurring"] = False
    error_on_requires_action: bool = False
    use_stripe_sdk: bool | None = None
    """Accepted: it chooses between two ways of 3-D Secure in Stripe's own browser library, and Tap has one."""
    receipt_email: ShortText | UnsetType = UNSET
    shipping: ShippingParam | Literal[""] | UnsetType = UNSET
    capture_method: CaptureMethod | UnsetType = UNSET
    allowed_payment_method_types: Annotated[list[Literal["card"]], Meta(max_length=100)] | Literal[""] | UnsetType = UNSET
    excluded_payment_method_types: PaymentMethodTypes | Literal[""] | UnsetType = UNSET
    payment_method_types: PaymentMethodTypes | None = None


class CreateParams(Payer, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/payment_intents`."""

    amount: Amount
    currency: str
    automatic_payment_methods: AutomaticPaymentMethodsParam | UnsetType = UNSET
    confirm: bool = False
    confirmation_method: Literal["automatic", "manual"] | UnsetType = UNSET
    customer: Id | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    metadata: MetadataParam | UnsetType = UNSET
    statement_descriptor: str | UnsetType = UNSET
    statement_descriptor_suffix: str | UnsetType = UNSET
    transfer_group: ShortText | UnsetType = UNSET


class UpdateParams(Payer, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/payment_intents/{intent}`."""

    amount: Amount | UnsetType = UNSET
    currency: str | UnsetType = UNSET
    customer: Id | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    metadata: MetadataParam | UnsetType = UNSET
    statement_descriptor: str | UnsetType = UNSET
    statement_descriptor_suffix: str | UnsetType = UNSET
    transfer_group: ShortText | UnsetType = UNSET


class ConfirmParams(Payer, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/payment_intents/{intent}/confirm`."""

    client_secret: Text | None = None


class CaptureParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/payment_intents/{intent}/capture`."""

    amount_to_capture: Amount | None = None
    final_capture: bool = True
    metadata: MetadataParam | UnsetType = UNSET
    statement_descriptor: str | UnsetType = UNSET
    statement_descriptor_suffix: str | UnsetType = UNSET


class CancelParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/payment_intents/{intent}/cancel`."""

    cancellation_reason: CancellationReason | None = None


def check_version_takes(call: Call, params: Payer) -> None:
    """Refuse parameters that the caller's API version has no more; raises `InvalidRequest`."""
    if params.payment_method_types is not None and call.api_version >= PAYMENT_METHOD_TYPES_REFUSED_FROM:
        raise InvalidRequest(
            "The payment_method_types parameter is no longer supported. Use allowed_payment_method_types instead.",
            code="payment_method_types_no_longer_supported",
            param="payment_method_types",
        )


def default_capture_method(api_version: str) -> CaptureMethod:
    """Return what a payment that doesn't say it is captured by."""
    return "automatic_async" if api_version >= AUTOMATIC_ASYNC_FROM else "automatic"


def automatic_payment_methods(params: CreateParams, api_version: str) -> AutomaticPaymentMethods | None:
    """Return whether Tap chooses the payment methods of a new intent: as given, else where the version has it so and the caller doesn't choose himself."""
    if params.automatic_payment_methods:
        return params.automatic_payment_methods.value()
    chosen = params.payment_method_types is not None or api_version < AUTOMATIC_PAYMENT_METHODS_FROM
    return None if chosen else AutomaticPaymentMethods(enabled=True)


def check_payer(params: Payer) -> None:
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
        _check_return_url(params.return_url)


def check_statement_descriptors(params: CreateParams | UpdateParams | CaptureParams) -> None:
    """Raise `InvalidRequest` for what card schemes don't print on a statement.

    The whole text has 5 to 22 characters. A suffix is put behind the account's own prefix, so that it may be short. Each has a letter, for a statement must
    tell the cardholder something. Source: Stripe, "Statement descriptors", requirements.
    """
    _check_statement(params.statement_descriptor, "statement_descriptor", "statement descriptor", 5)
    _check_statement(params.statement_descriptor_suffix, "statement_descriptor_suffix", "statement descriptor suffix", 1)


STATEMENT_CHARACTERS_MAX = 22
_PRINTED = re.compile(r"[^<>\\'\"*\x00-\x1f\x7f-\x9f\u0250-\U0010ffff]*")
"""Latin letters, digits and signs, without those that the schemes forbid."""


def _check_statement(text: str | UnsetType, param: str, what: str, characters_min: int) -> None:
    if not text:
        return
    if len(text) > STATEMENT_CHARACTERS_MAX:
        raise InvalidRequest(
            f"The {what} must be at most {STATEMENT_CHARACTERS_MAX} characters. {text[:100]} is {len(text)} characters long.", param=param
        )
    if len(text) < characters_min:
        raise InvalidRequest(f"The {what} must be at least {characters_min} characters.", param=param)
    if not _PRINTED.fullmatch(text):
        raise InvalidRequest(
            f"The {what} contains characters that aren't allowed: Latin characters only, and none of < > \\ ' \" *.",
            code="invalid_characters",
            param=param,
        )
    if not re.search("[A-Za-z]", text):
        raise InvalidRequest(f"The {what} must contain at least one alphabetic character.", param=param)


def check_browser(params: ConfirmParams, intent: PaymentIntent) -> None:
    """Raise `InvalidRequest` for what only the merchant decides: a publishable key confirms what was set up for it, and no more."""
    for name in ("capture_method", "off_session", "error_on_requires_action", "payment_method_types", "allowed_payment_method_types"):
        if getattr(params, name):
            raise InvalidRequest(
                f"You cannot set {name} with a publishable API key. Set it with your secret key, on your server.",
                code="parameter_invalid_value",
                param=name,
            )
    check_browser_options(params, intent)
    if intent.confirmation_method == "manual":
        raise InvalidRequest(
            "This PaymentIntent cannot be confirmed using a publishable key because its `confirmation_method` is set to `manual`. Confirm it "
            "with your secret key on your server, or create it with `confirmation_method` set to `automatic`.",
            code="payment_intent_invalid_parameter",
        )


def currency_of(code: str) -> Currency:
    """Return a currency; raises `InvalidRequest` for one that can't be charged in."""
    known = CURRENCIES.get(code.lower())
    if known is None:
        supported = ", ".join(sorted(CURRENCIES))
        raise InvalidRequest(f"Invalid currency: {code[:20]}. Tap supports these currencies: {supported}", param="currency")
    return known


def check_amount(amount: int, currency: str) -> str:
    """Return the currency in lower case; raises `InvalidRequest` for an amount or a currency that can't be charged.

    Source of the messages and codes: Stripe's API and docs.stripe.com/error-codes.
    """
    known = currency_of(currency)
    if amount < known.charge_minor_units_min:
        shown = format_amount(known.charge_minor_units_min, known.code)
        message = f"Amount must be at least {shown}" + (f" {known.code}" if known.symbol else "")
        raise InvalidRequest(message, code="amount_too_small", param="amount")
    if amount > known.charge_minor_units_max:
        shown = format_amount(known.charge_minor_units_max, known.code)
        raise InvalidRequest(f"Amount must be no more than {shown}", code="amount_too_large", param="amount")
    check_step(amount, known.code, "amount")
    return known.code


def check_step(amount: int, currency: str, param: str) -> None:
    """Raise `InvalidRequest` for an amount that can't be paid in its currency, whole or in part; `param` is what the caller named it.

    A part, captured or refunded, has no smallest and no largest amount of its own; this holds for it all the same.
    """
    known = CURRENCIES[currency]
    if amount % known.step == 0:
        return
    nature, section = ("become effectively zero-decimal", "zero-decimal") if known.exponent == 2 else ("three decimals", "three-decimal")
    raise InvalidRequest(
        f"Invalid amount. Currency {known.code.upper()} has {nature} and charged amounts must be evenly divisible by {known.step}. "
        f"See https://stripe.com/docs/currencies#{section} for more information.",
        code="invalid_charge_amount",
        param=param,
    )


def _check_return_url(url: str) -> None:
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
