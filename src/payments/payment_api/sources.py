"""The cards of a customer as the older API has them: create, retrieve, update, delete, list. `/cards` is what `/sources` was called before."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from payments.domain.customer import Customer
from payments.domain.errors import InvalidRequest, NotFound
from payments.domain.payment_method import PaymentMethod
from payments.domain.people import Address, BillingDetails
from payments.domain.resource import next_version
from payments.payment_api.card_hash import ADDRESS_FIELDS, SourceParam, given_source
from payments.payment_api.card_vault import CardVault
from payments.payment_api.customer_cards import CustomerCards, as_source
from payments.payment_api.keeping import store_card
from payments.storage.database import Connection
from payments.storage.events import append_events
from payments.storage.nouns import Filter
from payments.storage.versions import require_unmoved
from payments.wire.api import Call, Endpoint, Endpoints, Reply, reply
from payments.wire.changes import changed
from payments.wire.kind import Shown
from payments.wire.kinds import CARD, CUSTOMER, PAYMENT_METHOD
from payments.wire.objects import Objects, changed_attributes
from payments.wire.params import MetadataParam, NoParams, ShortText, Text
from payments.wire.reading import PageParams, Reader, none_of_them
from payments.wire.render_lists import render_deleted
from payments.wire.rendering import render


class _CreateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    card: SourceParam | None = None
    source: SourceParam | None = None
    metadata: MetadataParam | UnsetType = UNSET


class _UpdateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    exp_month: int | None = None
    exp_year: int | None = None
    metadata: MetadataParam | UnsetType = UNSET
    name: Text | UnsetType = UNSET
    address_line1: ShortText | UnsetType = UNSET
    address_line2: ShortText | UnsetType = UNSET
    address_city: ShortText | UnsetType = UNSET
    address_state: ShortText | UnsetType = UNSET
    address_zip: ShortText | UnsetType = UNSET
    address_country: ShortText | UnsetType = UNSET

    def details(self, before: BillingDetails) -> BillingDetails:
        """Return whose the card is, as it shall be; an empty string unsets."""
        given: dict[str, Any] = {
            name: value or None for param, name in ADDRESS_FIELDS.items() if (value := getattr(self, param)) is not UNSET
        }
        address = replace(before.address or Address(), **given) if given else before.address
        return replace(before, address=address, name=before.name if self.name is UNSET else self.name or None)


class _ListParams(PageParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    object: Annotated[str, Meta(min_length=1, max_length=50)] | None = None
    """As in `card` and `bank_account`: of these there are none."""

    def filters(self) -> dict[str, Filter]:
        """Return the filters that are given: all sources are cards."""
        return {}


_Path = Literal["sources", "cards"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """`/v1/customers/{id}/sources`, and `/cards`."""

    objects: Objects
    reader: Reader
    vault: CardVault
    customer_cards: CustomerCards

    def endpoints(self) -> Endpoints:
        """What may be called."""
        return [*self._endpoints("sources"), *self._endpoints("cards")]

    def _endpoints(self, name: _Path) -> Endpoints:
        path, card = f"{CUSTOMER.path}/{{id}}/{name}", Shown(CARD.name)

        async def page(call: Call, params: _ListParams) -> Reply:
            customer = await self.reader.get(call, CUSTOMER, call.path["id"])
            url = f"{CUSTOMER.path}/{customer.id}/{name}"
            if params.object not in (None, "card"):
                return await none_of_them(CARD.named, params, url)
            return await self.reader.page(call, CARD, params, url, customer=customer.id)

        return [
            Endpoint("POST", path, _CreateParams, self._create, shows=card),
            Endpoint("GET", path, _ListParams, page, shows=Shown(CARD.name, listed=True)),
            Endpoint("GET", f"{path}/{{source}}", NoParams, self._retrieve, shows=card),
            Endpoint("POST", f"{path}/{{source}}", _UpdateParams, self._update, shows=card),
            Endpoint("DELETE", f"{path}/{{source}}", NoParams, self._delete, shows=Shown(f"deleted_{CARD.name}")),
        ]

    async def _create(self, call: Call, params: _CreateParams) -> Reply:
        source, param = given_source(params.source, params.card)
        if source is None:
            raise InvalidRequest("Missing required param: source.", code="parameter_missing", param=param)
        if (found := await self.objects.idempotency.seen(call)) is not None:
            return await self.reader.expanded(call, found)
        customer = await self.reader.get(call, CUSTOMER, call.path["id"])
        card = await self.customer_cards.of_source(call, source, customer.id, metadata=params.metadata, param=param)

        async def mutate(connection: Connection) -> Reply:
            told = [self.objects.event(call, "attached", card.method), self.customer_cards.source_event(call, "created", card.method)]
            if customer.default_source is None:
                told.append(await self.objects.store(connection, call, customer, next_version(customer, default_source=card.method.id)))
            else:
                await require_unmoved(connection, customer)
            await store_card(connection, card)
            await append_events(connection, told)
            return reply(render(as_source(card.method)))

        return await self.objects.once(call, mutate, CARD.name)

    async def _find(self, call: Call) -> tuple[Customer, PaymentMethod]:
        """Return the card of the path and its customer; raises `NotFound`."""
        customer = await self.reader.get(call, CUSTOMER, call.path["id"])
        method = await self.reader.find(call, PAYMENT_METHOD, call.path["source"])
        if method is None or method.customer != customer.id:
            raise NotFound(CARD.named, call.path["source"][:100])
        return customer, method

    async def _retrieve(self, call: Call, _: NoParams) -> Reply:
        method = (await self._find(call))[1]
        return await self.reader.answer(call, render(as_source(method)))

    async def _update(self, call: Call, params: _UpdateParams) -> Reply:
        _, method = await self._find(call)
        card = method.card
        if params.exp_month is not None or params.exp_year is not None:
            month, year = params.exp_month or card.exp_month, params.exp_year or card.exp_year
            card = replace(card, exp_month=month, exp_year=self.vault.check_expiry(month, year))
        updated = changed(method, params, card=card, billing_details=params.details(method.billing_details))
        before, after = render(as_source(method)), render(as_source(updated))

        async def mutate(connection: Connection) -> Reply:
            await PAYMENT_METHOD.noun.update(connection, updated)
            event = self.customer_cards.source_event(call, "updated", updated, changed_attributes(before, after))
            await append_events(connection, [event])
            return reply(after)

        return await self.objects.once(call, mutate, CARD.name)

    async def _delete(self, call: Call, _: NoParams) -> Reply:
        customer, method = await self._find(call)

        async def mutate(connection: Connection) -> Reply:
            told = await self.customer_cards.detach(connection, call, customer, method)
            await append_events(connection, [*told, self.customer_cards.source_event(call, "deleted", method)])
            return reply(render_deleted(method.id, CARD.name))

        return await self.objects.once(call, mutate, CARD.name)
