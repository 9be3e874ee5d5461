"""The checkout page: what it shows can be read, is said in the buyer's language, and nothing but what is ours runs in it."""

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from payments.acquirers.sealed_card import CardSealer
from payments.domain.brand import LOGO_BYTES_MAX, Brand, check_colour, check_logo, check_name, contrast, seen_on
from payments.domain.checkout import CheckoutSession, Item
from payments.domain.errors import InvalidRequest
from payments.domain.money import CURRENCIES
from payments.domain.price import Price
from payments.pages.amounts import countries, language_of, shown_amount, shown_date
from payments.pages.page import _source, headers_of_form, show
from payments.pages.words import Words, languages, words_of
from payments.payment_api.card_vault import CardVault
from payments.payment_api.checkout.form import Mistakes, Submission, kept_values, read_submission
from payments.payment_api.checkout.lines import amount_of, copied
from payments.payment_api.checkout.params import check_url
from payments.payment_api.checkout.paying import PAUSE_SECONDS, TRIES_AT_ONCE, TRIES_MAX, TooManyTries, check_pace
from payments.runtime.seal import Sealer
from tests.integration.builders import FakeClock, Key

MARKUP = "<script>alert('1')</script>\" onload=\"x"
VALUES: dict[str, Any] = {
    "title": MARKUP,
    "refresh_seconds": 0,
    "embedded": False,
    "completes": False,
    "words": words_of("en"),
    "brand": Brand(MARKUP),
    "merchant": MARKUP,
    "test_mode": True,
    "back": f"https://shop.example/{MARKUP}",
    "total": MARKUP,
    "what": MARKUP,
    "lines": [{"name": MARKUP, "amount": MARKUP, "count": MARKUP}],
    "heading": MARKUP,
    "failure": MARKUP,
    "errors": {"email": MARKUP, "number": MARKUP},
    "challenge": f"https://tap.example/{MARKUP}",
    "action": f"https://tap.example/{MARKUP}",
    "state": MARKUP,
    "visit": MARKUP,
    "values": {"email": MARKUP, "name": MARKUP, "shipping_line1": MARKUP},
    "known_email": "",
    "asks_phone": True,
    "shipping_choices": [("AT", MARKUP)],
    "shipping_text": MARKUP,
    "billing_choices": [("AT", MARKUP), (MARKUP, MARKUP)],
    "button": MARKUP,
    "amount_language": MARKUP,
    "submit_text": MARKUP,
    "keeps_card": True,
}
LIGHT, DARK = (
    dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root {(.*?)}", _source("checkout.css"), re.DOTALL)
)
READ = [
    ("text", "page"),
    ("text", "side"),
    ("text", "field"),
    ("quiet", "page"),
    ("quiet", "side"),
    ("quiet", "field"),
    ("accent-text", "accent"),
    ("accent-text", "accent-over"),
    ("bad", "page"),
    ("bad", "bad-back"),
    ("test-text", "test-back"),
]
SEEN = [("edge", "page"), ("edge", "field"), ("focus", "page"), ("focus", "field"), ("accent", "page"), ("bad", "field"), ("good", "side")]
CARD = {"number": "4242424242424242", "exp": "12/40", "cvc": "123", "name": "Ada", "email": "ada@example.com"}


def a_session(**changes: Any) -> CheckoutSession:
    fields: dict[str, Any] = {"mode": "payment", "url": "https://tap.example/pay", "secret": "x", "expires_at": 1, **changes}
    return CheckoutSession(id="cs_1", merchant_id=1, livemode=False, created=0, **fields)


def submitted(session: CheckoutSession | None = None, **typed: str) -> Submission | Mistakes:
    vault = CardVault(CardSealer(Sealer(Key())), FakeClock())
    return read_submission({**CARD, **typed}, session or a_session(), None, vault)


def wrong(**typed: str) -> set[str]:
    found = submitted(None, **typed)
    return set(found.by_field) if isinstance(found, Mistakes) else set()


def a_price(**changes: Any) -> Price:
    return Price(id="price_1", merchant_id=1, livemode=False, created=0, currency="usd", product="prod_1", **changes)


