"""Customers: create, retrieve, update, delete, list, their payment methods, and the lists of theirs that are always empty."""

import dataclasses
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from payments.domain.customer import Customer
from payments.domain.errors import InvalidRequest, NotFound, ResourceMissing
from payments.domain.payment_method import PaymentMethod
from payments.domain.resource import next_version
from payments.payment_api.card_hash import Source, SourceParam, given_source
from payments.payment_api.card_vault import Vaulted
from payments.payment_api.customer_cards import CustomerCards, detached_from
from payments.payment_api.given_card import Id
from payments.payment_api.keeping import store_card
from payments.storage.database import Connection
from payments.storage.events import append_events
from payments.storage.nouns import Filter
from payments.storage.paging import PageRequest
from payments.storage.versions import require_unmoved
from payments.wire.api import Call, Endpoint, Endpoints, Reply, reply
from payments.wire.changes import changed, made
from payments.wire.customer_keys import named_in_path
from payments.wire.expansion import tree_of
from payments.wire.kind import Shown
from payments.wire.kinds import CARD, CUSTOMER, PAYMENT_METHOD
from payments.wire.objects import Objects
from payments.wire.params import MetadataParam, NoParams, Text
from payments.wire.people_params import AddressParam, ShippingParam, check_email
from payments.wire.reading import ListParams, PageParams, Reader, none_of_them
from payments.wire.rendering import render
from payments.wire.resource import listing, retrieve

_DETACH_BATCH = 100
_DEFAULT_CARD = "invoice_settings[default_payment_method]"

Name = Annotated[str, Meta(max_length=256)]
Email = Annotated[str, Meta(max_length=512)]
Phone = Annotated[str, Meta(max_length=20)]
InvoicePrefix = Annotated[str, Meta(min_length=3, max_length=12, pattern=r"^[A-Z0-9]+\Z")]
Locale = Annotated[str, Meta(max_length=35)]


class _InvoiceSettingsParam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    default_payment_method: Id | UnsetType = UNSET


class _Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    address: AddressParam | Literal[""] | UnsetType = UNSET
    balance: int | UnsetType = UNSET
    business_name: Name | UnsetType = UNSET
    description: Text | UnsetType = UNSET
    email: Email | UnsetType = UNSET
    individual_name: Name | UnsetType = UNSET
    invoice_prefix: InvoicePrefix | UnsetType = UNSET
    invoice_settings: _InvoiceSettingsParam = _InvoiceSettingsParam()
    metadata: MetadataParam | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    next_invoice_sequence: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    phone: Phone | UnsetType = UNSET
    preferred_locales: Annotated[list[Locale], Meta(max_length=100)] | UnsetType = UNSET
    shipping: ShippingParam | Literal[""] | UnsetType = UNSET
    tax_exempt: Literal["none", "exempt", "reverse"] | UnsetType = UNSET


class _CreateParams(_Params, frozen=True, kw_only=True, forbid_unknown_fields=True):
    card: SourceParam | None = None
    payment_method: Id | None = None
    source: SourceParam | None = None


class _UpdateParams(_Params, frozen=True, kw_only=True, forbid_unknown_fields=True):
    card: SourceParam | None = None
    default_source: Id | UnsetType = UNSET
    source: SourceParam | None = None


