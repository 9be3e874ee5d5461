"""What transaction-processor answers publicly reaches it through payment-api: as it came, and nowhere else."""

import io
import json
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from starlette.routing import Router

from payments.payment_api.passing_on import PassingOn
from payments.runtime.logging import Logger
from payments.runtime.topology import SERVICES, Service
from payments.wire.request import BODY_BYTES_MAX
from tests.support.recording_upstream import Upstreams, recording_upstreams

LIVE, TRIAL = "live", "trial"


@pytest.fixture
def upstreams() -> Generator[Upstreams]:
    with recording_upstreams(LIVE, TRIAL) as running:
        yield running


@asynccontextmanager
async def passing_on(upstreams: Upstreams) -> AsyncGenerator[Router]:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        passing = PassingOn(
            session=session,
            service=Service.TRANSACTION_PROCESSOR,
            url=upstreams.urls[LIVE],
            trial_url=upstreams.urls[TRIAL],
            log=Logger("test", io.BytesIO()),
        )
        yield Router([*passing.routes()])


async def ask(
    router: Router, method: str, target: str, *, headers: tuple[tuple[str, str], ...] = (), body: bytes = b""
) -> tuple[int, dict[str, str], Any]:
    path, _, query = target.partition("?")
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    fields = [(name.lower().encode(), value.encode()) for name, value in headers]
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": fields,
        "root_path": "",
    }
    await router(scope, receive, send)
    start, content = sent
    return start["status"], {name.decode(): value.decode() for name, value in start["headers"]}, json.loads(content["body"])


async def test_a_request_arrives_as_it_came(upstreams: Upstreams) -> None:
    given = (("Authorization", "Bearer sk_test_1"), ("Stripe-Version", "2024-06-20"), ("Idempotency-Key", "k"), ("Content-Type", "text/x"))
    async with passing_on(upstreams) as router:
        target = "/v1/payouts/po_1%2F..%2Fx/cancel?expand[]=a%20b&expand[]=c"
        status, headers, answer = await ask(router, "POST", target, headers=given, body=b"amount=1")
    assert (status, answer) == (200, {"service": LIVE, "target": target, "body": "amount=1"})
    assert headers["content-type"] == "application/json"
    (asked,) = upstreams.whole
    assert {name.lower(): value for name, value in given}.items() <= asked.fields.items()


async def test_what_is_said_of_a_connection_is_not_passed_on(upstreams: Upstreams) -> None:
    given = (
        ("Connection", "close, X-Mine"),
        ("Transfer-Encoding", "chunked"),
        ("Upgrade", "h2c"),
        ("TE", "trailers"),
        ("Expect", "100-continue"),
    )
    async with passing_on(upstreams) as router:
        await ask(router, "GET", "/v1/balance", headers=given)
    (asked,) = upstreams.whole
    assert asked.fields.keys() <= {"host", "content-length"}, asked.fields


@pytest.mark.parametrize(("method", "service"), [("GET", TRIAL), ("POST", LIVE)])
async def test_a_trial_reads_from_the_copies_that_are_tried_out(upstreams: Upstreams, method: str, service: str) -> None:
    async with passing_on(upstreams) as router:
        _, _, answer = await ask(router, method, "/v1/balance", headers=(("Tap-Release-Check", "true"),))
    assert answer["service"] == service


@pytest.mark.parametrize("path", ["/v1/payment_intents", "/internal/attempts", "/v1/ledger", "/v2/balance"])
async def test_nothing_else_is_passed_on(upstreams: Upstreams, path: str) -> None:
    async with passing_on(upstreams) as router:
        assert not any(route.matches({"type": "http", "method": "GET", "path": path})[0].value for route in router.routes)
    assert upstreams.whole == []


async def test_every_public_path_of_the_service_has_a_route(upstreams: Upstreams) -> None:
    async with passing_on(upstreams) as router:
        assert len(router.routes) == len(SERVICES[Service.TRANSACTION_PROCESSOR].path_patterns)


async def test_a_service_that_does_not_answer_is_an_error_that_may_be_tried_again(upstreams: Upstreams) -> None:
    upstreams.mute = True
    async with passing_on(upstreams) as router:
        status, headers, answer = await ask(router, "POST", "/v1/payouts", body=b"amount=1")
    assert status == 503
    assert headers["stripe-should-retry"] == "true"
    assert answer["error"]["type"] == "api_error"
    assert len(upstreams.whole) == 1, "whether it was carried out isn't known: the client asks again, under its key"


async def test_a_body_has_a_bound(upstreams: Upstreams) -> None:
    async with passing_on(upstreams) as router:
        status, _, _ = await ask(router, "POST", "/v1/payouts", body=b"x" * (BODY_BYTES_MAX + 1))
    assert status == 413
    assert upstreams.whole == []
