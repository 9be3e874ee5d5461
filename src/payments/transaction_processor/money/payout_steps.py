"""The steps of a payout, and what each changes: the payout, the books and the events. Pure.

Each takes objects as they are, and gives them as they shall be, one version on.
"""

from msgspec.structs import replace

from payments.acquirers.notices import PayoutFailed, PayoutPaid
from payments.domain.balance_transaction import BalanceTransaction
from payments.domain.bank_account import BankAccount
from payments.domain.money import CURRENCIES
from payments.domain.payout import Payout, PayoutStatus
from payments.ledger import postings
from payments.runtime.ids import new_id
from payments.transaction_processor.money.booking import Booking, StepTerms, told

PENDING_SECONDS = 10
"""How long a payout can be canceled, before it is handed to the bank."""
_PAYOUT_STEPS = {"huf": 100, "twd": 100}
"""Whole in payouts, though not in payments. Source: Stripe, "Currencies", "Special cases"."""
_DAY_SECONDS = 24 * 3600
_SATURDAY = 5
_ARRIVAL_DAYS = 2
"""Days on which banks work until the money arrives."""


def arrival_date(now: int) -> int:
    """Return when a payout of now is expected in the bank: the beginning of a day in UTC, unix seconds."""
    day = now // _DAY_SECONDS
    for _ in range(_ARRIVAL_DAYS):
        day += 1
        while (day + 3) % 7 >= _SATURDAY:  # day 0 was a Thursday
            day += 1
    return day * _DAY_SECONDS


def step_of(currency: str) -> int:
    """Return the minor units that divide every payout in a currency."""
    return max(CURRENCIES[currency].step, _PAYOUT_STEPS.get(currency, 1))


def create(payout: Payout, destination: BankAccount, terms: StepTerms, *, holds: int | None = None) -> Booking:
    """Take the funds, and have the payout sent in a while. Its balance must hold as much; of an automatic one `holds` exactly, of which it is all."""
    change = _change(payout, -payout.amount, "payout", "Payout", terms)
    payout = replace(payout, balance_transaction=change.id)
    return Booking(
        creates=payout,
        columns=_columns(payout, terms.now + PENDING_SECONDS),
        relies_on=[destination],
        covered=terms.books(payout).available,
        holds=holds,
        balance_transactions=[change],
        transfers=postings.payout(terms.books(payout), change.id, payout.amount, terms.now),
        events=[told("payout.created", payout, terms.now, terms.origin)],
    )


def take_back(original: Payout, back: Payout, destination: BankAccount, terms: StepTerms) -> Booking:
    """Have the bank fetch what was paid; the merchant has it again when the bank does."""
    reversed_by = replace(original, version=original.version + 1, reversed_by=back.id)
    return Booking(
        changes=[reversed_by],
        creates=back,
        columns=_columns(back, terms.now + PENDING_SECONDS),
        relies_on=[destination],
        events=[
            told("payout.created", back, terms.now, terms.origin),
            told("payout.updated", reversed_by, terms.now, terms.origin, original),
        ],
    )


def cancel(payout: Payout, original: Payout | None, terms: StepTerms) -> Booking:
    """Give the funds back before the bank has the payout. What was to be taken back, of `original`, may be asked for again."""
    if payout.takes_back:
        return _freed(_ended(payout.moved_to(PayoutStatus.CANCELED), [], terms, "payout.canceled"), original, terms)
    change = _change(payout, payout.amount, "payout_cancel", "Payout canceled", terms)
    canceled = payout.moved_to(PayoutStatus.CANCELED, failure_balance_transaction=change.id)
    return _ended(canceled, [change], terms, "payout.canceled")


def hand_over(payout: Payout, terms: StepTerms) -> Booking:
    """Say that the bank is about to have it: from now on it can't be canceled."""
    handed = payout.moved_to(PayoutStatus.IN_TRANSIT)
    return Booking(changes=[handed], events=[told("payout.updated", handed, terms.now, terms.origin, payout)])


def settle(payout: Payout, notice: PayoutPaid, terms: StepTerms) -> Booking:
    """The bank has paid; or it has what is taken back, which is the merchant's now."""
    paid = payout.moved_to(PayoutStatus.PAID, trace_id=notice.trace_id)
    if not payout.takes_back:
        return _ended(paid, [], terms, "payout.paid")
    change = _change(payout, -payout.amount, "payout", "Payout reversal", terms)
    return _ended(replace(paid, balance_transaction=change.id), [change], terms, "payout.paid")


def fail(payout: Payout, notice: PayoutFailed, destination: BankAccount | None, original: Payout | None, terms: StepTerms) -> Booking:
    """The bank couldn't pay, or what it paid came back: the funds are the merchant's again. What couldn't be taken back may be tried again."""
    changes = [] if payout.takes_back else [_change(payout, payout.amount, "payout_failure", "Payout failure", terms)]
    failed = payout.moved_to(
        PayoutStatus.FAILED,
        failure_code=notice.code,
        failure_message=notice.message,
        failure_balance_transaction=changes[0].id if changes else None,
    )
    booking = _ended(failed, changes, terms, "payout.failed")
    others: list[BankAccount] = []
    events = [*booking.events]
    if destination is not None and not destination.errored and not destination.deleted:
        errored = replace(destination, version=destination.version + 1, errored=True)
        others.append(errored)
        events.append(told("account.external_account.updated", errored, terms.now, terms.origin, destination))
    return _freed(replace(booking, changes=[*booking.changes, *others], events=events), original, terms)


def _freed(booking: Booking, original: Payout | None, terms: StepTerms) -> Booking:
    if original is None:
        return booking
    freed = replace(original, version=original.version + 1, reversed_by=None)
    told_of = told("payout.updated", freed, terms.now, terms.origin, original)
    return replace(booking, changes=[*booking.changes, freed], events=[*booking.events, told_of])


def _ended(payout: Payout, changes: list[BalanceTransaction], terms: StepTerms, event: str) -> Booking:
    return Booking(
        changes=[payout],
        balance_transactions=changes,
        transfers=[
            each for change in changes for each in postings.payout_reversal(terms.books(payout), change.id, change.amount, terms.now)
        ],
        events=[told(event, payout, terms.now, terms.origin)],
    )


def _columns(payout: Payout, send_at: int) -> dict[str, object]:
    return {
        "amount": payout.amount,
        "currency": payout.currency,
        "destination": payout.destination,
        "arrival_date": payout.arrival_date,
        "send_at": send_at,
    }


def _change(payout: Payout, amount: int, kind: str, description: str, terms: StepTerms) -> BalanceTransaction:
    return BalanceTransaction(
        id=new_id("txn"),
        merchant_id=payout.merchant_id,
        livemode=payout.livemode,
        created=terms.now,
        amount=amount,
        currency=payout.currency,
        type=kind,
        source=payout.id,
        available_on=terms.now,
        description=payout.description or description,
    )
