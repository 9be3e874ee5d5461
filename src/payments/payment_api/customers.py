"""Customers: create, retrieve, update, delete, list, their payment methods, and the lists of theirs that are always empty."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from payments.domain.customer import Customer
from payments.domain.errors import InvalidRequest, NotFound
from payments.domain.event import ObjectType
from payments.domain.payment_method import PaymentMethod
from payments.payment_api.intent_params import Id
from payments.payment_api.objects import Objects
from payments.runtime.ids import new_id
from payments.storage import nouns
from payments.storage.changes import insert_customer, update_customer, update_payment_method
from payments.storage.database import Connection, Pool
from payments.storage.paging import PageRequest
from payments.storage.versions import require_unmoved
from payments.wire.api import Call, Endpoint, Reply, reply
from payments.wire.expansion import tree_of
from payments.wire.params import AddressParam, MetadataParam, ShippingParam, Text, merge_metadata, not_supported, unset
from payments.wire.reading import ListParams, PageParams, Reader
from payments.wire.render import render

PATH = "/v1/customers"
_NOT_SUPPORTED = frozenset({"cash_balance", "default_source", "payment_method", "source", "tax", "tax_id_data", "test_clock", "validate"})
_DETACH_BATCH = 100
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")

Name = Annotated[str, Meta(max_length=256)]
Email = Annotated[str, Meta(max_length=512)]
Phone = Annotated[str, Meta(max_length=20)]
InvoicePrefix = Annotated[str, Meta(min_length=3, max_length=12, pattern="^[A-Z0-9]+$")]


class _InvoiceSettingsParam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    default_payment_method: Id | None = None


class _Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    address: AddressParam | Literal[""] | None = None
    balance: int | None = None
    business_name: Name | None = None
    description: Text | None = None
    email: Email | None = None
    individual_name: Name | None = None
    invoice_prefix: InvoicePrefix | None = None
    invoice_settings: _InvoiceSettingsParam | None = None
    metadata: MetadataParam | None = None
    name: Name | None = None
    next_invoice_sequence: Annotated[int, Meta(ge=1)] | None = None
    phone: Phone | None = None
    preferred_locales: Annotated[list[Annotated[str, Meta(max_length=35)]], Meta(max_length=100)] | None = None
    shipping: ShippingParam | Literal[""] | None = None
    tax_exempt: Literal["none", "exempt", "reverse"] | None = None


class _ListParams(ListParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    email: Annotated[str, Meta(min_length=1, max_length=512)] | None = None


class PaymentMethodListParams(PageParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Filters of a list of payment methods."""

    type: Literal["card"] | None = None
    allow_redisplay: Literal["always", "limited", "unspecified"] | None = None


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
    """Handlers of `/v1/customers`."""

    objects: Objects
    reader: Reader
    pool: Pool

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints."""
        return [
            Endpoint("POST", PATH, self._create),
            Endpoint("GET", PATH, self._list),
            Endpoint("GET", f"{PATH}/{{id}}", self._retrieve),
            Endpoint("POST", f"{PATH}/{{id}}", self._update),
            Endpoint("DELETE", f"{PATH}/{{id}}", self._delete),
            Endpoint("GET", f"{PATH}/{{id}}/payment_methods", self._payment_methods),
            Endpoint("GET", f"{PATH}/{{id}}/payment_methods/{{payment_method}}", self._payment_method),
            *(Endpoint("GET", f"{PATH}/{{id}}/{name}", partial(self._none, name)) for name in _NONE_OF_THEM),
        ]

    async def _create(self, call: Call) -> Reply:
        not_supported(call.params, _NOT_SUPPORTED)
        params = call.parse(_Params)
        customer_id = new_id("cus")
        customer = Customer(
            id=customer_id,
            merchant_id=call.principal.merchant_id,
            livemode=call.principal.livemode,
            created=int(self.objects.clock.now()),
            invoice_prefix=customer_id[-8:].upper(),
        )
        customer = _changed(customer, params)
        if customer.default_payment_method is not None:
            await self._attached(call, customer, customer.default_payment_method)
        return await self.objects.change(call, "customer.created", customer, customer, insert_customer)

    async def _list(self, call: Call) -> Reply:
        params = call.parse(_ListParams)
        return await self.reader.page(call, "customer", params, {"email": params.email}, PATH)

    async def _retrieve(self, call: Call) -> Reply:
        call.no_parameters()
        return await self.reader.show(call, "customer", call.path["id"])

    async def _find(self, call: Call) -> Customer:
        customer: Customer = await self.reader.get(call, "customer", call.path["id"])
        if customer.deleted:
            raise NotFound("customer", customer.id)
        return customer

    async def _update(self, call: Call) -> Reply:
        not_supported(call.params, _NOT_SUPPORTED)
        params = call.parse(_Params)
        customer = await self._find(call)
        changed = replace(_changed(customer, params), version=customer.version + 1)
        relies_on: list[PaymentMethod] = []
        if changed.default_payment_method is not None and changed.default_payment_method != customer.default_payment_method:
            relies_on.append(await self._attached(call, customer, changed.default_payment_method))

        async def store(connection: Connection, subject: Customer) -> None:
            await require_unmoved(connection, *relies_on)
            await update_customer(connection, subject)

        return await self.objects.change(call, "customer.updated", customer, changed, store)

    async def _attached(self, call: Call, customer: Customer, method_id: str) -> PaymentMethod:
        """Return a card of the customer's; raises `NotFound`, `InvalidRequest`."""
        method: PaymentMethod = await self.reader.get(call, "payment_method", method_id, param="invoice_settings[default_payment_method]")
        if method.customer != customer.id:
            raise InvalidRequest(
                f"The customer does not have a payment method with the ID {method_id}. The payment method must be attached to the customer.",
                code="resource_missing",
                param="invoice_settings[default_payment_method]",
            )
        return method

    async def _delete(self, call: Call) -> Reply:
        call.no_parameters()
        customer = await self._find(call)
        deleted = replace(customer, version=customer.version + 1, deleted=True, default_payment_method=None)

        async def mutate(connection: Connection) -> Reply:
            await update_customer(connection, deleted)
            told = [self.objects.event(call, "customer.deleted", replace(deleted, deleted=False))]
            async for method in _methods_of(connection, customer):
                detached = replace(method, version=method.version + 1, customer=None, consumed=True)
                await update_payment_method(connection, detached)
                told.append(self.objects.event(call, "payment_method.detached", detached, {"customer": customer.id}))
            await self.objects.tell(connection, told)
            return reply(render(deleted))

        return await self.objects.once(call, mutate, ObjectType.CUSTOMER)

    async def _payment_methods(self, call: Call) -> Reply:
        params = call.parse(PaymentMethodListParams)
        customer = await self._find(call)
        filters = {"customer": customer.id, "allow_redisplay": params.allow_redisplay}
        return await self.reader.page(call, "payment_method", params, filters, f"{PATH}/{customer.id}/payment_methods")

    async def _payment_method(self, call: Call) -> Reply:
        call.no_parameters()
        customer = await self._find(call)
        method: PaymentMethod = await self.reader.get(call, "payment_method", call.path["payment_method"], param="payment_method")
        if method.customer != customer.id:
            raise NotFound("PaymentMethod", method.id, param="payment_method")
        return await self.reader.answer(call, render(method))

    async def _none(self, name: str, call: Call) -> Reply:
        kind_name, taken = _NONE_OF_THEM[name]
        params = call.parse(taken)
        tree_of("customer", [f"{name}.{path}" for path in call.expand], call.api_version)
        customer = await self._find(call)
        return self.reader.none(kind_name, params, f"{PATH}/{customer.id}/{name}")


