"""The chart of accounts.

Assets (what others owe us) grow by debits, liabilities and income by credits. An account exists per holder, mode, kind and currency.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache


class AccountKind(StrEnum):
    """What an account counts."""

    PENDING = "pending"
    """Merchant: captured, not yet available."""
    AVAILABLE = "available"
    """Merchant: can be paid out; refunds are taken from here, so it may go below zero."""
    RESERVED = "reserved"
    """Merchant: withheld for disputes."""
    PAID_OUT = "paid_out"
    """Merchant: paid to the merchant's bank, or on the way there; what our own bank says of it isn't booked yet."""
    RECEIVABLE = "receivable"
    """Acquirer: captured for us, not yet settled."""
    SETTLED = "settled"
    """Acquirer: settled into our bank account."""
    FEES = "fees"
    """Platform: earned."""
    COSTS = "costs"
    """Acquirer: what it kept of what it settled."""
    LOSSES = "losses"
    """Platform: written off."""
    SUSPENSE = "suspense"
    """Platform: received and not explained yet; below zero, what should have been received."""


_DEBIT_NORMAL = frozenset({AccountKind.RECEIVABLE, AccountKind.SETTLED, AccountKind.COSTS, AccountKind.LOSSES})

_ACCOUNTS_REMEMBERED = 10_000
PLATFORM = "platform"
"""The holder of our own accounts."""


@dataclass(frozen=True)
class Account:
    """An account of the chart; equal accounts are the same account."""

    holder: str
    """`merchant:ID`, `acquirer:NAME` or `platform`."""
    livemode: bool
    kind: AccountKind
    currency: str

    @cached_property
    def _hash(self) -> int:
        return hash((self.holder, self.livemode, self.kind, self.currency))

    def __hash__(self) -> int:
        return self._hash  # looked up several times a payment

    @property
    def normal_side(self) -> str:
        """The side that makes the account grow: `debit` or `credit`."""
        return "debit" if self.kind in _DEBIT_NORMAL else "credit"


@lru_cache(maxsize=_ACCOUNTS_REMEMBERED)
def merchant_account(merchant_id: int, livemode: bool, kind: AccountKind, currency: str) -> Account:
    """Return an account of a merchant."""
    return Account(f"merchant:{merchant_id}", livemode, kind, currency)


@lru_cache(maxsize=_ACCOUNTS_REMEMBERED)
def acquirer_account(acquirer: str, livemode: bool, kind: AccountKind, currency: str) -> Account:
    """Return an account of an acquirer."""
    return Account(f"acquirer:{acquirer}", livemode, kind, currency)


@lru_cache(maxsize=_ACCOUNTS_REMEMBERED)
def platform_account(livemode: bool, kind: AccountKind, currency: str) -> Account:
    """Return an account of our own."""
    return Account(PLATFORM, livemode, kind, currency)
