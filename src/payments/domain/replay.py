"""Sending again what an endpoint missed: many deliveries, a few at a time."""

from typing import Literal

from payments.domain.resource import Resource


class Replay(Resource, frozen=True, kw_only=True, omit_defaults=True):
    """Deliveries to one endpoint that are made due again, from the oldest event to the newest one."""

    OBJECT = "notification.replay"

    webhook_endpoint: str
    deliveries: Literal["dead", "all"] = "dead"
    """`dead`: dead letters; `all`: what was delivered as well."""
    types: list[str] = []
    """Event types, or groups as in `charge.*`; none: all."""
    created_from: int | None = None
    """Of the events, unix seconds, inclusive; None: from the first on."""
    created_to: int | None = None
    """Likewise; None: to the last one that there was when this was asked for."""
    status: Literal["running", "succeeded", "canceled"] = "running"
    cancellation_reason: Literal["requested", "endpoint_disabled"] | None = None
    total: int | None = None
    """How many deliveries there were to be looked at when this was asked for; None: too many to count."""
    looked_at: int = 0
    replayed: int = 0
    """Those of them that were made due again."""
    reached: str
    """The id of the event up to which all were looked at."""
    ends_before: str
    """The id that is beyond the last event."""

    @property
    def statuses(self) -> list[str]:
        """Those that its deliveries are in before."""
        return ["dead"] if self.deliveries == "dead" else ["dead", "delivered"]
