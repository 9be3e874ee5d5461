"""Where a merchant wants to hear of events."""

from payments.domain.resource import Resource


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
