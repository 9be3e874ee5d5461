"""Keeping a card: asking its issuer, and what follows from the answer.

No money moves, so nothing has to be recorded before the issuer is asked: an answer that gets lost is asked for again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from msgspec.structs import replace

from payments.domain.customer import Customer
from payments.domain.errors import Overloaded
from payments.domain.event import Origin, event_of
from payments.domain.outcome import Approved, AuthenticationRequired, Declined, Outcome, Unknown
from payments.domain.payment_intent import PaymentError
from payments.domain.payment_method import PaymentMethod
from payments.domain.resource import Resource, next_version
from payments.domain.setup_intent import Mandate, SetupAttempt, SetupIntent, SetupStatus
from payments.payment_api.card_vault import Vaulted
from payments.payment_api.handover import HandoverClient
from payments.runtime.clock import Clock
from payments.runtime.ids import new_id
from payments.storage.database import Connection, Pool
from payments.storage.events import append_events
from payments.storage.versions import require_unmoved
from payments.storage.wakeup import Waker
from payments.wire.challenge_link import challenge_of
from payments.wire.internal import Verification
from payments.wire.kinds import MANDATE, PAYMENT_METHOD, SETUP_ATTEMPT, SETUP_INTENT

AUTHENTICATION_FAILED = PaymentError(
    type="invalid_request_error",
    code="setup_intent_authentication_failure",
    message="The latest attempt to set up the payment method has failed because authentication failed.",
)


async def store_card(connection: Connection, card: Vaulted) -> None:
    """Store a card that was just made, or that a token stood for. Raises `ObjectLocked`."""
    if card.is_stored:
        await PAYMENT_METHOD.noun.update(connection, card.method)
    else:
        await PAYMENT_METHOD.noun.insert(connection, card.method, sealed_number=card.sealed_number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """All that an answer of the issuer's changes. Objects are as they shall be."""

    intent: SetupIntent
    attempt: SetupAttempt
    method: PaymentMethod
    mandate: Mandate | None = None
    told: Sequence[tuple[str, Resource]] = ()
    """What events say of which object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """Asks issuers, and records what they say."""

    handover: HandoverClient
    trial: HandoverClient
    """To the copies that a release is tried out with."""
    pool: Pool
    waker: Waker
    clock: Clock
    public_url: str

    async def ask(
        self, intent: SetupIntent, card: Vaulted | PaymentMethod, *, moto: bool = False, authenticated: bool = False, on_trial: bool = False
    ) -> Outcome:
        """Ask the issuer whether a card may be kept; raises `Overloaded` when nobody can be asked."""
        vaulted = card if isinstance(card, Vaulted) else None
        question = Verification(
            payment_method=card.method if isinstance(card, Vaulted) else card,
            sealed_number=None if vaulted is None else vaulted.sealed_number or None,
            sealed_cvc=None if vaulted is None else vaulted.sealed_cvc,
            sets_up=True,
            asks_for_authentication=intent.card_options is not None and intent.card_options.asks_for_authentication,
            authenticated=authenticated,
            moto=moto,
        )
        return await (self.trial if on_trial else self.handover).verify(question)

    def concluded(
        self, intent: SetupIntent, card: Vaulted | PaymentMethod, outcome: Outcome, *, challenged: SetupAttempt | None = None
    ) -> Kept:
        """Return what follows from the issuer's answer; `challenged`: the attempt whose challenge the cardholder passed. Raises `Overloaded` without one."""
        method = card.method if isinstance(card, Vaulted) else card
        match outcome:
            case Approved():
                attempt = self._attempt(intent, method, "succeeded", challenged)
                return self._kept(intent, method, attempt, is_new=isinstance(card, Vaulted))
            case AuthenticationRequired():
                attempt = self._attempt(intent, method, "requires_action", challenged)
                asked = next_version(
                    intent,
                    status=SetupStatus.REQUIRES_ACTION,
                    payment_method=method.id,
                    latest_attempt=attempt.id,
                    last_setup_error=None,
                    next_action=challenge_of(intent, attempt.id, self.public_url),
                )
                return Kept(intent=asked, attempt=attempt, method=method, told=[("requires_action", asked)])
            case Declined():
                error = PaymentError(code=outcome.code, decline_code=outcome.decline_code, message=outcome.message, payment_method=method)
                return self.refused(intent, method, error, challenged)
            case Unknown():
                raise Overloaded("The card can't be verified right now. Please retry.")
            case _ as never:
                assert_never(never)

    def refused(self, intent: SetupIntent, method: PaymentMethod, error: PaymentError, challenged: SetupAttempt | None = None) -> Kept:
        """Return what follows from a refusal: the intent wants another card."""
        attempt = replace(self._attempt(intent, method, "failed", challenged), setup_error=error)
        failed = next_version(
            intent,
            status=SetupStatus.REQUIRES_PAYMENT_METHOD,
            payment_method=None,
            latest_attempt=attempt.id,
            last_setup_error=error,
            next_action=None,
        )
        return Kept(intent=failed, attempt=attempt, method=method, told=[("setup_failed", failed)])

    def _kept(self, intent: SetupIntent, method: PaymentMethod, attempt: SetupAttempt, *, is_new: bool) -> Kept:
        kept = replace(method, customer=method.customer or intent.customer, set_up=method.set_up or intent.usage == "off_session")
        if kept != method and not is_new:
            kept = replace(kept, version=method.version + 1)
        mandate = self._mandate(intent, method)
        done = next_version(
            intent,
            status=SetupStatus.SUCCEEDED,
            payment_method=method.id,
            latest_attempt=attempt.id,
            mandate=None if mandate is None else mandate.id,
            last_setup_error=None,
            next_action=None,
        )
        attached = [("attached", kept)] if kept.customer != method.customer else []
        return Kept(intent=done, attempt=attempt, method=kept, mandate=mandate, told=[*attached, ("succeeded", done)])

    def _mandate(self, intent: SetupIntent, method: PaymentMethod) -> Mandate | None:
        if intent.mandate_data is None:
            return None
        now = int(self.clock.now())
        accepted_at = intent.mandate_data.accepted_at
        return Mandate(
            id=new_id(MANDATE.noun.prefix),
            merchant_id=intent.merchant_id,
            livemode=intent.livemode,
            created=now,
            payment_method=method.id,
            customer_acceptance=replace(intent.mandate_data, accepted_at=now if accepted_at is None else accepted_at),
        )

    def _attempt(self, intent: SetupIntent, method: PaymentMethod, status: str, challenged: SetupAttempt | None) -> SetupAttempt:
        if challenged is not None:
            return next_version(challenged, status=status, three_d_secure="failed" if status == "failed" else "authenticated")
        return SetupAttempt(
            id=new_id(SETUP_ATTEMPT.noun.prefix),
            merchant_id=intent.merchant_id,
            livemode=intent.livemode,
            created=int(self.clock.now()),
            setup_intent=intent.id,
            payment_method=method.id,
            card=method.card,
            status=status,
            usage=intent.usage,
            customer=intent.customer,
        )

    async def complete(self, intent: SetupIntent, card: PaymentMethod, challenged: SetupAttempt, customer: Customer | None) -> SetupIntent:
        """The cardholder is who they say: ask the issuer again, saying so. Raises `ObjectLocked`, `Overloaded`."""
        outcome = await self.ask(intent, card, authenticated=True)
        return await self._conclude(self.concluded(intent, card, outcome, challenged=challenged), card, customer)

    async def fail(self, intent: SetupIntent, card: PaymentMethod, challenged: SetupAttempt) -> SetupIntent:
        """The cardholder failed to authenticate. Raises `ObjectLocked`."""
        return await self._conclude(self.refused(intent, card, replace(AUTHENTICATION_FAILED, payment_method=card), challenged), card, None)

    async def _conclude(self, kept: Kept, card: PaymentMethod, customer: Customer | None) -> SetupIntent:
        async with self.pool.acquire() as connection, connection.transaction():
            await self.store(connection, kept, card, customer=customer, origin=Origin())
        self.waker.wake()
        return kept.intent

    async def store(
        self,
        connection: Connection,
        kept: Kept,
        card: Vaulted | PaymentMethod,
        *,
        customer: Customer | None,
        origin: Origin,
        created: SetupIntent | None = None,
        abandoned: SetupAttempt | None = None,
    ) -> None:
        """Record it in the transaction of the call. `created`: the intent as it was made by it; `abandoned`: an attempt that another one took the place of.
        Raises `ObjectLocked`.
        """
        if customer is not None:
            await require_unmoved(connection, customer)
        if isinstance(card, Vaulted):
            await store_card(connection, replace(card, method=kept.method))
        elif kept.method.version == card.version:
            await require_unmoved(connection, card)
        else:
            await PAYMENT_METHOD.noun.update(connection, kept.method)
        if created is None:
            await SETUP_INTENT.noun.update(connection, kept.intent)
        else:
            await SETUP_INTENT.noun.insert(connection, kept.intent)
        if kept.attempt.version == 1:
            await SETUP_ATTEMPT.noun.insert(connection, kept.attempt)
        else:
            await SETUP_ATTEMPT.noun.update(connection, kept.attempt)
        if abandoned is not None:
            await SETUP_ATTEMPT.noun.update(connection, next_version(abandoned, status="abandoned"))
        if kept.mandate is not None:
            await MANDATE.noun.insert(connection, kept.mandate)
        now = int(self.clock.now())
        told = [*([("created", created)] if created is not None else []), *kept.told]
        await append_events(
            connection, [event_of(new_id("evt"), f"{about.OBJECT}.{what}", about, created=now, origin=origin) for what, about in told]
        )
