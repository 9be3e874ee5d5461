"""The two commits of a payment, each for a whole batch at a time.

Commit 1 (`begin`) records what a merchant asks for before anything leaves the house. Commit 2 (`settle`) records what became of it. Both are single
set-based statements whose parts are correlated by a unit's id; a unit takes effect as a whole or not at all.

Where a unit acts on objects that exist already, all that it was decided from is locked and compared first, in the same transaction (`versions`).
"""

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from payments.domain.attempt import Attempt
from payments.domain.balance_transaction import BalanceTransaction
from payments.domain.charge import Charge
from payments.domain.checkout import CheckoutSession, PaymentLink
from payments.domain.customer import Customer
from payments.domain.event import Event
from payments.domain.outcome import Outcome
from payments.domain.payment_intent import PaymentIntent
from payments.domain.payment_method import PaymentMethod
from payments.domain.refund import Refund
from payments.domain.resource import Resource
from payments.ledger.transfer import Transfer
from payments.storage import commit, rows, versions
from payments.storage.accounts import Accounts
from payments.storage.claims import Claim
from payments.storage.commit import EncodedUnit
from payments.storage.database import Pool
from payments.storage.versions import Compared, Versioned


class Begun(StrEnum):
    """What became of a unit of commit 1."""

    WON = "won"
    """Everything in it is durable."""
    KEY_TAKEN = "key_taken"
    """Another request owns the idempotency key; nothing was written."""
    LOCKED = "locked"
    """Something that it was decided from changed meanwhile, or the intent is with the acquirer; nothing was written."""


_CREATED: dict[type[Resource], str] = {
    PaymentMethod: "created_payment_methods",
    PaymentIntent: "created_intents",
    Refund: "created_refunds",
    Customer: "created_customers",
}
_CHANGED: dict[type[Resource], str] = {
    PaymentMethod: "changed_payment_methods",
    PaymentIntent: "changed_intents",
    Charge: "counted_refunds",
    CheckoutSession: "changed_sessions",
    PaymentLink: "changed_links",
}
"""The parts of commit 1 that write each kind."""


class Begin(Struct, frozen=True, kw_only=True):
    """A unit of commit 1. Its id is the API request's, which is unique."""

    unit: str
    merchant_id: int
    livemode: bool
    claim: Claim | None = None
    creates: Sequence[PaymentIntent | PaymentMethod | Refund | Customer] = ()
    changes: Sequence[PaymentIntent | PaymentMethod | Charge | CheckoutSession | PaymentLink] = ()
    """Objects as they shall be, one version on from what was read: each is compared."""
    relies_on: Sequence[Versioned] = ()
    """What else the decision was read from, as it was read."""
    sealed_number: str = ""
    """Of the payment method that it creates."""
    attempt: Attempt | None = None
    pays_with: PaymentMethod | None = None
    """The card that an authorization is about."""
    events: Sequence[Event] = ()

    def compared(self) -> list[Compared]:
        """Return what must be as it was read."""
        relied_on = [versions.relied_on(self.unit, each) for each in self.relies_on]
        return [*relied_on, *(versions.changing(self.unit, each) for each in self.changes)]

    def encoded(self, *, lease_seconds: float) -> EncodedUnit:
        """Make the rows, in the caller's time rather than the batch's; `lease_seconds`: how long the first process may work on the attempt."""
        compared = self.compared()
        made = EncodedUnit(id=self.unit, itself=rows.BEGINNINGS.row(self, self.claim and self.claim.key, len(compared)), compared=compared)
        if self.claim is not None:
            made.add("claims", self.claim)
        for parts, subjects, sealed_number in ((_CREATED, self.creates, self.sealed_number), (_CHANGED, self.changes, None)):
            for each in subjects:
                made.add(parts[type(each)], each, *([sealed_number] if isinstance(each, PaymentMethod) else []))
        if self.attempt is not None:
            made.add("attempts", self.attempt, lease_seconds)
        for event in self.events:
            made.add("events", event)
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
    payment_method: PaymentMethod | None = None
    """The card as it shall be, one version on, where the payment changes it: it is kept for later ones."""
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
        changed = [each for each in (self.charge, self.payment_method, self.refund) if each is not None and each is not self.new_charge]
        if self.intent is not None and not changed:
            return []
        compared = [versions.changing(unit, each) for each in changed]
        if self.payment_method is not None and self.payment_method.customer is not None:
            compared.append(versions.still_there(unit, self.payment_method))
        if self.intent is not None:
            compared.append(versions.changing(unit, self.intent, open_attempt=unit))
        return [*compared, versions.still_open(unit, self.attempt, answered=not self.answers)]


async def encode_settlement(settlement: Settlement, accounts: Accounts) -> EncodedUnit:
    """Make the rows; opens the ledger accounts that don't exist yet."""
    unit, new_charge = settlement.attempt.id, settlement.new_charge
    compared = settlement.compared()
    itself = rows.OUTCOMES.row(settlement, settlement.intent is not None, len(compared))
    made = EncodedUnit(id=unit, itself=itself, compared=compared)
    if settlement.intent is not None:
        made.add("advanced", settlement.intent)
    if settlement.charge is not None:
        made.add("changed_charges" if new_charge is None else "created_charges", settlement.charge)
    if settlement.payment_method is not None:
        made.add("changed_payment_methods", settlement.payment_method, None)
    if settlement.refund is not None:
        made.add("changed_refunds", settlement.refund)
    for change in settlement.balance_transactions:
        released = settlement.available_at_once or change.type != "charge"
        made.add("balance_transactions", change, released)
    for transfer in settlement.transfers:
        made.add("transfers", transfer, await accounts.id_of(transfer.debit), await accounts.id_of(transfer.credit))
    for event in settlement.events:
        made.add("events", event)
    return made


class PaymentStore:
    """Writes batches of units; made to be the `write` of a `GroupCommit`."""

    def __init__(self, pool: Pool) -> None:
        """Write through `pool`."""
        self._pool = pool

    async def begin(self, batch: Sequence[EncodedUnit]) -> list[Begun]:
        """Commit 1 for a batch; returns what became of each unit."""
        results = {row["unit"]: Begun(row["result"]) for row in await commit.write(self._pool, commit.BEGIN, batch)}
        return [results[unit.id] for unit in batch]

    async def settle(self, batch: Sequence[EncodedUnit]) -> list[bool]:
        """Commit 2 for a batch; False for a unit whose attempt was settled, or of which something changed, in the meantime: it wrote nothing."""
        # Whoever carried an attempt out and whoever took it over may both have come to its end: the first of them is it.
        # In one order, so that two copies of the service that settle the same attempts wait for each other in one direction.
        firsts = sorted({unit.id: unit for unit in reversed(batch)}.values(), key=lambda unit: unit.id)
        won = {row["unit"] for row in await commit.write(self._pool, commit.SETTLE, firsts)}
        winners = {id(unit) for unit in firsts if unit.id in won}
        return [id(unit) in winners for unit in batch]
