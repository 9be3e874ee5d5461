"""`tap webhooks list`, `tail` and `replay`: what became of deliveries, and sending them again."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from payments.cli.api_client import Api
from payments.cli.data_directory import UsageError
from payments.cli.request_log import seconds

_DELIVERIES = "/v1/notifications/deliveries"
_REPLAYS = "/v1/notifications/replays"
_PAGE_MAX = 100
_POLL_SECONDS = 1.0

Tell = Callable[[str], None]
Sleep = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which deliveries, and how they are shown."""

    endpoint: str | None = None
    status: str | None = None
    as_json: bool = False

    def params(self, limit: int) -> dict[str, Any]:
        """Return what the list is asked for."""
        given = {"limit": limit, "endpoint": self.endpoint, "status": self.status}
        return {name: value for name, value in given.items() if value is not None}

    def shown(self, delivery: dict[str, Any]) -> str:
        """Return a delivery's line."""
        if self.as_json:
            return json.dumps(delivery)
        attempts = f"{delivery['attempts']} attempt{'' if delivery['attempts'] == 1 else 's'}"
        return f"{delivery['status']:9}  {attempts:11}  {delivery['id']}"


def run_list(api: Api, wanted: Wanted, limit: int, tell: Tell) -> None:
    """Show so many deliveries, newest event first."""
    params = wanted.params(min(limit, _PAGE_MAX))
    while limit > 0:
        page = api.call("GET", _DELIVERIES, params)
        for delivery in page["data"][:limit]:
            tell(wanted.shown(delivery))
        limit -= len(page["data"])
        if not page["has_more"] or not page["data"]:
            return
        params["starting_after"] = page["data"][-1]["id"]


def run_tail(api: Api, wanted: Wanted, tell: Tell, sleep: Sleep) -> None:
    """Show what changes from now on, until `sleep` raises."""
    known: dict[str, tuple[str, int]] | None = None
    while True:
        page = api.call("GET", _DELIVERIES, wanted.params(_PAGE_MAX))["data"]
        states = {delivery["id"]: (delivery["status"], delivery["attempts"]) for delivery in page}
        if known is not None:
            for delivery in reversed(page):
                if known.get(delivery["id"]) != states[delivery["id"]]:
                    tell(wanted.shown(delivery))
        known = states
        sleep(_POLL_SECONDS)


def redeliver(api: Api, delivery_id: str, tell: Tell) -> None:
    """Send one again."""
    tell(Wanted().shown(api.call("POST", f"{_DELIVERIES}/{quote(delivery_id, safe='.')}/redeliver")))


def range_of(since: str | None, until: str | None, now: float) -> dict[str, int]:
    """Return the bounds that `10m` and the like stand for, unix seconds; raises `UsageError`."""
    bounds: dict[str, int] = {}
    for bound, given in (("gte", since), ("lte", until)):
        if given is None:
            continue
        ago = seconds(given)
        if ago is None:
            raise UsageError(f"{given} is no time: write 90s, 10m, 2h or 1d.")
        bounds[bound] = int(now - ago)
    return bounds


def replay_of(api: Api, endpoint: str, *, types: Sequence[str], created: dict[str, int], deliveries: str) -> dict[str, Any]:
    """Have what an endpoint missed sent again; returns the replay."""
    params: dict[str, Any] = {"webhook_endpoint": endpoint, "deliveries": deliveries}
    if types:
        params["types"] = list(types)
    if created:
        params["events_created"] = created
    return api.call("POST", _REPLAYS, params)


def follow(api: Api, replay: dict[str, Any], tell: Tell, sleep: Sleep) -> None:
    """Show how far a replay is, whenever that changes, until it is done."""
    shown = ""
    while True:
        of_all = "" if replay["total"] is None else f" of {replay['total']}"
        line = f"{replay['id']} {replay['status']}: {replay['looked_at']}{of_all} looked at, {replay['replayed']} sent again"
        if line != shown:
            tell(line)
            shown = line
        if replay["status"] != "running":
            return
        sleep(_POLL_SECONDS)
        replay = api.call("GET", f"{_REPLAYS}/{replay['id']}")
