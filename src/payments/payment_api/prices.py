"""Prices: create, retrieve, update, list. Each is for one payment: what recurs is refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from payments.domain.errors import InvalidRequest
from payments.domain.event import Event
from payments.domain.price import CustomUnitAmount, Price, TransformQuantity
from payments.domain.product import Product
from payments.domain.resource import next_version
from payments.payment_api.intent_params import check_step, currency_of
from payments.payment_api.product_params import ProductDataParam
from payments.storage.database import Connection
from payments.storage.events import append_events
from payments.storage.nouns import Filter
from payments.storage.paging import PageRequest
from payments.storage.versions import require_unmoved
from payments.wire.api import Call, Endpoint, Endpoints, Reply, reply
from payments.wire.changes import HashParam, changed, made
from payments.wire.kinds import PRICE, PRODUCT
from payments.wire.objects import Objects
from payments.wire.params import MetadataParam, Text
from payments.wire.reading import FilterId, ListParams, Reader, none_of_them
from payments.wire.rendering import render
from payments.wire.resource import retrieve

LookupKey = Annotated[str, Meta(max_length=200)]
UnitAmount = Annotated[int, Meta(ge=0)]
UnitAmountDecimal = Annotated[str, Meta(pattern=r"^[0-9]{1,12}(\.[0-9]{1,12})?\Z")]
_MINOR_UNITS_MAX = 999_999_999_999


class CustomUnitAmountParam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """That the customer chooses how much to pay, and within which bounds."""

    enabled: bool
    maximum: UnitAmount | None = None
    minimum: UnitAmount | None = None
    preset: UnitAmount | None = None

    def value(self) -> CustomUnitAmount | None:
        """Return the bounds; raises `InvalidRequest` where they contradict each other."""
        if not self.enabled:
            return None
        order = [each for each in (self.minimum, self.preset, self.maximum) if each is not None]
        if order != sorted(order):
            raise InvalidRequest("custom_unit_amount must have minimum ≤ preset ≤ maximum.", param="custom_unit_amount")
        return CustomUnitAmount(maximum=self.maximum, minimum=self.minimum, preset=self.preset)


class TransformQuantityParam(HashParam, frozen=True, kw_only=True):
    """How a quantity becomes how many units are paid."""

    OF = TransformQuantity

    divide_by: Annotated[int, Meta(ge=1)]
    round: Literal["down", "up"]


class PriceDataParam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much."""

    currency: str
    custom_unit_amount: CustomUnitAmountParam | None = None
    metadata: MetadataParam | UnsetType = UNSET
    tax_behavior: Literal["exclusive", "inclusive", "unspecified"] | UnsetType = UNSET
    unit_amount: UnitAmount | None = None
    unit_amount_decimal: UnitAmountDecimal | None = None

    def amounts(self) -> dict[str, Any]:
        """Return currency and amounts of a price; raises `InvalidRequest`."""
        currency, chosen = currency_of(self.currency).code, self.custom_unit_amount.value() if self.custom_unit_amount else None
        given = [each for each in (self.unit_amount, self.unit_amount_decimal, chosen) if each is not None]
        if len(given) != 1:
            raise InvalidRequest(
                "You must specify exactly one of these parameters: unit_amount, unit_amount_decimal, custom_unit_amount.",
                code="parameter_missing" if not given else None,
                param="unit_amount",
            )
        decimal = Decimal(self.unit_amount if self.unit_amount is not None else self.unit_amount_decimal or 0)
        if decimal > _MINOR_UNITS_MAX:
            raise InvalidRequest(f"unit_amount must be no more than {_MINOR_UNITS_MAX}.", code="amount_too_large", param="unit_amount")
        whole = int(decimal) if chosen is None and decimal == int(decimal) else None
        if whole is not None:
            check_step(whole, currency, "unit_amount")
        text = None if chosen is not None else str(whole) if whole is not None else f"{decimal:f}".rstrip("0")
        return {"currency": currency, "custom_unit_amount": chosen, "unit_amount": whole, "unit_amount_decimal": text}


class _CreateParams(PriceDataParam, frozen=True, kw_only=True, forbid_unknown_fields=True):
    active: bool | UnsetType = UNSET
    billing_scheme: Literal["per_unit"] = "per_unit"
    lookup_key: LookupKey | UnsetType = UNSET
    nickname: Text | UnsetType = UNSET
    product: FilterId | None = None
    product_data: ProductDataParam | None = None
    transfer_lookup_key: bool = False
    transform_quantity: TransformQuantityParam | UnsetType = UNSET


