"""What is bought: the lines of a session or of a payment link, with the prices and products that are made with them."""

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Context, Decimal

from msgspec import UNSET

from payments.domain.checkout import Item
from payments.domain.errors import InvalidRequest
from payments.domain.event import Event
from payments.domain.price import Price
from payments.domain.product import Product
from payments.payment_api.checkout.params import InlinePriceParam, LineParam, LinkLineParam
from payments.payment_api.intent_params import check_amount, currency_of
from payments.payment_api.prices import PriceDataParam
from payments.runtime.ids import new_id
from payments.storage.checkout import insert_items
from payments.storage.database import Connection
from payments.storage.versions import require_unmoved
from payments.wire.api import Call
from payments.wire.changes import made, merge_metadata
from payments.wire.kinds import ITEM, PRICE, PRODUCT
from payments.wire.objects import Objects
from payments.wire.reading import Reader

_EXACT = Context(prec=60)
"""Of products of twelve digits, twelve decimals and six digits nothing is lost."""

GivenLine = LineParam | LinkLineParam


@dataclass(slots=True)
class Lines:
    """Lines as they shall be, and what is stored with them."""

    currency: str
    items: list[Item] = field(default_factory=list[Item])
    prices: list[Price] = field(default_factory=list[Price])
    """New ones."""
    products: list[Product] = field(default_factory=list[Product])
    """New ones."""
    relies_on: dict[str, Price | Product] = field(default_factory=dict[str, Price | Product])

    @property
    def total(self) -> int:
        """Minor units for all of them."""
        return sum(item.amount for item in self.items)

    async def store(self, connection: Connection, objects: Objects, call: Call) -> list[Event]:
        """Store all in the transaction of what they are lines of; returns the events that tell of it. Raises `ObjectLocked`."""
        await require_unmoved(connection, *self.relies_on.values())
        for product in self.products:
            await PRODUCT.noun.insert(connection, product, place=product.place)
        for price in self.prices:
            await PRICE.noun.insert(connection, price, product=price.product)
        await insert_items(connection, self.items)
        return [objects.event(call, "created", each) for each in (*self.products, *self.prices)]


def amount_of(price: Price, quantity: int) -> int:
    """Return what so many cost, in minor units, half of one rounded up; raises `InvalidRequest` where the customer would choose."""
    if price.unit_amount_decimal is None:
        raise InvalidRequest("Prices whose amount the customer chooses are not supported by Tap's Checkout.", param="price")
    units = quantity
    if (packed := price.transform_quantity) is not None:
        units = -(-quantity // packed.divide_by) if packed.round == "up" else quantity // packed.divide_by
    exact = _EXACT.multiply(Decimal(price.unit_amount_decimal), Decimal(units))
    return int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP, context=_EXACT))


def check_total(total: int, currency: str) -> None:
    """Raise `InvalidRequest` for a total that can't be charged."""
    try:
        check_amount(total, currency)
    except InvalidRequest as refusal:
        raise InvalidRequest(f"The total amount due can't be charged. {refusal.message}", code=refusal.code, param="line_items") from None


def copied(items: Sequence[Item], owner: str, created: int) -> list[Item]:
    """Return the same lines for another owner."""
    ids = _ids(len(items))
    return [
        Item(
            id=item_id,
            merchant_id=item.merchant_id,
            livemode=item.livemode,
            created=created,
            owner=owner,
            price=item.price,
            quantity=item.quantity,
            description=item.description,
            currency=item.currency,
            amount=item.amount,
            metadata=item.metadata,
        )
        for item_id, item in zip(ids, items, strict=True)
    ]


def _ids(count: int) -> list[str]:
    """Return ids by which lists, which begin with the newest, are in the order that was given."""
    return [new_id(ITEM.noun.prefix) for _ in range(count)][::-1]


