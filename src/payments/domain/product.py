"""What a merchant sells."""

from msgspec import Struct

from payments.domain.resource import Resource


class MarketingFeature(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a pricing table says of a product."""

    name: str


class PackageDimensions(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Inches, and ounces."""

    height: float
    length: float
    weight: float
    width: float


class TaxDetails(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How it is taxed, for whoever does that."""

    performance_location: str | None = None
    tax_code: str | None = None


class Product(Resource, frozen=True, kw_only=True, omit_defaults=True):
    """A thing or a service, of one or several prices. Merchants may choose its id."""

    OBJECT = "product"

    place: str
    """Where it stands in lists: the id that it has unless the merchant chose one."""
    deleted: bool = False
    active: bool = True
    default_price: str | None = None
    description: str | None = None
    images: list[str] = []
    marketing_features: list[MarketingFeature] = []
    metadata: dict[str, str] = {}
    name: str
    package_dimensions: PackageDimensions | None = None
    shippable: bool | None = None
    statement_descriptor: str | None = None
    tax_code: str | None = None
    tax_details: TaxDetails | None = None
    type: str = "service"
    unit_label: str | None = None
    updated: int
    """Unix seconds."""
    url: str | None = None
