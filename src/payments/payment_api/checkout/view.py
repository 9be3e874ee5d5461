"""How the page looks: what its templates are filled with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from payments.domain.brand import Brand
from payments.domain.checkout import CheckoutSession, Item
from payments.domain.payment_intent import PaymentError, PaymentIntent
from payments.domain.people import Address
from payments.pages.amounts import ENGLISH, countries, language_of, shown_amount
from payments.pages.page import HEADERS, headers_of_end, headers_of_form, show
from payments.pages.words import Words, words_of
from payments.payment_api.checkout.closing import Intent, completion_of
from payments.payment_api.checkout.form import ADDRESS_FIELDS, VALUE_CHARACTERS_MAX

_REFRESH_SECONDS = 4
"""Between two looks at whether a payment is through."""
_VERBS = {"book": "book", "donate": "donate"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a form is about."""

    session: CheckoutSession
    brand: Brand
    items: Sequence[Item]
    known_email: str | None
    intent: Intent | None
    state: str
    action: str
    values: Mapping[str, str] | None
    """What was typed; None: what the session knows."""
    mistakes: Mapping[str, str]
    """By field, the name of the words that say what is wrong."""
    failure: str
    """What went wrong with all of it: the name of words, or a sentence."""
    minutes: int = 0
    """How long no card is taken any more, where the words say that."""
    visit: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """Shows pages."""

    def form(self, request: Request, shown: Shown, status: int = 200) -> Response:
        """Show the form of an open session."""
        session, brand = shown.session, shown.brand
        language = locale_of(request, session.locale)
        words = words_of(language)
        total = None if session.amount_total is None else shown_amount(session.amount_total, session.currency or "", language)
        data = session.intent_data
        button = words["save_card"] if total is None else words.say(_VERBS.get(session.submit_type or "auto", "pay"), amount=total)
        failure = words.say(shown.failure, minutes=shown.minutes) if shown.failure in words else shown.failure
        return show(
            "checkout",
            status,
            title=brand.name,
            headers=headers_of_form(
                session.url, *([session.success_url] if session.success_url else []), style=brand.style, embedded=session.embedded
            ),
            embedded=session.embedded,
            completes=False,
            refresh_seconds=0,
            words=words,
            brand=brand,
            merchant=brand.name,
            test_mode=not session.livemode,
            back=session.cancel_url,
            total=total,
            what=_what(shown, words),
            lines=[line_of(item, language, words) for item in shown.items],
            heading=words["pay_by_card" if total else "save_a_card"],
            failure=failure or ("" if shown.mistakes else _failure(shown.intent, words)),
            errors={name: words.say(mistake, characters=VALUE_CHARACTERS_MAX) for name, mistake in shown.mistakes.items()},
            challenge=_challenge(shown.intent),
            action=shown.action,
            state=shown.state,
            visit=shown.visit,
            values=_known(session) if shown.values is None else shown.values,
            known_email=shown.known_email,
            asks_phone=session.phone_number_collection,
            shipping_choices=[] if session.shipping_countries is None else _choices(session.shipping_countries, words),
            shipping_text=session.custom_text.shipping_address,
            billing_choices=_choices(None, words) if session.billing_address_collection == "required" else [],
            button=button,
            # Where only the amounts are in the buyer's language.
            amount_language=None if words.language == language.partition("_")[0] else language.replace("_", "-"),
            submit_text=session.custom_text.submit,
            keeps_card=total is None or (data is not None and data.setup_future_usage is not None),
        )

    def complete(self, request: Request, session: CheckoutSession, brand: Brand, receipt: str | None = None) -> Response:
        """Say that a session is complete, where the shop has no page for it; `receipt`: where that is."""
        language = locale_of(request, session.locale)
        words = words_of(language)
        total = None if session.amount_total is None else shown_amount(session.amount_total, session.currency or "", language)
        said = session.confirmation or session.custom_text.after_submit
        title, text = ("thanks", "on_statement") if total else ("card_saved", "may_charge")
        text = said or words.say(text, merchant=brand.name)
        return _ended(
            words,
            brand,
            "done",
            words[title],
            text,
            livemode=session.livemode,
            amount=total,
            receipt=receipt,
            embedded=session.embedded,
            completes=session.embedded,
            leads_to=completion_of(session),
        )

    def expired(self, request: Request, session: CheckoutSession, brand: Brand) -> Response:
        """Say that a session's time is over."""
        words = words_of(locale_of(request, session.locale))
        link, text = session.cancel_url, words.say("back_to", merchant=brand.name)
        title, said = words["expired_title"], words["expired_text"]
        return _ended(
            words, brand, "over", title, said, livemode=session.livemode, embedded=session.embedded, link=link, link_text=text, status=410
        )

    def under_way(self, request: Request, session: CheckoutSession, brand: Brand) -> Response:
        """Say that nobody knows yet how the payment ends."""
        words = words_of(locale_of(request, session.locale))
        title, said = words["processing_title"], words["processing_text"]
        return _ended(
            words, brand, "wait", title, said, livemode=session.livemode, embedded=session.embedded, refresh_seconds=_REFRESH_SECONDS
        )

    def closed(self, request: Request, brand: Brand, livemode: bool, text: str | None) -> Response:
        """Say that a payment link can't be paid any more, and what the merchant says of that."""
        words = words_of(locale_of(request))
        return _ended(words, brand, "over", words["closed_title"], text or words["closed_text"], livemode=livemode, status=410)


