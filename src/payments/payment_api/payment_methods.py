"""Payment methods: create, retrieve, update, attach, detach, list."""

from dataclasses import dataclass
from typing import Literal

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from payments.domain.customer import Customer
from payments.domain.errors import CardError, InvalidRequest, Overloaded
from payments.domain.outcome import Declined, Unknown
from payments.domain.resource import next_version
from payments.payment_api.card_vault import CardParam, CardVault, Vaulted, is_alias
from payments.payment_api.customers import PaymentMethodListParams
from payments.payment_api.given_card import Id
from payments.payment_api.handover import HandoverClient
from payments.storage.database import Connection
from payments.storage.events import append_events
from payments.storage.versions import require_unmoved
from payments.wire.api import Call, Endpoint, Endpoints, Reply, reply
from payments.wire.changes import changed, made
from payments.wire.internal import Verification
from payments.wire.kinds import CUSTOMER, PAYMENT_METHOD, render
from payments.wire.objects import Objects
from payments.wire.params import MetadataParam, NoParams
from payments.wire.people_params import BillingDetailsParam
from payments.wire.reading import FilterId, Reader
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
    handover: HandoverClient

    def endpoints(self) -> Endpoints:
        """What may be called."""
        one = f"{PAYMENT_METHOD.path}/{{id}}"
        return [
            Endpoint("POST", PAYMENT_METHOD.path, _CreateParams, self._create, publishable=True),
            listing(self.reader, PAYMENT_METHOD, _ListParams),
            Endpoint("GET", one, NoParams, self._retrieve),
            Endpoint("POST", one, _UpdateParams, self._update),
            Endpoint("POST", f"{one}/attach", _AttachParams, self._attach),
            Endpoint("POST", f"{one}/detach", NoParams, self._detach),
        ]

    async def _create(self, call: Call, params: _CreateParams) -> Reply:
        details = params.billing_details.value() if params.billing_details else None
        vaulted = self.vault.vault(call.principal, params.card, details)
        method = made(vaulted.method, params, card=vaulted.method.card, billing_details=vaulted.method.billing_details)
        return await self.objects.create(call, method, event=None, sealed_number=vaulted.sealed_number)

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
        if is_alias(call.path["id"]):
            vaulted = self.vault.from_alias(call.principal, call.path["id"])
            return await self._attach_new(call, vaulted, customer)
        method = await self.reader.get(call, PAYMENT_METHOD, call.path["id"])
        if method.customer == customer.id:
            return await self.reader.answer(call, render(method))
        if method.customer is not None:
            raise InvalidRequest(
                "The payment method you provided has already been attached to a customer.", code="resource_already_exists", param="customer"
            )
        if method.consumed:
            raise InvalidRequest(
                "This PaymentMethod was previously used without being attached to a Customer or was detached from a Customer, "
                "and may not be used again."
            )
        await self._verify(Verification(payment_method=method))
        return await self.objects.change(call, method, next_version(method, customer=customer.id), "attached", relies_on=[customer])

    async def _attach_new(self, call: Call, vaulted: Vaulted, customer: Customer) -> Reply:
        method = replace(vaulted.method, customer=customer.id)
        await self._verify(Verification(payment_method=method, sealed_number=vaulted.sealed_number))
        return await self.objects.create(call, method, "attached", relies_on=[customer], sealed_number=vaulted.sealed_number)

    async def _verify(self, question: Verification) -> None:
        """Ask the issuer before a card is kept; raises `CardError` when it says no."""
        match await self.handover.verify(question):
            case Declined() as refusal:
                raise CardError(refusal.message, code=refusal.code, decline_code=refusal.decline_code)
            case Unknown():
                raise Overloaded("The card can't be verified right now. Please retry.")
            case _:
                pass

    async def _detach(self, call: Call, _: NoParams) -> Reply:
        method = await self.reader.get(call, PAYMENT_METHOD, call.path["id"])
        if method.customer is None:
            raise InvalidRequest(
                "The payment method you provided is not attached to a customer so detachment is impossible.", param="payment_method"
            )
        customer = await self.reader.get(call, CUSTOMER, method.customer)
        detached = next_version(method, customer=None, consumed=True)

        async def mutate(connection: Connection) -> Reply:
            told = [self.objects.event(call, "detached", detached, {"customer": customer.id})]
            if customer.default_payment_method == method.id:
                told.append(await self.objects.store(connection, call, customer, next_version(customer, default_payment_method=None)))
            else:
                await require_unmoved(connection, customer)
            await PAYMENT_METHOD.noun.update(connection, detached)
            await append_events(connection, told)
            return reply(render(detached))

        return await self.objects.once(call, mutate, PAYMENT_METHOD.name)
