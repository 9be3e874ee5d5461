"""One step of what happens to money after a payment, and writing it: objects, balance transactions, events and transfers in one transaction.

A step is decided from objects as they were read, which are given as they shall be, one version on: whoever comes second finds them changed, and writes nothing.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from payments.domain.acquirers import SANDBOX
from payments.domain.balance_transaction import BalanceTransaction
from payments.domain.dispute import Dispute
from payments.domain.errors import InvalidRequest, ObjectLocked
from payments.domain.event import Event, Origin, event_of
from payments.domain.money import format_amount
from payments.domain.payout import Payout
from payments.domain.resource import Resource
from payments.ledger import postings
from payments.ledger.chart import Account
from payments.ledger.transfer import Transfer
from payments.runtime.clock import Clock
from payments.runtime.ids import new_id
from payments.storage.accounts import Accounts
from payments.storage.columns import Row
from payments.storage.commit import write_alone
from payments.storage.database import Connection, Pool
from payments.storage.disputes import send_answer
from payments.storage.events import append_events
from payments.storage.payouts import gather_rest, lock_balances
from payments.storage.rows import BALANCE_TRANSACTIONS, TRANSFERS
from payments.storage.versions import Versioned, require_unmoved
from payments.storage.wakeup import Waker
from payments.wire.kinds import KINDS
from payments.wire.objects import changed_attributes
from payments.wire.rendering import render


class Booking(Struct, frozen=True, kw_only=True):
    """One step; it takes effect as a whole or not at all."""

    relies_on: Sequence[Versioned] = ()
    """What else it was decided from, as it was read."""
    changes: Sequence[Resource] = ()
    creates: Resource | None = None
    columns: dict[str, object] = {}
    """What SQL knows of what is created, beside what it knows of all of its kind."""
    answers: Dispute | None = None
    """The dispute whose answer is to be handed to the acquirer from now on."""
    covered: Account | None = None
    """The account that its transfers may not take below zero."""
    holds: int | None = None
    """What that account must hold, of which the payout that is created is all: an automatic one."""
    balance_transactions: Sequence[BalanceTransaction] = ()
    transfers: Sequence[Transfer] = ()
    events: Sequence[Event] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTerms:
    """What a step depends on besides its objects."""

    now: int
    """Unix seconds."""
    origin: Origin = field(default_factory=Origin)
    """The API request that asked for it, if one did."""

    def books(self, subject: Dispute | Payout) -> postings.Books:
        """Return the accounts that a step touches."""
        # A payout moves nothing that an acquirer owes us.
        acquirer = subject.acquirer if isinstance(subject, Dispute) else SANDBOX
        return postings.Books(subject.merchant_id, subject.livemode, acquirer, subject.currency)


Also = Callable[[Connection], Awaitable[bool]]
"""What else is written in a step's transaction; False: not after all."""


@dataclass(frozen=True, slots=True)
class Posting:
    """The transfers of a step."""

    rows: Sequence[Row]
    accounts: Mapping[int, Account]
    """Those that they touch, by id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bookkeeper:
    """Writes steps."""

    pool: Pool
    accounts: Accounts
    waker: Waker
    clock: Clock

    async def rows_of(self, booking: Booking) -> Posting:
        """Return the transfers as rows, before the transaction begins: an account that is new is opened on a connection of its own."""
        rows: list[Row] = []
        accounts: dict[int, Account] = {}
        for each in booking.transfers:
            debit, credit = await self.accounts.id_of(each.debit), await self.accounts.id_of(each.credit)
            accounts |= {debit: each.debit, credit: each.credit}
            rows.append(TRANSFERS.row(each, debit, credit, ""))
        return Posting(rows, accounts)

    async def write(self, connection: Connection, booking: Booking, posting: Posting) -> None:
        """Write a step in a transaction that is open; raises `ObjectLocked` when something that it was decided from changed, or is changing, and
        `InvalidRequest` when there isn't enough to take.
        """
        await require_unmoved(connection, *booking.relies_on)
        for subject in booking.changes:
            await KINDS[subject.OBJECT].noun.update(connection, subject)
        if booking.answers is not None:
            await send_answer(connection, booking.answers, int(self.clock.now()))
        if booking.creates is not None:
            await KINDS[booking.creates.OBJECT].noun.insert(connection, booking.creates, **booking.columns)
        if booking.balance_transactions:
            rows = [BALANCE_TRANSACTIONS.row(each, True, "") for each in booking.balance_transactions]
            await write_alone(connection, "balance_transactions", rows)
        if booking.events:
            await append_events(connection, booking.events)
        if posting.rows:
            # Last: everybody's balances are locked from here on, and whoever has them waits for nothing any more.
            if booking.covered is not None:
                await _check_covered(connection, booking, posting)
            await write_alone(connection, "transfers", posting.rows)

    async def book(self, booking: Booking, also: Also | None = None) -> bool:
        """Write a step that nobody asked for; False when somebody else was first. `also` comes before all else in its transaction."""
        posting = await self.rows_of(booking)
        try:
            async with self.pool.acquire() as connection, connection.transaction():
                if also is not None and not await also(connection):
                    return False
                await self.write(connection, booking, posting)
        except ObjectLocked:
            return False
        self.waker.wake()
        return True


async def _check_covered(connection: Connection, booking: Booking, posting: Posting) -> None:
    """Lock the balances, and raise `InvalidRequest` when a step takes more of one than it holds: of two that want all of it, the second sees what is left.
    Raises `ObjectLocked` when a step is of all that one held, and it holds something else by now.
    """
    held = await lock_balances(connection, list(posting.accounts))
    taken = sum(each.amount for each in booking.transfers if each.debit == booking.covered)
    (available,) = [held[account_id] for account_id, account in posting.accounts.items() if account == booking.covered]
    if booking.holds is not None:
        if available != booking.holds:
            raise ObjectLocked
        if isinstance(booking.creates, Payout):
            await gather_rest(connection, booking.creates)
    if taken > available and booking.covered is not None:
        currency = booking.covered.currency
        raise InvalidRequest(
            f"You have insufficient funds for this payout of {format_amount(taken, currency)}: your available balance is "
            f"{format_amount(available, currency)}.",
            code="balance_insufficient",
        )


def told(event_type: str, subject: Resource, now: int, origin: Origin, before: Resource | None = None) -> Event:
    """Build an event about an object as it is now; of an update, `before` is what it was."""
    previous: dict[str, Any] | None = None if before is None else changed_attributes(render(before), render(subject))
    return event_of(new_id("evt"), event_type, subject, created=now, origin=origin, previous_attributes=previous)
