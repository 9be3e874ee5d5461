"""`tap events resend`: sends an event once more to webhook endpoints."""

from collections.abc import Callable, Sequence
from urllib.parse import quote

from payments.cli.api_client import Api
from payments.cli.data_directory import UsageError

_DELIVERIES = "/v1/notifications/deliveries"


def run_resend(api: Api, event_id: str, endpoints: Sequence[str], tell: Callable[[str], None]) -> None:
    """Send it to these endpoints, or to all that it was sent to before; raises `UsageError` when that is none."""
    event = api.call("GET", f"/v1/events/{quote(event_id, safe='')}")
    if not endpoints:
        sent = api.call("GET", _DELIVERIES, {"event": event["id"], "limit": 100})["data"]
        endpoints = [delivery["webhook_endpoint"] for delivery in sent]
    if not endpoints:
        raise UsageError(f"{event['id']} was sent to no webhook endpoint.")
    for endpoint in endpoints:
        api.call("POST", f"/v1/events/{event['id']}/retry", {"webhook_endpoint": endpoint})
        tell(f"{event['type']} [{event['id']}] --> {endpoint}")
