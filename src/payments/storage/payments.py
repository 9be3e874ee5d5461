"""The two commits of a payment, each for a whole batch at a time.

Commit 1 (`begin`) records what a merchant asks for before anything leaves the house. Commit 2 (`settle`) records what became of it. Both are single
set-based statements whose parts are correlated by a unit's id; a unit takes effect as a whole or not at all.

Where a unit acts on objects that exist already, all that it was decided from is locked and compared first, in the same transaction (`versions`).
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec
from msgspec import Struct

from payments.domain.attempt import Attempt
from payments.domain.balance_transaction import BalanceTransaction
from payments.domain.charge import Charge
from payments.domain.event import Event
from payments.domain.outcome import Outcome
from payments.domain.payment_intent import PaymentIntent
from payments.domain.payment_method import PaymentMethod
from payments.domain.refund import Refund
from payments.ledger.transfer import Transfer
from payments.storage import commit, rows, versions
from payments.storage.accounts import Accounts
from payments.storage.claims import Claim
from payments.storage.commit import EncodedUnit
from payments.storage.database import Pool
from payments.storage.versions import Compared, Versioned

_CLAIMED = commit.CLAIM.values_of


class Begun(StrEnum):
    """What became of a unit of commit 1."""

    WON = "won"
    """Everything in it is durable."""
    KEY_TAKEN = "key_taken"
    """Another request owns the idempotency key; nothing was written."""
    LOCKED = "locked"
    """Something that it was decided from changed meanwhile, or the intent is with the acquirer; nothing was written."""


class Begin(Struct, frozen=True, kw_only=True):
    """A unit of commit 1. Its id is the API request's, which is unique."""

    unit: str
    merchant_id: int
    livemode: bool
    claim: Claim | None = None
    creates: Sequence[PaymentIntent | PaymentMethod | Refund] = ()
    changes: Sequence[PaymentIntent | PaymentMethod | Charge] = ()
    """Objects as they shall be, one version on from what was read: each is compared."""
    relies_on: Sequence[Versioned] = ()
    """What else the decision was read from, as it was read."""
    sealed_number: str = ""
    """Of the payment method that it creates."""
    attempt: Attempt | None = None
    events: Sequence[Event] = ()

    def encoded(self, *, lease_seconds: float) -> EncodedUnit:
        """Make the rows, in the caller's time rather than the batch's; `lease_seconds`: how long the first process may work on the attempt."""
        unit, claim = self.unit, self.claim
        claimed = (None,) * 6 if claim is None else _CLAIMED(claim)
        made = EncodedUnit(
            unit=unit,
            head=(self.merchant_id, self.livemode, *claimed),
            compared=[
                *(versions.relied_on(unit, each) for each in self.relies_on),
                *(versions.changing(unit, each) for each in self.changes),
            ],
        )
        for each in self.creates:
            match each:
                case PaymentMethod():
                    made.add("created_payment_methods", rows.payment_method_row(unit, each, self.sealed_number))
                case PaymentIntent():
                    made.add("created_intents", rows.intent_row(unit, each))
                case Refund():
                    made.add("created_refunds", rows.refund_row(unit, each))
        for each in self.changes:
            match each:
                case PaymentMethod():
                    made.add("changed_payment_methods", rows.payment_method_row(unit, each))
                case PaymentIntent():
                    made.add("changed_intents", rows.intent_row(unit, each))
                case Charge():
                    made.add("counted_refunds", rows.charge_row(unit, each))
        if self.attempt is not None:
            made.add("attempts", rows.attempt_row(unit, self.attempt, lease_seconds))
        for event in self.events:
            made.add("events", rows.event_row(unit, event))
        return made


