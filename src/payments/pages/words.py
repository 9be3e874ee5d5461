"""What buyers read on our pages, in their language: `words/LANGUAGE.json` for each that there is. All have the same words."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from payments.pages.amounts import ENGLISH

_FOLDER = "words"
_BRANDS = {
    "amex": "American Express",
    "cartes_bancaires": "Cartes Bancaires",
    "diners": "Diners Club",
    "discover": "Discover",
    "jcb": "JCB",
    "mastercard": "Mastercard",
    "unionpay": "UnionPay",
    "visa": "Visa",
}


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one language."""

    language: str
    by_name: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        """Return a word, or a sentence without its values."""
        return self.by_name[name]

    def __contains__(self, name: str) -> bool:
        """Tell whether there is such a word."""
        return name in self.by_name

    def say(self, name: str, **values: object) -> str:
        """Return a sentence with its values in it."""
        return self.by_name[name].format_map(values)

    def card(self, brand: str, last4: str) -> str:
        """Return what a card is called."""
        return self.say("card_ending", brand=_BRANDS.get(brand, self["card"]), last4=last4)


@cache
def languages() -> frozenset[str]:
    """Return the languages that there are, ISO 639-1."""
    return frozenset(
        each.name.removesuffix(".json") for each in files("payments.pages").joinpath(_FOLDER).iterdir() if each.name.endswith(".json")
    )


def words_of(locale: str) -> Words:
    """Return the words for a locale, `de_AT`: in its language, or in English."""
    language = locale.replace("-", "_").partition("_")[0].lower()
    return _words(language if language in languages() else ENGLISH)


@cache
def _words(language: str) -> Words:
    text = files("payments.pages").joinpath(_FOLDER, f"{language}.json").read_text(encoding="utf-8")
    return Words(language, json.loads(text))
