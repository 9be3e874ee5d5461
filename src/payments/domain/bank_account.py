"""Where a merchant's money is paid out to: a bank account, whose number never prints itself.

Source: Stripe, "External bank accounts"; ABA, "Key to routing numbers" (check digit).
"""

import re
from typing import ClassVar, final

from payments.domain.errors import InvalidRequest
from payments.domain.resource import Resource

_NUMBER = re.compile(r"[0-9A-Z]{4,34}")
_ROUTING_NUMBER = re.compile(r"[0-9]{9}")
_ROUTING_WEIGHTS = (3, 7, 1)


@final
class AccountNumber:
    """A bank account's number, or IBAN. It masks itself wherever it is printed; `reveal()` is the one way to its characters."""

    __slots__ = ("_characters",)

    def __init__(self, number: str) -> None:
        """Take a number as typed (spaces and dashes allowed); raises `InvalidRequest` `account_number_invalid`."""
        characters = number.replace(" ", "").replace("-", "").upper()
        if not _NUMBER.fullmatch(characters):
            raise InvalidRequest(
                "The bank account number is not valid.", code="account_number_invalid", param="external_account[account_number]"
            )
        self._characters = characters

    def reveal(self) -> str:
        """Return the characters, for sealing and for the bank; never for a log, an error or a response."""
        return self._characters

    @property
    def last4(self) -> str:
        """The last four characters."""
        return self._characters[-4:]

    def __str__(self) -> str:
        return f"****{self.last4}"

    def __repr__(self) -> str:
        return f"AccountNumber({self})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AccountNumber) and other._characters == self._characters

    def __hash__(self) -> int:
        return hash(self._characters)

    def __reduce__(self) -> str:
        raise TypeError("an account number is never serialised; seal it")


def check_routing_number(number: str | None, country: str) -> None:
    """Raise `InvalidRequest` for a routing number that a bank in the USA can't have; others have none that we could check."""
    if country != "US":
        return
    digits = [int(digit) for digit in number] if number is not None and _ROUTING_NUMBER.fullmatch(number) else []
    if not digits or sum(digit * _ROUTING_WEIGHTS[place % 3] for place, digit in enumerate(digits)) % 10:
        raise InvalidRequest(
            "You must use a valid routing number.", code="routing_number_invalid", param="external_account[routing_number]"
        )


class BankAccount(Resource, frozen=True, kw_only=True, omit_defaults=True):
    """A bank account on file. The sealed number is stored beside this, never in it."""

    OBJECT = "bank_account"
    TOLD_AS: ClassVar[str] = "account.external_account"

    account: str
    """The merchant's own, `acct_…`."""
    country: str
    currency: str
    last4: str
    routing_number: str | None = None
    fingerprint: str
    account_holder_name: str | None = None
    account_holder_type: str | None = None
    default_for_currency: bool = False
    errored: bool = False
    """A payout to it failed: nothing is paid to it by schedule until it is changed."""
    metadata: dict[str, str] = {}
    deleted: bool = False
