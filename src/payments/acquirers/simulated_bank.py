"""The sandbox's bank: decides by the account's number. Source: Stripe, "Testing Stripe Connect", "Bank numbers"."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from payments.acquirers.bank import PayoutOrder
from payments.acquirers.notices import Notice, PayoutFailed, PayoutPaid
from payments.acquirers.simulated_disputes import Announcement, decoded
from payments.runtime.clock import Clock

SETTLES_SECONDS = 1
"""How long after it was told the bank has paid."""
_CODES = ("no_account", "account_closed", "insufficient_funds", "debit_not_authorized", "invalid_currency")
_FAILURES: dict[str, str] = dict(zip(("111111116", "111111113", "222222227", "333333335", "444444440"), _CODES, strict=True))
"""By account number, without the zeros that it may begin with."""
_IBAN_FAILURES = {f"37040044053201300{number}": code for number, code in enumerate(_CODES, 1)}
"""By an IBAN's part after country and check digits."""
_MESSAGES = {
    "no_account": "The bank account details on file are probably incorrect. No bank account could be located with those details.",
    "account_closed": "The bank account has been closed.",
    "insufficient_funds": "There are insufficient funds to cover the payout.",
    "debit_not_authorized": "Debit transactions are not approved on the bank account.",
    "invalid_currency": "The bank was unable to process this payout because of its currency.",
}


class TellsLater(Protocol):
    """The part of the sandbox's journal that a bank keeps."""

    async def announce(self, notice: bytes) -> None:
        """Have something told later, once per reference."""
        ...

    async def due_notices(self, now: int) -> Sequence[str | bytes]:
        """Return the notices that are due by `now` and aren't acknowledged."""
        ...

    async def acknowledge_notice(self, reference: str) -> None:
        """Tell a notice no more."""
        ...


class SimulatedBank:
    """A `Bank` for test mode. It and the sandbox acquirer keep one journal of what they will tell, each its own part."""

    def __init__(self, journal: TellsLater, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock

    @property
    def name(self) -> str:
        """Who it is."""
        return "simulated bank"

    async def pay(self, order: PayoutOrder) -> None:
        """Take an order."""
        notice = _notice(order, _failure(order.account_number.reveal()))
        told = Announcement(reference=notice.reference, due_at=int(self._clock.now()) + SETTLES_SECONDS, document=notice)
        await self._journal.announce(msgspec.json.encode(told))

    async def notices(self) -> list[Notice]:
        """Return what became of orders, until it is acknowledged."""
        told = [decoded(each) for each in await self._journal.due_notices(int(self._clock.now()))]
        return [each for each in told if isinstance(each, PayoutPaid | PayoutFailed)]

    async def acknowledge_notice(self, reference: str) -> None:
        """Tell that a notice was stored."""
        await self._journal.acknowledge_notice(reference)


def _failure(number: str) -> str | None:
    return _FAILURES.get(number.lstrip("0")) or _IBAN_FAILURES.get(number[4:])


def _notice(order: PayoutOrder, code: str | None) -> PayoutPaid | PayoutFailed:
    if code is not None:
        return PayoutFailed(
            reference=f"failed_{order.reference}",
            merchant_id=order.merchant_id,
            livemode=order.livemode,
            payout=order.reference,
            code=code,
            message=_MESSAGES[code],
        )
    return PayoutPaid(
        reference=f"paid_{order.reference}",
        merchant_id=order.merchant_id,
        livemode=order.livemode,
        payout=order.reference,
        trace_id=f"TRACE{order.reference[-12:]}",
    )