class _UpdateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    active: bool | UnsetType = UNSET
    lookup_key: LookupKey | UnsetType = UNSET
    metadata: MetadataParam | UnsetType = UNSET
    nickname: Text | UnsetType = UNSET
    tax_behavior: Literal["exclusive", "inclusive", "unspecified"] | UnsetType = UNSET
    transfer_lookup_key: bool = False


class _ListParams(ListParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    active: bool | None = None
    currency: FilterId | None = None
    lookup_key: Annotated[list[FilterId], Meta(min_length=1, max_length=10)] | None = field(default=None, name="lookup_keys")
    product: FilterId | None = None
    type: Literal["one_time", "recurring"] | None = None

    def filters(self) -> dict[str, Filter]:
        """Return the filters that are given: all prices are for one payment."""
        return {name: value for name, value in super().filters().items() if name != "type"}


@dataclass(frozen=True, slots=True)
class Prices:
    """`/v1/prices`."""

    objects: Objects
    reader: Reader

    def endpoints(self) -> Endpoints:
        """What may be called."""
        return [
            Endpoint("POST", PRICE.path, _CreateParams, self._create),
            Endpoint("GET", PRICE.path, _ListParams, self._list),
            retrieve(self.reader, PRICE),
            Endpoint("POST", f"{PRICE.path}/{{id}}", _UpdateParams, self._update),
        ]

    async def _list(self, call: Call, params: _ListParams) -> Reply:
        if params.type == "recurring":
            return await none_of_them(PRICE.named, params, PRICE.path)
        return await self.reader.page(call, PRICE, params)

    async def _create(self, call: Call, params: _CreateParams) -> Reply:
        if (params.product is None) == (params.product_data is None):
            raise InvalidRequest("You must specify either product or product_data.", code="parameter_missing", param="product")
        amounts = params.amounts()
        if params.product_data is not None:
            product = await new_product(self.objects, call, params.product_data)
        else:
            product = await self.reader.get(call, PRODUCT, params.product or "", param="product")
        price = made(
            Price(**self.objects.identity(call, PRICE), product=product.id, currency=amounts["currency"]),
            params,
            **amounts,
            product=product.id,
        )

        async def mutate(connection: Connection) -> Reply:
            told: list[Event] = []
            if params.product_data is not None:
                await PRODUCT.noun.insert(connection, product, place=product.place)
                told.append(self.objects.event(call, "created", product))
            else:
                await require_unmoved(connection, product)
            told += await self._free(connection, call, price, transfer=params.transfer_lookup_key)
            await PRICE.noun.insert(connection, price, product=price.product)
            await append_events(connection, [*told, self.objects.event(call, "created", price)])
            return reply(render(price))

        return await self.objects.once(call, mutate, PRICE.name)

    async def _update(self, call: Call, params: _UpdateParams) -> Reply:
        price = await self.reader.get(call, PRICE, call.path["id"])
        updated = changed(price, params)
        if price.tax_behavior not in ("unspecified", updated.tax_behavior):
            raise InvalidRequest("tax_behavior cannot be changed once it is inclusive or exclusive.", param="tax_behavior")
        relies_on: list[Product] = []
        if price.active and not updated.active:
            relies_on.append(await self.reader.get(call, PRODUCT, price.product))
            if relies_on[0].default_price == price.id:
                raise InvalidRequest("This price cannot be archived because it is the default price of its product.", param="active")

        async def mutate(connection: Connection) -> Reply:
            await require_unmoved(connection, *relies_on)
            told = await self._free(connection, call, updated, transfer=params.transfer_lookup_key)
            await append_events(connection, [*told, await self.objects.store(connection, call, price, updated)])
            return reply(render(updated))

        return await self.objects.once(call, mutate, PRICE.name)

    async def _free(self, connection: Connection, call: Call, price: Price, *, transfer: bool) -> Sequence[Event]:
        """Take the lookup key of a price from the one that has it, if that is asked for; returns the events that tell of it. Raises `InvalidRequest`."""
        if price.lookup_key is None:
            return []
        having, _ = await PRICE.noun.page(
            connection, price.merchant_id, price.livemode, PageRequest(limit=1), {"lookup_key": price.lookup_key}
        )
        others = [each for each in having if each.id != price.id]
        if others and not transfer:
            raise InvalidRequest(f"A price (`{others[0].id}`) already uses that lookup key.", param="lookup_key")
        return [await self.objects.store(connection, call, each, next_version(each, lookup_key=None)) for each in others]


async def new_product(objects: Objects, call: Call, params: ProductDataParam) -> Product:
    """Return a product as it is asked for; raises `InvalidRequest` when there is one of that id, or was."""
    product = params.product(objects.identity(call, PRODUCT))
    if await objects.reader.find(call, PRODUCT, product.id) is not None:
        raise InvalidRequest("Product already exists.", code="resource_already_exists", param="id")
    return product