def _ended(
    words: Words,
    brand: Brand,
    kind: str,
    title: str,
    text: str,
    *,
    livemode: bool,
    amount: str | None = None,
    link: str | None = None,
    link_text: str = "",
    receipt: str | None = None,
    embedded: bool = False,
    completes: bool = False,
    leads_to: str | None = None,
    refresh_seconds: int = 0,
    status: int = 200,
) -> Response:
    return show(
        "checkout_end",
        status,
        title=title,
        headers=headers_of_end() if embedded else HEADERS,
        refresh_seconds=refresh_seconds,
        embedded=embedded,
        completes=completes,
        leads_to=leads_to or "",
        words=words,
        brand=brand,
        merchant=brand.name,
        test_mode=not livemode,
        kind=kind,
        amount=amount,
        text=text,
        link=link,
        link_text=link_text,
        receipt=receipt,
    )


def locale_of(request: Request, said: str | None = None) -> str:
    """Return the locale of a page, `de_AT`: what the merchant said, or what the browser asks for."""
    if said in (None, "auto"):
        return language_of(request.headers.get("accept-language", ""))
    return said.replace("-", "_") if said else ENGLISH


def _what(shown: Shown, words: Words) -> str:
    if len(shown.items) == 1:
        return shown.items[0].description
    return words.say("pay_merchant", merchant=shown.brand.name)


def line_of(item: Item, language: str, words: Words) -> dict[str, str]:
    """Return what is shown of what was bought."""
    unit = item.price.unit_amount
    count = words.say("quantity", count=item.quantity)
    if unit is not None and item.price.transform_quantity is None:
        count = f"{count}, {words.say('each', amount=shown_amount(unit, item.currency, language))}"
    return {
        "name": item.description,
        "amount": shown_amount(item.amount, item.currency, language),
        "count": count if item.quantity > 1 else "",
    }


def _failure(intent: Intent | None, words: Words) -> str:
    """Return what the buyer is told of the last card."""
    if intent is None:
        return ""
    error: PaymentError | None = intent.last_payment_error if isinstance(intent, PaymentIntent) else intent.last_setup_error
    if error is None:
        return ""
    if error.code.endswith("_authentication_failure"):
        return words["unauthenticated_text"]
    if words.language == ENGLISH:
        return error.message
    return next((words[code] for code in (error.decline_code, error.code) if code and code in words), words["card_declined"])


def _challenge(intent: Intent | None) -> str | None:
    return None if intent is None or intent.next_action is None else intent.next_action.url


def _choices(allowed: list[str] | None, words: Words) -> list[tuple[str, str]]:
    """Return countries with their names, in the order of those, or all of them; one that has none is called by its code."""
    known = countries(words.language)
    if allowed is None:
        return list(known.items())
    order = {code: place for place, code in enumerate(known)}
    return [(code, known.get(code, code)) for code in sorted(allowed, key=lambda code: order.get(code, len(order)))]


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
