"""The parameters that say how a card is charged, whether it is kept, and what is bought."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict, replace

from payments.domain.errors import InvalidRequest
from payments.domain.payment_intent import PaymentIntent
from payments.domain.payment_options import (
    Acceptance,
    Authentication,
    CardOptions,
    FutureUsage,
    IfAvailable,
    RadarOptions,
)
from payments.payment_api.amount_details import AmountDetailsParam, NonNegative, PaymentDetailsParam
from payments.payment_api.given_card import GivenCard
from payments.wire.changes import HashParam
from payments.wire.params import Text

Network = Literal[
    "amex",
    "cartes_bancaires",
    "diners",
    "discover",
    "eftpos_au",
    "girocard",
    "interac",
    "jcb",
    "link",
    "mastercard",
    "unionpay",
    "unknown",
    "visa",
]


class InstallmentsParam(Struct, frozen=True, forbid_unknown_fields=True):
    """Whether plans may be offered. A plan can't be chosen, since there are none."""

    enabled: bool = False


class AuthenticationParam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """3-D Secure that somebody else carried out."""

    version: Literal["1.0.2", "2.1.0", "2.2.0", "2.3.0", "2.3.1"]
    transaction_id: Annotated[str, Meta(min_length=1, max_length=100)]
    cryptogram: Annotated[str, Meta(min_length=1, max_length=100)]
    electronic_commerce_indicator: Literal["01", "02", "05", "06", "07"] | None = None
    ares_trans_status: Literal["A", "C", "I", "N", "R", "U", "Y"] | None = None

    def __repr__(self) -> str:
        return "AuthenticationParam(…)"

    def value(self) -> Authentication:
        """Return the domain's form."""
        return Authentication(**asdict(self))