@dataclass(frozen=True, slots=True)
class LineReader:
    """Makes lines of parameters."""

    objects: Objects
    reader: Reader

    async def read(self, call: Call, given: Sequence[GivenLine], owner: str, *, currency: str | None = None) -> Lines:
        """Return the lines that are asked for; raises `InvalidRequest`, `ResourceMissing`. `currency`: the one that they must be in."""
        found = await asyncio.gather(*(self._priced(call, number, line) for number, line in enumerate(given)))
        lines = Lines(currency_of(currency or found[0][0].currency).code)
        for number, (line, item_id, (price, product)) in enumerate(zip(given, _ids(len(given)), found, strict=True)):
            at = f"line_items[{number}]"
            if price.currency != lines.currency:
                raise InvalidRequest(
                    f"All prices must be in one currency. {at} is in {price.currency}, and {lines.currency} was expected.",
                    param=f"{at}[price]" if line.price_data is None else f"{at}[price_data][currency]",
                )
            quantity = line.quantity
            if quantity is None:
                raise InvalidRequest(f"Quantity is required. Add `quantity` to `{at}`", code="parameter_missing", param=f"{at}[quantity]")
            with _within(at):
                amount = amount_of(price, quantity)
                metadata = {} if line.metadata is UNSET else merge_metadata({}, line.metadata)
            lines.items.append(
                Item(
                    id=item_id,
                    merchant_id=price.merchant_id,
                    livemode=price.livemode,
                    created=int(self.objects.clock.now()),
                    owner=owner,
                    price=price,
                    quantity=quantity,
                    description=product.name,
                    currency=price.currency,
                    amount=amount,
                    metadata=metadata,
                )
            )
            if line.price_data is None:
                lines.relies_on[price.id] = price
            else:
                lines.prices.append(price)
            if line.price_data is None or line.price_data.product is not None:
                lines.relies_on[product.id] = product
            else:
                lines.products.append(product)
        return lines

    async def _priced(self, call: Call, number: int, line: GivenLine) -> tuple[Price, Product]:
        at = f"line_items[{number}]"
        if (line.price is None) == (line.price_data is None):
            raise InvalidRequest(
                f"You must specify either `price` or `price_data` in `{at}`, and not both.",
                code="parameter_missing" if line.price is None else None,
                param=f"{at}[price]",
            )
        if line.price_data is not None:
            with _within(f"{at}[price_data]"):
                return await self._made(call, line.price_data)
        price = await self.reader.get(call, PRICE, line.price or "", param=f"{at}[price]")
        product = await self.reader.get(call, PRODUCT, price.product, param=f"{at}[price]")
        for what, named in (("price", price), ("product", product)):
            if not named.active:
                raise InvalidRequest(f"The {what} specified is inactive. This field only accepts active {what}s.", param=f"{at}[price]")
        return price, product

    async def _made(self, call: Call, given: InlinePriceParam) -> tuple[Price, Product]:
        if (given.product is None) == (given.product_data is None):
            raise InvalidRequest(
                "You must specify either `product` or `product_data`, and not both.",
                code="parameter_missing" if given.product is None else None,
                param="product",
            )
        amounts = PriceDataParam(
            currency=given.currency, unit_amount=given.unit_amount, unit_amount_decimal=given.unit_amount_decimal
        ).amounts()
        if given.product_data is not None:
            # As at Stripe, neither is offered for another sale.
            identity = self.objects.identity(call, PRODUCT)
            named = Product(**identity, place=identity["id"], name=given.product_data.name, updated=identity["created"])
            product = made(named, given.product_data, active=False)
        else:
            product = await self.reader.get(call, PRODUCT, given.product or "", param="product")
            if not product.active:
                raise InvalidRequest("The product specified is inactive. This field only accepts active products.", param="product")
        price = Price(**self.objects.identity(call, PRICE), product=product.id, currency=amounts["currency"], active=False)
        return made(price, given, **amounts, product=product.id), product


@contextmanager
def _within(place: str) -> Generator[None]:
    """Name a refused parameter by where it is."""
    try:
        yield
    except InvalidRequest as refusal:
        param = refusal.param or ""
        head, bracket, tail = param.partition("[")
        raise InvalidRequest(refusal.message, code=refusal.code, param=f"{place}[{head}]{bracket}{tail}" if head else place) from None
