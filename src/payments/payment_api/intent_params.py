"""The parameters of payment intents, and the checks that need no object."""

import re
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from payments.domain.errors import InvalidRequest
from payments.domain.money import CURRENCIES, Currency, format_amount
from payments.domain.payment_intent import PaymentIntent
from payments.payment_api.amount_details import Given, PaymentDetailsParam
from payments.payment_api.given_card import AutomaticPaymentMethodsParam, Id
from payments.payment_api.payment_options import Options, check_browser_options
from payments.wire.older_versions import AUTOMATIC_ASYNC_FROM
from payments.wire.params import MetadataParam, ShortText, Text
from payments.wire.people_params import ShippingParam

CaptureMethod = Literal["automatic", "automatic_async", "manual"]
CancellationReason = Literal["duplicate", "fraudulent", "requested_by_customer", "abandoned"]
Amount = Annotated[int, Meta(ge=1)]
Description = Annotated[str, Meta(max_length=1_000)]


class Payer(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """With what is paid, and how it is confirmed: the part that create, update and confirm share."""

    off_session: bool | Literal["one_off", "recurring"] = False
    error_on_requires_action: bool = False
    receipt_email: ShortText | UnsetType = UNSET
    shipping: ShippingParam | Literal[""] | UnsetType = UNSET
    capture_method: CaptureMethod | UnsetType = UNSET


class CreateParams(Payer, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/payment_intents`."""

    amount: Amount
    currency: str
    automatic_payment_methods: AutomaticPaymentMethodsParam | UnsetType = UNSET
    confirm: bool = False
    confirmation_token: Id | None = None
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

    confirmation_token: Id | None = None
    client_secret: Text | None = None


class CaptureParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/payment_intents/{intent}/capture`."""

    amount_details: Given = UNSET
    amount_to_capture: Amount | None = None
    final_capture: bool = True
    metadata: MetadataParam | UnsetType = UNSET
    payment_details: PaymentDetailsParam | Literal[""] | UnsetType = UNSET
    statement_descriptor: str | UnsetType = UNSET
    statement_descriptor_suffix: str | UnsetType = UNSET


class IncrementParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/payment_intents/{intent}/increment_authorization`."""

    amount: Amount
    """What shall be held in all."""
    amount_details: Given = UNSET
    description: Description | UnsetType = UNSET
    metadata: MetadataParam | UnsetType = UNSET
    payment_details: PaymentDetailsParam | Literal[""] | UnsetType = UNSET
    statement_descriptor: str | UnsetType = UNSET


class CancelParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/payment_intents/{intent}/cancel`."""

    cancellation_reason: CancellationReason | None = None


def default_capture_method(api_version: str) -> CaptureMethod:
    """Return what a payment that doesn't say it is captured by."""
    return "automatic_async" if api_version >= AUTOMATIC_ASYNC_FROM else "automatic"


def check_statement_descriptors(params: Struct) -> None:
    """Raise `InvalidRequest` for what card schemes don't print on a statement; `params` have a descriptor, a suffix, or both.

    The whole text has 5 to 22 characters. A suffix is put behind the account's own prefix, so that it may be short. Each has a letter, for a statement must
    tell the cardholder something. Source: Stripe, "Statement descriptors", requirements.
    """
    for param, characters_min in (("statement_descriptor", 5), ("statement_descriptor_suffix", 1)):
        _check_statement(getattr(params, param, UNSET), param, param.replace("_", " "), characters_min)


STATEMENT_CHARACTERS_MAX = 22
_PRINTED = re.compile(r"[^<>\\'\"*\x00-\x1f\x7f-\xa0\xad\u0250-\U0010ffff]*")
"""Latin letters, digits and signs, without those that the schemes forbid, and those that aren't seen: a soft hyphen, a space that keeps its line."""


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
