"""Asks acquirers. An authorization goes on to the next one while it is certain that nobody has it.

An attempt is sent only to the acquirer that its record names. The record is changed by whoever began the attempt, while nobody has taken it over, and
before anything is sent to the next one. So whoever takes it over, at whatever moment, asks the only acquirer that may have it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from msgspec.structs import replace

from payments.acquirers.acquirer import NotSent, Order
from payments.acquirers.declines import AUTHENTICATION_REQUIRED, PROCESSING_ERROR, declined
from payments.acquirers.registry import Acquirers, UnknownAcquirer
from payments.domain.acquirers import NOBODY, SANDBOX
from payments.domain.attempt import Attempt, Tried
from payments.domain.outcome import AuthenticationRequired, Declined, Final, NotFound, Outcome, Unknown
from payments.runtime.clock import Clock
from payments.runtime.logging import Logger
from payments.storage.attempts import Attempts

Question = Callable[[], Awaitable[Outcome]] | Callable[[], Awaitable[Final | Unknown | NotFound]]

NOBODY_TOOK_IT = declined(PROCESSING_ERROR, sent=False)
"""Of an authorization that no acquirer was there to take: nothing was sent, so the customer may try again at once."""
_SEND_RETRY_SECONDS = (0.1, 0.3, 1.0)
"""An order that nobody was there to take is sent again after so long, where there is nobody else to send it to."""


class LeaseOver(Exception):
    """The lease of an attempt is about to run out, or has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Sends orders and questions."""

    acquirers: Acquirers
    attempts: Attempts
    clock: Clock
    log: Logger
    timeout_seconds: float
    """How long an acquirer may take."""

    def check_lease(self, lease_end: float) -> None:
        """Raise `LeaseOver` unless an answer comes before `lease_end`, unix seconds.

        To be asked last of all: this process may have stood still until now, and somebody else may be about to send the same.
        """
        if self.clock.now() > lease_end - self.timeout_seconds:
            raise LeaseOver

    async def ask(self, name: str, question: Question) -> Outcome | NotFound:
        """Ask an acquirer, and again when nobody is there; raises `UnknownAcquirer`."""
        try:
            return await self._asked(name, question, patient=True)
        except NotSent as failure:
            return Unknown(reason=f"not sent: {failure}")

    async def authorize(self, attempt: Attempt, order: Order, lease_end: float, *, fingerprint: str) -> tuple[Attempt, Outcome | NotFound]:
        """Send a new authorization to its acquirer, or to the first after it that takes it; returns it as it is recorded then, and the outcome.

        `fingerprint`: the card's. Only for whoever began the attempt, and once. Raises `LeaseOver` when others may be about to send it.
        """
        refusal: Declined | None = None
        while True:
            tried = await self._try(attempt, order, lease_end)
            if isinstance(tried, str):
                reason = tried
            elif isinstance(tried, Declined) and tried.decline_code in attempt.retry_declines and attempt.fallbacks:
                refusal, reason = tried, f"declined: {tried.decline_code}"
            else:
                return attempt, tried
            # Asked for before the lease is begun anew, not after it.
            lease_end = self.clock.now() + self.attempts.lease_seconds
            going_on = _going_on(attempt, reason, int(self.clock.now()))
            if isinstance(tried, str):
                if not await self.attempts.redirect(going_on, before=attempt.acquirer):
                    raise LeaseOver
            elif not await self.attempts.resubmit(going_on, before=attempt.acquirer, fingerprint=fingerprint):
                return attempt, tried
            self.log.event("attempt_goes_on", attempt=attempt.id, acquirer=attempt.acquirer, to=going_on.acquirer, reason=reason)
            attempt = going_on
            if attempt.acquirer == NOBODY:
                return attempt, refusal or NOBODY_TOOK_IT

    async def _try(self, attempt: Attempt, order: Order, lease_end: float) -> Outcome | NotFound | str:
        """Send an authorization to the acquirer that its record names; returns why it wasn't, when it is certain that nothing went out."""
        name = attempt.acquirer
        try:
            acquirer, breaker = self.acquirers.named(name), self.acquirers.breaker(name)
        except UnknownAcquirer:
            return "not sent: it isn't configured"
        self.check_lease(lease_end)
        if not breaker.admits():
            return f"not sent: its breaker is {breaker.state}"
        try:
            return await self._asked(name, lambda: acquirer.execute(order), patient=not attempt.fallbacks)
        except NotSent as failure:
            return f"not sent: {failure}"

    async def _asked(self, name: str, question: Question, *, patient: bool) -> Outcome | NotFound:
        """Ask, and remember how it was answered; raises `NotSent`, `UnknownAcquirer`."""
        self.acquirers.named(name)
        try:
            answer = await self._answer(question, _SEND_RETRY_SECONDS if patient else ())
        except NotSent as failure:
            self.acquirers.not_sent(name, str(failure), self.clock.now())
            raise
        self.acquirers.heard(name, answer, self.clock.now())
        if isinstance(answer, AuthenticationRequired) and name != SANDBOX:
            # The challenge that we can show is the sandbox's: whoever passed it proved nothing to a bank.
            return declined(AUTHENTICATION_REQUIRED)
        return answer

    async def _answer(self, question: Question, pauses_seconds: tuple[float, ...]) -> Outcome | NotFound:
        unsent: NotSent | None = None
        try:
            async with asyncio.timeout(self.timeout_seconds):
                for pause_seconds in (*pauses_seconds, None):
                    try:
                        return await question()
                    except NotSent as failure:
                        if pause_seconds is None:
                            raise
                        unsent = failure
                    await asyncio.sleep(pause_seconds)
                    unsent = None
        except TimeoutError:
            if unsent is not None:  # it came in a pause
                raise unsent from None
            return Unknown(reason="timeout")
        except NotSent:
            raise
        except Exception as failure:  # noqa: BLE001 - whatever failed, the order may have gone through
            self.log.error("acquirer", failure)
            return Unknown(reason=type(failure).__name__)
        raise AssertionError("unreachable: the last pass returns or raises")


def _going_on(attempt: Attempt, reason: str, now: int) -> Attempt:
    """Return an attempt as it is meant for the next acquirer, or for nobody."""
    following, *rest = (*attempt.fallbacks, NOBODY)
    return replace(
        attempt,
        acquirer=following,
        fallbacks=tuple(rest[:-1]) if rest else (),
        tried=(*attempt.tried, Tried(acquirer=attempt.acquirer, reason=reason, at=now)),
    )
