"""The parameters of products."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from payments.domain.product import MarketingFeature, PackageDimensions, Product, TaxDetails
from payments.wire.changes import HashParam, made
from payments.wire.params import MetadataParam, ShortText

ProductName = Annotated[str, Meta(min_length=1, max_length=5_000)]
OwnId = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9_-]+\Z")]
"""What a path names in one segment."""
Url = Annotated[str, Meta(max_length=2_048, pattern=r"^https?://[^\s]+\Z")]
Images = Annotated[list[Url], Meta(max_length=8)]
StatementDescriptor = Annotated[str, Meta(max_length=22, pattern=r"""^[^<>\\'"*]*\Z""")]
UnitLabel = Annotated[str, Meta(max_length=12)]


class MarketingFeatureParam(HashParam, frozen=True, kw_only=True):
    """What a pricing table says of a product."""

    OF = MarketingFeature

    name: Annotated[str, Meta(min_length=1, max_length=80)]


class PackageDimensionsParam(HashParam, frozen=True, kw_only=True):
    """Inches, and ounces."""

    OF = PackageDimensions

    height: Annotated[float, Meta(ge=0, le=1e9)]
    length: Annotated[float, Meta(ge=0, le=1e9)]
    weight: Annotated[float, Meta(ge=0, le=1e9)]
    width: Annotated[float, Meta(ge=0, le=1e9)]


class TaxDetailsParam(HashParam, frozen=True, kw_only=True):
    """How it is taxed."""

    OF = TaxDetails

    performance_location: ShortText | UnsetType = UNSET
    tax_code: ShortText | UnsetType = UNSET


MarketingFeatures = Annotated[list[MarketingFeatureParam], Meta(max_length=15)]


class ProductDataParam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A product that is made with its price."""

    id: OwnId | None = None
    active: bool | UnsetType = UNSET
    metadata: MetadataParam | UnsetType = UNSET
    name: ProductName
    statement_descriptor: StatementDescriptor | UnsetType = UNSET
    tax_code: ShortText | UnsetType = UNSET
    tax_details: TaxDetailsParam | UnsetType = UNSET
    unit_label: UnitLabel | UnsetType = UNSET

    def product(self, identity: dict[str, Any]) -> Product:
        """Return the product, with the id that was chosen, if one was."""
        made_now = Product(**identity, place=identity["id"], name=self.name, updated=identity["created"])
        return made(made_now, self, id=self.id or identity["id"])


class CreateParams(ProductDataParam, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/products`, without the price."""

    description: Annotated[str, Meta(max_length=40_000)] | UnsetType = UNSET
    images: Images | UnsetType = UNSET
    marketing_features: MarketingFeatures | UnsetType = UNSET
    package_dimensions: PackageDimensionsParam | UnsetType = UNSET
    shippable: bool | UnsetType = UNSET
    type: Literal["good", "service"] | UnsetType = UNSET
    url: Url | UnsetType = UNSET


class UpdateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/products/{id}`."""

    active: bool | UnsetType = UNSET
    default_price: Annotated[str, Meta(max_length=255)] | UnsetType = UNSET
    description: Annotated[str, Meta(max_length=40_000)] | UnsetType = UNSET
    images: Images | Literal[""] | UnsetType = UNSET
    marketing_features: MarketingFeatures | Literal[""] | UnsetType = UNSET
    metadata: MetadataParam | UnsetType = UNSET
    name: ProductName | UnsetType = UNSET
    package_dimensions: PackageDimensionsParam | Literal[""] | UnsetType = UNSET
    shippable: bool | UnsetType = UNSET
    statement_descriptor: StatementDescriptor | UnsetType = UNSET
    tax_code: ShortText | UnsetType = UNSET
    tax_details: TaxDetailsParam | Literal[""] | UnsetType = UNSET
    unit_label: UnitLabel | UnsetType = UNSET
    url: Annotated[str, Meta(max_length=2_048, pattern=r"^(https?://[^\s]+)?\Z")] | UnsetType = UNSET
