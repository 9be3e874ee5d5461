"""A card on file, or one that is used once."""

from msgspec.structs import replace

from payments.domain.card import Card
from payments.domain.people import BillingDetails
from payments.domain.resource import Resource


class PaymentMethod(Resource, frozen=True, kw_only=True, omit_defaults=True):
    """A card that can be charged. The sealed number is stored beside this, never in it."""

    OBJECT = "payment_method"

    card: Card
    customer: str | None = None
    billing_details: BillingDetails = BillingDetails()
    allow_redisplay: str = "unspecified"
    metadata: dict[str, str] = {}
    set_up: bool = False
    """Its holder agreed, authenticated where the issuer wanted it, to payments while they are away."""
    consumed: bool = False
    """It was detached, or paid once without a customer: it can't be attached any more, and pays for nothing but `paid_for`."""
    paid_for: str | None = None
    """The payment intent that a card without a customer was used for; it may be tried for that one again."""
    token: str | None = None
    """The token that it was given by, until that is used."""
    iin: str = ""
    """The first six or eight digits of its number, which payments are routed by; none of a card that was stored before they were kept."""
    confirmed: str | None = None
    """The intent that its confirmation token was used for."""

    @property
    def waits_for_token(self) -> bool:
        """Whether it was given by a token that wasn't used, in whichever way."""
        return self.token is not None and not self.consumed and self.customer is None

    def may_pay_for(self, intent_id: str | None, *, named: bool) -> bool:
        """Tell whether the card may be used for a payment now (None: a new one) whose intent names it already, or not; whose customer it is isn't asked here."""
        if not self.consumed or self.customer is not None:
            return True
        # Before `paid_for` was recorded a card given with a payment was stored consumed, at its first version; a detached one never is at that.
        made_with_its_payment = self.paid_for is None and self.version == 1
        return named if made_with_its_payment else self.paid_for == intent_id and intent_id is not None

    def used_for(self, intent_id: str) -> "PaymentMethod":
        """Return the card as paying for an intent leaves it, without a customer it pays once; the same object when that changes nothing."""
        if self.customer is not None or self.paid_for == intent_id:
            return self
        return replace(self, consumed=True, paid_for=intent_id)


class CardSource(PaymentMethod, frozen=True, kw_only=True, omit_defaults=True):
    """The same card as the older API has it: a source of a customer's."""

    OBJECT = "card"
    TOLD_AS = "customer.source"
