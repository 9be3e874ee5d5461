"""Paying on a page of ours: the session that a buyer is led to, and what is bought in it."""

from enum import StrEnum
from typing import ClassVar, Literal

from msgspec import Struct

from payments.domain.payment_options import FutureUsage
from payments.domain.people import BillingDetails, Shipping
from payments.domain.price import Price
from payments.domain.resource import Resource

CustomerCreation = Literal["always", "if_required"]
SubmitType = Literal["auto", "book", "donate", "pay"]
Mode = Literal["payment", "setup"]

FIRST_LOOK_SECONDS = 10
"""After a payment was begun: whoever began it follows it sooner than that."""


class SessionStatus(StrEnum):
    """Where a session stands; the last two are its end."""

    OPEN = "open"
    COMPLETE = "complete"
    EXPIRED = "expired"


class IntentData(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the intent of a session will say."""

    capture_method: str | None = None
    description: str | None = None
    metadata: dict[str, str] = {}
    receipt_email: str | None = None
    setup_future_usage: FutureUsage | None = None
    shipping: Shipping | None = None
    statement_descriptor: str | None = None
    statement_descriptor_suffix: str | None = None
    transfer_group: str | None = None


class CustomText(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the merchant says on the page."""

    after_submit: str | None = None
    shipping_address: str | None = None
    submit: str | None = None


class Item(Resource, frozen=True, kw_only=True, omit_defaults=True):
    """What is bought, and how many of it: a line of a session or of a payment link. It never changes."""

    OBJECT: ClassVar[str] = "item"

    owner: str
    """The session or payment link that it is a line of."""
    price: Price
    """As it was then."""
    quantity: int
    description: str
    """The product's name as it was then."""
    currency: str
    amount: int
    """Minor units for all of them."""
    metadata: dict[str, str] = {}


class Offer(Resource, frozen=True, kw_only=True, omit_defaults=True):
    """What sessions and payment links have in common: what the page asks for, and what is done with it."""

    billing_address_collection: Literal["auto", "required"] | None = None
    currency: str | None = None
    custom_text: CustomText = CustomText()
    customer_creation: CustomerCreation | None = None
    metadata: dict[str, str] = {}
    intent_data: IntentData | None = None
    phone_number_collection: bool = False
    shipping_countries: list[str] | None = None
    """Where the goods may go, ISO 3166-1 alpha-2; None: there are none to be sent."""
    submit_type: SubmitType | None = None


class CheckoutSession(Offer, frozen=True, kw_only=True, omit_defaults=True):
    """One buyer's visit to our page, in which they pay once at most."""

    OBJECT: ClassVar[str] = "checkout.session"

    status: SessionStatus = SessionStatus.OPEN
    mode: Mode
    url: str
    """Of its page, with its secret: whoever knows that may pay, and sees what is bought."""
    secret: str
    expires_at: int
    """Unix seconds."""
    payment_status: Literal["no_payment_required", "paid", "unpaid"] = "unpaid"
    amount_total: int | None = None
    """Minor units; None where nothing is paid."""
    success_url: str | None = None
    """Where the buyer is led when it is complete; None: to a page of ours that says so."""
    confirmation: str | None = None
    """What that page says."""
    cancel_url: str | None = None
    embedded: bool = False
    """Whether its page is shown in one of the merchant's."""
    return_url: str | None = None
    """Where the merchant's page leads when an embedded one is complete; None: nowhere, that page is told."""
    redirect_on_completion: Literal["always", "if_required", "never"] | None = None
    client_reference_id: str | None = None
    customer: str | None = None
    customer_email: str | None = None
    """What the merchant says that it is."""
    customer_details: BillingDetails | None = None
    """What the buyer said."""
    shipping: Shipping | None = None
    """Where the buyer wants the goods sent."""
    payment_intent: str | None = None
    setup_intent: str | None = None
    payment_link: str | None = None
    visit: str | None = None
    """Of a payment link, or of a session that expired: a buyer's visit opens one session, however often it is submitted."""
    recovers: bool = False
    """Whether the buyer may begin anew when it has expired."""
    recovered_from: str | None = None
    locale: str | None = None
    allowed_payment_method_types: list[str] | None = None
    excluded_payment_method_types: list[str] | None = None
    tries: int = 0
    """How often the buyer has submitted a card."""
    tried_at: int | None = None
    """Unix seconds: when that was the last time."""
    trying_since: int | None = None
    """Unix seconds: when a payment was begun of which nobody has told the session yet how it ended."""

    @property
    def email(self) -> str | None:
        """The buyer's, by which sessions are found."""
        return None if self.customer_details is None else self.customer_details.email

    @property
    def client_secret(self) -> str | None:
        """What the merchant's page needs to show an embedded one: all that its address is made of."""
        if not self.embedded:
            return None
        mode = "live" if self.livemode else "test"
        return f"{self.id}_secret_{mode}_{self.merchant_id}_{self.secret}"

    @property
    def due_at(self) -> int | None:
        """Unix seconds: when it has to be looked at next though nobody asks; None when it has ended."""
        if self.status is not SessionStatus.OPEN:
            return None
        return self.expires_at if self.trying_since is None else min(self.trying_since + FIRST_LOOK_SECONDS, self.expires_at)


class PaymentLink(Offer, frozen=True, kw_only=True, omit_defaults=True):
    """A page of the merchant's that anybody may buy from, each in a session of their own."""

    OBJECT: ClassVar[str] = "payment_link"

    url: str
    active: bool = True
    inactive_message: str | None = None
    redirect_url: str | None = None
    """Where the buyer is led afterwards; None: to a page of ours that says `confirmation`."""
    confirmation: str | None = None
    payment_method_types: list[str] | None = None
    completed_max: int | None = None
    """How many sessions of it may be completed."""
    completed: int = 0
    """How many were, as far as that is counted: where there is a limit."""
    taken: list[str] = []
    """Where there is a limit, the sessions that are being paid and count already."""
