"""notification-service delivers to itself in the way that it serves: with TLS in a task, without on a laptop."""

import io
import time
from typing import Any

import msgspec
import pytest
from starlette.applications import Starlette

from payments.domain.api_version import NEWEST
from payments.domain.errors import Overloaded
from payments.domain.principal import KeyKind, Principal
from payments.notification_service.trial import PATH, Trial
from payments.runtime.logging import Logger
from payments.wire.api import Call
from tests.support.own_server import own_server
from tests.support.running_tap import free_port

CALL: Any = {
    "principal": Principal(merchant_id=1, livemode=False, kind=KeyKind.SECRET, account_id="acct_1", key_id="key_1", api_version=NEWEST),
    "path": {},
    "params": {},
    "expand": (),
    "request_id": "req_1",
    "idempotency_key": None,
    "endpoint": f"POST {PATH}",
    "api_version": NEWEST,
    "digest": None,
}


async def delivered(*, serves_tls: bool, certificate_name: str | None) -> bool:
    port = free_port()
    trial = Trial(port, serves_tls, Logger("test", io.BytesIO()))
    (endpoint,) = trial.endpoints()
    async with own_server(Starlette(routes=trial.routes()), certificate_name=certificate_name, port=port):
        answer = await endpoint.answer(Call(**CALL, received_at=int(time.time())))
    return msgspec.json.decode(answer.body)["delivered"]


@pytest.mark.parametrize("serves_tls", [True, False])
async def test_a_delivery_to_itself_arrives(*, serves_tls: bool) -> None:
    assert await delivered(serves_tls=serves_tls, certificate_name="notification-service" if serves_tls else None)


async def test_one_that_does_not_arrive_is_refused() -> None:
    with pytest.raises(Overloaded):
        await delivered(serves_tls=False, certificate_name="notification-service")
