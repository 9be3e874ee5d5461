"""What is said over HTTP, in both directions. Whoever reads ignores fields that it doesn't know, so that either side may add some."""

from typing import Literal

from msgspec import Struct

from payments.domain.attempt import AttemptKind

OrderKind = Literal["authorize", "increment", "capture", "void", "refund", "verify"]


class CardMessage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A card. It is on its way to the bank only: nothing prints or keeps it."""

    number: str
    exp_month: int
    exp_year: int
    cvc: str | None = None

    def __repr__(self) -> str:
        return "CardMessage(…)"


class ThreeDSecureMessage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """3-D Secure that the merchant brought along."""

    version: str
    cryptogram: str
    electronic_commerce_indicator: str | None = None
    transaction_id: str | None = None

    def __repr__(self) -> str:
        return "ThreeDSecureMessage(…)"


class OrderMessage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the bank is asked to do; the reference is the same in every repetition."""

    reference: str
    kind: OrderKind
    merchant: str
    """Ours, by its number."""
    amount: int
    """Minor units; for a void what is released, for an increment what is to be held in all."""
    currency: str
    """ISO 4217, in lower case."""
    livemode: bool
    created: int
    """Unix seconds: the same in every repetition, too."""
    capture: bool | None = None
    """Of an authorization: claim the money at once."""
    original_reference: str | None = None
    """Of what follows an authorization: its reference, or that of its last increment."""
    card: CardMessage | None = None
    three_d_secure: ThreeDSecureMessage | None = None
    moto: bool = False
    off_session: bool = False


class ApprovedMessage(Struct, frozen=True, kw_only=True, tag="approved", omit_defaults=True):
    """Done."""

    reference: str
    amount: int
    currency: str
    authorization_code: str
    network_transaction_id: str | None = None
    cvc_check: str | None = None


class DeclinedMessage(Struct, frozen=True, kw_only=True, tag="declined", omit_defaults=True):
    """The issuer said no, or the bank did: nothing was held, and nothing will be."""

    reference: str
    amount: int
    currency: str
    decline_code: str = "generic_decline"


class PendingMessage(Struct, frozen=True, kw_only=True, tag="pending"):
    """It isn't decided yet: ask again later."""

    reference: str


class NotFoundMessage(Struct, frozen=True, kw_only=True, tag="not_found"):
    """Answer to a question only, with status 404: the order never came, and is taken for new if it comes."""

    reference: str


AnswerMessage = ApprovedMessage | DeclinedMessage | PendingMessage | NotFoundMessage


class HealthMessage(Struct, frozen=True, kw_only=True):
    """Whether orders are taken."""

    status: str
    """`ok`, or what is wrong in a word."""


KINDS: dict[AttemptKind, OrderKind] = {
    AttemptKind.AUTHORIZE: "authorize",
    AttemptKind.INCREMENT: "increment",
    AttemptKind.CAPTURE: "capture",
    AttemptKind.VOID: "void",
    AttemptKind.REFUND: "refund",
}
