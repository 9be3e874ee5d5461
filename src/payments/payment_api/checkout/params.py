"""The parameters of checkout sessions and payment links, and the checks that need no object."""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from msgspec import UNSET, Meta, Struct, UnsetType

from payments.domain.checkout import CustomerCreation, CustomText, IntentData, SubmitType
from payments.domain.errors import InvalidRequest
from payments.domain.payment_options import FutureUsage
from payments.payment_api.given_card import Id
from payments.payment_api.intent_params import CaptureMethod, Description, check_statement_descriptors
from payments.payment_api.prices import UnitAmountDecimal
from payments.payment_api.product_params import Images, ProductName, TaxDetailsParam, UnitLabel
from payments.wire.changes import merge_metadata
from payments.wire.params import MetadataParam, ShortText, Text
from payments.wire.people_params import ShippingParam

QUANTITY_MAX = 999_999
ITEMS_MAX = 100
"""Of one session. Source: Stripe, "Create a Checkout Session", line_items in payment mode."""
LINK_ITEMS_MAX = 20
"""Of one link. Source: Stripe, "Create a payment link", line_items."""
_Country = Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z")]
_UNSENDABLE = frozenset({"AS", "CX", "CC", "CU", "HM", "IR", "KP", "MH", "FM", "NF", "MP", "PW", "SD", "SY", "UM", "VI"})
"""Where Stripe lets nothing be sent. Source: "Collect physical addresses", unsupported countries."""


class EnabledParam(Struct, frozen=True, forbid_unknown_fields=True):
    """Whether something is asked for."""

    enabled: bool


class InlineProductParam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A product that is made with its line."""

    name: ProductName
    description: Annotated[str, Meta(max_length=40_000)] | UnsetType = UNSET
    images: Images | UnsetType = UNSET
    metadata: MetadataParam | UnsetType = UNSET
    tax_code: ShortText | UnsetType = UNSET
    tax_details: TaxDetailsParam | UnsetType = UNSET
    unit_label: UnitLabel | UnsetType = UNSET


class InlinePriceParam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A price that is made with its line."""

    currency: str
    product: Id | None = None
    product_data: InlineProductParam | None = None
    tax_behavior: Literal["exclusive", "inclusive", "unspecified"] | UnsetType = UNSET
    unit_amount: Annotated[int, Meta(ge=0)] | None = None
    unit_amount_decimal: UnitAmountDecimal | None = None


class LineParam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is bought."""

    price: Id | None = None
    price_data: InlinePriceParam | None = None
    quantity: Annotated[int, Meta(ge=1, le=QUANTITY_MAX)] | None = None
    metadata: MetadataParam | UnsetType = UNSET


class LinkLineParam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a payment link sells."""

    price: Id | None = None
    price_data: InlinePriceParam | None = None
    quantity: Annotated[int, Meta(ge=1, le=QUANTITY_MAX)]

    @property
    def metadata(self) -> UnsetType:
        """A link's lines have none."""
        return UNSET


class MessageParam(Struct, frozen=True, forbid_unknown_fields=True):
    """What the merchant says."""

    message: Annotated[str, Meta(min_length=1, max_length=500)]


class CustomTextParam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the merchant says what on the page."""

    after_submit: MessageParam | Literal[""] | None = None
    shipping_address: MessageParam | Literal[""] | None = None
    submit: MessageParam | Literal[""] | None = None

    def over(self, kept: CustomText) -> CustomText:
        """Return what is said then: what isn't given stays."""
        said: dict[str, str | None] = {}
        for name in self.__struct_fields__:
            given: MessageParam | str | None = getattr(self, name)
            said[name] = getattr(kept, name) if given is None else None if isinstance(given, str) else given.message
        return CustomText(**said)


class ShippingCountriesParam(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the goods may be sent."""

    allowed_countries: Annotated[list[_Country], Meta(min_length=1, max_length=300)]

    def value(self) -> list[str]:
        """Return the countries, each once; raises `InvalidRequest` for one that nothing can be sent to."""
        for country in self.allowed_countries:
            if country in _UNSENDABLE:
                raise InvalidRequest(f"Shipping to {country} is not supported.", param="shipping_address_collection")
        return list(dict.fromkeys(self.allowed_countries))


class LinkIntentDataParam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`payment_intent_data` of a payment link."""

    capture_method: CaptureMethod | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    metadata: MetadataParam | UnsetType = UNSET
    setup_future_usage: FutureUsage | UnsetType = UNSET
    statement_descriptor: str | UnsetType = UNSET
    statement_descriptor_suffix: str | UnsetType = UNSET
    transfer_group: ShortText | UnsetType = UNSET

    def value(self) -> IntentData:
        """Return what the payment intent will say; raises `InvalidRequest`."""
        check_statement_descriptors(self)
        given: dict[str, Any] = {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) not in (UNSET, "")}
        if "metadata" in given:
            given["metadata"] = merge_metadata({}, given["metadata"])
        if isinstance(given.get("shipping"), ShippingParam):
            given["shipping"] = given["shipping"].value()
        return IntentData(**given)


class PaymentIntentDataParam(LinkIntentDataParam, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`payment_intent_data`."""

    receipt_email: ShortText | UnsetType = UNSET
    shipping: ShippingParam | UnsetType = UNSET


class SetupIntentDataParam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`setup_intent_data`."""

    description: Description | UnsetType = UNSET
    metadata: MetadataParam | UnsetType = UNSET

    def value(self) -> IntentData:
        """Return what the setup intent will say; raises `InvalidRequest`."""
        return IntentData(
            description=self.description or None, metadata={} if self.metadata is UNSET else merge_metadata({}, self.metadata)
        )


class OfferParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What sessions and payment links take alike, now or later."""

    billing_address_collection: Literal["auto", "required"] | UnsetType = UNSET
    custom_text: CustomTextParam | UnsetType = UNSET
    customer_creation: CustomerCreation | UnsetType = UNSET
    metadata: MetadataParam | UnsetType = UNSET
    phone_number_collection: EnabledParam | UnsetType = UNSET
    shipping_address_collection: ShippingCountriesParam | Literal[""] | UnsetType = UNSET
    submit_type: SubmitType | UnsetType = UNSET

    def offered(self, kept: CustomText) -> dict[str, Any]:
        """Return the fields that aren't called as these are, with what is given; raises `InvalidRequest`."""
        offered: dict[str, Any] = {}
        if self.custom_text is not UNSET:
            offered["custom_text"] = self.custom_text.over(kept)
        if self.phone_number_collection is not UNSET:
            offered["phone_number_collection"] = self.phone_number_collection.enabled
        if self.shipping_address_collection is not UNSET:
            offered["shipping_countries"] = self.shipping_address_collection.value() if self.shipping_address_collection else None
        return offered


def check_url(url: str, param: str) -> str:
    """Return where a buyer is led; raises `InvalidRequest` for anything but a web page: whatever else a browser would run or open."""
    try:
        parts = urlsplit(url)
        named = parts.hostname
        _ = parts.port
    except ValueError:
        parts, named = urlsplit(""), None
    # urlsplit drops line breaks and blanks at the ends, and a browser takes a backslash for a slash.
    if any(character <= " " or character in "\x7f\\" for character in url) or parts.scheme.lower() not in ("http", "https") or not named:
        raise InvalidRequest("Not a valid URL", code="url_invalid", param=param)
    return url


Url = Annotated[Text, Meta(min_length=1)]
