"""Customers: create, retrieve, update, delete, list, their payment methods, and the lists of theirs that are always empty."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from payments.domain.customer import Customer
from payments.domain.errors import InvalidRequest, NotFound
from payments.domain.payment_method import PaymentMethod
from payments.domain.resource import next_version
from payments.payment_api.given_card import Id
from payments.storage.database import Connection
from payments.storage.events import append_events
from payments.storage.nouns import Filter
from payments.storage.paging import PageRequest
from payments.wire.api import Call, Endpoint, Endpoints, Reply, reply
from payments.wire.changes import changed, made
from payments.wire.expansion import tree_of
from payments.wire.kinds import CUSTOMER, PAYMENT_METHOD, render
from payments.wire.objects import Objects
from payments.wire.params import MetadataParam, NoParams, Text
from payments.wire.people_params import AddressParam, ShippingParam, is_email
from payments.wire.reading import ListParams, PageParams, Reader, none_of_them
from payments.wire.resource import listing, retrieve

_DETACH_BATCH = 100
_DEFAULT_CARD = "invoice_settings[default_payment_method]"

Name = Annotated[str, Meta(max_length=256)]
Email = Annotated[str, Meta(max_length=512)]
Phone = Annotated[str, Meta(max_length=20)]
InvoicePrefix = Annotated[str, Meta(min_length=3, max_length=12, pattern="^[A-Z0-9]+$")]
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


class _ListParams(ListParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    email: Annotated[str, Meta(min_length=1, max_length=512)] | None = None


class PaymentMethodListParams(PageParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Filters of a list of payment methods."""

    type: Literal["card"] | None = None
    allow_redisplay: Literal["always", "limited", "unspecified"] | None = None

    def filters(self) -> dict[str, Filter]:
        """Return the filters that are given: all payment methods are cards."""
        return {name: value for name, value in super().filters().items() if name != "type"}


class _SourceListParams(PageParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    object: Annotated[str, Meta(min_length=1, max_length=50)] | None = None
    """As in `card` and `bank_account`: of these there are none, either."""


_NONE_OF_THEM: dict[str, tuple[str, type[PageParams]]] = {
    "sources": ("source", _SourceListParams),
    "subscriptions": ("subscription", PageParams),
    "tax_ids": ("tax_id", PageParams),
}
"""The lists that a customer shows and Tap has nothing for → what would be in them, and what they take. Plugins follow them: dj-stripe asks for `sources`."""


@dataclass(frozen=True, slots=True)
class Customers:
    """`/v1/customers`."""

    objects: Objects
    reader: Reader

    def endpoints(self) -> Endpoints:
        """What may be called."""
        one = f"{CUSTOMER.path}/{{id}}"
        return [
            Endpoint("POST", CUSTOMER.path, _Params, self._create),
            listing(self.reader, CUSTOMER, _ListParams),
            retrieve(self.reader, CUSTOMER),
            Endpoint("POST", one, _Params, self._update),
            Endpoint("DELETE", one, NoParams, self._delete),
            Endpoint("GET", f"{one}/payment_methods", PaymentMethodListParams, self._payment_methods),
            Endpoint("GET", f"{one}/payment_methods/{{payment_method}}", NoParams, self._payment_method),
            *(Endpoint("GET", f"{one}/{name}", taken, partial(self._none, name)) for name, (_, taken) in _NONE_OF_THEM.items()),
        ]

    async def _create(self, call: Call, params: _Params) -> Reply:
        _check_email(params)
        identity = self.objects.identity(call, CUSTOMER)
        customer = made(Customer(invoice_prefix=identity["id"][-8:].upper(), **identity), params)
        if params.invoice_settings.default_payment_method:
            await self._attached(call, customer, params.invoice_settings.default_payment_method)
        return await self.objects.create(call, customer)

    async def _update(self, call: Call, params: _Params) -> Reply:
        _check_email(params)
        customer = await self.reader.get(call, CUSTOMER, call.path["id"])
        named, default, relies_on = params.invoice_settings.default_payment_method, customer.default_payment_method, list[PaymentMethod]()
        if named is not UNSET:
            default = named or None
        if default is not None and default != customer.default_payment_method:
            relies_on.append(await self._attached(call, customer, default))
        return await self.objects.change(call, customer, changed(customer, params, default_payment_method=default), relies_on=relies_on)

    async def _attached(self, call: Call, customer: Customer, method_id: str) -> PaymentMethod:
        """Return a card of the customer's; raises `NotFound`, `InvalidRequest`."""
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
        deleted = next_version(customer, deleted=True, default_payment_method=None)

        async def mutate(connection: Connection) -> Reply:
            await CUSTOMER.noun.update(connection, deleted)
            told = [self.objects.event(call, "deleted", next_version(customer, default_payment_method=None))]
            async for method in _methods_of(connection, customer):
                detached = next_version(method, customer=None, consumed=True)
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
    if params.email and not is_email(params.email):
        raise InvalidRequest(f"Invalid email address: {params.email[:100]}", code="email_invalid", param="email")
