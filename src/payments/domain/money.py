"""Money: integers of minor units, and what each currency allows.

Source of the exponents: ISO 4217. Smallest charges: about 0.50 USD in each currency, rounded to a convenient number (rates of 2026-10).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Currency:
    """What ISO 4217 and the acquirers say of one currency."""

    code: str
    exponent: int
    """Digits after the decimal point: JPY 0, USD 2, KWD 3."""
    charge_minor_units_min: int
    symbol: str = ""


CHARGE_MINOR_UNITS_MAX = 99_999_999
"""Eight digits, whatever the currency."""

_TABLE = """
usd 2 50 $ | aed 2 200 | afn 2 3500 | all 2 4500 | amd 2 20000 | aoa 2 45000 | ars 2 70000 | aud 2 50 A$ | awg 2 90 | azn 2 85 | bam 2 90
bbd 2 100 | bdt 2 6000 | bgn 2 100 | bhd 3 190 | bif 0 1500 | bmd 2 50 | bnd 2 70 | bob 2 350 | brl 2 50 R$ | bsd 2 50 | bwp 2 700 | byn 2 170
bzd 2 100 | cad 2 50 CA$ | cdf 2 150000 | chf 2 50 | clp 0 500 | cny 2 400 CN¥ | cop 2 210000 | crc 2 26000 | cve 2 5000 | czk 2 1500
djf 0 90 | dkk 2 250 | dop 2 3200 | dzd 2 6700 | egp 2 2500 | etb 2 7500 | eur 2 50 € | fjd 2 120 | fkp 2 40 | gbp 2 30 £ | gel 2 140
gip 2 40 | gmd 2 3600 | gnf 0 4400 | gtq 2 390 | gyd 2 10500 | hkd 2 400 HK$ | hnl 2 1320 | htg 2 6600 | huf 2 17500 | idr 2 830000
ils 2 200 ₪ | inr 2 50 ₹ | isk 0 70 | jmd 2 8000 | jod 3 360 | jpy 0 50 ¥ | kes 2 6500 | kgs 2 4400 | khr 2 205000 | kmf 0 220 | krw 0 700 ₩
kwd 3 155 | kyd 2 42 | kzt 2 27000 | lak 2 1080000 | lbp 2 4500000 | lkr 2 15200 | lrd 2 9200 | lsl 2 900 | mad 2 500 | mdl 2 850
mga 2 225000 | mkd 2 2700 | mmk 2 105000 | mnt 2 180000 | mop 2 400 | mur 2 2300 | mvr 2 770 | mwk 2 87000 | mxn 2 1000 MX$ | myr 2 200
mzn 2 3200 | nad 2 900 | ngn 2 75000 | nio 2 1850 | nok 2 300 | npr 2 7100 | nzd 2 50 NZ$ | omr 3 195 | pab 2 50 | pen 2 180 | pgk 2 210
php 2 2900 ₱ | pkr 2 14200 | pln 2 200 | pyg 0 3600 | qar 2 185 | ron 2 200 | rsd 2 5100 | rwf 0 730 | sar 2 190 | sbd 2 415 | scr 2 720
sek 2 300 | sgd 2 50 S$ | shp 2 40 | sle 2 1150 | sos 2 28600 | srd 2 1950 | std 2 1050000 | szl 2 900 | thb 2 1000 | tjs 2 480 | tnd 3 1480
top 2 120 | try 2 2100 | ttd 2 340 | twd 2 1550 NT$ | tzs 2 123000 | uah 2 2100 | ugx 2 176000 | uyu 2 2000 | uzs 2 610000 | vnd 0 13200 ₫
vuv 0 60 | wst 2 140 | xaf 0 285 | xcd 2 135 | xof 0 285 | xpf 0 52 | yer 2 12000 | zar 2 900 | zmw 2 1150
"""


def _parse(table: str) -> dict[str, Currency]:
    entries = (entry.split() for line in table.strip().splitlines() for entry in line.split("|"))
    return {code: Currency(code, int(exponent), int(smallest), *symbol) for code, exponent, smallest, *symbol in entries}


CURRENCIES: dict[str, Currency] = _parse(_TABLE)
"""Every currency that can be charged, by its lower-case ISO 4217 code."""


def format_amount(minor_units: int, currency: str) -> str:
    """Render an amount for people: `format_amount(2000, "usd") == "$20.00"`, `format_amount(500, "jpy") == "¥500"`."""
    known = CURRENCIES[currency]
    sign = "-" if minor_units < 0 else ""
    whole, fraction = divmod(abs(minor_units), 10**known.exponent)
    digits = f"{whole:,}" + (f".{fraction:0{known.exponent}d}" if known.exponent else "")
    return f"{sign}{known.symbol}{digits}" if known.symbol else f"{sign}{digits} {currency.upper()}"