class Settlement(Struct, frozen=True, kw_only=True):
    """A unit of commit 2: the outcome of an attempt and all that follows from it."""

    attempt: Attempt
    outcome: Outcome
    closes: bool = True
    """The attempt has its outcome; else it stays open, and the merchant is told that it isn't known yet."""
    intent: PaymentIntent | None = None
    """The intent as it shall be, one version on; its `open_attempt` is still set when the outcome is unknown. None: it isn't concerned."""
    charge: Charge | None = None
    """The charge that an authorization leaves, or one as it shall be, one version on."""
    refund: Refund | None = None
    """The refund as it shall be, one version on."""
    balance_transactions: Sequence[BalanceTransaction] = ()
    available_at_once: bool = False
    """The transfers already make the net amounts available."""
    transfers: Sequence[Transfer] = ()
    events: Sequence[Event] = ()

    @property
    def new_charge(self) -> Charge | None:
        """The charge, if this makes it."""
        return self.charge if self.charge is not None and self.charge.version == 1 else None

    @property
    def answers(self) -> bool:
        """Whether this tells the answer to the request, which is told once; else it was told before that the outcome isn't known yet."""
        return any(event.id == self.attempt.outcome_event for event in self.events)

    def compared(self) -> list[Compared]:
        """Return what must be as it was read. Nothing where the statement itself sees to it: an intent alone is compared by its update."""
        unit = self.attempt.id
        changed = [each for each in (self.charge, self.refund) if each is not None and each is not self.new_charge]
        if self.intent is not None and not changed:
            return []
        compared = [versions.changing(unit, each) for each in changed]
        if self.intent is not None:
            compared.append(versions.changing(unit, self.intent, open_attempt=unit))
        return [*compared, versions.still_open(unit, self.attempt, answered=not self.answers)]


async def encode_settlement(settlement: Settlement, accounts: Accounts) -> EncodedUnit:
    """Make the rows; opens the ledger accounts that don't exist yet."""
    attempt, unit, new_charge = settlement.attempt, settlement.attempt.id, settlement.new_charge
    made = EncodedUnit(
        unit=unit,
        head=(
            attempt.merchant_id,
            attempt.livemode,
            settlement.closes,
            settlement.intent is not None,
            msgspec.json.encode(settlement.outcome),
        ),
        compared=settlement.compared(),
    )
    if settlement.intent is not None:
        made.add("advanced", rows.intent_row(unit, settlement.intent))
    if settlement.charge is not None:
        made.add("changed_charges" if new_charge is None else "created_charges", rows.charge_row(unit, settlement.charge))
    if settlement.refund is not None:
        made.add("changed_refunds", rows.refund_row(unit, settlement.refund))
    for change in settlement.balance_transactions:
        released = settlement.available_at_once or change.type != "charge"
        made.add("balance_transactions", rows.balance_transaction_row(unit, change, released=released))
    for transfer in settlement.transfers:
        made.add("transfers", await accounts.transfer_row(unit, transfer))
    for event in settlement.events:
        made.add("events", rows.event_row(unit, event))
    return made


class PaymentStore:
    """Writes batches of units; made to be the `write` of a `GroupCommit`."""

    def __init__(self, pool: Pool) -> None:
        """Write through `pool`."""
        self._pool = pool

    async def begin(self, batch: Sequence[EncodedUnit]) -> list[Begun]:
        """Commit 1 for a batch; returns what became of each unit."""
        results = {row["unit"]: Begun(row["result"]) for row in await commit.write(self._pool, commit.BEGIN, batch)}
        return [results[unit.unit] for unit in batch]

    async def settle(self, batch: Sequence[EncodedUnit]) -> list[bool]:
        """Commit 2 for a batch; False for a unit whose attempt was settled, or of which something changed, in the meantime: it wrote nothing."""
        # Whoever carried an attempt out and whoever took it over may both have come to its end: the first of them is it.
        # In one order, so that two copies of the service that settle the same attempts wait for each other in one direction.
        firsts = sorted({unit.unit: unit for unit in reversed(batch)}.values(), key=lambda unit: unit.unit)
        won = {row["unit"] for row in await commit.write(self._pool, commit.SETTLE, firsts)}
        winners = {id(unit) for unit in firsts if unit.unit in won}
        return [id(unit) in winners for unit in batch]
