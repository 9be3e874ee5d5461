"""`tap webhooks log` and `show`: attempts to deliver, with what was sent, what came back, and what took how long."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from payments.cli.api_client import Api
from payments.cli.data_directory import UsageError

_ATTEMPTS = "/v1/notifications/attempts"
_PAGE_MAX = 100
_ATTEMPTS_MAX = 1_000
"""Of one delivery: more than it has unless it is sent again and again."""
_PHASES = {"resolve_ms": "look-up", "connect_ms": "connect", "tls_ms": "TLS", "first_byte_ms": "first byte", "total_ms": "total"}

Tell = Callable[[str], None]


def run_log(api: Api, wanted: Mapping[str, str | None], limit: int, tell: Tell, *, as_json: bool) -> None:
    """List so many attempts, newest first."""
    for attempt in _attempts(api, wanted, limit):
        tell(json.dumps(attempt) if as_json else _line(attempt))


def run_show(api: Api, named: str, tell: Tell, *, as_json: bool) -> None:
    """Show the attempts of a delivery, oldest first, or one attempt; raises `UsageError` when there is none in the log."""
    event, dot, endpoint = named.partition(".")
    ids = [each["id"] for each in _attempts(api, {"event": event, "endpoint": endpoint}, _ATTEMPTS_MAX)] if dot else [named]
    if not ids:
        raise UsageError(f"There is no attempt of {named} in the log: it wasn't tried yet, or more than thirty days ago.")
    for attempt_id in reversed(ids):
        attempt = api.call("GET", f"{_ATTEMPTS}/{quote(attempt_id, safe='')}")
        for line in [json.dumps(attempt)] if as_json else _lines(attempt):
            tell(line)


def _attempts(api: Api, wanted: Mapping[str, str | None], limit: int) -> Iterator[dict[str, Any]]:
    params: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
    params["limit"] = min(limit, _PAGE_MAX)
    while limit > 0:
        page = api.call("GET", _ATTEMPTS, params)
        yield from page["data"][:limit]
        limit -= len(page["data"])
        if not page["has_more"] or not page["data"]:
            return
        params["starting_after"] = page["data"][-1]["id"]


def _line(attempt: dict[str, Any]) -> str:
    at = datetime.fromtimestamp(attempt["attempted_at"]).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    came = attempt["error"] if attempt["status_code"] is None else attempt["status_code"]
    return f"{at} [{came}] {attempt['duration_ms']:>6} ms  {attempt['id']}  {attempt['delivery']}"


def _lines(attempt: dict[str, Any]) -> Iterator[str]:
    """What receivers say is shown with what a terminal would obey written out."""
    yield _line(attempt)
    request, response = attempt["request"], attempt["response"]
    if request is not None:
        yield f"> POST {request['url']}"
        yield from (f"> {name}: {value}" for name, value in request["headers"].items())
        yield f"> {request['body_bytes']} bytes in version {request['api_version']}, SHA-256 {request['body_sha256']}"
    if response is not None:
        yield f"< {attempt['status_code']}"
        yield from (f"< {_written_out(name)}: {_written_out(value)}" for name, value in response["headers"].items())
        yield from (f"< {_written_out(line)}" for line in response["body"].splitlines())
        if response["truncated"]:
            yield "< …"
    phases = [f"{named} {attempt['timing'][name]} ms" for name, named in _PHASES.items() if attempt["timing"][name] is not None]
    yield "  " + ", ".join(phases)


def _written_out(text: str) -> str:
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)
