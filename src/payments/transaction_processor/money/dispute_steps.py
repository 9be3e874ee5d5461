"""The steps of a dispute, and what each changes: the dispute, its charge, the books and the events. Pure.

Each takes objects as they are, and gives them as they shall be, one version on.
"""

from msgspec.structs import replace

from payments.acquirers.notices import DisputeOpened
from payments.domain.balance_transaction import BalanceTransaction
from payments.domain.charge import Charge
from payments.domain.dispute import Dispute, DisputeStatus
from payments.domain.fees import FeeSchedule
from payments.ledger import postings
from payments.ledger.transfer import Transfer
from payments.runtime.ids import new_id
from payments.transaction_processor.money.booking import Booking, StepTerms, told


def open_dispute(notice: DisputeOpened, charge: Charge, fees: FeeSchedule, terms: StepTerms) -> Booking | None:
    """Begin a dispute; None when nothing of the charge is left that could be disputed, since it was refunded or is disputed already."""
    left = 0 if charge.disputed else charge.amount_captured - charge.amount_refunded
    amount = min(notice.amount, left)
    if amount <= 0 or notice.currency != charge.currency:
        return None
    dispute = Dispute(
        id=new_id("dp"),
        merchant_id=charge.merchant_id,
        livemode=charge.livemode,
        created=terms.now,
        amount=amount,
        currency=charge.currency,
        charge=charge.id,
        payment_intent=charge.payment_intent,
        status=DisputeStatus.WARNING_NEEDS_RESPONSE if notice.inquiry else DisputeStatus.NEEDS_RESPONSE,
        inquiry=notice.inquiry,
        reason=notice.reason,
        network_reason_code=notice.network_reason_code,
        brand=charge.card.brand,
        due_by=notice.due_by,
        acquirer=charge.acquirer,
        acquirer_case=notice.case,
    )
    changes: list[BalanceTransaction] = []
    transfers: list[Transfer] = []
    events = ["charge.dispute.created"]
    if not notice.inquiry:
        change = _adjustment(dispute, -amount, fees.dispute_fee(charge.currency), f"Chargeback withdrawal for {charge.id}", terms)
        changes, dispute = [change], replace(dispute, balance_transactions=[change])
        transfers = postings.dispute(terms.books(dispute), change.id, amount, change.fee, terms.now)
        events.append("charge.dispute.funds_withdrawn")
    return Booking(
        changes=[
            replace(charge, version=charge.version + 1, disputed=True, charged_back=not notice.inquiry, dispute=dispute.id),
        ],
        creates=dispute,
        columns={
            "charge": dispute.charge,
            "payment_intent": dispute.payment_intent,
            "amount": dispute.amount,
            "currency": dispute.currency,
            "acquirer_case": dispute.acquirer_case,
        },
        balance_transactions=changes,
        transfers=transfers,
        events=[told(event, dispute, terms.now, terms.origin) for event in events],
    )


def stage(dispute: Dispute, changed: Dispute, terms: StepTerms) -> Booking:
    """Keep what the merchant gave, and tell the bank nothing yet."""
    return Booking(changes=[changed], events=[told("charge.dispute.updated", changed, terms.now, terms.origin, dispute)])


def submit(dispute: Dispute, changed: Dispute, terms: StepTerms) -> Booking:
    """Hand the evidence in: it can't be changed any more."""
    status = DisputeStatus.WARNING_UNDER_REVIEW if dispute.inquiry else DisputeStatus.UNDER_REVIEW
    submitted = replace(changed.moved_to(status, submission_count=dispute.submission_count + 1), version=changed.version)
    return stage(dispute, submitted, terms)


def lose(dispute: Dispute, terms: StepTerms) -> Booking:
    """End a dispute against the merchant: what was withheld is the cardholder's. An inquiry just ends."""
    if dispute.inquiry:
        return _closed(dispute.moved_to(DisputeStatus.WARNING_CLOSED), [], terms)
    (withdrawal,) = dispute.balance_transactions
    transfers = postings.dispute_loss(terms.books(dispute), withdrawal.id, dispute.amount, terms.now)
    return _closed(dispute.moved_to(DisputeStatus.LOST), transfers, terms)


def win(dispute: Dispute, charge: Charge, terms: StepTerms) -> Booking:
    """End a dispute for the merchant, who gets back what was withheld. An inquiry just ends."""
    if dispute.inquiry:
        return lose(dispute, terms)
    change = _adjustment(dispute, dispute.amount, 0, f"Chargeback reversal for {dispute.charge}", terms)
    dispute = dispute.moved_to(DisputeStatus.WON, balance_transactions=[*dispute.balance_transactions, change])
    return Booking(
        changes=[replace(charge, version=charge.version + 1, charged_back=False), dispute],
        balance_transactions=[change],
        transfers=postings.dispute_reversal(terms.books(dispute), change.id, dispute.amount, terms.now),
        events=[
            told("charge.dispute.funds_reinstated", dispute, terms.now, terms.origin),
            told("charge.dispute.closed", dispute, terms.now, terms.origin),
        ],
    )


def _closed(dispute: Dispute, transfers: list[Transfer], terms: StepTerms) -> Booking:
    return Booking(changes=[dispute], transfers=transfers, events=[told("charge.dispute.closed", dispute, terms.now, terms.origin)])


def _adjustment(dispute: Dispute, amount: int, fee: int, description: str, terms: StepTerms) -> BalanceTransaction:
    return BalanceTransaction(
        id=new_id("txn"),
        merchant_id=dispute.merchant_id,
        livemode=dispute.livemode,
        created=terms.now,
        amount=amount,
        fee=fee,
        currency=dispute.currency,
        type="adjustment",
        source=dispute.id,
        available_on=terms.now,
        description=description,
    )
