"""The time of a sandbox, which moves forward on request."""

from typing import Literal

from payments.domain.resource import Resource

KEPT_SECONDS = 30 * 24 * 3600
"""A clock that is older is deleted; its sandbox stays where it is in time."""
AHEAD_SECONDS_MAX = 10 * 366 * 24 * 3600
"""How far a sandbox may be ahead of the real time, all in all."""


class SandboxClock(Resource, frozen=True, kw_only=True, omit_defaults=True):
    """One sandbox's clock. What is due is due by it; when something was made is told by the real one, as ids and lists are in its order."""

    OBJECT = "test_helpers.test_clock"

    name: str | None = None
    frozen_time: int
    """What it was set to last, unix seconds: it goes on from there as the real time does."""
    advanced_at: int
    """When it was, unix seconds."""
    status: Literal["ready", "advancing"] = "ready"
    """`advancing` until all that is due by it has been done."""
    deleted: bool = False