class _ListParams(ListParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    email: Annotated[str, Meta(min_length=1, max_length=512)] | None = None


class PaymentMethodListParams(PageParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Filters of a list of payment methods."""

    type: Literal["card"] | None = None
    allow_redisplay: Literal["always", "limited", "unspecified"] | None = None

    def filters(self) -> dict[str, Filter]:
        """Return the filters that are given: all payment methods are cards."""
        return {name: value for name, value in super().filters().items() if name != "type"}


_NONE_OF_THEM: dict[str, tuple[str, type[PageParams]]] = {
    "subscriptions": ("subscription", PageParams),
    "tax_ids": ("tax_id", PageParams),
}
"""The lists that a customer shows and Tap has nothing for → what would be in them, and what they take. Plugins follow them."""


@dataclass(frozen=True, slots=True)
class Customers:
    """`/v1/customers`."""

    objects: Objects
    reader: Reader
    customer_cards: CustomerCards

    def endpoints(self) -> Endpoints:
        """What may be called."""
        one = f"{CUSTOMER.path}/{{id}}"
        return [
            Endpoint("POST", CUSTOMER.path, _CreateParams, self._create),
            listing(self.reader, CUSTOMER, _ListParams),
            dataclasses.replace(retrieve(self.reader, CUSTOMER), of_customer=named_in_path),
            Endpoint("POST", one, _UpdateParams, self._update),
            Endpoint("DELETE", one, NoParams, self._delete),
            Endpoint("GET", f"{one}/payment_methods", PaymentMethodListParams, self._payment_methods, of_customer=named_in_path),
            Endpoint("GET", f"{one}/payment_methods/{{payment_method}}", NoParams, self._payment_method, of_customer=named_in_path),
            *(
                Endpoint("GET", f"{one}/{name}", taken, partial(self._none, name), shows=Shown(noun, listed=True))
                for name, (noun, taken) in _NONE_OF_THEM.items()
            ),
        ]

    async def _create(self, call: Call, params: _CreateParams) -> Reply:
        given, param = given_source(params.source, params.card)
        asks = given is not None or params.payment_method is not None  # an issuer, which needn't be asked again
        if asks and (found := await self.objects.idempotency.seen(call)) is not None:
            return await self.reader.expanded(call, found)
        _check_email(params)
        identity = self.objects.identity(call, CUSTOMER)
        customer_id = identity["id"]
        kept: list[Vaulted] = []
        default = params.invoice_settings.default_payment_method or None
        if params.payment_method is not None:
            kept.append(await self.customer_cards.of_payment_method(call, params.payment_method, customer_id, param="payment_method"))
            default = kept[0].method.id if default == params.payment_method else default
        source = None
        if given is not None:
            source = await self.customer_cards.of_source(call, given, customer_id, param=param)
            kept.append(source)
        customer = made(
            Customer(invoice_prefix=customer_id[-8:].upper(), **identity),
            params,
            default_payment_method=default,
            default_source=None if source is None else source.method.id,
        )
        if default is not None and default not in [card.method.id for card in kept]:
            await self._attached(call, customer, default)

        async def mutate(connection: Connection) -> Reply:
            await CUSTOMER.noun.insert(connection, customer)
            told = [self.objects.event(call, "created", customer)]
            for card in kept:
                await store_card(connection, card)
                told.append(self.objects.event(call, "attached", card.method))
            if source is not None:
                told.append(self.customer_cards.source_event(call, "created", source.method))
            await append_events(connection, told)
            return reply(render(customer))

        return await self.objects.once(call, mutate, CUSTOMER.name)

    async def _update(self, call: Call, params: _UpdateParams) -> Reply:
        given, param = given_source(params.source, params.card)
        if given is not None:  # it asks an issuer
            return await self._with_source(call, params, given, param)
        _check_email(params)
        customer = await self.reader.get(call, CUSTOMER, call.path["id"])
        updated, relies_on = await self._updated(call, customer, params)
        return await self.objects.change(call, customer, updated, relies_on=relies_on)

    async def _updated(self, call: Call, customer: Customer, params: _UpdateParams) -> tuple[Customer, list[PaymentMethod]]:
        """Return the customer as they shall be, and the cards that this relies on."""
        named, default, relies_on = params.invoice_settings.default_payment_method, customer.default_payment_method, list[PaymentMethod]()
        if named is not UNSET:
            default = named or None
        if default is not None and default != customer.default_payment_method:
            relies_on.append(await self._attached(call, customer, default))
        if params.default_source and params.default_source != customer.default_source:
            card = await self.reader.find(call, PAYMENT_METHOD, params.default_source)
            if card is None or card.customer != customer.id:
                raise ResourceMissing(CARD.named, params.default_source[:100], param="default_source")
            relies_on += [card] if card not in relies_on else []
        return changed(customer, params, default_payment_method=default), relies_on

    async def _with_source(self, call: Call, params: _UpdateParams, source: Source, param: str) -> Reply:
        """Give the customer another default card in the place of the one that was that. Source: Stripe, "Update a customer", `source`."""
        if (found := await self.objects.idempotency.seen(call)) is not None:
            return await self.reader.expanded(call, found)
        if params.default_source:
            raise InvalidRequest("You may only specify one of these parameters: default_source, source.", param=param)
        _check_email(params)
        customer = await self.reader.get(call, CUSTOMER, call.path["id"])
        updated, relies_on = await self._updated(call, customer, params)
        card = await self.customer_cards.of_source(call, source, customer.id, param=param)
        old = None if customer.default_source is None else await self.reader.find(call, PAYMENT_METHOD, customer.default_source)
        updated = replace(updated, default_source=card.method.id)
        if old is not None and updated.default_payment_method == old.id:
            updated = replace(updated, default_payment_method=None)

        async def mutate(connection: Connection) -> Reply:
            await require_unmoved(connection, *relies_on)
            told = [await self.objects.store(connection, call, customer, updated)]
            await store_card(connection, card)
            told += [self.objects.event(call, "attached", card.method), self.customer_cards.source_event(call, "created", card.method)]
            if old is not None:
                gone = detached_from(old)
                await PAYMENT_METHOD.noun.update(connection, gone)
                told += [
                    self.objects.event(call, "detached", gone, {"customer": customer.id}),
                    self.customer_cards.source_event(call, "deleted", old),
                ]
            await append_events(connection, told)
            return reply(render(updated))

        return await self.objects.once(call, mutate, CUSTOMER.name)

    async def _attached(self, call: Call, customer: Customer, method_id: str) -> PaymentMethod:
        """Return a card of the customer's; raises `ResourceMissing`, `InvalidRequest`."""
        method = await self.reader.get(call, PAYMENT_METHOD, method_id, param=_DEFAULT_CARD)
        if method.customer != customer.id:
            raise InvalidRequest(
                f"The customer does not have a payment method with the ID {method_id}. The payment method must be attached to the customer.",
                code="resource_missing",
                param=_DEFAULT_CARD,
            )
        return method

    async def _delete(self, call: Call, _: NoParams) -> Reply:
        customer = await self.reader.get(call, CUSTOMER, call.path["id"])
        deleted = next_version(customer, deleted=True, default_payment_method=None, default_source=None)

        async def mutate(connection: Connection) -> Reply:
            await CUSTOMER.noun.update(connection, deleted)
            told = [self.objects.event(call, "deleted", next_version(customer, default_payment_method=None, default_source=None))]
            async for method in _methods_of(connection, customer):
                detached = detached_from(method)
                await PAYMENT_METHOD.noun.update(connection, detached)
                told.append(self.objects.event(call, "detached", detached, {"customer": customer.id}))
            await append_events(connection, told)
            return reply(render(deleted))

        return await self.objects.once(call, mutate, CUSTOMER.name)

    async def _payment_methods(self, call: Call, params: PaymentMethodListParams) -> Reply:
        customer = await self.reader.get(call, CUSTOMER, call.path["id"])
        return await self.reader.page(call, PAYMENT_METHOD, params, f"{CUSTOMER.path}/{customer.id}/payment_methods", customer=customer.id)

    async def _payment_method(self, call: Call, _: NoParams) -> Reply:
        customer = await self.reader.get(call, CUSTOMER, call.path["id"])
        method = await self.reader.get(call, PAYMENT_METHOD, call.path["payment_method"])
        if method.customer != customer.id:
            raise NotFound(PAYMENT_METHOD.named, method.id, param=PAYMENT_METHOD.param)
        return await self.reader.answer(call, render(method))

    async def _none(self, name: str, call: Call, params: PageParams) -> Reply:
        tree_of(CUSTOMER.name, [f"{name}.{path}" for path in call.expand], call.api_version)
        customer = await self.reader.get(call, CUSTOMER, call.path["id"])
        return await none_of_them(_NONE_OF_THEM[name][0], params, f"{CUSTOMER.path}/{customer.id}/{name}")


async def _methods_of(connection: Connection, customer: Customer) -> AsyncIterator[PaymentMethod]:
    """Yield the customer's cards, batch by batch; each is detached before the next batch is read."""
    page = PageRequest(limit=_DETACH_BATCH)
    while True:
        methods, more = await PAYMENT_METHOD.noun.page(connection, customer.merchant_id, customer.livemode, page, {"customer": customer.id})
        for method in methods:
            yield method
        if not more:
            return


def _check_email(params: _Params) -> None:
    if params.email:
        check_email(params.email, "email")
