"""Open attempts: taking over those whose owner is gone, and loading what it takes to finish them."""

from collections.abc import Collection, Iterable

import msgspec
from msgspec import Struct

from payments.domain.attempt import Attempt
from payments.domain.charge import Charge
from payments.domain.outcome import Approved, AuthenticationRequired, Declined, Outcome, Unknown
from payments.domain.payment_intent import PaymentIntent
from payments.domain.payment_method import PaymentMethod
from payments.domain.refund import Refund
from payments.storage.database import Found, Pool, Queries, found
from payments.storage.sql import queries

_SQL = queries("attempts.sql")

_ASKED_AGAIN_MAX = 10_000
_LOOKED_AT_MAX = 2_000
_SHARE, _SHARE_OF_SILENT = 100, 10
"""Attempts of one acquirer that are taken over at once: of one that answers, and of one that doesn't."""
RESUBMISSIONS_PER_DAY_MAX = 3
RESUBMISSIONS_PER_MONTH_MAX = 10
"""Of one card at one merchant, in 30 days. Schemes count the merchant's own repetitions as well, which takes up the rest of what they allow: Visa 15 in 30
days, Mastercard 10 a day and 35 in 30 days. Sources: Visa, "Decline Code Management"; Mastercard, "Transaction Processing Excellence"."""


class OpenAttempt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An attempt that has no outcome yet, with all that finishing it takes. This is also what payment-api hands to transaction-processor."""

    attempt: Attempt
    intent: PaymentIntent
    payment_method: PaymentMethod
    sealed_number: str | None = None
    """None for a card on file that payment-api hands over: only transaction-processor can read its number."""
    sealed_cvc: str | None = None
    """Only on the way of a request; a takeover has none, because the code is never stored."""
    charge: Charge | None = None
    """For captures, voids and refunds: the charge as it is."""
    refund: Refund | None = None
    customer_gone: bool = False
    """The intent's customer was deleted meanwhile."""
    answered: bool = False
    """The merchant was told `processing`: the event that answers the request exists already."""

    @property
    def acquirer(self) -> str:
        """Who is asked: what follows an authorization goes where that went."""
        return self.attempt.acquirer if self.charge is None else self.charge.acquirer


