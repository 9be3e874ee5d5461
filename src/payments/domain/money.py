"""Money: integers of minor units, and what each currency allows.

Source: docs.stripe.com/currencies. "Supported presentment currencies" says which there are; "Zero-decimal currencies", "Three-decimal currencies" and
"Special cases" how amounts are sent; "Minimum and maximum charge amounts" how small and large they may be. The exponents are those of ISO 4217 but for
isk and ugx, which have none there and two decimals here, and mga, which has two there and none here. Where Stripe names no smallest charge it is
about 0.50 USD, rounded to a convenient number (rates of 2026-10).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Currency:
    """How amounts of one currency are sent, and which of them can be charged."""

    code: str
    exponent: int
    """Digits after the decimal point: JPY 0, USD 2, KWD 3."""
    charge_minor_units_min: int
    symbol: str
    step: int
    """Minor units that divide every amount which can be paid: charged, captured, refunded, or taken as a fee."""
    charge_digits_max: int

    @property
    def charge_minor_units_max(self) -> int:
        """The largest amount of so many digits that can be paid."""
        return (10**self.charge_digits_max - 1) // self.step * self.step


_TABLE = """
usd 2 50 $ | aed 2 200 | afn 2 3500 | all 2 4500 | amd 2 20000 | ang 2 90 | aoa 2 45000 | ars 2 70000 | aud 2 50 A$ | awg 2 90 | azn 2 85 | bam 2 90
bbd 2 100 | bdt 2 6000 | bgn 2 100 | bhd 3 190 | bif 0 1500 | bmd 2 50 | bnd 2 70 | bob 2 350 | brl 2 50 R$ | bsd 2 50 | bwp 2 700 | byn 2 170
bzd 2 100 | cad 2 50 CA$ | cdf 2 150000 | chf 2 50 | clp 0 500 | cny 2 400 CN¥ | cop 2 210000 | crc 2 26000 | cve 2 5000 | czk 2 1500
djf 0 90 | dkk 2 250 | dop 2 3200 | dzd 2 6700 | egp 2 2500 | etb 2 7500 | eur 2 50 € | fjd 2 120 | fkp 2 40 | gbp 2 30 £ | gel 2 140
gip 2 40 | gmd 2 3600 | gnf 0 4400 | gtq 2 390 | gyd 2 10500 | hkd 2 400 HK$ | hnl 2 1320 | htg 2 6600 | huf 2 17500 | idr 2 830000
ils 2 200 ₪ | inr 2 50 ₹ | isk 2 7000 | jmd 2 8000 | jod 3 360 | jpy 0 50 ¥ | kes 2 6500 | kgs 2 4400 | khr 2 205000 | kmf 0 220 | krw 0 700 ₩
kwd 3 160 | kyd 2 42 | kzt 2 27000 | lak 2 1080000 | lbp 2 4500000 | lkr 2 15200 | lrd 2 9200 | lsl 2 900 | mad 2 500 | mdl 2 850
mga 0 2250 | mkd 2 2700 | mmk 2 105000 | mnt 2 180000 | mop 2 400 | mur 2 2300 | mvr 2 770 | mwk 2 87000 | mxn 2 1000 MX$ | myr 2 200
mzn 2 3200 | nad 2 900 | ngn 2 75000 | nio 2 1850 | nok 2 300 | npr 2 7100 | nzd 2 50 NZ$ | omr 3 200 | pab 2 50 | pen 2 180 | pgk 2 210
php 2 2900 ₱ | pkr 2 14200 | pln 2 200 | pyg 0 3600 | qar 2 185 | ron 2 200 | rsd 2 5100 | rub 2 4200 | rwf 0 730 | sar 2 190 | sbd 2 415 | scr 2 720
sek 2 300 | sgd 2 50 S$ | shp 2 40 | sle 2 1150 | sos 2 28600 | srd 2 1950 | std 2 1050000 | szl 2 900 | thb 2 1000 | tjs 2 480 | tnd 3 1480
top 2 120 | try 2 2100 | ttd 2 340 | twd 2 1550 NT$ | tzs 2 123000 | uah 2 2100 | ugx 2 176000 | uyu 2 2000 | uzs 2 610000 | vnd 0 13200 ₫
vuv 0 60 | wst 2 140 | xaf 0 285 | xcd 2 135 | xcg 2 90 | xof 0 285 | xpf 0 52 | yer 2 12000 | zar 2 900 | zmw 2 1150
"""

_STEPS = {"isk": 100, "ugx": 100, "bhd": 10, "jod": 10, "kwd": 10, "omr": 10, "tnd": 10}
"""ISK and UGX are whole, though sent with two decimals; networks carry two of three decimals. HUF and TWD are whole in payouts only."""

_CHARGE_DIGITS_MAX = {"idr": 12, "lbp": 11, "cop": 10, "huf": 10, "jpy": 10, "inr": 9}
"""How many digits an amount may have where it isn't eight. Stripe's page gives each as a number of digits and as an example; where the two differ (cop,
huf, lbp), the number of digits holds, which is the smaller."""


def _parse(table: str) -> dict[str, Currency]:
    entries = (entry.split() for line in table.strip().splitlines() for entry in line.split("|"))
    return {
        code: Currency(code, int(exponent), int(smallest), "".join(symbol), _STEPS.get(code, 1), _CHARGE_DIGITS_MAX.get(code, 8))
        for code, exponent, smallest, *symbol in entries
    }


CURRENCIES: dict[str, Currency] = _parse(_TABLE)
"""Every currency that can be charged, by its lower-case ISO 4217 code."""


def format_amount(minor_units: int, currency: str) -> str:
    """Render an amount for people: `format_amount(2000, "usd") == "$20.00"`, `format_amount(500, "jpy") == "¥500"`.

    Decimals that are always 00 are left out, `format_amount(500, "isk") == "5 ISK"`; any others are shown, even if they can't be paid.
    """
    known = CURRENCIES[currency]
    whole, fraction = divmod(abs(minor_units), 10**known.exponent)
    decimals = f".{fraction:0{known.exponent}d}" if fraction or known.step < 10**known.exponent else ""
    number = f"{whole:,}{decimals}"
    return f"{'-' if minor_units < 0 else ''}" + (f"{known.symbol}{number}" if known.symbol else f"{number} {currency.upper()}")
