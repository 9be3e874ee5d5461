"""Amounts as buyers read them, in their own language, and the names of countries.

Source: Unicode CLDR, by Babel. How many decimals an amount has is ours to say: CLDR leaves some out that are charged.
"""

import copy
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import babel
from babel.core import negotiate_locale
from babel.dates import format_date
from babel.numbers import NumberPattern, get_currency_symbol

from payments.domain.money import CURRENCIES

_LANGUAGES = [
    "bg",
    "cs",
    "da",
    "de",
    "de_AT",
    "de_CH",
    "el",
    "en",
    "en_AU",
    "en_CA",
    "en_GB",
    "en_IE",
    "en_IN",
    "en_NZ",
    "es",
    "es_419",
    "es_MX",
    "et",
    "fi",
    "fil",
    "fr",
    "fr_CA",
    "fr_CH",
    "hr",
    "hu",
    "id",
    "it",
    "it_CH",
    "ja",
    "ko",
    "lt",
    "lv",
    "ms",
    "nb",
    "nl",
    "nl_BE",
    "pl",
    "pt",
    "pt_PT",
    "ro",
    "ru",
    "sk",
    "sl",
    "sv",
    "th",
    "tr",
    "uk",
    "vi",
    "zh_Hans",
    "zh_Hant_HK",
    "zh_Hant_TW",
]
"""Those that are read, each of which stays in memory: whoever asks can name a thousand."""
_ALSO_CALLED = {"no": "nb", "zh": "zh_Hans", "zh_cn": "zh_Hans", "zh_sg": "zh_Hans", "zh_tw": "zh_Hant_TW", "zh_hk": "zh_Hant_HK"}
_HEADER_CHARACTERS_MAX = 200
ENGLISH = "en"


def language_of(accepted: str) -> str:
    """Return the first language of an `Accept-Language` field that amounts can be shown in."""
    wanted: list[tuple[float, str]] = []
    for part in accepted[:_HEADER_CHARACTERS_MAX].split(","):
        tag, _, quality = part.strip().partition(";")
        try:
            weight = float(quality.replace(" ", "").removeprefix("q=") or 1)
        except ValueError:
            continue
        if 0 < weight <= 1:
            wanted.append((-weight, tag.strip().replace("-", "_")))
    names = [_ALSO_CALLED.get(name.lower(), name) for _, name in sorted(wanted, key=lambda each: each[0])]
    found = negotiate_locale(names, _LANGUAGES)
    return found or ENGLISH


@cache
def _locale(language: str) -> Any:
    return babel.Locale.parse(language)


@cache
def _pattern(language: str, decimals: int) -> NumberPattern:
    pattern = copy.copy(_locale(language).currency_formats["standard"])
    pattern.frac_prec = (decimals, decimals)
    return pattern


def shown_amount(minor_units: int, currency: str, language: str = ENGLISH) -> str:
    """Render an amount: `shown_amount(2500, "usd")` is `$25.00`, and in German `25,00 $`. Decimals that are always 00 are left out unless they aren't."""
    known = CURRENCIES[currency]
    whole = known.step >= 10**known.exponent and minor_units % 10**known.exponent == 0
    pattern = _pattern(language, 0 if whole else known.exponent)
    code, locale = known.code.upper(), _locale(language)
    amount = pattern.apply(Decimal(minor_units).scaleb(-known.exponent), locale, currency=code, currency_digits=False)
    symbol = get_currency_symbol(code, locale)
    # CLDR puts a blank between letters and the number, which Babel doesn't know of.
    return (
        f"{symbol}\N{NO-BREAK SPACE}{amount[len(symbol) :]}"
        if symbol[-1].isalpha() and amount.startswith(symbol) and amount[len(symbol)].isdigit()
        else amount
    )


@cache
def countries(language: str = ENGLISH) -> Mapping[str, str]:
    """Return the names of all countries by their ISO 3166-1 codes, in the order of those names."""
    names: dict[str, str] = dict(_locale(language).territories.items())
    named = {code: name for code, name in names.items() if len(code) == 2 and code.isalpha() and code not in _NO_COUNTRIES}
    return dict(sorted(named.items(), key=lambda each: unicodedata.normalize("NFKD", each[1]).casefold()))


def shown_date(unix_seconds: int, language: str = ENGLISH) -> str:
    """Render a day, in UTC: `November 27, 2026`."""
    return format_date(datetime.fromtimestamp(unix_seconds, UTC), "long", _locale(language))


_NO_COUNTRIES = frozenset({"EU", "EZ", "UN", "QO", "XA", "XB", "ZZ"})
