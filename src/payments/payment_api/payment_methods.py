"""Payment methods: create, retrieve, update, attach, detach, list."""

from dataclasses import dataclass
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from payments.domain.customer import Customer
from payments.domain.errors import CardError, InvalidRequest, NotFound, Overloaded
from payments.domain.event import ObjectType
from payments.domain.outcome import Declined, Unknown
from payments.domain.payment_method import PaymentMethod
from payments.domain.people import Address, BillingDetails
from payments.payment_api.card_vault import CardParam, CardVault, Vaulted, is_alias
from payments.payment_api.customers import PaymentMethodListParams
from payments.payment_api.handover import HandoverClient
from payments.payment_api.intent_params import Id
from payments.payment_api.objects import Objects, changed_attributes
from payments.storage.changes import insert_payment_method, update_customer, update_payment_method
from payments.storage.database import Connection
from payments.storage.versions import require_unmoved
from payments.wire.api import Call, Endpoint, Reply, reply
from payments.wire.internal import Verification
from payments.wire.params import BillingDetailsParam, MetadataParam, merge_metadata
from payments.wire.reading import FilterId, Reader
from payments.wire.render import render

PATH = "/v1/payment_methods"
_Redisplay = Literal["always", "limited", "unspecified"]


class _CreateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    type: Literal["card"]
    card: CardParam
    billing_details: BillingDetailsParam | None = None
    allow_redisplay: _Redisplay = "unspecified"
    metadata: MetadataParam | None = None


class _CardUpdateParam(Struct, frozen=True, forbid_unknown_fields=True):
    exp_month: int | None = None
    exp_year: int | None = None


class _UpdateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    card: _CardUpdateParam | None = None
    billing_details: BillingDetailsParam | None = None
    allow_redisplay: _Redisplay | None = None
    metadata: MetadataParam | None = None


class _AttachParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    customer: Id


