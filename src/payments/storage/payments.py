"""The two commits of a payment, each for a whole batch at a time.

Commit 1 (`begin`) records what a merchant asks for before anything leaves the house. Commit 2 (`settle`) records what became of it. Both are single
set-based statements whose parts are correlated by a unit's id; a unit takes effect as a whole or not at all.

Where a unit acts on objects that exist already, all that it was decided from is locked and compared first, in the same transaction (`versions`).
"""

from collections.abc import Collection, Iterable, Sequence
from enum import StrEnum

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
from payments.storage import rows, versions
from payments.storage.accounts import Accounts
from payments.storage.claims import Claim, claim_row
from payments.storage.database import Connection, Pool, Queries
from payments.storage.sql import queries
from payments.storage.versions import Compared, Versioned

_SQL = queries("payments.sql")


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

    def encoded(self) -> "EncodedBegin":
        """Encode the rows, in the caller's time rather than the batch's."""
        unit = self.unit
        return EncodedBegin(
            unit=unit,
            claim=claim_row(unit, self.claim, merchant_id=self.merchant_id, livemode=self.livemode),
            compared=[
                *(versions.relied_on(unit, each) for each in self.relies_on),
                *(versions.changing(unit, each) for each in self.changes),
            ],
            created_intents=[rows.intent_row(unit, each) for each in self.creates if isinstance(each, PaymentIntent)],
            created_payment_methods=[
                rows.payment_method_row(unit, each, self.sealed_number) for each in self.creates if isinstance(each, PaymentMethod)
            ],
            created_refunds=[rows.refund_row(unit, each) for each in self.creates if isinstance(each, Refund)],
            changed_intents=[rows.intent_row(unit, each) for each in self.changes if isinstance(each, PaymentIntent)],
            changed_payment_methods=[rows.payment_method_row(unit, each) for each in self.changes if isinstance(each, PaymentMethod)],
            changed_charges=[rows.charge_row(unit, each) for each in self.changes if isinstance(each, Charge)],
            attempts=[rows.attempt_row(unit, self.attempt)] if self.attempt else [],
            events=[rows.event_row(unit, event) for event in self.events],
        )


class EncodedBegin(Struct, frozen=True, kw_only=True):
    """A unit of commit 1 as JSON rows, by table."""

    unit: str
    claim: bytes
    compared: list[Compared]
    created_intents: list[bytes]
    created_payment_methods: list[bytes]
    created_refunds: list[bytes]
    changed_intents: list[bytes]
    changed_payment_methods: list[bytes]
    changed_charges: list[bytes]
    attempts: list[bytes]
    events: list[bytes]


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


class EncodedSettlement(Struct, frozen=True, kw_only=True):
    """A unit of commit 2 as JSON rows, by table."""

    attempt: str
    compared: list[Compared]
    settled: bytes
    created_charges: list[bytes]
    changed_charges: list[bytes]
    changed_refunds: list[bytes]
    balance_transactions: list[bytes]
    transfers: list[bytes]
    events: list[bytes]


async def encode_settlement(settlement: Settlement, accounts: Accounts) -> EncodedSettlement:
    """Encode the rows; opens the ledger accounts that don't exist yet."""
    unit, new_charge = settlement.attempt.id, settlement.new_charge
    changed_charge = settlement.charge if new_charge is None else None
    return EncodedSettlement(
        attempt=unit,
        compared=settlement.compared(),
        settled=rows.settled_row(settlement.attempt, settlement.intent, outcome=settlement.outcome, closes=settlement.closes),
        created_charges=[rows.charge_row(unit, new_charge)] if new_charge else [],
        changed_charges=[rows.charge_row(unit, changed_charge)] if changed_charge else [],
        changed_refunds=[rows.refund_row(unit, settlement.refund)] if settlement.refund else [],
        balance_transactions=[
            rows.balance_transaction_row(unit, change, released=settlement.available_at_once or change.type != "charge")
            for change in settlement.balance_transactions
        ],
        transfers=[await accounts.transfer_row(unit, transfer) for transfer in settlement.transfers],
        events=[rows.event_row(unit, event) for event in settlement.events],
    )


