"""Payments as the stores take them."""

import time

from payments.domain.attempt import Attempt, AttemptKind
from payments.domain.card import Card
from payments.domain.event import Origin, event_of
from payments.domain.fees import FeeSchedule
from payments.domain.outcome import Outcome
from payments.domain.payment_intent import IntentStatus, PaymentIntent
from payments.domain.payment_method import PaymentMethod
from payments.runtime.ids import new_id
from payments.runtime.seal import EnvelopeKeys
from payments.storage.attempts import OpenAttempt
from payments.storage.claims import Claim
from payments.storage.payments import Begin, Settlement
from payments.transaction_processor.settlement import Terms, settlement_of


class FakeClock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.time = time.time()

    def now(self) -> float:
        return self.time


class Key:
    """A key provider with a key."""

    def __init__(self, key: bytes = b"k" * 32) -> None:
        self._key = key

    def envelope_keys(self) -> EnvelopeKeys:
        return EnvelopeKeys.of(self._key)


def payment(
    merchant_id: int = 1,
    *,
    key: str | None = None,
    amount: int = 2000,
    created: int | None = None,
    sealed_number: str = "sealed",
    manual: bool = False,
) -> tuple[Begin, OpenAttempt]:
    """Commit 1 of a payment that is confirmed as it is created, and the work that follows."""
    now = created or int(time.time())
    method = PaymentMethod(
        id=new_id("pm"),
        merchant_id=merchant_id,
        livemode=False,
        created=now,
        card=Card(brand="visa", last4="4242", exp_month=12, exp_year=2034, fingerprint="f"),
    )
    intent_id, attempt_id, unit = new_id("pi"), new_id("att"), new_id("req")
    intent = PaymentIntent(
        id=intent_id,
        merchant_id=merchant_id,
        livemode=False,
        created=now,
        amount=amount,
        currency="usd",
        status=IntentStatus.PROCESSING,
        client_secret=f"{intent_id}_secret_x",
        open_attempt=attempt_id,
        payment_method=method.id,
        capture_method="manual" if manual else "automatic",
    )
    attempt = Attempt(
        id=attempt_id,
        merchant_id=merchant_id,
        livemode=False,
        created=now,
        kind=AttemptKind.AUTHORIZE,
        payment_intent=intent_id,
        charge=new_id("ch"),
        amount=amount,
        currency="usd",
        payment_method=method.id,
        outcome_event=new_id("evt"),
    )
    claim = None
    if key is not None:
        claim = Claim(
            merchant_id=merchant_id,
            livemode=False,
            key=key,
            request_id=unit,
            path="POST /v1/payment_intents",
            fingerprint="f",
            created=now,
            response_event=attempt.outcome_event,
        )
    begin = Begin(
        unit=unit,
        merchant_id=merchant_id,
        livemode=False,
        claim=claim,
        creates=(method, intent),
        sealed_number=sealed_number,
        attempt=attempt,
        events=(event_of(new_id("evt"), "payment_intent.created", intent, created=now, origin=Origin()),),
    )
    return begin, OpenAttempt(attempt=attempt, intent=intent, payment_method=method, sealed_number=sealed_number)


def settlement(work: OpenAttempt, outcome: Outcome) -> Settlement:
    """Commit 2 of it."""
    made = settlement_of(work, outcome, Terms(now=int(time.time()), fees=FeeSchedule(), acquirer="simulator", public_url="http://tap"))
    assert made is not None
    return made
