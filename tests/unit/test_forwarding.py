"""The emulated load balancer speaks to a target in the protocol of its group, and verifies no certificate."""

import contextlib
import http.client
import ssl
from typing import Any

import pytest

from payments.runtime.own_certificate import own_context
from rehearsal.emulator import forwarding
from tests.support.serving import Handler, serving


class Target(Handler):
    def take(self) -> None:
        body = f"{self.command} {self.path} ".encode() + self.body()
        self.send_response(201)
        for name, value in (
            ("Set-Cookie", "a=1"),
            ("Set-Cookie", "b=2"),
            ("Transfer-Encoding", "chunked"),
            ("X-Told", self.headers["X-Asked"]),
        ):
            self.send_header(name, value)
        self.end_headers()
        for part in (body[:5], body[5:]):
            self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


async def sent_on(runner: forwarding.Runner) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await runner(send, None)
    return sent


@pytest.mark.parametrize("protocol", ["HTTP", "HTTPS"])
async def test_a_request_reaches_the_target_as_it_came_and_its_answer_goes_back(protocol: str) -> None:
    with serving(Target, tls=own_context("payment-api", 1_800_000_000.0) if protocol == "HTTPS" else None) as url:
        connection = forwarding.connect("127.0.0.1", port_of(url), protocol)
        asked = {"x-asked": "this", "content-length": "999", "connection": "close"}
        status, fields, runner = await forwarding.forward(connection, "POST", "/v1/x?a=1%2F2", asked, b"{}")
        sent = await sent_on(runner)
    assert (status, fields["x-told"], fields["set-cookie"]) == (201, "this", ["a=1", "b=2"])
    assert b"".join(message["body"] for message in sent) == b"POST /v1/x?a=1%2F2 {}"
    assert [message["more_body"] for message in sent] == [True] * (len(sent) - 1) + [False]


@pytest.mark.parametrize(("group", "target"), [("HTTPS", "HTTP"), ("HTTP", "HTTPS")])
async def test_a_target_that_speaks_otherwise_is_not_reached(group: str, target: str) -> None:
    tls = own_context("payment-api", 1_800_000_000.0) if target == "HTTPS" else None
    with serving(Target, tls=tls) as url, pytest.raises((ssl.SSLError, http.client.HTTPException, ConnectionError)):
        await forwarding.forward(forwarding.connect("127.0.0.1", port_of(url), group), "GET", "/", {}, None)


async def test_an_answer_that_breaks_off_is_not_ended_for_the_client() -> None:
    class Breaks(Handler):
        def take(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "10")
            self.end_headers()
            self.wfile.write(b"half")
            self.close_connection = True

    with serving(Breaks) as url:
        _, _, runner = await forwarding.forward(forwarding.connect("127.0.0.1", port_of(url), "HTTP"), "GET", "/", {}, None)
        sent = await sent_on(runner)
    assert sent == [{"type": "http.response.body", "body": b"half", "more_body": True}]


async def test_a_target_that_is_not_there_is_an_error() -> None:
    with serving(Target) as url:
        port = port_of(url)
    with contextlib.closing(forwarding.connect("127.0.0.1", port, "HTTPS")) as connection, pytest.raises(ConnectionError):
        await forwarding.forward(connection, "GET", "/", {}, None)
