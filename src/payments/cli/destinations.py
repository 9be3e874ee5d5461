"""`tap destinations add`, `list` and `remove`."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from payments.cli.api_client import Api

_PATH = "/v1/notifications/destinations"
_PAGE_MAX = 100

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be added."""

    kind: str
    arn: str | None = None
    email: str | None = None
    events: str | None = None
    """With commas between them."""
    description: str | None = None

    def params(self) -> dict[str, Any]:
        """Return what the API is told."""
        events = None if self.events is None else [each.strip() for each in self.events.split(",") if each.strip()]
        given = {"type": self.kind, "arn": self.arn, "email": self.email, "enabled_events": events, "description": self.description}
        return {name: value for name, value in given.items() if value is not None}


def add(api: Api, wanted: Wanted, tell: Tell) -> None:
    """Add one."""
    tell(shown(api.call("POST", _PATH, wanted.params())))


def show_all(api: Api, as_json: bool, tell: Tell) -> None:
    """Show all that there are."""
    params: dict[str, Any] = {"limit": _PAGE_MAX}
    while True:
        page = api.call("GET", _PATH, params)
        for destination in page["data"]:
            tell(json.dumps(destination) if as_json else shown(destination))
        if not page["has_more"] or not page["data"]:
            return
        params["starting_after"] = page["data"][-1]["id"]


def remove(api: Api, destination_id: str, tell: Tell) -> None:
    """Remove one."""
    removed = api.call("DELETE", f"{_PATH}/{quote(destination_id, safe='')}")
    tell(f"removed  {removed['id']}")


def shown(destination: dict[str, Any]) -> str:
    """Return a destination's line."""
    whither = destination["arn"] or destination["email"] or "each buyer's own address"
    mode = "live" if destination["livemode"] else "test"
    return f"{destination['status']:8}  {mode}  {destination['type']:11}  {destination['id']}  {whither}  {','.join(destination['enabled_events'])}"
