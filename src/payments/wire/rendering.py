"""Rendering any object, or an event about one, by what its kind declares."""

from payments.domain.event import Event
from payments.domain.resource import Resource
from payments.wire.kinds import KINDS
from payments.wire.render_people import Rendered


def render(subject: Resource) -> Rendered:
    """Render an object as Stripe does."""
    return KINDS[subject.OBJECT].render(subject)


def rendered(subject: Resource, now: float) -> Rendered:
    """Render an object as it stands at `now`, unix seconds."""
    kind = KINDS[subject.OBJECT]
    return kind.render(subject) if kind.render_at is None else kind.render_at(subject, now)


def subject_of(event: Event) -> Resource:
    """Return the object that an event is about, as it was then."""
    return KINDS[event.object_type].noun.decode(event.snapshot)


def render_event(event: Event, pending_webhooks: int, api_version: str) -> Rendered:
    """Render an event with its object as it was then; `pending_webhooks`: deliveries that haven't succeeded yet.

    `api_version` is the one that it says it is in; as everything, it is rendered in the newest one.
    """
    data: Rendered = {"object": render(subject_of(event))}
    if event.previous_attributes is not None:
        data["previous_attributes"] = event.previous_attributes
    return {
        "id": event.id,
        "object": "event",
        "api_version": api_version,
        "created": event.created,
        "data": data,
        "livemode": event.livemode,
        "pending_webhooks": pending_webhooks,
        "request": {"id": event.origin.request_id, "idempotency_key": event.origin.idempotency_key},
        "type": event.type,
    }
