"""A buyer submits the form: their card is charged, or kept, once at most.

The session is changed in the commit that begins the payment, from the version that was read, and so is its intent. Of two submissions of one page, at once or one
after the other, the second finds that the session has moved on, and charges nothing.
"""

import math
from dataclasses import dataclass

from msgspec.structs import replace

from payments.domain.checkout import CheckoutSession
from payments.domain.customer import Customer
from payments.domain.errors import InvalidRequest, ObjectLocked
from payments.domain.event import Event, Origin, event_of
from payments.domain.payment_intent import IntentStatus, PaymentIntent
from payments.domain.resource import Resource, next_version
from payments.domain.setup_intent import SetupIntent, SetupStatus
from payments.payment_api.card_vault import CardVault, Vaulted
from payments.payment_api.checkout.closing import BUSY, Closing, Intent
from payments.payment_api.checkout.form import Submission
from payments.payment_api.confirmation import Cards, confirmed
from payments.payment_api.keeping import Keeping
from payments.payment_api.steps import Steps, client_secret_of
from payments.runtime.clock import Clock
from payments.runtime.ids import new_id
from payments.storage.database import Pool
from payments.storage.events import append_events
from payments.storage.payments import Begin
from payments.wire.kinds import CHECKOUT_SESSION, CUSTOMER, PAYMENT_INTENT, SETUP_INTENT

TRIES_MAX = 25
"""Of cards in one session: who has tried so many is looking for one that works."""


TRIES_AT_ONCE = 5
"""Of cards, before a while has to pass: the more it takes to try many, the less a page is worth to who has a list of stolen ones."""
PAUSE_SECONDS = 600


class TooManyTries(InvalidRequest):
    """A session has seen as many cards as it may, for now or for good; the message is the name of what the buyer is told."""

    def __init__(self, pause_seconds: int = 0) -> None:
        """`pause_seconds`: until another one is taken; 0: never."""
        super().__init__("slow_down" if pause_seconds else "too_many_tries")
        self.pause_seconds = pause_seconds


class SoldOut(InvalidRequest):
    """A payment link has been paid as often as it may, or is being paid for the last time; the message is the name of what the buyer is told."""

    def __init__(self) -> None:
        super().__init__("sold_out")


def check_pace(session: CheckoutSession, now: float) -> None:
    """Raise `TooManyTries` where no card is taken now. It is decided by the session as it was read, which is compared when the next one is: so copies agree."""
    if session.tries >= TRIES_MAX:
        raise TooManyTries
    if session.tries and session.tries % TRIES_AT_ONCE == 0 and session.tried_at is not None:
        pause_seconds = math.ceil(session.tried_at + PAUSE_SECONDS - now)
        if pause_seconds > 0:
            raise TooManyTries(pause_seconds)


