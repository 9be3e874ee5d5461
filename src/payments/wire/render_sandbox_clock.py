"""Stripe's shape of test clocks."""

from payments.domain.sandbox_clock import KEPT_SECONDS, SandboxClock
from payments.wire.render_people import Rendered


def render_sandbox_clock(clock: SandboxClock) -> Rendered:
    """Render a clock, or what is left of one."""
    if clock.deleted:
        return {"id": clock.id, "object": clock.OBJECT, "deleted": True}
    details: Rendered = {"advancing": {"target_frozen_time": clock.frozen_time}} if clock.status == "advancing" else {}
    return {
        "id": clock.id,
        "object": clock.OBJECT,
        "created": clock.created,
        "deletes_after": clock.created + KEPT_SECONDS,
        "frozen_time": clock.frozen_time,
        "livemode": clock.livemode,
        "name": clock.name,
        "status": clock.status,
        "status_details": details,
    }
