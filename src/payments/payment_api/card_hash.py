"""Cards as the older API takes them: a token, the id of a card on file, or a hash with number and address."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from payments.domain.errors import InvalidRequest
from payments.domain.people import Address, BillingDetails
from payments.payment_api.card_vault import CardParam
from payments.wire.params import MetadataParam, ShortText, Text

_ADDRESS = {
    "address_line1": "line1",
    "address_line2": "line2",
    "address_city": "city",
    "address_state": "state",
    "address_country": "country",
}
ADDRESS_FIELDS = {**_ADDRESS, "address_zip": "postal_code"}
"""Parameter → field of an address."""


class CardHash(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A card with its number."""

    number: Annotated[str, Meta(max_length=40)]
    exp_month: int
    exp_year: int
    cvc: Annotated[str, Meta(max_length=10)] = ""
    name: Text = ""
    address_line1: ShortText = ""
    address_line2: ShortText = ""
    address_city: ShortText = ""
    address_state: ShortText = ""
    address_zip: ShortText = ""
    address_country: ShortText = ""

    def __repr__(self) -> str:
        return "CardHash(…)"

    def card(self) -> CardParam:
        """Return the card."""
        return CardParam(number=self.number, exp_month=self.exp_month, exp_year=self.exp_year, cvc=self.cvc)

    def details(self) -> BillingDetails | None:
        """Return whose it is, None when nothing is said of that."""
        address: dict[str, Any] = {name: value for param, name in ADDRESS_FIELDS.items() if (value := getattr(self, param))}
        if not address and not self.name:
            return None
        return BillingDetails(name=self.name or None, address=Address(**address) if address else None)


class SourceHash(CardHash, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same where other sources might stand."""

    object: Literal["card"] = "card"
    metadata: MetadataParam | UnsetType = UNSET

    def __repr__(self) -> str:
        return "SourceHash(…)"


Source = str | SourceHash
SourceParam = Annotated[str, Meta(min_length=1, max_length=255)] | SourceHash


def given_source(source: Source | None, card: Source | None) -> tuple[Source | None, str]:
    """Return what is given, and as which parameter: `card` is what `source` was called before. Raises `InvalidRequest` when it is both."""
    if source is not None and card is not None:
        raise InvalidRequest("You may only specify one of these parameters: card, source.", param="card")
    return (source, "source") if card is None else (card, "card")
