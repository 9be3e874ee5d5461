"""Idempotency: a repeated request gets the first one's response, and does nothing again.

Source: Stripe, "Idempotent requests".
"""

from collections.abc import Awaitable, Callable

from payments.domain.api_version import NEWEST
from payments.domain.charge import Charge
from payments.domain.errors import IdempotencyKeyInUse, IdempotencyMismatch
from payments.domain.event import Event
from payments.domain.payment_intent import PaymentIntent
from payments.runtime.clock import Clock
from payments.runtime.ids import new_id
from payments.runtime.seal import Sealer
from payments.runtime.seal_contexts import response_context
from payments.storage import claims
from payments.storage.claims import Claim
from payments.storage.database import Connection, Pool
from payments.storage.events import find_event
from payments.wire.api import Call, Reply, reply
from payments.wire.errors import NOT_TO_BE_RETRIED, charge_failed_body, payment_failed_body
from payments.wire.rendering import render, subject_of

_SHOWN_CHARACTERS_MAX = 200
_DECLINED = 402
_FIRST_REQUEST_WAIT_SECONDS = 2.0
"""How long a repetition waits for the first request to finish, before the client is told to come again."""


def claim_of(call: Call, *, response_event: str | None = None) -> Claim | None:
    """Build the claim that a call makes on its key; None when it has no key."""
    if call.claimed_key is None:
        return None
    return Claim(
        merchant_id=call.principal.merchant_id,
        livemode=call.principal.livemode,
        key=call.claimed_key,
        request_id=call.request_id,
        path=call.endpoint,
        fingerprint=call.fingerprint,
        created=call.received_at,
        api_version=call.api_version,
        response_event=response_event,
    )


def answer_id(claim: Claim | None) -> str:
    """Return the id that the event which answers a call will have: what its claim points at, or a new one without a key."""
    return new_id("evt") if claim is None or claim.response_event is None else claim.response_event


def answer_of(event: Event) -> Reply:
    """Render the response that an event answers: its object as it was then, or the refusal that it tells of."""
    subject = subject_of(event)
    if event.type == "payment_intent.payment_failed" and isinstance(subject, PaymentIntent):
        return Reply(402, payment_failed_body(subject), headers=NOT_TO_BE_RETRIED)
    if isinstance(subject, Charge) and subject.failure_code is not None:  # only what was done without an intent is answered by its charge
        return Reply(402, charge_failed_body(subject), headers=NOT_TO_BE_RETRIED)
    return reply(render(subject))


class Idempotency:
    """Runs mutations once per key."""

    def __init__(self, pool: Pool, sealer: Sealer, clock: Clock) -> None:
        """Stored responses are sealed: some show a secret once."""
        self._pool = pool
        self._sealer = sealer
        self._clock = clock

    async def once(self, call: Call, mutate: Callable[[Connection], Awaitable[Reply]]) -> Reply:
        """Run `mutate` in a transaction that also claims the key and stores the response; or replay what the key's first request got."""
        if (found := await self.seen(call)) is not None:
            return found
        claim = claim_of(call)
        async with self._pool.acquire() as connection, connection.transaction():
            if claim is None:
                return await mutate(connection)
            if await claims.insert(connection, claim):
                result = await mutate(connection)
                await claims.finish(connection, claim, result.status, self._sealer.seal(result.body, _context(claim)))
                return result
        return await self.replay(call)

    async def seen(self, call: Call) -> Reply | None:
        """Replay the key's first response if there was one, before the repetition is validated against a world that it changed itself."""
        if call.claimed_key is None:
            return None
        claim = await claims.find(self._pool, call.principal.merchant_id, call.principal.livemode, call.claimed_key)
        if claim is None:
            return None
        now = self._clock.now()
        if claim.created < now - claims.KEPT_SECONDS:
            await claims.delete_expired(self._pool, claim.merchant_id, claim.livemode, claim.key, now)
            return None
        return await self._replay(call, claim)

    async def replay(self, call: Call) -> Reply:
        """Return what the first request with this key was answered; raises `IdempotencyMismatch`, `IdempotencyKeyInUse`."""
        found = await self.seen(call)
        if found is None:  # the first request's claim was undone meanwhile
            raise IdempotencyKeyInUse(call.idempotency_key or "")
        return found

    async def _replay(self, call: Call, claim: Claim) -> Reply:
        key = call.idempotency_key or ""
        if claim.path != call.endpoint:
            raise IdempotencyMismatch(key, paths=(_path(call.endpoint), _path(claim.path)))
        if not call.repeats(claim.fingerprint):
            raise IdempotencyMismatch(key)
        if claim.status is not None and claim.sealed_body is not None:
            body = self._sealer.open(claim.sealed_body, _context(claim))
            headers = NOT_TO_BE_RETRIED if claim.status == _DECLINED else {}
            return Reply(claim.status, body, replayed=True, headers=headers, api_version=claim.api_version or NEWEST)
        if claim.response_event is None:
            raise IdempotencyKeyInUse(key)
        event = await find_event(
            self._pool, claim.merchant_id, claim.livemode, claim.response_event, wait_seconds=_FIRST_REQUEST_WAIT_SECONDS
        )
        if event is None:
            raise IdempotencyKeyInUse(key)
        result = answer_of(event)
        result.replayed, result.api_version = True, claim.api_version or NEWEST
        return result


def _path(endpoint: str) -> str:
    return endpoint.partition(" ")[2][:_SHOWN_CHARACTERS_MAX]


def _context(claim: Claim) -> bytes:
    return response_context(claim.merchant_id, claim.livemode, claim.request_id)