class _ListParams(PaymentMethodListParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    customer: FilterId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentMethods:
    """Handlers of `/v1/payment_methods`."""

    objects: Objects
    reader: Reader
    vault: CardVault
    handover: HandoverClient

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints."""
        return [
            Endpoint("POST", PATH, self._create, publishable=True),
            Endpoint("GET", PATH, self._list),
            Endpoint("GET", f"{PATH}/{{id}}", self._retrieve),
            Endpoint("POST", f"{PATH}/{{id}}", self._update),
            Endpoint("POST", f"{PATH}/{{id}}/attach", self._attach),
            Endpoint("POST", f"{PATH}/{{id}}/detach", self._detach),
        ]

    async def _create(self, call: Call) -> Reply:
        params = call.parse(_CreateParams)
        details = params.billing_details.value() if params.billing_details else BillingDetails()
        vaulted = self.vault.vault(call.principal, params.card, details)
        method = replace(vaulted.method, allow_redisplay=params.allow_redisplay, metadata=merge_metadata({}, params.metadata))

        async def mutate(connection: Connection) -> Reply:
            await insert_payment_method(connection, method, vaulted.sealed_number)
            return reply(render(method))

        return await self.objects.once(call, mutate, ObjectType.PAYMENT_METHOD)

    async def _list(self, call: Call) -> Reply:
        params = call.parse(_ListParams)
        filters = {"customer": params.customer, "allow_redisplay": params.allow_redisplay}
        return await self.reader.page(call, "payment_method", params, filters, PATH)

    async def _retrieve(self, call: Call) -> Reply:
        call.no_parameters()
        return await self.reader.answer(call, render(await self._find(call)))

    async def _find(self, call: Call) -> PaymentMethod:
        method_id = call.path["id"]
        if is_alias(method_id):
            # Stripe shows its test cards' names as payment methods; ours come to be when they are used.
            return replace(self.vault.from_alias(call.principal, method_id).method, id=method_id)
        return await self._stored(call)

    async def _stored(self, call: Call) -> PaymentMethod:
        method_id = call.path["id"]
        method: PaymentMethod | None = await self.reader.find(call, "payment_method", method_id)
        if method is None:
            raise NotFound("PaymentMethod", method_id[:100], param="payment_method")
        return method

    async def _update(self, call: Call) -> Reply:
        params = call.parse(_UpdateParams)
        method = await self._stored(call)
        if method.customer is None:
            raise InvalidRequest(
                "You must save this PaymentMethod to a customer before you can update it.", code="payment_method_not_available"
            )
        card = method.card
        if params.card is not None:
            month, year = params.card.exp_month or card.exp_month, params.card.exp_year or card.exp_year
            card = replace(card, exp_month=month, exp_year=self.vault.check_expiry(month, year))
        changed = replace(
            method,
            version=method.version + 1,
            card=card,
            billing_details=method.billing_details
            if params.billing_details is None
            else _merged(method.billing_details, call, params.billing_details),
            allow_redisplay=params.allow_redisplay or method.allow_redisplay,
            metadata=merge_metadata(method.metadata, params.metadata),
        )
        return await self.objects.change(call, "payment_method.updated", method, changed, update_payment_method)

    async def _attach(self, call: Call) -> Reply:
        params = call.parse(_AttachParams)
        if (found := await self.objects.idempotency.seen(call)) is not None:
            return await self.reader.expanded(call, found)
        customer: Customer = await self.reader.get(call, "customer", params.customer, param="customer")
        if customer.deleted:
            raise NotFound("customer", customer.id, param="customer")
        if is_alias(call.path["id"]):
            vaulted = self.vault.from_alias(call.principal, call.path["id"])
            return await self._attach_new(call, vaulted, customer)
        method = await self._stored(call)
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
        attached = replace(method, version=method.version + 1, customer=customer.id)

        async def store(connection: Connection, subject: PaymentMethod) -> None:
            await require_unmoved(connection, customer)
            await update_payment_method(connection, subject)

        return await self.objects.change(call, "payment_method.attached", method, attached, store)

    async def _attach_new(self, call: Call, vaulted: Vaulted, customer: Customer) -> Reply:
        method = replace(vaulted.method, customer=customer.id)
        await self._verify(Verification(payment_method=method, sealed_number=vaulted.sealed_number))

        async def store(connection: Connection, attached: PaymentMethod) -> None:
            await require_unmoved(connection, customer)
            await insert_payment_method(connection, attached, vaulted.sealed_number)

        return await self.objects.change(call, "payment_method.attached", method, method, store)

    async def _verify(self, question: Verification) -> None:
        """Ask the issuer before a card is kept; raises `CardError` when it says no."""
        match await self.handover.verify(question):
            case Declined() as refusal:
                raise CardError(refusal.message, code=refusal.code, decline_code=refusal.decline_code)
            case Unknown():
                raise Overloaded("The card can't be verified right now. Please retry.")
            case _:
                pass

    async def _detach(self, call: Call) -> Reply:
        call.no_parameters()
        method = await self._stored(call)
        if method.customer is None:
            raise InvalidRequest(
                "The payment method you provided is not attached to a customer so detachment is impossible.", param="payment_method"
            )
        customer: Customer = await self.reader.get(call, "customer", method.customer)
        detached = replace(method, version=method.version + 1, customer=None, consumed=True)

        async def mutate(connection: Connection) -> Reply:
            told = [self.objects.event(call, "payment_method.detached", detached, {"customer": customer.id})]
            if customer.default_payment_method == method.id:
                forgetful = replace(customer, version=customer.version + 1, default_payment_method=None)
                await update_customer(connection, forgetful)
                told.append(
                    self.objects.event(call, "customer.updated", forgetful, changed_attributes(render(customer), render(forgetful)))
                )
            else:
                await require_unmoved(connection, customer)
            await update_payment_method(connection, detached)
            await self.objects.tell(connection, told)
            return reply(render(detached))

        return await self.objects.once(call, mutate, ObjectType.PAYMENT_METHOD)


def _merged(old: BillingDetails, call: Call, given: BillingDetailsParam) -> BillingDetails:
    """Take over what was given; the rest stays."""
    named = call.params.get("billing_details")
    new = given.value()
    if not isinstance(named, dict):
        return old
    changes = {name: getattr(new, name) for name in ("email", "name", "phone", "tax_id", "address") if name in named}
    if isinstance(named.get("address"), dict) and old.address is not None:  # pyright: ignore[reportUnknownMemberType] - parsed above
        address, parts = new.address or Address(), named["address"]  # pyright: ignore[reportUnknownVariableType]
        kept = {name: getattr(old.address, name) for name in Address.__struct_fields__ if name not in parts}
        changes["address"] = replace(address, **kept)
    return replace(old, **changes)
