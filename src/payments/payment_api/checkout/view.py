"""How the page looks: what its templates are filled with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from payments.domain.checkout import CheckoutSession, Item
from payments.domain.payment_intent import PaymentError, PaymentIntent
from payments.domain.people import Address
from payments.pages.amounts import ENGLISH, countries, language_of, shown_amount
from payments.pages.page import HEADERS, headers_of_form, show
from payments.payment_api.checkout.closing import Intent
from payments.payment_api.checkout.form import ADDRESS_FIELDS

_REFRESH_SECONDS = 4
"""Between two looks at whether a payment is through."""
_VERBS = {"book": "Book", "donate": "Donate"}
_UNAUTHENTICATED = "We are unable to authenticate your card. Please try again, or use another card."


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a form is about."""

    session: CheckoutSession
    merchant: str
    items: Sequence[Item]
    known_email: str | None
    intent: Intent | None
    state: str
    action: str
    values: Mapping[str, str] | None
    """What was typed; None: what the session knows."""
    mistakes: Mapping[str, str]
    failure: str
    visit: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """Shows pages."""

    def form(self, request: Request, shown: Shown, status: int = 200) -> Response:
        """Show the form of an open session."""
        session = shown.session
        language = _language(request, session)
        total = None if session.amount_total is None else shown_amount(session.amount_total, session.currency or "", language)
        submit = session.submit_type or "auto"
        data = session.intent_data
        return show(
            "checkout",
            status,
            title=shown.merchant,
            headers=headers_of_form(session.url, *([session.success_url] if session.success_url else [])),
            refresh_seconds=0,
            merchant=shown.merchant,
            test_mode=not session.livemode,
            back=session.cancel_url,
            total=total,
            what=_what(shown),
            lines=[_line(item, language) for item in shown.items],
            heading="Pay by card" if total else "Save a card",
            failure=shown.failure or ("" if shown.mistakes else _failure(shown.intent)),
            errors=shown.mistakes,
            challenge=_challenge(shown.intent),
            action=shown.action,
            state=shown.state,
            visit=shown.visit,
            values=_known(session) if shown.values is None else shown.values,
            known_email=shown.known_email,
            asks_phone=session.phone_number_collection,
            shipping_choices=_choices(session.shipping_countries),
            shipping_text=session.custom_text.shipping_address,
            billing_choices=_choices(list(countries())) if session.billing_address_collection == "required" else [],
            button=f"{_VERBS.get(submit, 'Pay')} {total}" if total else "Save card",
            amount_language=None if language == ENGLISH else language.replace("_", "-"),
            submit_text=session.custom_text.submit,
            keeps_card=total is None or (data is not None and data.setup_future_usage is not None),
        )

    def complete(self, request: Request, session: CheckoutSession, merchant: str) -> Response:
        """Say that a session is complete, where the shop has no page for it."""
        total = None
        if session.amount_total is not None:
            total = shown_amount(session.amount_total, session.currency or "", _language(request, session))
        said = session.confirmation or session.custom_text.after_submit
        return self._end(
            session,
            merchant,
            "done",
            "Thanks for your payment" if total else "Your card is saved",
            said or (f"A payment to {merchant} will appear on your statement." if total else f"{merchant} may charge it from now on."),
            amount=total,
        )

    def expired(self, session: CheckoutSession, merchant: str) -> Response:
        """Say that a session's time is over."""
        return self._end(
            session,
            merchant,
            "over",
            "This page has expired",
            "You weren't charged. Please go back to the shop, and start anew.",
            link=session.cancel_url,
            link_text=f"Back to {merchant}",
            status=410,
        )

    def under_way(self, session: CheckoutSession, merchant: str) -> Response:
        """Say that nobody knows yet how the payment ends."""
        return self._end(
            session,
            merchant,
            "wait",
            "Your payment is being processed",
            "You can wait here, or close this page: you won't be charged twice.",
            refresh_seconds=_REFRESH_SECONDS,
        )

    def closed(self, merchant: str, livemode: bool, text: str) -> Response:
        """Say that a payment link can't be paid any more."""
        return _ended(merchant, livemode, "over", "This link is no longer active", text, status=410)

    @staticmethod
    def _end(session: CheckoutSession, merchant: str, kind: str, title: str, text: str, **others: Any) -> Response:
        return _ended(merchant, session.livemode, kind, title, text, **others)


def _ended(
    merchant: str,
    livemode: bool,
    kind: str,
    title: str,
    text: str,
    *,
    amount: str | None = None,
    link: str | None = None,
    link_text: str = "",
    refresh_seconds: int = 0,
    status: int = 200,
) -> Response:
    return show(
        "checkout_end",
        status,
        title=title,
        headers=HEADERS,
        refresh_seconds=refresh_seconds,
        merchant=merchant,
        test_mode=not livemode,
        kind=kind,
        amount=amount,
        text=text,
        link=link,
        link_text=link_text,
    )


def _language(request: Request, session: CheckoutSession) -> str:
    if session.locale in (None, "auto"):
        return language_of(request.headers.get("accept-language", ""))
    return session.locale.replace("-", "_") if session.locale else ENGLISH


def _what(shown: Shown) -> str:
    if len(shown.items) == 1:
        return shown.items[0].description
    return f"Pay {shown.merchant}"


def _line(item: Item, language: str) -> dict[str, str]:
    unit = item.price.unit_amount
    each = "" if unit is None or item.price.transform_quantity is not None else f", {shown_amount(unit, item.currency, language)} each"
    return {
        "name": item.description,
        "amount": shown_amount(item.amount, item.currency, language),
        "count": f"Qty {item.quantity}{each}" if item.quantity > 1 else "",
    }


def _failure(intent: Intent | None) -> str:
    """Return what the buyer is told of the last card."""
    if intent is None:
        return ""
    error: PaymentError | None = intent.last_payment_error if isinstance(intent, PaymentIntent) else intent.last_setup_error
    if error is None:
        return ""
    return _UNAUTHENTICATED if error.code.endswith("_authentication_failure") else error.message


def _challenge(intent: Intent | None) -> str | None:
    return None if intent is None or intent.next_action is None else intent.next_action.url


def _choices(allowed: list[str] | None) -> list[tuple[str, str]]:
    """Return countries with their names, in the order of those; one that has none is called by its code."""
    if allowed is None:
        return []
    known = countries()
    return sorted(((code, known.get(code, code)) for code in allowed), key=lambda each: each[1])


def _known(session: CheckoutSession) -> dict[str, str]:
    """Return what the buyer said before, for the form."""
    details, shipping = session.customer_details, session.shipping
    values: dict[str, str | None] = {}
    if details is not None:
        values |= {"email": details.email, "name": details.name, "phone": details.phone, **_address("billing_", details.address)}
    if shipping is not None:
        values |= {"shipping_name": shipping.name, **_address("shipping_", shipping.address)}
    return {name: value for name, value in values.items() if value is not None}


def _address(prefix: str, address: Address | None) -> dict[str, str | None]:
    return {} if address is None else {prefix + part: getattr(address, part) for part in ADDRESS_FIELDS}
