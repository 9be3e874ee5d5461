"""What Caddy, as we configure it, makes of whatever a stranger sends: raw requests, and upstreams that record what reaches them."""

import contextlib
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
from collections.abc import Generator
from contextlib import closing, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payments.cli.front_door import BODY_BYTES_MAX, HEAD_BYTES_MAX, FrontDoor, client_context
from payments.runtime.topology import SERVICES, Service, entered_by
from tests.support.recording_upstream import Upstreams, recording_upstreams
from tests.support.running_tap import free_port
from tests.support.waiting import wait_until

HOST = b"Host: x\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
ANSWER_SECONDS_MAX = 120


@contextmanager
def running(door: FrontDoor, log: Path) -> Generator[FrontDoor]:
    program = door.program(log)
    with log.open("ab") as output:
        process = subprocess.Popen(program.command, env=dict(program.environment), stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        wait_until(lambda: listens(door.port) or process.poll() is not None, "Caddy listens")
        assert process.poll() is None, log.read_text()
        yield door
    finally:
        process.kill()
        process.wait()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def upstreams() -> Generator[Upstreams]:
    with recording_upstreams(*SERVICES) as recording:
        yield recording


@pytest.fixture(scope="module")
def door(upstreams: Upstreams, tmp_path_factory: pytest.TempPathFactory) -> Generator[FrontDoor]:
    directory = tmp_path_factory.mktemp("door")
    urls = {service: [upstreams.urls[service]] for service in SERVICES}
    made = FrontDoor(host="127.0.0.1", port=free_port(), upstreams=urls, directory=directory / "kept", https=False)
    with running(made, directory / "caddy.log") as running_door:
        yield running_door


@pytest.fixture(autouse=True)
def forgotten(upstreams: Upstreams) -> None:
    upstreams.whole.clear()
    upstreams.broken.clear()
    upstreams.mute = False


def send(door: FrontDoor, request: bytes) -> tuple[int, dict[str, str], Any]:
    """Send bytes on a connection of their own; returns what the first answer is, with status 0 when the connection is closed instead."""
    with socket.create_connection(("127.0.0.1", door.port), timeout=ANSWER_SECONDS_MAX) as connection:
        with contextlib.suppress(OSError):  # it was refused before it was read; the answer is there
            connection.sendall(request)
        with http.client.HTTPResponse(connection) as response:
            try:
                response.begin()
            except ConnectionError:
                return 0, {}, b""
            try:
                content = response.read()
            except ConnectionError:  # what was not read of the request ends the connection
                return response.status, {}, b""
            fields = {name.lower(): value for name, value in response.getheaders()}
            return response.status, fields, json.loads(content) if "json" in fields.get("content-type", "") else content


def nobody_else_is_harmed(door: FrontDoor, upstreams: Upstreams) -> None:
    """Whoever comes next, on whichever connection that is kept, is answered what he asked."""
    for number in range(8):
        target = f"/v1/customers/next_{number}"
        status, _, answer = send(door, f"GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk_other\r\n\r\n".encode())
        assert (status, answer["target"], answer["body"]) == (200, target, "")
    assert all("/next_" in asked.target or "sk_other" not in f"{asked.body}{asked.fields}" for asked in upstreams.whole)


def post(target: bytes, fields: bytes = b"", body: bytes = b"") -> bytes:
    return b"POST " + target + b" HTTP/1.1\r\n" + HOST + fields + b"\r\n" + body


def get(target: bytes, fields: bytes = b"") -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\n" + HOST + fields + b"\r\n"


SMUGGLED = b"GET /v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"

REFUSED: dict[str, tuple[bytes, set[int]]] = {
    "two lengths": (post(b"/v1/a", b"Content-Length: 5\r\nContent-Length: 6\r\n", b"hello!"), {400}),
    "two lengths in one field": (post(b"/v1/a", b"Content-Length: 5, 6\r\n", b"hello!"), {400}),
    "a length with a sign": (post(b"/v1/a", b"Content-Length: +5\r\n", b"hello"), {400}),
    "a negative length": (post(b"/v1/a", b"Content-Length: -1\r\n", SMUGGLED), {400}),
    "a length in hexadecimal": (post(b"/v1/a", b"Content-Length: 0x5\r\n", b"hello"), {400}),
    "a length beyond all numbers": (post(b"/v1/a", b"Content-Length: 99999999999999999999\r\n"), {400}),
    "an unknown coding": (post(b"/v1/a", b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n" + SMUGGLED), {400, 501}),
    "two codings": (post(b"/v1/a", b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n" + SMUGGLED), {400, 501}),
    "a coding twice": (post(b"/v1/a", CHUNKED * 2, b"0\r\n\r\n" + SMUGGLED), {400, 501}),
    "a coding behind a control character": (post(b"/v1/a", b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n" + SMUGGLED), {400, 501}),
    "a blank before the colon": (post(b"/v1/a", b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n" + SMUGGLED), {400}),
    "a field without a name": (get(b"/v1/a", b": value\r\n"), {400}),
    "a field without a colon": (get(b"/v1/a", b"no colon\r\n"), {400}),
    "a zero byte in a field": (get(b"/v1/a", b"A: b\x00c\r\n"), {400}),
    "two hosts": (b"GET /v1/a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", {400}),
    "no host": (b"GET /v1/a HTTP/1.1\r\n\r\n", {400}),
    "no version": (b"GET /v1/a\r\n\r\n", {400}),
    "another protocol": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {0, 400, 505}),
    "a tunnel": (b"CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n", {400}),
    "a path that isn't absolute": (get(b"v1/a"), {400}),
    "a broken escape": (get(b"/v1/%zz"), {400}),
    "a quote beside an encoded slash": (get(b'/v1/a%2Fb"'), {400}),
    "a byte that isn't ASCII": (get(b"/v1/\xff"), {400}),
    "a fragment": (get(b"/v1/a#b"), {400}),
    "a long field": (get(b"/v1/a", b"A: " + b"a" * 2 * HEAD_BYTES_MAX + b"\r\n"), {0, 431}),
    "many fields": (get(b"/v1/a", b"".join(b"A-%d: %s\r\n" % (n, b"a" * 50) for n in range(1_000))), {0, 431}),
    "a long target": (get(b"/v1/a?" + b"a" * 2 * HEAD_BYTES_MAX), {0, 414, 431}),
    "a long body": (post(b"/v1/a", b"Content-Length: %d\r\n" % (BODY_BYTES_MAX + 1), b"a" * (BODY_BYTES_MAX + 1)), {413}),
    "a long body in chunks": (
        post(b"/v1/a", CHUNKED, (b"10000\r\n" + b"a" * 65_536 + b"\r\n") * (BODY_BYTES_MAX // 65_536 + 1) + b"0\r\n\r\n"),
        {413},
    ),
    "what is between the services": (get(b"/internal/attempts"), {404}),
    "the same with letters encoded": (get(b"/%69nternal/attempts"), {404}),
    "the same with its slash encoded": (get(b"/internal%2Fattempts"), {404}),
    "the same in capitals": (get(b"/Internal/attempts"), {404}),
    "the same behind two slashes": (get(b"//internal/attempts"), {404}),
    "the same by a detour": (get(b"/v1/../internal/attempts"), {404}),
    "the same by an encoded detour": (get(b"/v1/%2e%2E/internal/attempts"), {404}),
    "the same in absolute form": (get(b"http://x/internal/attempts"), {404}),
    "the same alone": (get(b"/internal"), {404}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_be_read_in_two_ways_reaches_no_service(door: FrontDoor, upstreams: Upstreams, name: str) -> None:
    request, statuses = REFUSED[name]
    status, _, _ = send(door, request)
    assert status in statuses
    assert upstreams.whole == []
    nobody_else_is_harmed(door, upstreams)


TAKEN: dict[str, tuple[bytes, str, str]] = {
    "a GET with a body": (get(b"/v1/a", b"Content-Length: 7\r\n") + b"limit=1", "/v1/a", "limit=1"),
    "a GET with a body in chunks": (get(b"/v1/a", CHUNKED) + b"7\r\nlimit=1\r\n0\r\n\r\n", "/v1/a", "limit=1"),
    "a GET whose body is a request": (get(b"/v1/a", b"Content-Length: %d\r\n" % len(SMUGGLED)) + SMUGGLED, "/v1/a", SMUGGLED.decode()),
    "a DELETE with a body": (b"DELETE /v1/a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na=b", "/v1/a", "a=b"),
    "a POST without one": (post(b"/v1/a"), "/v1/a", ""),
    "chunks": (post(b"/v1/a", CHUNKED, b"3\r\na=b\r\n2;x=y\r\n&c\r\n0\r\nTrailer: t\r\n\r\n"), "/v1/a", "a=b&c"),
    "a length beside chunks": (post(b"/v1/a", b"Content-Length: 3\r\n" + CHUNKED, b"2\r\na=\r\n0\r\n\r\n"), "/v1/a", "a="),
    "chunks beside a length": (post(b"/v1/a", CHUNKED + b"Content-Length: 99\r\n", b"2\r\na=\r\n0\r\n\r\n"), "/v1/a", "a="),
    "the same length twice": (post(b"/v1/a", b"Content-Length: 3\r\nContent-Length: 3\r\n", b"a=b"), "/v1/a", "a=b"),
    "a length that the connection is to forget": (
        post(b"/v1/a", b"Connection: keep-alive, content-length\r\nContent-Length: 3\r\n", b"a=b"),
        "/v1/a",
        "a=b",
    ),
    "a folded field": (get(b"/v1/a", b"A: b\r\n c\r\n"), "/v1/a", ""),
    "lines that end bare": (b"GET /v1/a HTTP/1.1\nHost: x\n\n", "/v1/a", ""),
    "a method in small letters": (b"get /v1/a HTTP/1.1\r\nHost: x\r\n\r\n", "/v1/a", ""),
    "the absolute form": (get(b"http://other/v1/a?b=c"), "/v1/a?b=c", ""),
    "another host": (b"GET /v1/a HTTP/1.1\r\nHost: evil.example\r\n\r\n", "/v1/a", ""),
    "an offer to upgrade": (get(b"/v1/a", b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"), "/v1/a", ""),
    "a question before the body": (post(b"/v1/a", b"Content-Length: 3\r\nExpect: 100-continue\r\n", b"a=b"), "/v1/a", "a=b"),
    "an encoded slash": (post(b"/v1/payment_intents/pi_1%2Fcancel"), "/v1/payment_intents/pi_1%2Fcancel", ""),
    "escapes of all kinds": (get(b"/v1/%2e%2E/%41%7e%00?q=%2F&r=%zz;s"), "/v1/%2e%2E/%41%7e%00?q=%2F&r=%zz;s", ""),
    "slashes and dots": (get(b"//v1//x/../y/./"), "//v1//x/../y/./", ""),
    "odd characters in a query": (get(b'/v1/a?b="<>|#'), '/v1/a?b="<>|#', ""),
    "brackets": (get(b"/v1/a?created[gte]=1"), "/v1/a?created[gte]=1", ""),
}


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_passed_on_is_what_was_sent_and_nothing_else(door: FrontDoor, upstreams: Upstreams, name: str) -> None:
    request, target, body = TAKEN[name]
    status, _, answer = send(door, request)
    if status == 100:
        status = 200
    else:
        assert (status, answer["target"], answer["body"]) == (200, target, body)
    assert [(asked.target, asked.body) for asked in upstreams.whole] == [(target, body)]
    nobody_else_is_harmed(door, upstreams)


BROKEN: dict[str, bytes] = {
    "half a head": b"POST /v1/refunds HTTP/1.1\r\nHost: x\r\nContent-Le",
    "half a body": post(b"/v1/refunds", b"Content-Length: 50\r\n", b"payment_intent=pi_1"),
    "a chunk, and no last one": post(b"/v1/refunds", CHUNKED, b"13\r\npayment_intent=pi_1\r\n"),
    "half a chunk": post(b"/v1/refunds", CHUNKED, b"33\r\npayment_intent=pi_1"),
    "a last chunk without its end": post(b"/v1/refunds", CHUNKED, b"13\r\npayment_intent=pi_1\r\n0\r\n"),
    "half a trailer": post(b"/v1/refunds", CHUNKED, b"13\r\npayment_intent=pi_1\r\n0\r\nA: b"),
    "a chunk's length that is none": post(b"/v1/refunds", CHUNKED, b"13\r\npayment_intent=pi_1\r\nxyz\r\n"),
    "a negative chunk": post(b"/v1/refunds", CHUNKED, b"13\r\npayment_intent=pi_1\r\n-1\r\n"),
    "a chunk that is longer than said": post(b"/v1/refunds", CHUNKED, b"2\r\npayment_intent=pi_1\r\n0\r\n\r\n"),
    "a chunk's extension without end": post(b"/v1/refunds", CHUNKED, b"13;" + b"x" * 4_093),
    "chunks whose lines end bare": post(b"/v1/refunds", CHUNKED, b"13\npayment_intent=pi_1\n0\n\n"),
    "half a body after an offer": post(b"/v1/refunds", b"Expect: 100-continue\r\nContent-Length: 50\r\n", b"payment_intent=pi_1"),
    "half a body with a key": post(b"/v1/refunds", b"Idempotency-Key: k\r\n" + CHUNKED, b"13\r\npayment_intent=pi_1\r\n"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_no_service_carries_out_a_request_that_broke_off(door: FrontDoor, upstreams: Upstreams, name: str) -> None:
    with socket.create_connection(("127.0.0.1", door.port), timeout=ANSWER_SECONDS_MAX) as connection:
        connection.sendall(BROKEN[name])
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))  # until the door has done with it
    # It is the sender's fault, not the service's, as far as it is told at all.
    assert set(re.findall(rb"^HTTP/1\.1 (\d+)", answer, re.MULTILINE)) <= {b"100", b"400", b"499"}, answer
    nobody_else_is_harmed(door, upstreams)
    assert all("/next_" in target for target in upstreams.targets())


def test_pipelined_requests_are_answered_in_their_order(door: FrontDoor) -> None:
    requests = [post(b"/v1/a", b"Content-Length: 3\r\n", b"a=b"), get(b"/v1/events/b"), get(b"/v1/c", b"Connection: close\r\n")]
    with socket.create_connection(("127.0.0.1", door.port), timeout=ANSWER_SECONDS_MAX) as connection:
        connection.sendall(b"".join(requests))
        answers = b"".join(iter(lambda: connection.recv(65_536), b""))
    positions = [answers.index(f'"target": "{target}"'.encode()) for target in ("/v1/a", "/v1/events/b", "/v1/c")]
    assert positions == sorted(positions)
    assert answers.count(b"HTTP/1.1 200") == 3


@settings(max_examples=25)
@given(
    st.lists(
        st.sampled_from([each for table in (REFUSED, TAKEN) for each, *_ in table.values() if len(each) < 4_096] + [*BROKEN.values()]),
        max_size=4,
    ),
    st.integers(min_value=0, max_value=60),
)
def test_no_order_of_requests_on_a_connection_harms_another(door: FrontDoor, upstreams: Upstreams, requests: list[bytes], cut: int) -> None:
    content = b"".join(requests)
    with socket.create_connection(("127.0.0.1", door.port), timeout=ANSWER_SECONDS_MAX) as connection:
        try:
            connection.sendall(content[: max(0, len(content) - cut)])
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65_536):
                pass
        except OSError:
            pass  # it was refused, and closed
    nobody_else_is_harmed(door, upstreams)


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/v1/payment_intents",
            "/v1/events",
            "/v1/events?limit=1",
            "/v1/events/evt_1",
            "/v1/eventsx",
            "/v1/Events",
            "/v1/%65vents",
            "/v1/events%2Fevt_1",
        ),
        *(
            "/v1/webhook_endpoints/we_1",
            "/v1/notifications/deliveries",
            "/v1/notifications",
            "/v1/balance",
            "/v1/balance?a=/v1/events",
            "/v1/payouts/po_1",
        ),
        *(
            "/v1/balance_transactions/txn_1",
            "/v1/ledger/x",
            "/v1/disputes",
            "//v1/events",
            "/v1/../v1/events",
            "/pay/authenticate/test/1/pi_1",
            "/health",
        ),
        *("/x/v1/events", "/v1/x?/v1/balance", "/v1/events.json"),
    ],
)
def test_each_path_goes_where_the_load_balancer_sends_it(door: FrontDoor, path: str) -> None:
    _, _, answer = send(door, get(path.encode()))
    assert answer["service"] == entered_by(path.partition("?")[0])


def test_a_client_doesnt_say_who_it_is(door: FrontDoor, upstreams: Upstreams) -> None:
    told = b"X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\nConnection: x-forwarded-for, authorization\r\n"
    send(door, get(b"/v1/a", told))
    fields = upstreams.whole[0].fields
    assert (fields["x-forwarded-for"], fields["x-forwarded-proto"], fields["x-forwarded-host"]) == ("127.0.0.1", "http", "x")


REPEATED_SAFELY = {"GET": b"GET /v1/a HTTP/1.1\r\nHost: x\r\n\r\n"}
SENT_ONCE = {
    "a body": post(b"/v1/a", b"Content-Length: 3\r\n", b"a=b"),
    "a body and a key": post(b"/v1/a", b"Idempotency-Key: k\r\nContent-Length: 3\r\n", b"a=b"),
    "a key": post(b"/v1/a", b"Idempotency-Key: k\r\n"),
    "a key, and that there is no body": post(b"/v1/a", b"Idempotency-Key: k\r\nContent-Length: 0\r\n"),
    "a key, and an empty body in chunks": post(b"/v1/a", b"Idempotency-Key: k\r\n" + CHUNKED, b"0\r\n\r\n"),
    "another library's key": post(b"/v1/a", b"X-Idempotency-Key: k\r\n"),
    "neither": post(b"/v1/a"),
    "a deletion": b"DELETE /v1/a HTTP/1.1\r\nHost: x\r\n\r\n",
    "a deletion with a key": b"DELETE /v1/a HTTP/1.1\r\nHost: x\r\nIdempotency-Key: k\r\n\r\n",
}


@pytest.mark.parametrize("name", SENT_ONCE)
def test_what_changes_something_is_sent_once_whatever_becomes_of_it(door: FrontDoor, upstreams: Upstreams, name: str) -> None:
    send(door, get(b"/v1/warm"))  # so that a connection is kept
    upstreams.mute = True
    status, fields, answer = send(door, SENT_ONCE[name])
    assert upstreams.targets() == ["/v1/warm", "/v1/a"]
    assert (status, fields["retry-after"], fields["stripe-should-retry"]) == (503, "1", "true")
    assert answer["error"]["type"] == "api_error"


def test_a_service_that_is_away_is_told_in_stripes_shape(tmp_path: Path) -> None:
    away: dict[Service, list[str]] = {service: [f"http://127.0.0.1:{free_port()}"] for service in SERVICES}
    door = FrontDoor(host="127.0.0.1", port=free_port(), upstreams=away, directory=tmp_path / "kept", https=False)
    log = tmp_path / "caddy.log"
    with running(door, log):
        for request in (
            get(b"/v1/payment_intents/pi_1?client_secret=pi_1_secret_x", b"Authorization: Bearer sk_test_x\r\n"),
            post(b"/v1/events"),
        ):
            status, fields, answer = send(door, request)
            assert (status, fields["content-type"], fields["retry-after"]) == (503, "application/json", "1")
            assert fields["stripe-should-retry"] == "true"
            assert answer == {"error": {"type": "api_error", "message": "The service is starting or unavailable. Please retry."}}
    assert "secret" not in log.read_text()
    assert "sk_test" not in log.read_text()


def test_a_browser_is_shown_what_this_is(door: FrontDoor, upstreams: Upstreams) -> None:
    for target in (b"/", b"/?utm_source=x"):
        status, fields, page = send(door, get(target))
        assert (status, fields["content-type"]) == (200, "text/html; charset=utf-8")
        assert f"Tap <small>{version('tap-payments')}</small>" in page.decode()
        assert f"curl {door.url}/v1/payment_intents" in page.decode()
    assert upstreams.whole == []
    assert send(door, post(b"/"))[2]["service"] == Service.PAYMENT_API


def test_refusals_are_in_stripes_shape(door: FrontDoor) -> None:
    for name in ("what is between the services", "a quote beside an encoded slash", "a long body"):
        _, _, answer = send(door, REFUSED[name][0])
        assert answer["error"]["type"] == "invalid_request_error"


def test_nothing_is_kept_outside_of_the_directory_and_nobody_else_reads_what_is(door: FrontDoor) -> None:
    kept = [door.directory, *door.directory.rglob("*")]
    assert {path.relative_to(door.directory).parts[0] for path in kept[1:]} <= {"caddy", "caddy.json", "last_clean.json", "locks"}
    for path in kept:
        assert path.stat().st_mode & 0o077 == 0, path
        assert path.stat().st_uid == os.geteuid()


def speaks(trusting: ssl.SSLContext, name: str, port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port)) as connection, trusting.wrap_socket(connection, server_hostname=name):
            return True
    except ssl.SSLError:
        return False


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_https_is_trusted_by_the_directorys_own_authority_alone(upstreams: Upstreams, tmp_path: Path, name: str) -> None:
    urls = {service: [upstreams.urls[service]] for service in SERVICES}
    door = FrontDoor(host="127.0.0.1", port=free_port(), upstreams=urls, directory=tmp_path / "kept of é %20", https=True)
    assert door.url == f"https://127.0.0.1:{door.port}"
    with running(door, tmp_path / "caddy.log"):
        root = door.root_certificate
        assert root is not None
        wait_until(root.exists, "the authority is made")
        trusting = client_context(root)
        wait_until(lambda: speaks(trusting, name, door.port), "its first certificate is made")
        connection = http.client.HTTPSConnection(name, door.port, timeout=ANSWER_SECONDS_MAX, context=trusting)
        with closing(connection):
            connection.request("GET", "/v1/events")
            assert json.loads(connection.getresponse().read())["service"] == Service.NOTIFICATION_SERVICE
        assert upstreams.whole[-1].fields["x-forwarded-proto"] == "https"
        stranger = http.client.HTTPSConnection(name, door.port, timeout=ANSWER_SECONDS_MAX, context=ssl.create_default_context())
        with pytest.raises(ssl.SSLCertVerificationError):
            stranger.request("GET", "/v1/balance")
        assert all(path.stat().st_mode & 0o077 == 0 for path in door.directory.rglob("*"))
