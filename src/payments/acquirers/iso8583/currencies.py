"""Currencies as ISO 4217 has them: their numbers, and how many decimals an amount has, which isn't Stripe's for a few."""

from payments.domain.money import CURRENCIES

NUMBERS: dict[str, str] = dict(
    pair.split("=")
    for pair in [
        "aed=784",
        "ars=032",
        "aud=036",
        "bgn=975",
        "bhd=048",
        "brl=986",
        "cad=124",
        "chf=756",
        "clp=152",
        "cny=156",
        "cop=170",
        "crc=188",
        "czk=203",
        "dkk=208",
        "egp=818",
        "eur=978",
        "gbp=826",
        "hkd=344",
        "huf=348",
        "idr=360",
        "ils=376",
        "inr=356",
        "isk=352",
        "jod=400",
        "jpy=392",
        "kes=404",
        "krw=410",
        "kwd=414",
        "mad=504",
        "mxn=484",
        "myr=458",
        "ngn=566",
        "nok=578",
        "nzd=554",
        "omr=512",
        "pen=604",
        "php=608",
        "pkr=586",
        "pln=985",
        "qar=634",
        "ron=946",
        "rsd=941",
        "sar=682",
        "sek=752",
        "sgd=702",
        "thb=764",
        "tnd=788",
        "try=949",
        "twd=901",
        "uah=980",
        "usd=840",
        "uyu=858",
        "vnd=704",
        "zar=710",
    ]
)
_EXPONENTS = {"isk": 0, "mga": 2, "ugx": 0}
"""Where ISO 4217 and Stripe differ."""


def amount_of(minor_units: int, currency: str) -> int:
    """Return an amount in ISO 4217's minor units; raises `ValueError` for one that has none there."""
    amount, rest = divmod(minor_units * 10 ** _exponent(currency), 10 ** CURRENCIES[currency].exponent)
    if rest:
        raise ValueError(f"{minor_units} {currency} can't be paid")
    return amount


def minor_units_of(amount: int, currency: str) -> int:
    """Return an amount that is in ISO 4217's minor units in ours."""
    return amount * 10 ** CURRENCIES[currency].exponent // 10 ** _exponent(currency)


def _exponent(currency: str) -> int:
    return _EXPONENTS.get(currency, CURRENCIES[currency].exponent)
