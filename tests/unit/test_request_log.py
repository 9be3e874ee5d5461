"""`tap logs tail` begins where it was told to, and otherwise with what is answered from now on."""

import json
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from payments.cli.request_log import Wanted, run_tail


class _Ended(Exception):
    pass


@pytest.mark.parametrize(
    ("since_ago", "after", "told"),
    [
        (None, None, ["req_now"]),
        (3_600.0, None, ["req_minute", "req_now"]),
        (None, "req_day", ["req_minute", "req_now"]),
    ],
)
def test_where_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, since_ago: float | None, after: str | None, told: list[str]
) -> None:
    log = tmp_path / "payment-api.log"

    def logged(request_id: str, ago: float) -> None:
        with log.open("a") as file:
            request = {"event": "request", "time": time.time() - ago, "method": "GET", "path": "/", "status": 200, "request_id": request_id}
            print(json.dumps(request), file=file)

    def sleep(_: float) -> None:
        if shown[-1:] == ["req_now"]:
            raise _Ended
        logged("req_now", 0)

    logged("req_day", 86_400)
    logged("req_minute", 60)
    shown: list[str] = []
    monkeypatch.setattr("payments.cli.request_log.time.sleep", sleep)
    directory = SimpleNamespace(logs=tmp_path, secrets=lambda: None)
    since = None if since_ago is None else time.time() - since_ago
    with pytest.raises(_Ended):
        run_tail(
            directory,  # pyright: ignore[reportArgumentType] - what of one is asked
            Wanted(),
            since=since,
            after=after,
            as_json=True,
            tell=lambda line: shown.append(json.loads(line)["request_id"]),
        )
    assert shown == told
