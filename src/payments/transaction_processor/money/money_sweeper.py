"""What must happen to money after a payment although no merchant asks for it: what acquirers tell is booked, answers are sent, deadlines end disputes.

Each step is decided from what was read, and written only if that is still so: of several copies one does it.
"""

from dataclasses import dataclass
from typing import assert_never

import msgspec

from payments.acquirers.bank import Bank, PayoutOrder
from payments.acquirers.notices import DisputeAnswer, DisputeDecided, DisputeOpened, Notice, NoticeSource, PayoutFailed, PayoutPaid
from payments.acquirers.registry import Acquirers
from payments.acquirers.sealed_account import AccountSealer
from payments.domain.dispute import DisputeStatus
from payments.domain.payout import PayoutStatus
from payments.runtime.clock import Clock
from payments.runtime.jobs import Job, PartFailed
from payments.runtime.logging import Logger
from payments.runtime.rows import RowByRow
from payments.storage import notices
from payments.storage.database import Connection, Found, Pool
from payments.storage.disputes import answer_sent, charge_of, dispute_of_case, past_due, take_to_send
from payments.storage.fees import FeeSchedules
from payments.storage.notices import StoredNotice
from payments.storage.payouts import payout_sent, sealed_account_number, take_payouts
from payments.storage.sandbox_clocks import SandboxTimes
from payments.transaction_processor.money import dispute_steps as steps
from payments.transaction_processor.money import payout_steps
from payments.transaction_processor.money.booking import Booking, Bookkeeper, StepTerms
from payments.wire.kinds import BANK_ACCOUNT, CHARGE, DISPUTE, PAYOUT

_BATCH = 100
_NOTICES_SECONDS = 2.0
_AGAIN_SECONDS = 60
"""An answer that may not have arrived is sent again."""
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Notice).decode