async def _methods_of(connection: Connection, customer: Customer) -> AsyncIterator[PaymentMethod]:
    """Yield the customer's cards, batch by batch; each is detached before the next batch is read."""
    page = PageRequest(limit=_DETACH_BATCH)
    while True:
        methods, more = await nouns.PAYMENT_METHODS.page(
            connection, customer.merchant_id, customer.livemode, page, {"customer": customer.id}
        )
        for method in methods:
            yield method
        if not more:
            return


def _changed(customer: Customer, params: _Params) -> Customer:
    if params.email and not _EMAIL.fullmatch(params.email):
        raise InvalidRequest(f"Invalid email address: {params.email[:100]}", code="email_invalid", param="email")
    changes: dict[str, Any] = {
        name: unset(getattr(params, name))
        for name in ("business_name", "description", "email", "individual_name", "name", "phone")
        if getattr(params, name) is not None
    }
    for name in ("balance", "invoice_prefix", "next_invoice_sequence", "preferred_locales", "tax_exempt"):
        if getattr(params, name) is not None:
            changes[name] = getattr(params, name)
    if params.address is not None:
        changes["address"] = params.address.value() if params.address else None
    if params.shipping is not None:
        changes["shipping"] = params.shipping.value() if params.shipping else None
    if params.invoice_settings is not None and params.invoice_settings.default_payment_method is not None:
        changes["default_payment_method"] = params.invoice_settings.default_payment_method or None
    return replace(customer, metadata=merge_metadata(customer.metadata, params.metadata), **changes)