class PaymentAuthenticationParam(AuthenticationParam, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same for a payment, which may have been exempt from it."""

    exemption_indicator: Literal["low_risk", "none"] | None = None

    def __repr__(self) -> str:
        return "PaymentAuthenticationParam(…)"


class CardOptionsParam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`payment_method_options[card]`."""

    capture_method: Literal["manual", ""] | None = None
    installments: InstallmentsParam | None = None
    moto: bool | None = None
    network: Network | None = None
    request_extended_authorization: IfAvailable | None = None
    request_incremental_authorization: IfAvailable | None = None
    request_multicapture: IfAvailable | None = None
    request_overcapture: IfAvailable | None = None
    request_three_d_secure: Literal["any", "automatic", "challenge"] | None = None
    require_cvc_recollection: bool | None = None
    setup_future_usage: Literal["none", "off_session", "on_session", ""] | None = None
    statement_descriptor_suffix_kana: Annotated[str, Meta(max_length=22)] | None = None
    statement_descriptor_suffix_kanji: Annotated[str, Meta(max_length=17)] | None = None
    three_d_secure: PaymentAuthenticationParam | None = None

    def over(self, kept: CardOptions) -> CardOptions:
        """Return `kept` with what is given in its place; an empty string takes away."""
        given: dict[str, Any] = {
            name: None if value == "" else value
            for name in self.__struct_fields__
            if name not in _OF_ONE_CONFIRMATION and name != "installments" and (value := getattr(self, name)) is not None
        }
        if self.installments is not None:
            given["installments"] = self.installments.enabled
        return replace(kept, **given)


_OF_ONE_CONFIRMATION = frozenset({"moto", "three_d_secure"})
"""What isn't kept with the payment: each says how this one time is confirmed."""
_OF_A_BROWSER = frozenset({"network", "setup_future_usage", "require_cvc_recollection"})
"""What a publishable key may say."""


class PaymentMethodOptionsParam(Struct, frozen=True, forbid_unknown_fields=True):
    """`payment_method_options`."""

    card: CardOptionsParam | Literal[""] | None = None


class OnlineParam(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the customer agreed, if it was in a browser."""

    ip_address: Annotated[str, Meta(max_length=100)] = ""
    user_agent: Text = ""
    infer_from_client: bool = False
    """Stripe's browser library leaves it to the server."""


class CustomerAcceptanceParam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """That the customer agreed, and how."""

    type: Literal["online", "offline"]
    accepted_at: NonNegative | None = None
    online: OnlineParam | None = None
    offline: dict[str, Any] | Literal[""] | None = None


class MandateDataParam(Struct, frozen=True, forbid_unknown_fields=True):
    """`mandate_data`."""

    customer_acceptance: CustomerAcceptanceParam

    def value(self, *, in_browser: bool) -> Acceptance:
        """Return the domain's form; a browser needn't name itself. Raises `InvalidRequest`."""
        given = self.customer_acceptance
        if given.type == "online" and not in_browser:
            for name in ("ip_address", "user_agent"):
                if given.online is None or not getattr(given.online, name):
                    path = f"mandate_data[customer_acceptance][online][{name}]"
                    raise InvalidRequest(f"Missing required param: {path}.", code="parameter_missing", param=path)
        online = given.online or OnlineParam()
        return Acceptance(
            type=given.type, accepted_at=given.accepted_at, ip_address=online.ip_address or None, user_agent=online.user_agent or None
        )


class RadarOptionsParam(HashParam, frozen=True, kw_only=True):
    """`radar_options`."""

    OF = RadarOptions

    session: Text | UnsetType = UNSET
    referrer: Text | UnsetType = UNSET


class Options(GivenCard, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What create, update and confirm have in common."""

    amount_details: AmountDetailsParam | Literal[""] | UnsetType = UNSET
    mandate_data: MandateDataParam | Literal[""] | UnsetType = UNSET
    payment_details: PaymentDetailsParam | Literal[""] | UnsetType = UNSET
    payment_method_options: PaymentMethodOptionsParam | Literal[""] | None = None
    radar_options: RadarOptionsParam | UnsetType = UNSET
    setup_future_usage: FutureUsage | Literal[""] | UnsetType = UNSET

    @property
    def card(self) -> CardOptionsParam | None:
        """What is said of cards."""
        return (self.payment_method_options or None) and (self.payment_method_options.card or None)

    def changes(self, intent: PaymentIntent | None = None, *, in_browser: bool = False) -> Mapping[str, Any]:
        """Return the fields of a payment that aren't called or shaped as what is given, as they shall be of `intent`, or of a new one. Raises
        `InvalidRequest`.
        """
        changes: dict[str, Any] = {}
        if self.payment_method_options is not None:
            kept = None if intent is None else intent.card_options
            changes["card_options"] = _merged(kept, self.payment_method_options)
        if self.mandate_data:
            changes["mandate_data"] = self.mandate_data.value(in_browser=in_browser)
        if self.amount_details:  # `with_details` sees to it, when the amount is known
            changes["amount_details"] = None if intent is None else intent.amount_details
        return changes


def _merged(kept: CardOptions | None, given: PaymentMethodOptionsParam | Literal[""]) -> CardOptions | None:
    if given == "" or given.card == "":
        return None
    return kept if given.card is None else given.card.over(kept or CardOptions())


def check_of_confirmation(options: Options, *, confirms: bool) -> None:
    """Raise `InvalidRequest` for what says how a payment is confirmed where it isn't."""
    card = options.card
    for name in _OF_ONE_CONFIRMATION:
        if not confirms and card is not None and getattr(card, name):
            param = f"payment_method_options[card][{name}]"
            raise InvalidRequest(f"{param} can only be provided when a payment is confirmed.", param=param)


def check_browser_options(options: Options, intent: PaymentIntent) -> None:
    """Raise `InvalidRequest` for what only the merchant decides."""
    card = options.card
    for name in CardOptionsParam.__struct_fields__ if card is not None else ():
        if name not in _OF_A_BROWSER and getattr(card, name) is not None:
            param = f"payment_method_options[card][{name}]"
            raise InvalidRequest(
                f"You cannot set {param} with a publishable API key. Set it with your secret key, on your server.",
                param=param,
            )
    usage = options.setup_future_usage if options.setup_future_usage is not UNSET else None if card is None else card.setup_future_usage
    if usage is not None and intent.future_usage is not None and usage not in (intent.future_usage, "off_session"):
        raise InvalidRequest(
            "With a publishable API key, setup_future_usage can only be changed from on_session to off_session.",
            param="setup_future_usage",
        )
    for name in ("amount_details", "payment_details"):
        if getattr(options, name) is not UNSET:
            raise InvalidRequest(
                f"You cannot set {name} with a publishable API key. Set it with your secret key, on your server.",
                param=name,
            )
