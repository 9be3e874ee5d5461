"""Products: create, retrieve, update, delete, list."""

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import UNSET, Meta, field
from msgspec.structs import replace

from payments.domain.errors import InvalidRequest
from payments.domain.price import Price
from payments.domain.resource import next_version
from payments.payment_api.prices import PriceDataParam, new_product
from payments.payment_api.product_params import CreateParams, UpdateParams
from payments.storage.database import Connection
from payments.storage.events import append_events
from payments.wire.api import Call, Endpoint, Endpoints, Reply, reply
from payments.wire.changes import changed, made
from payments.wire.kinds import PRICE, PRODUCT
from payments.wire.objects import Objects
from payments.wire.params import NoParams
from payments.wire.reading import FilterId, ListParams, Reader
from payments.wire.rendering import render
from payments.wire.resource import listing, retrieve


class _CreateParams(CreateParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    default_price_data: PriceDataParam | None = None


class _ListParams(ListParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    active: bool | None = None
    id: Annotated[list[FilterId], Meta(min_length=1, max_length=100)] | None = field(default=None, name="ids")
    shippable: bool | None = None
    type: Literal["good", "service"] | None = None
    url: FilterId | None = None


@dataclass(frozen=True, slots=True)
class Products:
    """`/v1/products`."""

    objects: Objects
    reader: Reader

    def endpoints(self) -> Endpoints:
        """What may be called."""
        one = f"{PRODUCT.path}/{{id}}"
        return [
            Endpoint("POST", PRODUCT.path, _CreateParams, self._create),
            listing(self.reader, PRODUCT, _ListParams),
            retrieve(self.reader, PRODUCT),
            Endpoint("POST", one, UpdateParams, self._update),
            Endpoint("DELETE", one, NoParams, self._delete),
        ]

    async def _create(self, call: Call, params: _CreateParams) -> Reply:
        product = await new_product(self.objects, call, params)
        price = None
        if (data := params.default_price_data) is not None:
            amounts = data.amounts()
            price = Price(**self.objects.identity(call, PRICE), product=product.id, currency=amounts["currency"])
            price, product = made(price, data, **amounts), replace(product, default_price=price.id)

        async def mutate(connection: Connection) -> Reply:
            await PRODUCT.noun.insert(connection, product, place=product.place)
            told = [self.objects.event(call, "created", product)]
            if price is not None:
                await PRICE.noun.insert(connection, price, product=product.id)
                told.append(self.objects.event(call, "created", price))
            await append_events(connection, told)
            return reply(render(product))

        return await self.objects.once(call, mutate, PRODUCT.name)

    async def _update(self, call: Call, params: UpdateParams) -> Reply:
        product = await self.reader.get(call, PRODUCT, call.path["id"])
        relies_on: list[Price] = []
        if params.default_price is not UNSET and params.default_price not in ("", product.default_price):
            price = await self.reader.get(call, PRICE, params.default_price, param="default_price")
            if price.product != product.id or not price.active:
                raise InvalidRequest(
                    f"The price {price.id} cannot be the default price of this product: it must be active, and one of the product's.",
                    param="default_price",
                )
            relies_on.append(price)
        updated = changed(product, params, updated=int(self.objects.clock.now()))
        return await self.objects.change(call, product, updated, relies_on=relies_on)

    async def _delete(self, call: Call, _: NoParams) -> Reply:
        product = await self.reader.get(call, PRODUCT, call.path["id"])
        deleted = next_version(product, deleted=True)

        async def mutate(connection: Connection) -> Reply:
            await PRODUCT.noun.update(connection, deleted)
            # Whoever makes a price has the product in hand, so there comes none meanwhile.
            if await PRICE.noun.newest_of(connection, product.merchant_id, product.livemode, "product", [product.id], 1):
                raise InvalidRequest("This product cannot be deleted because it has one or more user-created prices.")
            await append_events(connection, [self.objects.event(call, "deleted", next_version(product))])
            return reply(render(deleted))

        return await self.objects.once(call, mutate, PRODUCT.name)
