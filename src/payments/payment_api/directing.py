"""Says which acquirer gets a payment: what the rules of `acquirers.toml` ask for is gathered here."""

from functools import partial
from typing import TypeVar

from msgspec.structs import replace

from payments.acquirers.routing import Decision, Facts, Routes
from payments.domain.attempt import Attempt, AttemptKind
from payments.domain.payment_method import PaymentMethod
from payments.runtime.clock import Clock
from payments.storage.attempts import OpenAttempt
from payments.storage.database import Pool
from payments.storage.keys import find_account
from payments.storage.payments import Begin
from payments.storage.remembered import Remembered
from payments.wire.internal import Verification

_ACCOUNT_KEPT_SECONDS = 3600
"""A merchant's account id never changes."""

T = TypeVar("T", Begin, OpenAttempt)


class Director:
    """Chooses acquirers. Whoever asks again for the same payment is told the same."""

    def __init__(self, routes: Routes, pool: Pool, clock: Clock) -> None:
        """Read merchants' accounts through `pool`, where a rule asks for them."""
        self._routes = routes
        self._accounts = Remembered(partial(find_account, pool), clock, seconds=_ACCOUNT_KEPT_SECONDS)

    async def directed(self, carrier: T, method: PaymentMethod | None) -> T:
        """Return what carries an attempt, with its acquirer in it; `method` is the card that it is about. Raises `NoAcquirer`.

        An authorization's acquirer is chosen here, whatever makes it; what follows has that of its charge.
        """
        attempt = carrier.attempt
        if attempt is None or attempt.kind is not AttemptKind.AUTHORIZE:
            return carrier
        decision = await self._decision(attempt, method)
        chosen = replace(
            attempt,
            acquirer=decision.acquirer,
            route=decision.rule,
            fallbacks=decision.fallbacks,
            retry_declines=decision.retry_declines,
        )
        return carrier if chosen == attempt else replace(carrier, attempt=chosen)

    async def asked(self, question: Verification) -> Verification:
        """Return a question with the acquirer in it who asks the issuer; raises `NoAcquirer`."""
        method = question.payment_method
        route = self._routes.choose(await self._facts(method, merchant_id=method.merchant_id, livemode=method.livemode)).route
        return replace(question, acquirer=route.acquirer, currency=route.verifies_in)

    async def _decision(self, attempt: Attempt, method: PaymentMethod | None) -> Decision:
        facts = await self._facts(
            method,
            merchant_id=attempt.merchant_id,
            livemode=attempt.livemode,
            currency=attempt.currency,
            amount=attempt.amount,
            payment=attempt.payment_intent,
        )
        return self._routes.choose(facts)

    async def _facts(
        self,
        method: PaymentMethod | None,
        *,
        merchant_id: int,
        livemode: bool,
        currency: str | None = None,
        amount: int | None = None,
        payment: str | None = None,
    ) -> Facts:
        return Facts(
            livemode=livemode,
            account=(await self._accounts.of(merchant_id)).id if self._routes.ask_for_account else None,
            currency=currency,
            amount=amount,
            brand=None if method is None else method.card.brand,
            iin="" if method is None else method.iin,
            stored_country=None if method is None or livemode else method.card.country,
            payment=payment or (None if method is None else method.id),
        )
