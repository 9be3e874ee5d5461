"""The cards of a customer: how one comes to be theirs, what is told of it, and what follows when it is taken away."""

from dataclasses import dataclass

from msgspec import UNSET, UnsetType
from msgspec.structs import asdict, replace

from payments.domain.customer import Customer
from payments.domain.errors import CardError, InvalidRequest, Overloaded
from payments.domain.event import Event, event_of
from payments.domain.outcome import Declined, Unknown
from payments.domain.payment_method import CardSource, PaymentMethod
from payments.domain.resource import next_version
from payments.payment_api.card_hash import Source, SourceHash
from payments.payment_api.card_vault import Vaulted, is_alias, is_test_card
from payments.payment_api.confirmation import Cards
from payments.payment_api.handover import HandoverClient
from payments.runtime.ids import new_id
from payments.storage.database import Connection
from payments.storage.paging import PageRequest
from payments.storage.versions import require_unmoved
from payments.wire.api import Call
from payments.wire.changes import merge_metadata
from payments.wire.internal import Verification
from payments.wire.kinds import PAYMENT_METHOD
from payments.wire.objects import Objects
from payments.wire.params import MetadataParam
from payments.wire.reading import Reader
from payments.wire.render import DECLINED_FOR
from payments.wire.render_people import Rendered


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerCards:
    """Attaches cards to customers, and takes them away."""

    objects: Objects
    reader: Reader
    cards: Cards
    handover: HandoverClient

    async def of_source(
        self, call: Call, source: Source, customer_id: str, *, metadata: MetadataParam | UnsetType = UNSET, param: str
    ) -> Vaulted:
        """Return the card of a token, or a new one, as the customer's; raises `CardError`, `ResourceMissing`, `InvalidRequest`, `Overloaded`."""
        if isinstance(source, SourceHash):
            card = await self.cards.new(call.principal, source.card(), source.details(), param=param)
            metadata = source.metadata if metadata is UNSET else metadata
        else:
            card = await self.cards.of_token(call.principal, source, param=param)
        described = {} if metadata is UNSET else merge_metadata(card.method.metadata, metadata)
        return await self._verified(replace(card, method=replace(card.method, customer=customer_id, metadata=described)))

    async def of_payment_method(self, call: Call, method_id: str, customer_id: str, *, param: str = "") -> Vaulted:
        """Return a card on file, or a test card by its name, as the customer's; raises `CardError`, `ResourceMissing`, `InvalidRequest`, `Overloaded`.
        `param` is what named it, unless that was the path.
        """
        if is_alias(method_id) and is_test_card(method_id) and not call.principal.livemode:
            card = await self.cards.of_token(call.principal, method_id, param=param)
            return await self._verified(replace(card, method=replace(card.method, customer=customer_id)))
        method = await self.reader.get(call, PAYMENT_METHOD, method_id, param=param)
        if method.customer is not None:
            raise InvalidRequest(
                "The payment method you provided has already been attached to a customer.", code="resource_already_exists", param="customer"
            )
        if method.consumed:
            raise InvalidRequest(
                "This PaymentMethod was previously used without being attached to a Customer or was detached from a Customer, "
                "and may not be used again."
            )
        return await self._verified(Vaulted(next_version(method, customer=customer_id)))

    async def _verified(self, card: Vaulted) -> Vaulted:
        """Ask the issuer before a card is kept; raises `CardError` when it says no."""
        question = Verification(payment_method=card.method, sealed_number=card.sealed_number or None, sealed_cvc=card.sealed_cvc)
        match await self.handover.verify(question):
            case Declined() as refusal:
                at_fault = DECLINED_FOR.get(refusal.code, "")  # as Stripe says of a card that isn't kept: there always is one
                raise CardError(refusal.message, code=refusal.code, decline_code=refusal.decline_code, param=at_fault)
            case Unknown():
                raise Overloaded("The card can't be verified right now. Please retry.")
            case _:
                return card

    def source_event(self, call: Call, event: str, method: PaymentMethod, previous: Rendered | None = None) -> Event:
        """Build an event about a card as the older API has it: `created`, `updated`, `deleted`."""
        return event_of(
            new_id("evt"),
            f"{CardSource.TOLD_AS}.{event}",
            as_source(method),
            created=int(self.objects.clock.now()),
            origin=call.origin,
            previous_attributes=previous,
        )

    async def detach(self, connection: Connection, call: Call, customer: Customer, method: PaymentMethod) -> list[Event]:
        """Take a card away from its customer, who has another default then, the newest that is left; returns what is to be told. Raises `ObjectLocked`."""
        detached = detached_from(method)
        told = [self.objects.event(call, "detached", detached, {"customer": customer.id})]
        defaults: dict[str, str | None] = {}
        if customer.default_payment_method == method.id:
            defaults["default_payment_method"] = None
        if customer.default_source == method.id:
            defaults["default_source"] = await _newest_but(connection, customer, method)
        if defaults:
            told.append(await self.objects.store(connection, call, customer, next_version(customer, **defaults)))
        else:
            await require_unmoved(connection, customer)
        await PAYMENT_METHOD.noun.update(connection, detached)
        return told


async def _newest_but(connection: Connection, customer: Customer, method: PaymentMethod) -> str | None:
    """Return the customer's newest card beside one, which stays theirs while this transaction lasts."""
    page, of_customer = PageRequest(limit=2), {"customer": customer.id}
    found, _ = await PAYMENT_METHOD.noun.page(connection, customer.merchant_id, customer.livemode, page, of_customer)
    others = [each for each in found if each.id != method.id]
    if not others:
        return None
    await require_unmoved(connection, others[0])
    return others[0].id


def detached_from(method: PaymentMethod) -> PaymentMethod:
    """Return a card as it is without its customer: it pays for nothing any more."""
    return next_version(method, customer=None, consumed=True)


def as_source(method: PaymentMethod) -> CardSource:
    """Return a card as the older API has it."""
    return CardSource(**asdict(method))
