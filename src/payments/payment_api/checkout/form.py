"""The form of the page: what a buyer typed becomes a submission, or what is wrong with it, field by field.

Card data is never put back into a page, and never told in what is wrong with it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.requests import Request

from payments.domain.card import Pan, check_cvc
from payments.domain.checkout import CheckoutSession
from payments.domain.errors import CardError
from payments.domain.people import Address, BillingDetails, Shipping, is_email
from payments.payment_api.card_vault import CardParam, CardVault

FORM_BYTES_MAX = 16_384
_FIELDS_MAX = 40
VALUE_CHARACTERS_MAX = 200
_EXPIRY = re.compile(r"(\d{1,2})\s*[/.-]?\s*(\d{2}|\d{4})")
_CARD_FIELDS = frozenset({"number", "exp", "cvc"})
ADDRESS_FIELDS = ("line1", "line2", "city", "state", "postal_code", "country")
_OPTIONAL = frozenset({"line2", "state", "postal_code"})


class TooLong(Exception):
    """A form has more in it than the page's has."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What a buyer says."""

    card: CardParam
    details: BillingDetails
    shipping: Shipping | None


@dataclass(frozen=True, slots=True)
class Mistakes:
    """What is wrong with a form: by field, the name of the words that say so."""

    by_field: Mapping[str, str]


async def read_fields(request: Request) -> dict[str, str]:
    """Return a form's fields; raises `TooLong`."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_BYTES_MAX:
            raise TooLong
    try:
        pairs = parse_qsl(body.decode("ascii", "replace"), keep_blank_values=True, max_num_fields=_FIELDS_MAX, errors="replace")
    except ValueError:
        raise TooLong from None
    return {name: " ".join(value.replace("\0", " ").split()) for name, value in pairs}


def kept_values(fields: Mapping[str, str]) -> dict[str, str]:
    """Return what is put back into the form: nothing of the card."""
    return {name: value[:VALUE_CHARACTERS_MAX] for name, value in fields.items() if name not in _CARD_FIELDS}


def read_submission(
    fields: Mapping[str, str], session: CheckoutSession, known_email: str | None, vault: CardVault
) -> Submission | Mistakes:
    """Return what the buyer submits, or what is wrong with it."""
    wrong: dict[str, str] = {}
    asked = ["name"] + (["email"] if known_email is None else []) + (["phone"] if session.phone_number_collection else [])
    for name in asked:
        _check_text(fields, name, wrong)
    email = known_email or fields.get("email", "")
    if "email" not in wrong and known_email is None and not is_email(email):
        wrong["email"] = "invalid_email"
    phone = fields.get("phone", "") if session.phone_number_collection else ""
    if phone and "phone" not in wrong and not (re.fullmatch(r"[+()\d\s./-]+", phone) and 5 <= sum(map(str.isdigit, phone)) <= 15):
        wrong["phone"] = "invalid_phone"
    shipping = None
    if session.shipping_countries is not None:
        _check_text(fields, "shipping_name", wrong)
        shipping = Shipping(
            name=fields.get("shipping_name", ""),
            phone=phone or None,
            address=_address(fields, "shipping_", session.shipping_countries, wrong),
        )
    address = _address(fields, "billing_", None, wrong) if session.billing_address_collection == "required" else None
    card = _card(fields, vault, wrong)
    if wrong:
        return Mistakes(wrong)
    details = BillingDetails(email=email, name=fields["name"], phone=phone or None, address=address)
    return Submission(card, details, shipping)


def _check_text(fields: Mapping[str, str], name: str, wrong: dict[str, str]) -> None:
    value = fields.get(name, "")
    if not value:
        wrong[name] = "missing"
    elif len(value) > VALUE_CHARACTERS_MAX:
        wrong[name] = "too_long"


def _address(fields: Mapping[str, str], prefix: str, countries: list[str] | None, wrong: dict[str, str]) -> Address:
    given: dict[str, str | None] = {}
    for part in ADDRESS_FIELDS:
        name = prefix + part
        if part not in _OPTIONAL:
            _check_text(fields, name, wrong)
        elif len(fields.get(name, "")) > VALUE_CHARACTERS_MAX:
            wrong[name] = "too_long"
        given[part] = fields.get(name) or None
    country = given["country"]
    if country is not None and (not re.fullmatch("[A-Z]{2}", country) or (countries is not None and country not in countries)):
        wrong[prefix + "country"] = "invalid_country"
    return Address(**given)


def _card(fields: Mapping[str, str], vault: CardVault, wrong: dict[str, str]) -> CardParam:
    """Return the card, with what is wrong with any part of it told at once."""
    number, expiry, cvc = (fields.get(name, "") for name in ("number", "exp", "cvc"))
    brand = "amex"  # of a number that is mistyped, a code of either length may be right
    if not number:
        wrong["number"] = "missing"
    else:
        try:
            brand = Pan(number).brand
        except CardError as refusal:
            wrong["number"] = "incorrect_number" if refusal.code == "incorrect_number" else "invalid_number"
    month = year = 0
    written = _EXPIRY.fullmatch(expiry)
    if written is None:
        wrong["exp"] = "invalid_expiry" if expiry else "missing"
    else:
        month, year = int(written[1]), int(written[2])
        try:
            vault.check_expiry(month, year)
        except CardError:
            wrong["exp"] = "invalid_expiry"
    if not cvc:
        wrong["cvc"] = "missing"
    else:
        try:
            check_cvc(cvc, brand)
        except CardError:
            wrong["cvc"] = "invalid_cvc"
    return CardParam(number=number[:40], exp_month=month, exp_year=year, cvc=cvc[:10])
