"""The shape of destinations, which are Tap's own."""

from payments.domain.destination import QUEUES, ChannelType, Destination
from payments.wire.render_people import Rendered


def render_destination(destination: Destination) -> Rendered:
    """Render a destination."""
    channel = destination.channel
    return {
        "id": destination.id,
        "object": destination.OBJECT,
        "api_version": destination.api_version,
        "arn": destination.url if channel in QUEUES else None,
        "created": destination.created,
        "description": destination.description,
        "email": destination.url.removeprefix("mailto:") if channel is ChannelType.EMAIL else None,
        "enabled_events": destination.enabled_events,
        "livemode": destination.livemode,
        "metadata": destination.metadata,
        "status": "enabled" if destination.enabled else "disabled",
        "type": channel,
    }