def _id(row: Found) -> str:
    return row.id


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneySweeper:
    """Sweeps."""

    acquirers: Acquirers
    bank: Bank
    account_sealer: AccountSealer
    bookkeeper: Bookkeeper
    fees: FeeSchedules
    times: SandboxTimes
    pool: Pool
    clock: Clock
    log: Logger
    rows: RowByRow

    def jobs(self) -> list[Job]:
        """Return what is to be done by the clock."""
        return [
            Job(
                name="sweep notices",
                work=self.take_notices,
                every_seconds=_NOTICES_SECONDS,
                shared=True,
                waits=self.acquirers.only_sandbox("notices"),
            ),
            Job(name="sweep disputes", work=self.end_past_due, every_seconds=10, waits="disputes"),
        ]

    async def take_notices(self) -> int:
        """Store what was told, book what follows from it, and send what is to be sent; returns how much was done.

        Raises `PartFailed` when somebody couldn't be heard.
        """
        sources: list[NoticeSource] = [*self.acquirers, self.bank]
        heard = await self.rows.each("hear", sources, lambda each: each.name, self._hear, batch=len(sources), at_once=True, leased=True)
        done = await self._book_and_send()
        if heard < len(sources) and not done:
            raise PartFailed
        return done

    async def _book_and_send(self) -> int:
        now, booking = self._now(), "book notice"
        if not await notices.anything_due(self.pool, now):
            return 0
        told = await notices.waiting(self.pool, now, self.rows.limit(booking, _BATCH))
        booked = await self.rows.each(booking, told, lambda each: f"{each.source} {each.reference}", self._book, batch=_BATCH)
        to_send = await take_to_send(self.pool, now, _AGAIN_SECONDS, _BATCH)
        answered = await self.rows.each("answer dispute", to_send, _id, self._send, batch=_BATCH, leased=True)
        to_pay = await take_payouts(self.pool, now, _AGAIN_SECONDS, _BATCH)
        return booked + answered + await self.rows.each("pay out", to_pay, _id, self._pay, batch=_BATCH, leased=True)

    async def end_past_due(self) -> int:
        """Lose the disputes that nobody answered in time; returns how many."""
        sweep = "end dispute"
        due = await past_due(self.pool, self._now(), self.rows.limit(sweep, _BATCH))
        return await self.rows.each(sweep, due, _id, self._end, batch=_BATCH)

    async def _hear(self, source: NoticeSource) -> bool:
        async def keep(notice: Notice) -> bool:
            # Stored before it is acknowledged, and once: a crash in between has it told again, which changes nothing.
            await notices.record(self.pool, source.name, notice.reference, _encode(notice), self._now())
            await source.acknowledge_notice(notice.reference)
            return True

        told = await source.notices()
        await self.rows.each(f"hear {source.name}", told, lambda each: each.reference, keep, batch=len(told))
        return True

    async def _book(self, stored: StoredNotice) -> bool:
        """Book what follows from a notice. One that can't be booked is looked at again later, so that it keeps nobody else waiting."""
        try:
            result, booking = await self._follows(stored.source, _decode(stored.document))
        except Exception:
            await notices.put_off(self.pool, stored, self._now())
            raise
        if booking is None and result is None:
            await notices.put_off(self.pool, stored, self._now())
            return False
        if booking is None:
            self.log.event("notice_without_effect", source=stored.source, reference=stored.reference, reason=result)

        async def finish(connection: Connection) -> bool:
            return await notices.finish(connection, stored, result or "booked")

        return await self.bookkeeper.book(booking or Booking(), finish)

    async def _follows(self, source: str, notice: Notice) -> tuple[str | None, Booking | None]:
        """Return what follows from a notice, or why nothing does; neither while what it is about isn't there yet."""
        match notice:
            case DisputeOpened():
                return await self._opened(source, notice)
            case DisputeDecided():
                return await self._decided(source, notice)
            case PayoutPaid():
                return await self._paid(notice)
            case PayoutFailed():
                return await self._failed(notice)
            case _ as never:
                assert_never(never)

    async def _opened(self, source: str, notice: DisputeOpened) -> tuple[str | None, Booking | None]:
        """Return what follows from a new dispute, or why nothing does; neither while its charge isn't known as captured."""
        charge = await charge_of(self.pool, notice.merchant_id, notice.livemode, notice.order)
        if charge is None or not charge.captured:
            return None, None
        if charge.acquirer != source:
            return "the charge is another acquirer's", None
        fees = await self.fees.of(notice.merchant_id)
        ahead_seconds = await self.times.ahead_seconds(notice.merchant_id, livemode=notice.livemode)
        booking = steps.open_dispute(msgspec.structs.replace(notice, due_by=notice.due_by + ahead_seconds), charge, fees, self._terms())
        return ("nothing left to dispute", None) if booking is None else (None, booking)

    async def _decided(self, source: str, notice: DisputeDecided) -> tuple[str | None, Booking | None]:
        dispute = await dispute_of_case(self.pool, notice.merchant_id, notice.livemode, notice.case)
        if dispute is None:
            return None, None
        if dispute.acquirer != source:
            return "the dispute is another acquirer's", None
        if dispute.status in (DisputeStatus.WON, DisputeStatus.LOST, DisputeStatus.WARNING_CLOSED):
            return f"the dispute is {dispute.status} already", None
        if not notice.won:
            return None, steps.lose(dispute, self._terms())
        charge = await CHARGE.noun.get(self.pool, dispute.merchant_id, dispute.livemode, dispute.charge)
        if charge is None:
            raise LookupError(f"{dispute.id} is about a charge that there is not")
        return None, steps.win(dispute, charge, self._terms())

    async def _paid(self, notice: PayoutPaid) -> tuple[str | None, Booking | None]:
        payout = await PAYOUT.noun.get(self.pool, notice.merchant_id, notice.livemode, notice.payout)
        if payout is None or payout.status is PayoutStatus.PENDING:
            return None, None
        if payout.status is not PayoutStatus.IN_TRANSIT:
            return f"the payout is {payout.status} already", None
        return None, payout_steps.settle(payout, notice, self._terms())

    async def _failed(self, notice: PayoutFailed) -> tuple[str | None, Booking | None]:
        payout = await PAYOUT.noun.get(self.pool, notice.merchant_id, notice.livemode, notice.payout)
        if payout is None or payout.status is PayoutStatus.PENDING:
            return None, None
        if payout.status in (PayoutStatus.FAILED, PayoutStatus.CANCELED):
            return f"the payout is {payout.status} already", None
        if payout.status is PayoutStatus.PAID and (payout.takes_back or payout.reversed_by is not None):
            return "the payout is or was taken back: nothing is left that could come back", None
        destination = await BANK_ACCOUNT.noun.get(self.pool, payout.merchant_id, payout.livemode, payout.destination)
        original = None
        if payout.original_payout is not None:
            original = await PAYOUT.noun.get(self.pool, payout.merchant_id, payout.livemode, payout.original_payout)
        return None, payout_steps.fail(payout, notice, destination, original, self._terms())

    async def _pay(self, row: Found) -> bool:
        """Hand a payout to the bank; before that it is said that it can't be canceled any more."""
        payout = PAYOUT.noun.decode(row.document)
        if payout.status is PayoutStatus.PENDING and not await self.bookkeeper.book(payout_steps.hand_over(payout, self._terms())):
            return False
        account = await BANK_ACCOUNT.noun.get(self.pool, payout.merchant_id, payout.livemode, payout.destination)
        if account is None:
            raise LookupError(f"{payout.id} goes to a bank account that there is not")
        await self.bank.pay(
            PayoutOrder(
                reference=payout.id,
                merchant_id=payout.merchant_id,
                livemode=payout.livemode,
                amount=payout.amount,
                currency=payout.currency,
                account_number=self.account_sealer.open(account, await sealed_account_number(self.pool, account)),
                routing_number=account.routing_number,
                country=account.country,
                statement_descriptor=payout.statement_descriptor,
            )
        )
        await payout_sent(self.pool, payout)
        return True

    async def _send(self, row: Found) -> bool:
        dispute = DISPUTE.noun.decode(row.document)
        accepted = dispute.submission_count == 0
        await self.acquirers.named(dispute.acquirer).answer_dispute(
            DisputeAnswer(
                case=dispute.acquirer_case,
                merchant_id=dispute.merchant_id,
                livemode=dispute.livemode,
                accepted=accepted,
                evidence={} if accepted else dispute.evidence.given(),
            )
        )
        await answer_sent(self.pool, dispute)
        return True

    async def _end(self, row: Found) -> bool:
        return await self.bookkeeper.book(steps.lose(DISPUTE.noun.decode(row.document), self._terms()))

    def _terms(self) -> StepTerms:
        return StepTerms(now=self._now())

    def _now(self) -> int:
        return int(self.clock.now())
