"""Events: what happened to an object, with the object as it was then."""

import msgspec
from msgspec import Struct

from payments.domain.resource import Resource

EventObject = Resource
"""What events are about."""


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
    object_type: str
    """What the object says that it is."""
    object_id: str
    object_version: int
    """Grows with each change of the object, so that a receiver can put its events in order."""
    snapshot: msgspec.Raw
    """The object at that moment, in the stored form; never parsed on the way of a payment."""
    previous_attributes: dict[str, object] | None = None
    """On `*.updated` only: the public fields that changed, with their old values."""
    origin: Origin = Origin()


def event_of(
    event_id: str,
    event_type: str,
    subject: Resource,
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
        object_type=subject.OBJECT,
        object_id=subject.id,
        object_version=subject.version,
        snapshot=msgspec.Raw(msgspec.json.encode(subject)),
        previous_attributes=previous_attributes,
        origin=origin,
    )
