"""Automatic payouts: everything that is available to a merchant, once a day, on the days of their schedule.

What a payout is of is gathered before it is made, a thousand changes of the balance at a time, so that nobody waits for the
balance meanwhile; the payout is then of all that the balance holds, or isn't made.
"""

from dataclasses import dataclass

from payments.domain.payout import Payout, PayoutStatus
from payments.runtime.clock import Clock
from payments.runtime.ids import new_id
from payments.runtime.jobs import Job
from payments.runtime.logging import Logger
from payments.storage.database import Connection, Pool
from payments.storage.payouts import Due, Scheduled, available_in_test, gather, note_looked, open_payday, scheduled, take_payday
from payments.transaction_processor.money import payout_steps
from payments.transaction_processor.money.booking import Bookkeeper, StepTerms
from payments.wire.kinds import PAYOUT

_SECONDS = 10
_GATHERED_AT_ONCE = 1_000
_TRIES = 3
"""Payments go on meanwhile, so that the balance may be another one than it was; what isn't paid out now is a few seconds later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paydays:
    """Pays out by schedule."""

    bookkeeper: Bookkeeper
    pool: Pool
    clock: Clock
    log: Logger

    def jobs(self) -> list[Job]:
        """Return what is to be done by the clock."""
        return [Job(name="sweep paydays", work=self.pay, every_seconds=_SECONDS)]

    async def pay(self) -> int:
        """Pay out what is available to the merchants whose day it is; returns how many payouts that makes. One's failure is no other's."""
        made, looked = 0, list[Scheduled]()
        for merchant in await scheduled(self.pool, int(self.clock.now())):
            try:
                paid = [await self._pay(merchant, due) for due in merchant.due] if merchant.is_payday else []
            except Exception as failure:  # noqa: BLE001 - the others are paid; this one is tried again
                self.log.error("pay on schedule", failure, merchant=merchant.merchant_id)
                continue
            made += sum(each is True for each in paid)
            if None not in paid:
                looked.append(merchant)
        await note_looked(self.pool, looked)
        return made

    async def _pay(self, merchant: Scheduled, due: Due) -> bool | None:
        """Pay out one currency; False when there is nothing to be paid, or somebody else did it, None when it is to be tried again."""
        account = due.destination
        payout_id = await open_payday(self.pool, account, merchant.day, new_id(PAYOUT.noun.prefix))
        if payout_id is None:
            return False
        while await gather(self.pool, account, payout_id, _GATHERED_AT_ONCE) == _GATHERED_AT_ONCE:
            pass
        for _ in range(_TRIES):
            held, step = await available_in_test(self.pool, account), payout_steps.step_of(account.currency)
            if held < step:
                return False
            terms = StepTerms(now=int(self.clock.now()))
            payout = Payout(
                id=payout_id,
                merchant_id=account.merchant_id,
                livemode=account.livemode,
                created=terms.now,
                amount=held // step * step,
                currency=account.currency,
                status=PayoutStatus.PENDING,
                arrival_date=payout_steps.arrival_date(terms.now + merchant.ahead_seconds),
                destination=account.id,
                automatic=True,
            )

            async def take(connection: Connection, payout: Payout = payout) -> bool:
                return await take_payday(connection, payout, merchant.day)

            if await self.bookkeeper.book(payout_steps.create(payout, account, terms, holds=held), take):
                return True
        return None
