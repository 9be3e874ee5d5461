"""The protocol to the bank that payouts go through."""

from dataclasses import dataclass
from typing import Protocol

from payments.acquirers.notices import NoticeSource
from payments.domain.bank_account import AccountNumber


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutOrder:
    """What the bank is asked to pay, or to take back. Its reference makes a repetition recognisable."""

    reference: str
    """The payout's id."""
    merchant_id: int
    livemode: bool
    amount: int
    """Minor units; negative for a debit."""
    currency: str
    account_number: AccountNumber
    routing_number: str | None
    country: str
    statement_descriptor: str | None


class Bank(NoticeSource, Protocol):
    """A bank; what became of an order it tells by notices."""

    async def pay(self, order: PayoutOrder) -> None:
        """Take an order, once per reference, however often it is repeated; raises when it may not have arrived."""
        ...
