"""Payment methods: create, retrieve, update, attach, detach, list."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from payments.domain.errors import InvalidRequest, NotFound
from payments.payment_api.card_vault import CardParam, CardVault, is_alias
from payments.payment_api.confirmation import Cards
from payments.payment_api.customer_cards import CustomerCards, detached_from
from payments.payment_api.customers import PaymentMethodListParams
from payments.payment_api.given_card import Id
from payments.payment_api.keeping import store_card
from payments.storage.database import Connection
from payments.storage.events import append_events
from payments.storage.versions import require_unmoved
from payments.wire.api import Call, Endpoint, Endpoints, Reply, reply
from payments.wire.changes import changed, made
from payments.wire.customer_keys import handler_asks, named_by_parameter
from payments.wire.kinds import CUSTOMER, PAYMENT_METHOD
from payments.wire.objects import Objects
from payments.wire.params import MetadataParam, NoParams
from payments.wire.people_params import BillingDetailsParam
from payments.wire.reading import FilterId, Reader
from payments.wire.rendering import render
from payments.wire.resource import listing

_Redisplay = Literal["always", "limited", "unspecified"]


class _CreateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    type: Literal["card"]
    card: CardParam
    billing_details: BillingDetailsParam | UnsetType = UNSET
    allow_redisplay: _Redisplay | UnsetType = UNSET
    metadata: MetadataParam | UnsetType = UNSET


class _CardUpdateParam(Struct, frozen=True, forbid_unknown_fields=True):
    exp_month: int | None = None
    exp_year: int | None = None


class _UpdateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    card: _CardUpdateParam = _CardUpdateParam()
    billing_details: BillingDetailsParam | UnsetType = UNSET
    allow_redisplay: _Redisplay | UnsetType = UNSET
    metadata: MetadataParam | UnsetType = UNSET


class _AttachParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    customer: Id


class _ListParams(PaymentMethodListParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    customer: FilterId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentMethods:
    """`/v1/payment_methods`."""

    objects: Objects
    reader: Reader
    vault: CardVault
    cards: Cards
    customer_cards: CustomerCards

    def endpoints(self) -> Endpoints:
        """What may be called."""
        one = f"{PAYMENT_METHOD.path}/{{id}}"
        return [
            Endpoint("POST", PAYMENT_METHOD.path, _CreateParams, self._create, publishable=True),
            dataclasses.replace(listing(self.reader, PAYMENT_METHOD, _ListParams), of_customer=named_by_parameter),
            Endpoint("GET", one, NoParams, self._retrieve),
            Endpoint("POST", one, _UpdateParams, self._update),
            Endpoint("POST", f"{one}/attach", _AttachParams, self._attach, of_customer=named_by_parameter),
            Endpoint("POST", f"{one}/detach", NoParams, self._detach, of_customer=handler_asks),
        ]

    async def _create(self, call: Call, params: _CreateParams) -> Reply:
        details = params.billing_details.value() if params.billing_details else None
        vaulted = await self.cards.new(call.principal, params.card, details, param="card")
        method = made(vaulted.method, params, card=vaulted.method.card, billing_details=vaulted.method.billing_details)

        async def mutate(connection: Connection) -> Reply:
            await store_card(connection, replace(vaulted, method=method))
            return reply(render(method))

        return await self.objects.once(call, mutate, PAYMENT_METHOD.name)

    async def _retrieve(self, call: Call, _: NoParams) -> Reply:
        if is_alias(call.path["id"]):
            # Stripe shows its test cards' names as payment methods; ours come to be when they are used.
            method = replace(self.vault.from_alias(call.principal, call.path["id"]).method, id=call.path["id"])
            return await self.reader.answer(call, render(method))
        return await self.reader.show(call, PAYMENT_METHOD, call.path["id"])

    async def _update(self, call: Call, params: _UpdateParams) -> Reply:
        method = await self.reader.get(call, PAYMENT_METHOD, call.path["id"])
        if method.customer is None:
            raise InvalidRequest(
                "You must save this PaymentMethod to a customer before you can update it.", code="payment_method_not_available"
            )
        card = method.card
        if params.card != _CardUpdateParam():
            month, year = params.card.exp_month or card.exp_month, params.card.exp_year or card.exp_year
            card = replace(card, exp_month=month, exp_year=self.vault.check_expiry(month, year))
        return await self.objects.change(call, method, changed(method, params, card=card))

    async def _attach(self, call: Call, params: _AttachParams) -> Reply:
        if (found := await self.objects.idempotency.seen(call)) is not None:
            return await self.reader.expanded(call, found)
        customer = await self.reader.get(call, CUSTOMER, params.customer, param="customer")
        there = await self.reader.find(call, PAYMENT_METHOD, call.path["id"])
        if there is not None and there.customer == customer.id:
            return await self.reader.answer(call, render(there))
        card = await self.customer_cards.of_payment_method(call, call.path["id"], customer.id)

        async def mutate(connection: Connection) -> Reply:
            await require_unmoved(connection, customer)
            await store_card(connection, card)
            await append_events(connection, [self.objects.event(call, "attached", card.method)])
            return reply(render(card.method))

        return await self.objects.once(call, mutate, PAYMENT_METHOD.name)

    async def _detach(self, call: Call, _: NoParams) -> Reply:
        method = await self.reader.get(call, PAYMENT_METHOD, call.path["id"])
        if call.principal.customer not in (None, method.customer):
            raise NotFound(PAYMENT_METHOD.named, method.id, param=PAYMENT_METHOD.param)
        if method.customer is None:
            raise InvalidRequest("The payment method you provided is not attached to a customer so detachment is impossible.")
        customer = await self.reader.get(call, CUSTOMER, method.customer)

        async def mutate(connection: Connection) -> Reply:
            await append_events(connection, await self.customer_cards.detach(connection, call, customer, method))
            return reply(render(detached_from(method)))

        return await self.objects.once(call, mutate, PAYMENT_METHOD.name)
