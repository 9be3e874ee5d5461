"""The charge: what became of one authorization that reached an acquirer."""

from msgspec import Struct
from msgspec.structs import replace

from payments.domain.acquirers import SANDBOX
from payments.domain.card import Card
from payments.domain.payment_intent import is_behind_charge
from payments.domain.payment_options import Authentication, CardOptions, RadarOptions
from payments.domain.people import BillingDetails, Shipping
from payments.domain.resource import Resource


class ChargeOutcome(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the issuer and our rules judged."""

    network_status: str
    reason: str | None = None
    risk_level: str = "normal"
    risk_score: int = 20
    seller_message: str
    type: str
    """`authorized`, `issuer_declined` or `blocked`."""


class Charge(Resource, frozen=True, kw_only=True, omit_defaults=True):
    """One authorization and what was captured and returned of it; amounts in minor units."""

    OBJECT = "charge"

    amount: int
    currency: str
    status: str
    """`succeeded`, `pending` or `failed`."""
    paid: bool
    captured: bool = False
    amount_captured: int = 0
    amount_refunded: int = 0
    """What was returned or is on its way back: a refund is counted when it is recorded, and no more when it failed."""
    refunded: bool = False
    payment_intent: str
    payment_method: str
    customer: str | None = None
    card: Card
    acquirer: str = SANDBOX
    """Who authorized it: whatever follows goes there, and is booked on its accounts."""
    authorization: str | None = None
    """The attempt that authorized it, or held more of it last: the reference under which the acquirer knows the hold."""
    three_d_secure: str | None = None
    """Result of the cardholder's authentication: `authenticated`; None when none took place."""
    authentication: Authentication | None = None
    """3-D Secure that the merchant brought along; without its cryptogram."""
    moto: bool = False
    options: CardOptions | None = None
    radar_options: RadarOptions | None = None
    authorization_code: str | None = None
    network_transaction_id: str | None = None
    """Under which the card network knows the authorization; None when none was given."""
    acquirer_reference: str | None = None
    """Under which the acquirer itself knows it; None where it goes by `authorization`."""
    capture_before: int | None = None
    outcome: ChargeOutcome
    failure_code: str | None = None
    failure_message: str | None = None
    decline_code: str | None = None
    """What the issuer gave as the reason."""
    balance_transaction: str | None = None
    billing_details: BillingDetails = BillingDetails()
    description: str | None = None
    metadata: dict[str, str] = {}
    receipt_email: str | None = None
    receipt_url: str | None = None
    """Of its receipt, with a secret in it; None of one that wasn't approved."""
    shipping: Shipping | None = None
    statement_descriptor: str | None = None
    statement_descriptor_suffix: str | None = None
    transfer_group: str | None = None
    fraud_report: str | None = None
    """What the merchant says of it: `fraudulent` or `safe`."""
    disputed: bool = False
    """The cardholder disputed it, or asked about it, whatever became of that."""
    charged_back: bool = False
    """Its money is withdrawn for a dispute, or lost by it: none of it can be refunded."""
    dispute: str | None = None
    """The dispute, if there is one."""

    @property
    def alone(self) -> bool:
        """Whether it was made without a payment intent, by the charges API."""
        return is_behind_charge(self.payment_intent)

    def released(self) -> "Charge":
        """Return the charge one version on, with its hold given up: nothing was captured, and all of it counts as returned."""
        if self.amount_captured or self.amount_refunded:
            raise ValueError(f"{self.id} isn't just held")
        return replace(self, version=self.version + 1, amount_refunded=self.amount, refunded=True)

    def with_refunded(self, amount: int) -> "Charge":
        """Return the charge one version on, with `amount` more on its way back; negative for a refund that failed."""
        returned = self.amount_refunded + amount
        if not 0 <= returned <= self.amount_captured:
            raise ValueError(f"{self.id} can't have {returned} of {self.amount_captured} refunded")
        return replace(self, version=self.version + 1, amount_refunded=returned, refunded=returned == self.amount_captured)
