"""Keeping a card for later payments without paying now: the intent, each attempt at it, and what the customer agreed to."""

from enum import StrEnum
from typing import ClassVar

from payments.domain.card import Card
from payments.domain.errors import UnexpectedState
from payments.domain.payment_intent import AutomaticPaymentMethods, NextAction, PaymentError
from payments.domain.payment_options import Acceptance, CardOptions
from payments.domain.resource import Resource


class SetupStatus(StrEnum):
    """Where keeping a card stands."""

    REQUIRES_PAYMENT_METHOD = "requires_payment_method"
    REQUIRES_CONFIRMATION = "requires_confirmation"
    REQUIRES_ACTION = "requires_action"
    SUCCEEDED = "succeeded"
    CANCELED = "canceled"


OPEN = (SetupStatus.REQUIRES_PAYMENT_METHOD, SetupStatus.REQUIRES_CONFIRMATION, SetupStatus.REQUIRES_ACTION)
"""What may still be changed, confirmed and canceled."""


class SetupIntent(Resource, frozen=True, kw_only=True, omit_defaults=True):
    """The merchant's wish to keep a card for later payments."""

    OBJECT: ClassVar[str] = "setup_intent"

    status: SetupStatus
    client_secret: str
    usage: str = "off_session"
    customer: str | None = None
    payment_method: str | None = None
    latest_attempt: str | None = None
    mandate: str | None = None
    mandate_data: Acceptance | None = None
    """What the customer agreed to, until the card is kept: then it is a mandate."""
    last_setup_error: PaymentError | None = None
    next_action: NextAction | None = None
    return_url: str | None = None
    cancellation_reason: str | None = None
    description: str | None = None
    metadata: dict[str, str] = {}
    automatic_payment_methods: AutomaticPaymentMethods | None = None
    allowed_payment_method_types: list[str] | None = None
    excluded_payment_method_types: list[str] | None = None
    card_options: CardOptions | None = None

    def expect_open(self, sentence: str, verb: str) -> None:
        """Raise `UnexpectedState` where nothing can become of it any more; `sentence` says what was refused, `verb` its participle."""
        if self.status not in OPEN:
            listed = ", ".join(OPEN)
            raise UnexpectedState(
                f"{sentence} because it has a status of {self.status}. "
                f"Only a SetupIntent with one of the following statuses may be {verb}: {listed}.",
                self,
            )


class SetupAttempt(Resource, frozen=True, kw_only=True, omit_defaults=True):
    """One try at keeping a card."""

    OBJECT: ClassVar[str] = "setup_attempt"

    setup_intent: str
    payment_method: str
    card: Card
    status: str
    """`succeeded`, `failed`, `requires_action` or `abandoned`."""
    usage: str
    customer: str | None = None
    setup_error: PaymentError | None = None
    three_d_secure: str | None = None
    """Result of the cardholder's authentication: `authenticated` or `failed`; None when none took place."""


class Mandate(Resource, frozen=True, kw_only=True, omit_defaults=True):
    """What a customer agreed to: payments with a card, as often as the merchant asks for them."""

    OBJECT: ClassVar[str] = "mandate"

    payment_method: str
    customer_acceptance: Acceptance
    status: str = "active"
