"""Whom events are delivered to, and the time of a sandbox."""

from payments.domain.destination import Destination
from payments.domain.replay import Replay
from payments.domain.sandbox_clock import SandboxClock
from payments.domain.webhook_endpoint import WebhookEndpoint
from payments.storage.nouns import Noun
from payments.wire import render as shapes
from payments.wire.kind import Kind
from payments.wire.render_destination import render_destination
from payments.wire.render_replay import render_replay
from payments.wire.render_sandbox_clock import render_sandbox_clock

WEBHOOK_ENDPOINT = Kind(
    noun=Noun(
        "notifications.webhook_endpoints",
        "we",
        WebhookEndpoint,
        columns=("enabled", "enabled_events", "ordered"),
        condition="NOT id LIKE 'ed\\_%'",
    ),
    path="/v1/webhook_endpoints",
    render=shapes.render_webhook_endpoint,
    title="webhook endpoint",
    param="webhook_endpoint",
)
DESTINATION = Kind(
    noun=Noun(
        "notifications.webhook_endpoints",
        "ed",
        Destination,
        columns=("enabled", "enabled_events", "ordered", "receipts"),
        condition="id LIKE 'ed\\_%'",
    ),
    path="/v1/notifications/destinations",
    render=render_destination,
    title="destination",
    param="destination",
)
"""In the table of webhook endpoints, since all that is delivered is delivered alike; which of the two a row is, its id says."""
REPLAY = Kind(
    noun=Noun("notifications.replays", "rpl", Replay, columns=("status",)),
    path="/v1/notifications/replays",
    render=render_replay,
    title="replay",
)
SANDBOX_CLOCK = Kind(
    noun=Noun("payments.test_clocks", "clock", SandboxClock, columns=("status", "deleted"), condition="NOT deleted"),
    path="/v1/test_helpers/test_clocks",
    render=render_sandbox_clock,
    title="test_clock",
    param="test_clock",
)
