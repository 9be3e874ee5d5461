"""The payment intent: the merchant's request to be paid, and the states that it goes through."""

from enum import StrEnum

from msgspec import Struct

from payments.domain.errors import UnexpectedState
from payments.domain.payment_method import PaymentMethod
from payments.domain.payment_options import Acceptance, AmountDetails, CardOptions, PaymentDetails, RadarOptions
from payments.domain.people import Shipping
from payments.domain.resource import Resource


class IntentStatus(StrEnum):
    """Where a payment stands."""

    REQUIRES_PAYMENT_METHOD = "requires_payment_method"
    REQUIRES_CONFIRMATION = "requires_confirmation"
    REQUIRES_ACTION = "requires_action"
    PROCESSING = "processing"
    REQUIRES_CAPTURE = "requires_capture"
    SUCCEEDED = "succeeded"
    CANCELED = "canceled"


ALLOWED_TRANSITIONS: dict[IntentStatus, frozenset[IntentStatus]] = {
    IntentStatus.REQUIRES_PAYMENT_METHOD: frozenset({IntentStatus.REQUIRES_CONFIRMATION, IntentStatus.PROCESSING, IntentStatus.CANCELED}),
    IntentStatus.REQUIRES_CONFIRMATION: frozenset({IntentStatus.REQUIRES_PAYMENT_METHOD, IntentStatus.PROCESSING, IntentStatus.CANCELED}),
    IntentStatus.REQUIRES_ACTION: frozenset(
        {IntentStatus.REQUIRES_PAYMENT_METHOD, IntentStatus.REQUIRES_CONFIRMATION, IntentStatus.PROCESSING, IntentStatus.CANCELED}
    ),
    IntentStatus.PROCESSING: frozenset(
        {
            IntentStatus.REQUIRES_PAYMENT_METHOD,
            IntentStatus.REQUIRES_ACTION,
            IntentStatus.REQUIRES_CAPTURE,
            IntentStatus.SUCCEEDED,
        }
    ),
    IntentStatus.REQUIRES_CAPTURE: frozenset({IntentStatus.REQUIRES_CAPTURE, IntentStatus.SUCCEEDED, IntentStatus.CANCELED}),
    IntentStatus.SUCCEEDED: frozenset(),
    IntentStatus.CANCELED: frozenset(),
}
"""Every step that a payment may take; whatever isn't here can't happen."""

CONFIRMABLE = (IntentStatus.REQUIRES_PAYMENT_METHOD, IntentStatus.REQUIRES_CONFIRMATION, IntentStatus.REQUIRES_ACTION)
CANCELABLE = (
    IntentStatus.REQUIRES_PAYMENT_METHOD,
    IntentStatus.REQUIRES_CAPTURE,
    IntentStatus.REQUIRES_CONFIRMATION,
    IntentStatus.REQUIRES_ACTION,
)
CANCELABLE_AT_STRIPE = (*CANCELABLE, IntentStatus.PROCESSING)
"""What a refusal names. Stripe's list ends in `processing`, which cards can't be canceled from either."""
CAPTURABLE = (IntentStatus.REQUIRES_CAPTURE,)
UPDATABLE_AMOUNT = (IntentStatus.REQUIRES_PAYMENT_METHOD, IntentStatus.REQUIRES_CONFIRMATION, IntentStatus.REQUIRES_ACTION)


BEHIND_CHARGE = "chi"
"""The prefix of the ids of intents that nobody made: each stands behind a charge that was made without one, and isn't shown."""


def is_behind_charge(intent_id: str) -> bool:
    """Tell whether an intent stands behind a charge of the charges API."""
    return intent_id.startswith(f"{BEHIND_CHARGE}_")


class PaymentError(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why the last confirm failed."""

    type: str = "card_error"
    code: str
    decline_code: str | None = None
    message: str
    charge: str | None = None
    payment_method: PaymentMethod | None = None
    """The card as it was, which the intent no longer names."""


class NextAction(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the customer has to do: authenticate on our challenge page."""

    type: str
    """`redirect_to_url` when the merchant gave a return URL, else `use_stripe_sdk`."""
    url: str
    return_url: str | None = None


class AutomaticPaymentMethods(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The merchant lets us choose the payment methods offered."""

    enabled: bool
    allow_redirects: str = "always"


class PaymentIntent(Resource, frozen=True, kw_only=True, omit_defaults=True):
    """The merchant's request to be paid `amount` minor units of `currency`."""

    OBJECT = "payment_intent"

    """Unix seconds."""
    version: int = 1
    """Grows by one with each change: the compare-and-set token, and the order of its events."""
    open_attempt: str | None = None
    """The attempt that is under way with the acquirer; while it is set, nobody else may move the money."""

    amount: int
    currency: str
    status: IntentStatus
    client_secret: str
    capture_method: str = "automatic_async"
    confirmation_method: str = "automatic"
    amount_capturable: int = 0
    amount_received: int = 0
    increments: int = 0
    """How often a hold was asked to be more, the refused times included."""
    capture_before: int | None = None
    """Unix seconds: when an uncaptured hold expires."""

    customer: str | None = None
    payment_method: str | None = None
    latest_charge: str | None = None
    last_payment_error: PaymentError | None = None
    next_action: NextAction | None = None
    return_url: str | None = None
    canceled_at: int | None = None
    cancellation_reason: str | None = None

    description: str | None = None
    metadata: dict[str, str] = {}
    receipt_email: str | None = None
    setup_future_usage: str | None = None
    shipping: Shipping | None = None
    statement_descriptor: str | None = None
    statement_descriptor_suffix: str | None = None
    transfer_group: str | None = None
    automatic_payment_methods: AutomaticPaymentMethods | None = None
    allowed_payment_method_types: list[str] | None = None
    excluded_payment_method_types: list[str] | None = None
    card_options: CardOptions | None = None
    mandate_data: Acceptance | None = None
    radar_options: RadarOptions | None = None
    amount_details: AmountDetails | None = None
    payment_details: PaymentDetails | None = None

    @property
    def behind_charge(self) -> bool:
        """Whether it stands behind a charge that was made without one: it isn't shown, and has no events."""
        return is_behind_charge(self.id)

    @property
    def holds(self) -> bool:
        """Whether a card is asked to hold the amount, to be captured later."""
        return self.capture_method == "manual" or (self.card_options is not None and self.card_options.capture_method == "manual")

    @property
    def future_usage(self) -> str | None:
        """What the card is kept for beyond this payment; None: for nothing."""
        of_cards = None if self.card_options is None else self.card_options.setup_future_usage
        return self.setup_future_usage if of_cards is None else None if of_cards == "none" else of_cards

    def expect(self, allowed: tuple[IntentStatus, ...], sentence: str, verb: str, *, named: tuple[IntentStatus, ...] | None = None) -> None:
        """Raise `UnexpectedState` unless the status is one of `allowed`; `sentence` says what was refused, `verb` its participle.

        `named`: the statuses that the refusal names, of which the intent's own is left out.
        """
        if self.status not in allowed:
            listed = ", ".join(status for status in named or allowed if status is not self.status)
            raise UnexpectedState(
                f"{sentence} because it has a status of {self.status}. "
                f"Only a PaymentIntent with one of the following statuses may be {verb}: {listed}.",
                self,
            )
