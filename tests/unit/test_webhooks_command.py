"""`tap webhooks`: every page is listed, what changes is shown once, and a replay is followed until it is done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from payments.cli.data_directory import UsageError
from payments.cli.webhook_log import run_show
from payments.cli.webhooks import Wanted, follow, range_of, replay_of, run_list, run_tail


@dataclass
class Answers:
    """An API that answers in turn, and notes what it was asked."""

    answers: Sequence[dict[str, Any]]
    asked: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list[tuple[str, str, dict[str, Any]]])

    def call(self, method: str, path: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        self.asked.append((method, path, dict(params or {})))
        return self.answers[len(self.asked) - 1]


def delivery(number: int, status: str = "delivered", attempts: int = 1) -> dict[str, Any]:
    return {"id": f"evt_{number}.we_1", "status": status, "attempts": attempts}


def page(*deliveries: dict[str, Any], has_more: bool = False) -> dict[str, Any]:
    return {"data": list(deliveries), "has_more": has_more}


def test_a_list_goes_on_over_its_pages() -> None:
    api = Answers([page(*map(delivery, range(250, 150, -1)), has_more=True), page(*map(delivery, range(150, 100, -1)), has_more=False)])
    told: list[str] = []
    run_list(api, Wanted("we_1", "dead"), 1_000, told.append)  # pyright: ignore[reportArgumentType]
    assert len(told) == 150
    assert api.asked[1] == (
        "GET",
        "/v1/notifications/deliveries",
        {"limit": 100, "endpoint": "we_1", "status": "dead", "starting_after": "evt_151.we_1"},
    )


def test_what_changes_is_shown_once_and_in_order() -> None:
    waiting, done = page(delivery(1, "pending", 0)), page(delivery(2, "pending", 1), delivery(1))
    api, told = Answers([waiting, done, done]), list[str]()

    def sleep(_: float) -> None:
        if len(api.asked) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_tail(api, Wanted(), told.append, sleep)  # pyright: ignore[reportArgumentType]
    assert [line.split() for line in told] == [
        ["delivered", "1", "attempt", "evt_1.we_1"],
        ["pending", "1", "attempt", "evt_2.we_1"],
    ]


def test_a_replay_is_followed_until_it_is_done() -> None:
    def replay(status: str, looked_at: int, total: int | None = 300) -> dict[str, Any]:
        return {"id": "rpl_1", "status": status, "looked_at": looked_at, "replayed": looked_at, "total": total}

    api, told = Answers([replay("running", 100), replay("running", 100), replay("succeeded", 300)]), list[str]()
    follow(api, replay("running", 0), told.append, lambda _: None)  # pyright: ignore[reportArgumentType]
    assert told == [
        "rpl_1 running: 0 of 300 looked at, 0 sent again",
        "rpl_1 running: 100 of 300 looked at, 100 sent again",
        "rpl_1 succeeded: 300 of 300 looked at, 300 sent again",
    ]


def test_a_replay_is_asked_for_as_it_was_meant() -> None:
    api = Answers([{}])
    created = range_of("2h", "10m", 1_800_000_000.5)
    replay_of(api, "we_1", types=["charge.*"], created=created, deliveries="all")  # pyright: ignore[reportArgumentType]
    wanted = {
        "webhook_endpoint": "we_1",
        "deliveries": "all",
        "types": ["charge.*"],
        "events_created": {"gte": 1_799_992_800, "lte": 1_799_999_400},
    }
    assert api.asked == [("POST", "/v1/notifications/replays", wanted)]
    with pytest.raises(UsageError, match="no time"):
        range_of("yesterday", None, 0)


def test_an_attempt_is_shown_whole_and_a_terminal_obeys_nothing_of_it() -> None:
    entry = {"id": "wha_2", "delivery": "evt_1.we_1", "attempted_at": 1_800_000_000, "duration_ms": 12, "status_code": 500, "error": None}
    whole = entry | {
        "request": {"url": "http://a/hook", "headers": {"X": "1"}, "body_bytes": 2, "api_version": "v", "body_sha256": "44"},
        "response": {"headers": {"server": "x"}, "body": "red: \x1b[31m\nover", "truncated": True},
        "timing": {"resolve_ms": None, "connect_ms": None, "tls_ms": None, "first_byte_ms": 11.5, "total_ms": 12.0},
    }
    api, told = Answers([page(entry), whole]), list[str]()
    run_show(api, "evt_1.we_1", told.append, as_json=False)  # pyright: ignore[reportArgumentType]
    assert api.asked[0] == ("GET", "/v1/notifications/attempts", {"event": "evt_1", "endpoint": "we_1", "limit": 100})
    assert told[0].endswith("[500]     12 ms  wha_2  evt_1.we_1")
    assert told[-4:] == ["< red: \\x1b[31m", "< over", "< …", "  first byte 11.5 ms, total 12.0 ms"]
    api = Answers([page()])
    with pytest.raises(UsageError, match="no attempt"):
        run_show(api, "evt_1.we_1", told.append, as_json=False)  # pyright: ignore[reportArgumentType]