class Attempts:
    """The attempts that are open."""

    def __init__(self, pool: Pool, *, lease_seconds: float) -> None:
        """`lease_seconds`: how long one process may work on an attempt that it takes over."""
        self._pool = pool
        self.lease_seconds = lease_seconds

    async def load(self, attempt: Attempt) -> OpenAttempt | None:
        """Return an attempt with its objects as they are now; None when it is closed."""
        row = await self._pool.fetchrow(_SQL["load"], attempt.merchant_id, attempt.livemode, attempt.id)
        if row is None:
            return None
        return OpenAttempt(
            attempt=msgspec.json.decode(row["attempt"], type=Attempt),
            intent=msgspec.json.decode(row["intent"], type=PaymentIntent),
            payment_method=msgspec.json.decode(row["payment_method"], type=PaymentMethod),
            sealed_number=row["sealed_number"],
            charge=None if row["charge"] is None else msgspec.json.decode(row["charge"], type=Charge),
            refund=None if row["refund"] is None else msgspec.json.decode(row["refund"], type=Refund),
            customer_gone=row["customer_gone"],
            answered=row["answered"],
        )

    async def sealed_number(self, method: PaymentMethod) -> str:
        """Return the sealed number of a card on file; raises `LookupError` when there is none."""
        sealed: str | None = await self._pool.fetchval(_SQL["sealed_number"], method.merchant_id, method.livemode, method.id)
        if sealed is None:
            raise LookupError(f"no payment method {method.id}")
        return sealed

    async def take_over(self, *, busy: Collection[str], silent: Collection[str]) -> dict[str, list[Found]]:
        """Lease attempts whose lease ran out, by the acquirers that are to be asked; each has a share, so that none waits for what another one says.

        Nothing of those that are `busy`; of those that are `silent` a few, and the others' turn comes after that of everybody else.
        """
        rows = await self._pool.fetch(
            _SQL["take_over"], self.lease_seconds, _LOOKED_AT_MAX, _SHARE, list(busy), list(silent), _SHARE_OF_SILENT
        )
        taken: dict[str, list[Found]] = {}
        for row in rows:
            if row["is_asked"]:
                taken.setdefault(row["acquirer"], []).append(Found(row["id"], row["document"]))
        return taken

    async def ask_again(self, acquirer: str) -> int:
        """Have the attempts that an acquirer left open asked about as soon as nobody is at work on them; returns how many there are, 10,000 at most."""
        return len(await self._pool.fetch(_SQL["ask_again"], acquirer, self.lease_seconds, _ASKED_AGAIN_MAX))

    async def unknown(self) -> tuple[int, int]:
        """Return how many attempts were taken over and have no outcome yet, and how many seconds ago the oldest of them was begun."""
        (found,) = await self._pool.fetch(_SQL["unknown"])
        return int(found["attempts"]), int(found["seconds"])

    async def hand_back(self, attempts: Iterable[Attempt]) -> None:
        """Give up the leases of attempts that this process won't finish."""
        keys = [{"merchant_id": a.merchant_id, "livemode": a.livemode, "id": a.id} for a in attempts]
        if keys:
            await self._pool.execute(_SQL["hand_back"], msgspec.json.encode(keys).decode())

    async def redirect(self, attempt: Attempt, *, before: str) -> bool:
        """Record that an attempt, which this process began, goes to another acquirer than `before`, and begin its lease anew.

        False when its lease is over, when it was taken over or handed back, or has an outcome.
        """
        redirected: bool | None = await self._pool.fetchval(
            _SQL["redirect"],
            attempt.merchant_id,
            attempt.livemode,
            attempt.id,
            before,
            msgspec.json.encode(attempt).decode(),
            self.lease_seconds,
        )
        return redirected is not None

    async def resubmit(self, attempt: Attempt, *, before: str, fingerprint: str) -> bool:
        """Do as `redirect` does after a decline; False also when the card of `fingerprint` was tried again too often, at this merchant."""
        redirected: bool | None = await self._pool.fetchval(
            _SQL["resubmit"],
            attempt.merchant_id,
            attempt.livemode,
            attempt.id,
            before,
            msgspec.json.encode(attempt).decode(),
            self.lease_seconds,
            fingerprint,
            RESUBMISSIONS_PER_DAY_MAX,
            RESUBMISSIONS_PER_MONTH_MAX,
        )
        return redirected is not None

    async def forget_resubmissions(self) -> None:
        """Forget what counts no more."""
        await self._pool.execute(_SQL["forget_resubmissions"])

    async def expired_holds(self, now: int, limit: int) -> list[Found]:
        """Return intents whose hold expired before `now`, unix seconds."""
        return found(await self._pool.fetch(_SQL["expired_holds"], now, limit))

    async def refund_of(self, merchant_id: int, livemode: bool, attempt_id: str) -> tuple[Refund, PaymentIntent] | None:
        """Return the refund that an attempt was for, with its intent, as they are now."""
        row = await self._pool.fetchrow(_SQL["refund_of"], merchant_id, livemode, attempt_id)
        if row is None:
            return None
        return msgspec.json.decode(row["refund"], type=Refund), msgspec.json.decode(row["intent"], type=PaymentIntent)

    async def open_follow_up(self, intent: PaymentIntent, attempt: Attempt) -> bool:
        """Record an attempt that nobody asked for; `intent` is as it shall be. False when the intent moved on."""
        opened: bool | None = await self._pool.fetchval(
            _SQL["open_follow_up"],
            intent.merchant_id,
            intent.livemode,
            intent.id,
            intent.version - 1,
            intent.version,
            attempt.id,
            msgspec.json.encode(intent).decode(),
            attempt.created,
            self.lease_seconds,
            msgspec.json.encode(attempt).decode(),
        )
        return opened is not None

    async def open_refund_failure(self, attempt: Attempt) -> bool:
        """Record that a refund's failure is being booked; False when it was recorded before."""
        opened: bool | None = await self._pool.fetchval(
            _SQL["open_refund_failure"],
            attempt.merchant_id,
            attempt.livemode,
            attempt.id,
            attempt.payment_intent,
            attempt.created,
            self.lease_seconds,
            msgspec.json.encode(attempt).decode(),
        )
        return opened is not None


async def attempts_of(connection: Queries, payment_intent: str) -> list[tuple[Attempt, str | None]]:
    """Return the first hundred attempts on a payment, whosever it is, each with its outcome in words; None: it isn't known yet."""
    found = await connection.fetch(_SQL["attempts_of"], payment_intent)
    return [(msgspec.json.decode(row["document"], type=Attempt), _in_words(row["outcome"])) for row in found]


def _in_words(outcome: str | None) -> str | None:
    if outcome is None:
        return None
    found: Outcome = msgspec.json.decode(outcome, type=Outcome)
    match found:
        case Approved():
            return "approved"
        case Declined() as refusal:
            return f"declined: {refusal.decline_code or refusal.code}"
        case AuthenticationRequired():
            return "authentication required"
        case Unknown() as silence:
            return f"not known yet: {silence.reason}"
