"""The shape of replays, which are Tap's own."""

from payments.domain.replay import Replay
from payments.wire.render_people import Rendered


def render_replay(replay: Replay) -> Rendered:
    """Render a replay and how far it is."""
    return {
        "id": replay.id,
        "object": replay.OBJECT,
        "cancellation_reason": replay.cancellation_reason,
        "created": replay.created,
        "deliveries": replay.deliveries,
        "events_created": {"gte": replay.created_from, "lte": replay.created_to},
        "livemode": replay.livemode,
        "looked_at": replay.looked_at,
        "replayed": replay.replayed,
        "status": replay.status,
        "total": replay.total,
        "types": replay.types,
        "webhook_endpoint": replay.webhook_endpoint,
    }
