"""The two commits of a payment, each for a whole batch at a time.

Commit 1 (`begin`) records what a merchant asks for before anything leaves the house. Commit 2 (`settle`) records what became of it. Both are single
set-based statements whose parts are correlated by a unit's id; a unit takes effect as a whole or not at all.
"""

from collections.abc import Sequence
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
from payments.storage import rows
from payments.storage.accounts import Accounts
from payments.storage.claims import Claim, claim_row
from payments.storage.database import Pool, Row
from payments.storage.sql import queries

_SQL = queries("payments.sql")


class Begun(StrEnum):
    """What became of a unit of commit 1."""

    WON = "won"
    """Everything in it is durable."""
    KEY_TAKEN = "key_taken"
    """Another request owns the idempotency key; nothing was written."""
    LOCKED = "locked"
    """The intent changed meanwhile or is with the acquirer; nothing was written."""


class Begin(Struct, frozen=True, kw_only=True):
    """A unit of commit 1. Its id is the API request's, which is unique."""

    unit: str
    merchant_id: int
    livemode: bool
    claim: Claim | None = None
    new_intent: PaymentIntent | None = None
    changed_intent: PaymentIntent | None = None
    """The intent as it shall be, one version on from what was read."""
    payment_method: PaymentMethod | None = None
    sealed_number: str = ""
    refund: Refund | None = None
    attempt: Attempt | None = None
    events: Sequence[Event] = ()

    def encoded(self) -> "EncodedBegin":
        """Encode the rows, in the caller's time rather than the batch's."""
        unit = self.unit
        return EncodedBegin(
            unit=unit,
            claim=claim_row(
                unit, self.claim, merchant_id=self.merchant_id, livemode=self.livemode, changes_intent=self.changed_intent is not None
            ),
            changed_intents=[rows.intent_row(unit, self.changed_intent)] if self.changed_intent else [],
            new_intents=[rows.intent_row(unit, self.new_intent)] if self.new_intent else [],
            payment_methods=[rows.payment_method_row(unit, self.payment_method, self.sealed_number)] if self.payment_method else [],
            refunds=[rows.refund_row(unit, self.refund)] if self.refund else [],
            attempts=[rows.attempt_row(unit, self.attempt)] if self.attempt else [],
            events=[rows.event_row(unit, event) for event in self.events],
        )


class EncodedBegin(Struct, frozen=True, kw_only=True):
    """A unit of commit 1 as JSON rows, by table."""

    unit: str
    claim: bytes
    changed_intents: list[bytes]
    new_intents: list[bytes]
    payment_methods: list[bytes]
    refunds: list[bytes]
    attempts: list[bytes]
    events: list[bytes]


class Settlement(Struct, frozen=True, kw_only=True):
    """A unit of commit 2: the outcome of an attempt and all that follows from it."""

    attempt: str
    outcome: Outcome
    intent: PaymentIntent
    """The intent as it shall be, one version on; its `open_attempt` is still set when the outcome is unknown."""
    charge: Charge | None = None
    refund: Refund | None = None
    balance_transactions: Sequence[BalanceTransaction] = ()
    available_at_once: bool = False
    """The transfers already make the net amounts available."""
    transfers: Sequence[Transfer] = ()
    events: Sequence[Event] = ()


class EncodedSettlement(Struct, frozen=True, kw_only=True):
    """A unit of commit 2 as JSON rows, by table."""

    attempt: str
    intent: bytes
    charges: list[bytes]
    refunds: list[bytes]
    balance_transactions: list[bytes]
    transfers: list[bytes]
    events: list[bytes]


async def encode_settlement(settlement: Settlement, accounts: Accounts) -> EncodedSettlement:
    """Encode the rows; opens the ledger accounts that don't exist yet."""
    unit = settlement.attempt
    return EncodedSettlement(
        attempt=unit,
        intent=rows.intent_row(unit, settlement.intent, outcome=settlement.outcome),
        charges=[rows.charge_row(unit, settlement.charge)] if settlement.charge else [],
        refunds=[rows.refund_row(unit, settlement.refund)] if settlement.refund else [],
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
        arguments = (
            rows.json_array(unit.claim for unit in batch),
            rows.json_array(row for unit in batch for row in unit.changed_intents),
            rows.json_array(row for unit in batch for row in unit.new_intents),
            rows.json_array(row for unit in batch for row in unit.payment_methods),
            rows.json_array(row for unit in batch for row in unit.refunds),
            rows.json_array(row for unit in batch for row in unit.attempts),
            rows.json_array(row for unit in batch for row in unit.events),
            self._lease_seconds,
        )
        if not any(unit.changed_intents for unit in batch):  # nothing can be locked: the statement is a transaction by itself
            found = await self._pool.fetch(_SQL["begin"], *arguments)
            return _begun(batch, found)
        async with self._pool.acquire() as connection, connection.transaction():
            results = _begun(batch, await connection.fetch(_SQL["begin"], *arguments))
            locked = [unit.claim for unit, result in zip(batch, results, strict=True) if result is Begun.LOCKED]
            if locked:
                await connection.execute(_SQL["release_claims"], rows.json_array(locked))
        return results

    async def settle(self, batch: Sequence[EncodedSettlement]) -> list[bool]:
        """Commit 2 for a batch; False for a unit whose attempt was settled, or whose intent changed, in the meantime: it wrote nothing."""
        found = await self._pool.fetch(
            _SQL["settle"],
            rows.json_array(unit.intent for unit in batch),
            rows.json_array(row for unit in batch for row in unit.charges),
            rows.json_array(row for unit in batch for row in unit.refunds),
            rows.json_array(row for unit in batch for row in unit.balance_transactions),
            rows.json_array(row for unit in batch for row in unit.transfers),
            rows.json_array(row for unit in batch for row in unit.events),
        )
        won = {row["unit"] for row in found}
        return [unit.attempt in won for unit in batch]


def _begun(batch: Sequence[EncodedBegin], found: Sequence[Row]) -> list[Begun]:
    won = {row["unit"]: Begun.WON if row["won"] else Begun.LOCKED for row in found}
    return [won.get(unit.unit, Begun.KEY_TAKEN) for unit in batch]
