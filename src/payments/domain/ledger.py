"""What a merchant sees of the ledger: their own accounts, and the transfers that touched them."""

import hashlib

from msgspec import Struct

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHARACTERS = 24


def ledger_account_id(merchant_id: int, livemode: bool, kind: str, currency: str) -> str:
    """Return the public id of a merchant's account: always the same, and another one for each merchant, mode, kind and currency."""
    name = "\n".join(("ledger account", str(merchant_id), "live" if livemode else "test", kind, currency))
    number, characters = int.from_bytes(hashlib.sha256(name.encode()).digest(), "big"), list[str]()
    for _ in range(_CHARACTERS):
        number, place = divmod(number, len(_ALPHABET))
        characters.append(_ALPHABET[place])
    return f"lacct_{''.join(characters)}"


class Sums(Struct, frozen=True, kw_only=True):
    """What was entered in an account, in minor units."""

    debits: int
    credits: int
    held_debits: int
    held_credits: int


class LedgerAccount(Struct, frozen=True, kw_only=True):
    """An account of a merchant's, with what was entered in it. It grows by credits."""

    id: str
    livemode: bool
    kind: str
    """As in `AccountKind`."""
    currency: str
    sums: Sums

    OBJECT = "ledger.account"

    @property
    def balance(self) -> int:
        """What it has, in minor units; below zero when more was taken than was there."""
        return self.sums.credits - self.sums.debits

    @property
    def held(self) -> int:
        """What is promised, in minor units."""
        return self.sums.held_credits - self.sums.held_debits


class LedgerTransfer(Struct, frozen=True, kw_only=True):
    """A transfer that touched an account of a merchant's."""

    posting: str
    """The balance transaction, or for holds the attempt, that it is of."""
    kind: str
    phase: str
    livemode: bool
    amount: int
    """Minor units, above zero."""
    currency: str
    occurred_at: int
    """Unix seconds."""
    debit_account: str | None
    """None: none of the merchant's."""
    credit_account: str | None

    OBJECT = "ledger.transfer"

    @property
    def id(self) -> str:
        """What it is called: a posting has one transfer of each kind."""
        return f"{self.posting}.{self.kind}"


class TrialBalance(Struct, frozen=True, kw_only=True):
    """All accounts of a merchant's in one mode, as they were at the end of a second."""

    livemode: bool
    as_of: int | None
    """Unix seconds; None: now."""
    accounts: list[LedgerAccount]

    OBJECT = "ledger.trial_balance"
