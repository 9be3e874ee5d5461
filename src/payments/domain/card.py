"""Card numbers that never print themselves, brands, and what is known of a card.

Sources: ISO/IEC 7812 (issuer identification numbers, check digit), PCI DSS 4.0.1 requirement 3.4 (first six and last four may be shown).
"""

from typing import final

from msgspec import Struct

from payments.domain.errors import CardError

_BRANDS: tuple[tuple[str, tuple[tuple[int, int], ...], frozenset[int]], ...] = (
    ("amex", ((34, 34), (37, 37)), frozenset({15})),
    ("diners", ((300, 305), (36, 36), (38, 39)), frozenset({14, 15, 16, 17, 18, 19})),
    ("discover", ((6011, 6011), (644, 649), (65, 65)), frozenset({16, 17, 18, 19})),
    ("jcb", ((3528, 3589),), frozenset({16, 17, 18, 19})),
    ("mastercard", ((51, 55), (2221, 2720)), frozenset({16})),
    ("unionpay", ((62, 62),), frozenset({16, 17, 18, 19})),
    ("visa", ((4, 4),), frozenset({13, 16, 19})),
)
"""Brand, ranges of leading digits, lengths."""


@final
class Pan:
    """A primary account number. It masks itself wherever it is printed; `reveal()` is the one way to its digits."""

    __slots__ = ("_digits",)

    def __init__(self, number: str) -> None:
        """Take a number as typed (spaces and dashes allowed); raises `CardError` `incorrect_number`, `invalid_number`."""
        digits = number.replace(" ", "").replace("-", "")
        if not (12 <= len(digits) <= 19 and digits.isascii() and digits.isdigit()):
            raise CardError("The card number is not a valid credit card number.", code="invalid_number", param="number")
        if not _luhn_valid(digits):
            raise CardError("Your card number is incorrect.", code="incorrect_number", param="number")
        self._digits = digits

    @classmethod
    def stored(cls, digits: str) -> "Pan":
        """Return a number that was checked before it was stored."""
        pan = cls.__new__(cls)
        pan._digits = digits
        return pan

    def reveal(self) -> str:
        """Return the digits, for sealing and for the acquirer; never for a log, an error or a response."""
        return self._digits

    @property
    def last4(self) -> str:
        """The last four digits."""
        return self._digits[-4:]

    @property
    def brand(self) -> str:
        """The card scheme by the number's range: `visa`, `mastercard`, …, or `unknown`."""
        for brand, ranges, lengths in _BRANDS:
            if len(self._digits) in lengths and any(low <= int(self._digits[: len(str(low))]) <= high for low, high in ranges):
                return brand
        return "unknown"

    @property
    def iin(self) -> str:
        """The first digits, which name the issuer: as many as may be kept beside the last four. Source: PCI SSC, FAQ 1091."""
        return self._digits[: 8 if len(self._digits) >= 16 else 6]

    def __str__(self) -> str:
        return f"{self._digits[:6]}{'*' * (len(self._digits) - 10)}{self._digits[-4:]}"

    def __repr__(self) -> str:
        return f"Pan({self})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pan) and other._digits == self._digits

    def __hash__(self) -> int:
        return hash(self._digits)

    def __reduce__(self) -> str:
        raise TypeError("a card number is never serialised; seal it")


def _luhn_valid(digits: str) -> bool:
    """ISO/IEC 7812-1 annex B: double every second digit from the right, sum the digits, divisible by ten."""
    doubled = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
    return sum(doubled[int(d)] if i % 2 else int(d) for i, d in enumerate(reversed(digits))) % 10 == 0


class Card(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What may be shown of a card."""

    brand: str
    last4: str
    exp_month: int
    exp_year: int
    fingerprint: str
    """Keyed hash of the number: equal for equal numbers, useless to anyone else."""
    funding: str = "credit"
    """`credit`, `debit`, `prepaid` or `unknown`."""
    country: str = "US"
    cvc_check: str | None = None
    """`pass`, `fail`, `unavailable`, `unchecked`; None when no CVC was given."""
    address_line1_check: str | None = None
    address_postal_code_check: str | None = None


def check_expiry(month: int, year: int, *, now_year: int, now_month: int) -> None:
    """Raise `CardError` unless the card is valid in the current month; `year` has four digits."""
    if not 1 <= month <= 12:
        raise CardError("Your card's expiration month is invalid.", code="invalid_expiry_month", param="exp_month")
    if year < now_year or year > now_year + 50:
        raise CardError("Your card's expiration year is invalid.", code="invalid_expiry_year", param="exp_year")
    if (year, month) < (now_year, now_month):
        raise CardError("Your card's expiration month is invalid.", code="invalid_expiry_month", param="exp_month")


def check_cvc(cvc: str, brand: str) -> None:
    """Raise `CardError` unless the code has three digits (three or four for American Express)."""
    lengths = (3, 4) if brand == "amex" else (3,)
    if not (cvc.isascii() and cvc.isdigit() and len(cvc) in lengths):
        raise CardError("Your card's security code is invalid.", code="invalid_cvc", param="cvc")
