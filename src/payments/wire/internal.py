"""What the services say to each other: payment-api hands attempts over, transaction-processor answers as outcomes are committed.

The call makes a payment prompt; it is not what makes it happen. An attempt is in the database before it is handed over, and an answer that gets lost is found
there. The shapes may only grow: old and new copies talk to each other during a release.
"""

import hmac

from msgspec import Struct

from payments.domain.acquirers import SANDBOX
from payments.domain.event import Event
from payments.domain.outcome import Outcome
from payments.domain.payment_method import PaymentMethod
from payments.runtime.topology import INTERNAL_PATH_PREFIX
from payments.storage.attempts import OpenAttempt

ATTEMPTS_PATH = f"{INTERNAL_PATH_PREFIX}attempts"
ACQUIRERS_PATH = f"{INTERNAL_PATH_PREFIX}acquirers"
VERIFICATIONS_PATH = f"{INTERNAL_PATH_PREFIX}verifications"


class Handover(Struct, frozen=True, kw_only=True):
    """A batch of new attempts."""

    deadline: float
    """Unix seconds: after it the sweeper may have taken the attempts over, and nobody else may start on them."""
    attempts: list[OpenAttempt]


class Answer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the response: the event that answers the request for one attempt, or None while there is none."""

    attempt: str
    event: Event | None = None


class Verification(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A question to the issuer: is this card good?"""

    payment_method: PaymentMethod
    sealed_number: str | None = None
    """None for a card on file: only transaction-processor can read its number."""
    sealed_cvc: str | None = None
    sets_up: bool = False
    """The card is to be kept for payments while its holder is away: the issuer may want them to authenticate."""
    asks_for_authentication: bool = False
    """The merchant wants that in any case."""
    authenticated: bool = False
    """They did."""
    moto: bool = False
    acquirer: str = SANDBOX
    """Who asks the issuer."""
    currency: str = "usd"
    """In which it is asked; no money moves."""


class Verdict(Struct, frozen=True, kw_only=True):
    """The issuer's answer."""

    outcome: Outcome


def is_internal_caller(authorization: str | None, internal_api_key: str) -> bool:
    """Tell whether a call carries the services' own key."""
    return hmac.compare_digest((authorization or "").encode(), f"Bearer {internal_api_key}".encode())
