"""Events: what happened to an object, with the object as it was then."""

from enum import StrEnum

import msgspec
from msgspec import Struct

from payments.domain.charge import Charge
from payments.domain.customer import Customer
from payments.domain.payment_intent import PaymentIntent
from payments.domain.payment_method import PaymentMethod
from payments.domain.refund import Refund

EventObject = PaymentIntent | Charge | Refund | PaymentMethod | Customer
"""The objects that events are about."""


class ObjectType(StrEnum):
    """The `object` field of what an event is about."""

    PAYMENT_INTENT = "payment_intent"
    CHARGE = "charge"
    REFUND = "refund"
    PAYMENT_METHOD = "payment_method"
    CUSTOMER = "customer"


OBJECT_CLASSES: dict[ObjectType, type[EventObject]] = {
    ObjectType.PAYMENT_INTENT: PaymentIntent,
    ObjectType.CHARGE: Charge,
    ObjectType.REFUND: Refund,
    ObjectType.PAYMENT_METHOD: PaymentMethod,
    ObjectType.CUSTOMER: Customer,
}
OBJECT_TYPES: dict[type[EventObject], ObjectType] = {cls: name for name, cls in OBJECT_CLASSES.items()}


class Origin(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The API request that caused an event; both None when we caused it ourselves."""

    request_id: str | None = None
    idempotency_key: str | None = None


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that happened; immutable. Its row in the outbox makes sure that it is delivered at least once."""

    id: str
    merchant_id: int
    livemode: bool
    created: int
    type: str
    """`payment_intent.succeeded`, …"""
    object_type: ObjectType
    object_id: str
    object_version: int
    """Grows with each change of the object, so that a receiver can put its events in order."""
    snapshot: msgspec.Raw
    """The object at that moment, in the stored form; never parsed on the way of a payment."""
    previous_attributes: dict[str, object] | None = None
    """On `*.updated` only: the public fields that changed, with their old values."""
    origin: Origin = Origin()

    def object(self) -> EventObject:
        """Decode the snapshot."""
        return msgspec.json.decode(self.snapshot, type=OBJECT_CLASSES[self.object_type])


def event_of(
    event_id: str,
    event_type: str,
    subject: EventObject,
    *,
    created: int,
    origin: Origin,
    previous_attributes: dict[str, object] | None = None,
) -> Event:
    """Build the event `event_type` about `subject` as it is now."""
    return Event(
        id=event_id,
        merchant_id=subject.merchant_id,
        livemode=subject.livemode,
        created=created,
        type=event_type,
        object_type=OBJECT_TYPES[type(subject)],
        object_id=subject.id,
        object_version=subject.version,
        snapshot=msgspec.Raw(msgspec.json.encode(subject)),
        previous_attributes=previous_attributes,
        origin=origin,
    )
