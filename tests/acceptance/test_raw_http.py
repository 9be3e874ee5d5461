"""Raw bytes, through the front door and at each service: no request is answered to another, nothing fails, and nothing grows."""

import contextlib
import json
import re
import socket
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payments.runtime.topology import Service
from tests.support.running_tap import RunningTap

DOORS = ("front door", *Service)
PATHS = {Service.NOTIFICATION_SERVICE: "/v1/events", Service.TRANSACTION_PROCESSOR: "/v1/balance"}
GROWTH_MB_MAX = 40

token = st.sampled_from([b"GET", b"POST", b"DELETE", b"OPTIONS", b"HEAD", b"get", b"PATCH", b"CONNECT", b"PRI", b""])
target = st.sampled_from(
    [
        b"/v1/balance",
        b"/v1/customers",
        b"/v1/customers/%2e%2e",
        b"/v1/customers/a%2Fb",
        b"//v1/events",
        b"*",
        b"http://other/v1/balance",
        b"/",
        b"",
        b"/v1/\xff",
    ]
)
field = st.sampled_from(
    [
        b"Content-Length: 0",
        b"Content-Length: 5",
        b"Content-Length: -1",
        b"Content-Length: +5",
        b"Content-Length: 99999999999999999999",
        b"Content-Length: \xc2\xb2",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding: \x0bchunked",
        b"Connection: close",
        b"Connection: keep-alive, content-length",
        b"Expect: 100-continue",
        b"Upgrade: h2c",
        b"Authorization: Bearer sk_test_wrong",
        b"Authorization: Basic !!!",
        b"Content-Type: application/json",
        b"Content-Type: multipart/form-data",
        b"Idempotency-Key: ",
        b"Stripe-Version: never",
        b"Host: a\r\nHost: b",
        b" folded: line",
        b"X: " + b"a" * 40_000,
        b"\x00: nul",
        b"no colon",
    ]
)
body = st.sampled_from(
    [
        b"",
        b"limit",
        b"limit=1",
        b"5\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhel",
        b"ffffffffffffffff\r\n",
        b"-1\r\n",
        b"5;ext=" + b"x" * 1000 + b"\r\nhello\r\n0\r\nT: t\r\n\r\n",
    ]
)
line_end = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n"])


@st.composite
def request(draw: st.DrawFn) -> bytes:
    end = draw(line_end)
    version = draw(st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/9.9", b""]))
    fields = [b"Host: x", *draw(st.lists(field, max_size=4))]
    return end.join([b" ".join([draw(token), draw(target), version]), *fields, b"", b""]) + draw(body)


@st.composite
def bytes_of_some(draw: st.DrawFn) -> bytes:
    """A few requests on one connection, the last of which may break off anywhere."""
    sent = b"".join(draw(st.lists(request(), min_size=1, max_size=3)))
    return sent[: draw(st.integers(1, len(sent)))] if draw(st.booleans()) else sent


@cache
def status_of(tap: RunningTap) -> dict[str, Any]:
    """It costs a process to ask, and doesn't change while all runs."""
    return tap.status()


def url_of(tap: RunningTap, door: str) -> str:
    status = status_of(tap)
    return status["base_url"] if door == "front door" else status["services"][door]["url"]


def resident_mb(tap: RunningTap) -> dict[str, float]:
    run = json.loads((tap.data_dir / "run.json").read_bytes())
    pids = {"gateway": run["gateway"]["pid"], **{name: service["pid"] for name, service in run["services"].items()}}
    found = {name: re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()) for name, pid in pids.items()}
    return {name: int(match[1]) / 1024 for name, match in found.items() if match is not None}


def exchange(url: str, sent: bytes, *, half_close: bool = True) -> bytes:
    """Send bytes on a connection of their own, and return what comes back until it is closed, or nothing more comes."""
    parts = urlsplit(url)
    answer = b""
    with (
        socket.create_connection((str(parts.hostname), parts.port or 0), timeout=10) as connection,
        contextlib.suppress(ConnectionError, TimeoutError),
    ):
        connection.sendall(sent)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        connection.settimeout(0.2)
        while piece := connection.recv(65_536):
            answer += piece
    return answer


def ask(url: str, key: str, path: str) -> tuple[int, str]:
    """One good request on a connection of its own: its status and the request that it was answered as."""
    answer = exchange(
        url, f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\r\n".encode(), half_close=False
    )
    return int(answer.split(b" ", 2)[1]), answer.rpartition(b"\r\n\r\n")[2].decode()


@pytest.mark.parametrize("door", DOORS)
def test_no_bytes_do_worse_than_be_refused(tap: RunningTap, door: str) -> None:
    url, key = url_of(tap, door), status_of(tap)["secret_key"]
    path = PATHS.get(door, "/v1/customers") if isinstance(door, Service) else "/v1/customers"
    assert ask(url, key, path)[0] == 200
    before = resident_mb(tap)

    @settings(
        max_examples=25,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(bytes_of_some())
    def bytes_come(sent: bytes) -> None:
        answer = exchange(url, sent)
        statuses = [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer)]
        ours = [status for status in statuses if status >= 500 and status not in (501, 505)]  # those are about what the client speaks
        assert ours == [], answer[:500]
        assert len([status for status in statuses if status >= 200]) <= sent.count(b"\n") + 1

    bytes_come()
    for _ in range(3):  # whatever they left behind, it is answered to nobody else
        status, answered = ask(url, key, path)
        assert status == 200
        assert json.loads(answered)["object"] in ("list", "balance")
    grown = {name: round(now - before[name], 1) for name, now in resident_mb(tap).items() if now - before[name] > GROWTH_MB_MAX}
    assert grown == {}


SMUGGLED = b"GET /v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "carrier",
    [
        b"GET /v1/customers HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n",
        b"DELETE /v1/customers/cus_1 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n",
        b"OPTIONS /v1/customers HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n",
        b"POST /v1/customers HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n",
    ],
    ids=["GET", "DELETE", "OPTIONS", "POST"],
)
def test_a_body_is_never_the_next_request(tap: RunningTap, door: str, carrier: bytes) -> None:
    url, key = url_of(tap, door), status_of(tap)["secret_key"]
    path = PATHS.get(door, "/v1/customers") if isinstance(door, Service) else "/v1/customers"
    answer = exchange(url, carrier % len(SMUGGLED) + SMUGGLED, half_close=False)
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert b"smuggled" not in answer
    assert [ask(url, key, path)[0] for _ in range(3)] == [200] * 3


@pytest.mark.parametrize("door", ["front door", Service.PAYMENT_API])
def test_what_breaks_off_is_not_carried_out(tap: RunningTap, door: str) -> None:
    url, key = url_of(tap, door), tap.create_key("--new-merchant", f"Broken {door}")
    head = f"POST /v1/customers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    for framed in (
        "Transfer-Encoding: chunked\r\n\r\n6\r\nname=a\r\n",
        "Transfer-Encoding: chunked\r\n\r\n6\r\nname=a",
        "Transfer-Encoding: chunked\r\n\r\n6\r\nname=a\r\n0\r\n",
        "Content-Length: 20\r\n\r\nname=a",
    ):
        exchange(url, (head + framed).encode())
    assert json.loads(ask(url, key, "/v1/customers")[1])["data"] == []