def test_every_value_is_escaped() -> None:
    page = bytes(show("checkout", **VALUES).body).decode()
    assert page.count("<script>") == 1
    assert 'onload="x' not in page
    ours: dict[str, Any] = {**VALUES, "title": "x"} | {name: "x" for name, value in VALUES.items() if value == MARKUP}
    assert page.count("<input") == bytes(show("checkout", **ours).body).decode().count("<input")


def test_what_runs_and_styles_is_what_the_header_names() -> None:
    page = show("checkout", **VALUES, headers=headers_of_form("https://tap.example/pay", "https://shop.example/done"))
    policy = page.headers["Content-Security-Policy"]
    assert "img-src data:;" in policy
    for tag in ("style", "script"):
        (found,) = re.findall(rf"<{tag}>(.*?)</{tag}>", bytes(page.body).decode(), re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(found.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert policy.endswith("form-action 'self' https://tap.example https://shop.example")


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://shop.example:8443/x?a=b", "https://shop.example:8443"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
        ("https://b\u00fccher.example", "https://xn--bcher-kva.example"),
        ("https://a;script-src 'unsafe-inline'/", "https:"),
        ("https://[::1]/", "https:"),
    ],
)
def test_no_address_changes_the_policy_but_by_its_origin(url: str, origin: str) -> None:
    assert headers_of_form(url)["Content-Security-Policy"].partition("form-action 'self' ")[2] == origin


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_everything_can_be_read(colours: dict[str, str]) -> None:
    """WCAG 2.2, 1.4.3 and 1.4.11."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for pairs, least in ((READ, 4.5), (SEEN, 3.0)):
        for pair in pairs:
            low, high = sorted(luminance(colours[name]) for name in pair)
            assert (high + 0.05) / (low + 0.05) >= least, pair


@pytest.mark.parametrize(
    ("amount", "currency", "language", "shown"),
    [
        (2500, "usd", "en", "$25.00"),
        (99_999_999, "usd", "en", "$999,999.99"),
        (99_999_999, "jpy", "ja", "\uffe599,999,999"),
        (99_999_990, "kwd", "en", "KWD\u00a099,999.990"),
        (123_456, "eur", "de", "1.234,56\u00a0\u20ac"),
        (500, "isk", "en", "ISK\u00a05"),
        (12_345, "lbp", "en", "LBP\u00a0123.45"),
        (12_345, "huf", "hu", "123,45\u00a0Ft"),
    ],
)
def test_an_amount_is_what_is_charged(amount: int, currency: str, language: str, shown: str) -> None:
    assert shown_amount(amount, currency, language) == shown


@given(st.sampled_from(sorted(CURRENCIES)), st.integers(0, 99_999_999))
def test_no_digit_of_an_amount_is_left_out(currency: str, amount: int) -> None:
    digits = re.sub(r"\D", "", shown_amount(amount, currency))
    assert int(digits) in (amount, amount // 10 ** CURRENCIES[currency].exponent if amount % CURRENCIES[currency].step == 0 else amount)


@given(st.text(max_size=300))
def test_any_header_names_a_language(header: str) -> None:
    assert shown_amount(100, "usd", language_of(header))


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("de-DE,de;q=0.9,en;q=0.8", "de"),
        ("xx, fr;q=0.5, it;q=0.7", "it"),
        ("zh-TW", "zh_Hant_TW"),
        ("no", "nb"),
        ("", "en"),
        ("de;q=0", "en"),
    ],
)
def test_the_first_language_that_is_known_counts(header: str, language: str) -> None:
    assert language_of(header) == language


@pytest.mark.parametrize("expiry", ["12/40", "12 / 40", "1240", "12/2040", "122040", "12-40", "12.40"])
def test_an_expiry_is_read_as_people_write_it(expiry: str) -> None:
    found = submitted(exp=expiry)
    assert isinstance(found, Submission)
    assert found.card.exp_month == 12
    assert found.card.exp_year in (40, 2040)


@pytest.mark.parametrize(
    ("typed", "fields"),
    [
        ({"number": ""}, {"number"}),
        ({"number": "4242424242424241"}, {"number"}),
        ({"number": "4" * 40}, {"number"}),
        ({"exp": "13/40"}, {"exp"}),
        ({"exp": "12/20"}, {"exp"}),
        ({"exp": "soon"}, {"exp"}),
        ({"cvc": ""}, {"cvc"}),
        ({"cvc": "12a"}, {"cvc"}),
        ({"cvc": "1234"}, {"cvc"}),
        ({"number": "378282246310005", "cvc": "1234"}, set()),
        ({"email": "nobody"}, {"email"}),
        ({"name": ""}, {"name"}),
        ({"name": "x" * 201}, {"name"}),
        ({"number": "", "exp": "", "cvc": "", "email": "", "name": ""}, {"number", "exp", "cvc", "email", "name"}),
    ],
)
def test_what_is_wrong_is_said_of_each_field(typed: dict[str, str], fields: set[str]) -> None:
    assert wrong(**typed) == fields


@given(st.dictionaries(st.sampled_from([*CARD, "phone", "shipping_line1", "shipping_country"]), st.text(max_size=60)))
def test_whatever_is_typed_is_read_or_refused(typed: dict[str, str]) -> None:
    submitted(a_session(phone_number_collection=True, shipping_countries=["AT"]), **typed)


def test_nothing_of_a_card_is_put_back() -> None:
    assert kept_values(CARD) == {"name": "Ada", "email": "ada@example.com"}


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        " https://a.example",
        "https://a.example/\n",
        "//a.example",
        "https://",
        "https://a\\b",
        "ftp://a.b",
        "https://a:x/",
        "x",
    ],
)
def test_a_buyer_is_led_to_web_pages_only(url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_url(url, "success_url")
    assert (refused.value.code, refused.value.param) == ("url_invalid", "success_url")


@given(st.integers(0, 999_999_999_999), st.integers(1, 999_999))
def test_what_many_cost_is_exact(unit: int, quantity: int) -> None:
    assert amount_of(a_price(unit_amount=unit, unit_amount_decimal=str(unit)), quantity) == unit * quantity


@pytest.mark.parametrize(
    ("unit", "quantity", "amount"), [("0.5", 1, 1), ("0.5", 3, 2), ("33.333333333333", 3, 100), ("0.000000000001", 999_999, 0)]
)
def test_half_a_minor_unit_is_rounded_up_once(unit: str, quantity: int, amount: int) -> None:
    assert amount_of(a_price(unit_amount_decimal=unit), quantity) == amount


def test_lines_are_listed_in_the_order_that_they_were_given() -> None:
    given_items = [
        Item(
            id=f"li_{number}",
            merchant_id=1,
            livemode=False,
            created=0,
            owner="plink_1",
            price=a_price(),
            quantity=1,
            description=str(number),
            currency="usd",
            amount=1,
        )
        for number in range(5)
    ]
    made = copied(given_items, "cs_1", 1)
    assert [each.description for each in sorted(made, key=lambda each: each.id, reverse=True)] == ["0", "1", "2", "3", "4"]
    assert {each.owner for each in made} == {"cs_1"}


def test_countries_are_called_by_their_names() -> None:
    assert countries()["AT"] == "Austria"
    assert "EU" not in countries()


def test_every_language_has_every_word_and_every_value_in_it() -> None:
    assert {"en", "de", "fr", "es", "ja", "it", "nl", "pt"} <= languages()
    english = words_of("en")
    for language in languages():
        words = words_of(language)
        assert words.by_name.keys() == english.by_name.keys(), language
        for name, text in words.by_name.items():
            assert text.strip() == text != "", (language, name)
            assert sorted(re.findall(r"{\w*}", text)) == sorted(re.findall(r"{\w*}", english[name])), (language, name)


def test_the_script_for_merchants_pages_speaks_the_same_languages() -> None:
    source = Path(__file__).parents[2].joinpath("browser/src/shared/words.ts").read_text(encoding="utf-8")
    (told,) = re.findall(r"CATALOGUES: Record<string, Catalogue> = \{(.*?)\}", source)
    assert set(re.findall(r"\w+", told)) == languages()


@pytest.mark.parametrize(
    ("locale", "language"), [("de_AT", "de"), ("pt-BR", "pt"), ("zh_Hant_TW", "en"), ("", "en"), ("../x", "en"), ("ES", "es")]
)
def test_words_are_of_the_language_or_english(locale: str, language: str) -> None:
    assert words_of(locale).language == language


def page_in(words: Words, **others: Any) -> str:
    values: dict[str, Any] = {**VALUES, "words": words, "errors": {}, "failure": "", **others}
    return bytes(show("checkout", **values).body).decode()


@pytest.mark.parametrize("language", sorted(languages()))
def test_a_page_says_its_language_and_is_in_it(language: str) -> None:
    page = page_in(words_of(language))
    assert f'<html lang="{language}">' in page
    for name in ("contact", "number", "expiry", "cvc", "name_on_card", "billing_address"):
        assert escape(words_of(language)[name]) in page


COLOURS = st.integers(0, 0xFFFFFF).map(lambda number: f"#{number:06x}")


@given(COLOURS)
def test_whatever_the_colour_what_stands_on_it_can_be_read_and_the_focus_be_seen(colour: str) -> None:
    style = Brand("Shop", colour).style
    accent, text, over = (re.findall(rf"--{name}:(#[0-9a-f]{{6}})", style)[0] for name in ("accent", "accent-text", "accent-over"))
    assert accent == colour
    assert contrast(text, accent) >= 4.5
    assert contrast(text, over) >= 4.5
    for page in (LIGHT["page"], DARK["page"]):
        assert contrast(seen_on(colour, page), page) >= 3
    policy = headers_of_form("https://tap.example", style=style)["Content-Security-Policy"]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy
    assert f"<style>{style}</style>" in page_in(words_of("en"), brand=Brand("Shop", colour))


@pytest.mark.parametrize("colour", ["red", "#fff", "#12345g", "#1234567", "#000000;}", ""])
def test_what_is_no_colour_is_none(colour: str) -> None:
    with pytest.raises(ValueError, match="no colour"):
        check_colour(colour)
    assert Brand("Shop", colour).style == ""


def test_a_logo_is_a_small_picture_that_nothing_runs_in() -> None:
    png = b"\x89PNG\r\n\x1a\n" + bytes(100)
    assert Brand("Shop", logo=check_logo(png)).logo_address.startswith("data:image/png;base64,")
    for wrong in (b"<svg onload='alert(1)'/>", b"GIF89a", b"", png + bytes(LOGO_BYTES_MAX)):
        with pytest.raises(ValueError, match="logo"):
            check_logo(wrong)


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "a\u202eb", "a\0b"])
def test_a_name_can_be_printed(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        check_name(name)
    assert check_name(" Caf\u00e9  Zo\u00eb ") == "Caf\u00e9 Zo\u00eb"


def test_cards_are_tried_a_few_at_a_time_and_not_for_ever() -> None:
    now = 1_000_000
    waits: list[int] = []
    for tries in range(TRIES_MAX + 1):
        try:
            check_pace(a_session(tries=tries, tried_at=now if tries else None), now)
            waits.append(0)
        except TooManyTries as refusal:
            waits.append(refusal.pause_seconds)
            assert refusal.message in words_of("en")
    assert waits[:6] == [0, 0, 0, 0, 0, PAUSE_SECONDS]
    assert [tries for tries, wait in enumerate(waits) if wait] == list(range(TRIES_AT_ONCE, TRIES_MAX, TRIES_AT_ONCE))
    check_pace(a_session(tries=TRIES_AT_ONCE, tried_at=now), now + PAUSE_SECONDS)
    with pytest.raises(TooManyTries):
        check_pace(a_session(tries=TRIES_MAX, tried_at=now), now + 10 * PAUSE_SECONDS)


LARGE = 99_999_999


@pytest.mark.parametrize("language", ["en", "de", "fr", "ja", "pt", "es_419"])
@pytest.mark.parametrize("currency", sorted(CURRENCIES))
def test_the_largest_amount_is_shown_whole(currency: str, language: str) -> None:
    step = CURRENCIES[currency].step
    amount = LARGE // step * step
    digits = "".join(re.findall(r"\d", shown_amount(amount, currency, language)))
    assert digits in (str(amount), str(amount)[: -CURRENCIES[currency].exponent or None])


def test_a_day_is_written_as_it_is_read() -> None:
    assert [shown_date(1_795_737_600, language) for language in ("en", "de", "ja")] == [
        "November 27, 2026",
        "27. November 2026",
        "2026年11月27日",
    ]