class PaymentStore:
    """Writes batches of units; made to be the `write` of a `GroupCommit`."""

    def __init__(self, pool: Pool, *, lease_seconds: float) -> None:
        """`lease_seconds`: how long the first process may work on a new attempt."""
        self._pool = pool
        self._lease_seconds = lease_seconds

    async def begin(self, batch: Sequence[EncodedBegin]) -> list[Begun]:
        """Commit 1 for a batch; returns what became of each unit."""
        compared = [each for unit in batch for each in unit.compared]
        if not compared:  # nothing can have moved on: the statement is a transaction by itself
            return await self._begin(self._pool, batch, ())
        async with self._pool.acquire() as connection, connection.transaction():
            results = await self._begin(connection, batch, await versions.lock_unmoved(connection, compared))
            won = [unit for unit, result in zip(batch, results, strict=True) if result is Begun.WON]
            await _change(connection, "change_intents", (row for unit in won for row in unit.changed_intents))
            await _change(connection, "change_payment_methods", (row for unit in won for row in unit.changed_payment_methods))
            await _change(connection, "count_refunds", (row for unit in won for row in unit.changed_charges))
        return results

    async def _begin(self, connection: Queries, batch: Sequence[EncodedBegin], moved: Collection[str]) -> list[Begun]:
        found = await connection.fetch(
            _SQL["begin"],
            rows.json_array(unit.claim for unit in batch),
            rows.json_array(row for unit in batch for row in unit.created_intents),
            rows.json_array(row for unit in batch for row in unit.created_payment_methods),
            rows.json_array(row for unit in batch for row in unit.created_refunds),
            rows.json_array(row for unit in batch for row in unit.attempts),
            rows.json_array(row for unit in batch for row in unit.events),
            self._lease_seconds,
            list(moved),
        )
        results = {row["unit"]: Begun(row["result"]) for row in found}
        return [results[unit.unit] for unit in batch]

    async def settle(self, batch: Sequence[EncodedSettlement]) -> list[bool]:
        """Commit 2 for a batch; False for a unit whose attempt was settled, or of which something changed, in the meantime: it wrote nothing."""
        # Whoever carried an attempt out and whoever took it over may both have come to its end: the first of them is it.
        # In one order, so that two copies of the service that settle the same attempts wait for each other in one direction.
        firsts = sorted({unit.attempt: unit for unit in reversed(batch)}.values(), key=lambda unit: unit.attempt)
        compared = [each for unit in firsts for each in unit.compared]
        if not compared:
            won = await _settle(self._pool, firsts)
        else:
            async with self._pool.acquire() as connection, connection.transaction():
                moved = await versions.lock_unmoved(connection, compared)
                won = await _settle(connection, [unit for unit in firsts if unit.attempt not in moved])
                units = [unit for unit in firsts if unit.attempt in won]
                await _change(connection, "change_charges", (row for unit in units for row in unit.changed_charges))
                await _change(connection, "change_refunds", (row for unit in units for row in unit.changed_refunds))
        winners = {id(unit) for unit in firsts if unit.attempt in won}
        return [id(unit) in winners for unit in batch]


async def _settle(connection: Queries, batch: Sequence[EncodedSettlement]) -> set[str]:
    """Return the attempts that were settled."""
    found = await connection.fetch(
        _SQL["settle"],
        rows.json_array(unit.settled for unit in batch),
        rows.json_array(row for unit in batch for row in unit.created_charges),
        rows.json_array(row for unit in batch for row in unit.balance_transactions),
        rows.json_array(row for unit in batch for row in unit.transfers),
        rows.json_array(row for unit in batch for row in unit.events),
    )
    return {row["unit"] for row in found}


async def _change(connection: Connection, query: str, changed: Iterable[bytes]) -> None:
    """Change rows that this transaction has locked."""
    array = rows.json_array(changed)
    if array != rows.NO_ROWS:
        await connection.execute(_SQL[query], array)