def state_of(session: CheckoutSession) -> str:
    """Return what a page that is shown now was made from: a form is submitted with it, and counts only as long as it is that."""
    return f"{session.tries}-{session.amount_total}-{session.currency}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paying:
    """Charges cards, or keeps them."""

    steps: Steps
    cards: Cards
    vault: CardVault
    keeping: Keeping
    closing: Closing

    @property
    def _clock(self) -> Clock:
        return self.steps.clock

    @property
    def _pool(self) -> Pool:
        return self.steps.pool

    async def submit(self, session: CheckoutSession, intent: Intent | None, given: Submission) -> Intent:
        """Do what an open session is for; returns its intent as it is then. Raises `CardError`, `ObjectLocked` when somebody else was quicker,
        `OutcomePending`, `Overloaded`, and `InvalidRequest` when nothing can become of it.
        """
        if intent is not None and intent.status in BUSY:
            raise ObjectLocked
        check_pace(session, self._clock.now())
        card = self.vault.vault(session, given.card, given.details)
        tried = next_version(
            session,
            tries=session.tries + 1,
            tried_at=int(self._clock.now()),
            trying_since=int(self._clock.now()),
            customer_details=given.details if session.customer_email is None else replace(given.details, email=session.customer_email),
            shipping=given.shipping,
        )
        if session.mode == "setup":
            return await self._keep(tried, intent if isinstance(intent, SetupIntent) else None, card)
        return await self._pay(tried, intent if isinstance(intent, PaymentIntent) else None, card)

    async def _pay(self, session: CheckoutSession, intent: PaymentIntent | None, card: Vaulted) -> PaymentIntent:
        """Charge; `session` is as it shall be."""
        now = int(self._clock.now())
        is_new = intent is None or intent.status is IntentStatus.CANCELED
        customer, new_customer = await self._customer(session, None if is_new or intent is None else intent.customer)
        if intent is None or is_new:
            intent = self._new_intent(session, now, None if customer is None else customer.id)
        # What the buyer was shown is what is charged, whatever the merchant made of the intent since.
        intent = replace(intent, amount=session.amount_total or 0, currency=session.currency or "")
        if session.shipping is not None:
            intent = replace(intent, shipping=session.shipping)
        session = replace(session, payment_intent=intent.id)
        made: list[Customer | PaymentIntent] = [customer] if new_customer and customer is not None else []
        told = tuple(self._created(each) for each in ([*made, intent] if is_new else made))
        unit, work = confirmed(
            intent,
            card,
            unit=new_id("req"),
            now=now,
            origin=Origin(),
            claim=None,
            created=is_new,
            customer=None if new_customer else customer,
        )
        unit = replace(
            unit,
            creates=[*made, *unit.creates],
            changes=[*unit.changes, session],
            events=told,
        )
        deadline = self.steps.lease_end()
        await self.steps.begin(await self._taking(unit, session))
        return PAYMENT_INTENT.noun.decode((await self.steps.outcome_for_page(work, deadline)).snapshot)

    async def _taking(self, unit: Begin, session: CheckoutSession) -> Begin:
        """Take one of the times that a payment link may be paid, where they are counted, with the payment; raises `SoldOut`."""
        link = await self.closing.link_of(session)
        if link is None or link.completed_max is None or session.id in link.taken:
            return unit
        if link.completed + len(link.taken) >= link.completed_max:
            raise SoldOut
        return replace(unit, changes=[*unit.changes, next_version(link, taken=[*link.taken, session.id])])

    def _new_intent(self, session: CheckoutSession, now: int, customer: str | None) -> PaymentIntent:
        intent_id = new_id(PAYMENT_INTENT.noun.prefix)
        data = session.intent_data
        intent = PaymentIntent(
            id=intent_id,
            merchant_id=session.merchant_id,
            livemode=session.livemode,
            created=now,
            amount=session.amount_total or 0,
            currency=session.currency or "",
            status=IntentStatus.REQUIRES_PAYMENT_METHOD,
            client_secret=client_secret_of(intent_id),
            customer=customer,
            return_url=session.url,
            allowed_payment_method_types=session.allowed_payment_method_types,
            excluded_payment_method_types=session.excluded_payment_method_types,
        )
        if data is None:
            return intent
        return replace(
            intent,
            capture_method=data.capture_method or intent.capture_method,
            description=data.description,
            metadata=data.metadata,
            receipt_email=data.receipt_email,
            setup_future_usage=data.setup_future_usage,
            shipping=data.shipping,
            statement_descriptor=data.statement_descriptor,
            statement_descriptor_suffix=data.statement_descriptor_suffix,
            transfer_group=data.transfer_group,
        )

    async def _customer(self, session: CheckoutSession, of_intent: str | None) -> tuple[Customer | None, bool]:
        """Return whose payment it is, if it is anybody's, and whether they are new. Raises `ResourceMissing` for one who was deleted."""
        known = of_intent or session.customer
        if known is not None:
            return await self.cards.customer(session.merchant_id, session.livemode, known), False
        keeps = session.intent_data is not None and session.intent_data.setup_future_usage is not None
        if session.customer_creation != "always" and not (keeps and session.customer_creation == "if_required"):
            return None, False
        details = session.customer_details
        customer_id = new_id(CUSTOMER.noun.prefix)
        customer = Customer(
            id=customer_id,
            merchant_id=session.merchant_id,
            livemode=session.livemode,
            created=int(self._clock.now()),
            invoice_prefix=customer_id[-8:].upper(),
            email=None if details is None else details.email,
            name=None if details is None else details.name,
            phone=None if details is None else details.phone,
            address=None if details is None else details.address,
            shipping=session.shipping,
        )
        return customer, True

    async def _keep(self, session: CheckoutSession, intent: SetupIntent | None, card: Vaulted) -> SetupIntent:
        """Keep a card for later; `session` is as it shall be. Nothing is recorded before the issuer is asked, since no money moves."""
        is_new = intent is None or intent.status is SetupStatus.CANCELED
        customer, new_customer = await self._customer(session, None if is_new or intent is None else intent.customer)
        if intent is None or is_new:
            intent = self._new_setup(session, None if customer is None else customer.id)
        outcome = await self.keeping.ask(intent, card)
        kept = self.keeping.concluded(intent, card, outcome)
        waiting = await self.closing.waiting_attempt(intent, self._pool)
        session = replace(session, setup_intent=intent.id, trying_since=None)
        async with self._pool.acquire() as connection, connection.transaction():
            await CHECKOUT_SESSION.noun.update(connection, session)
            told: list[Event] = []
            if customer is not None and new_customer:
                await CUSTOMER.noun.insert(connection, customer)
                told.append(self._created(customer))
            await append_events(connection, told)
            await self.keeping.store(
                connection,
                kept,
                card,
                customer=None if new_customer else customer,
                origin=Origin(),
                created=intent if is_new else None,
                abandoned=waiting,
            )
            if kept.intent.status is SetupStatus.SUCCEEDED:
                _, told = await self.closing.complete(connection, session, kept.intent)
                await append_events(connection, told)
        self.steps.waker.wake()
        return kept.intent

    def _new_setup(self, session: CheckoutSession, customer: str | None) -> SetupIntent:
        intent_id = new_id(SETUP_INTENT.noun.prefix)
        data = session.intent_data
        return SetupIntent(
            id=intent_id,
            merchant_id=session.merchant_id,
            livemode=session.livemode,
            created=int(self._clock.now()),
            status=SetupStatus.REQUIRES_PAYMENT_METHOD,
            client_secret=client_secret_of(intent_id),
            customer=customer,
            return_url=session.url,
            description=None if data is None else data.description,
            metadata={} if data is None else data.metadata,
            allowed_payment_method_types=session.allowed_payment_method_types,
            excluded_payment_method_types=session.excluded_payment_method_types,
        )

    def _created(self, subject: Resource) -> Event:
        return event_of(new_id("evt"), f"{subject.OBJECT}.created", subject, created=int(self._clock.now()), origin=Origin())
