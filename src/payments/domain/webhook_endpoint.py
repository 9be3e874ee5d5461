"""Where a merchant wants to hear of events."""

from payments.domain.errors import InvalidRequest
from payments.domain.resource import Resource

ORDERING = "tap_ordering"
"""The key of metadata that asks for an order: so any SDK can set it."""
PER_OBJECT = "per_object"
FIFO = ".fifo"
"""How the names of queues and topics of AWS end that keep an order."""
TOLD = tuple(f"{kind}.{what}" for kind in ("notification.destination", "webhook_endpoint") for what in ("delivery_failed", "disabled"))
"""The types of the events that tell that Tap gave up a delivery, or sends nothing more to an endpoint."""


class WebhookEndpoint(Resource, frozen=True, kw_only=True, omit_defaults=True):
    """A receiver of events. Its signing secret is stored sealed beside this, never in it."""

    OBJECT = "webhook_endpoint"

    url: str
    enabled_events: list[str]
    """Event types, or `["*"]`."""
    enabled: bool = True
    api_version: str | None = None
    """What its events are rendered in, chosen when it is created; None: in the merchant's default, whatever that is at the time."""
    description: str | None = None
    metadata: dict[str, str] = {}

    @property
    def ordered(self) -> bool:
        """Whether the events of each object come one after the other, in the order of its versions: as said, and where a queue keeps the order."""
        return self.metadata.get(ORDERING) == PER_OBJECT or (self.url.startswith("arn:") and self.url.endswith(FIFO))


def check_ordering(endpoint: WebhookEndpoint) -> WebhookEndpoint:
    """Return the endpoint; raises `InvalidRequest` for an order that there isn't, which would else be none in silence."""
    if endpoint.metadata.get(ORDERING, PER_OBJECT) != PER_OBJECT:
        name = f"metadata[{ORDERING}]"
        raise InvalidRequest(f"Invalid {name}: must be {PER_OBJECT}, or left out.", param=name)
    return endpoint
