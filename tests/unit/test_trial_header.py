"""Only a call in test mode, by the header, is carried out by the copies that a release is tried out with."""

import io
from typing import Any, cast

import pytest

from payments.domain.api_version import NEWEST
from payments.domain.principal import KeyKind, Principal
from payments.runtime.background import Background
from payments.runtime.health import Health
from payments.runtime.logging import Logger
from payments.runtime.seal import Sealer
from payments.wire.api import Call, Endpoint, Reply, build_api, reply
from payments.wire.auth import Authenticator
from payments.wire.params import NoParams
from tests.integration.builders import FakeClock, Key
from tests.support.write_limits import UNLIMITED


class Everybody:
    """An authenticator that lets everybody in, in one mode."""

    def __init__(self, *, livemode: bool) -> None:
        self.clock = FakeClock()
        self._livemode = livemode

    async def authenticate(self, _: str | None) -> Principal:
        return Principal(
            merchant_id=1, livemode=self._livemode, kind=KeyKind.SECRET, account_id="acct_1", key_id="key_1", api_version=NEWEST
        )


@pytest.mark.parametrize(
    ("livemode", "fields", "on_trial"),
    [
        (False, [(b"tap-release-check", b"true")], True),
        (False, [], False),
        (True, [(b"tap-release-check", b"true")], False),
        (True, [], False),
    ],
)
async def test_the_header_counts_in_test_mode(*, livemode: bool, fields: list[tuple[bytes, bytes]], on_trial: bool) -> None:
    seen: list[bool] = []

    async def handler(call: Call, _: NoParams) -> Reply:
        seen.append(call.on_trial)
        return reply({})

    async def well() -> bool:
        return True

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(_: Any) -> None:
        pass

    log = Logger("test", io.BytesIO())
    app = build_api(
        [Endpoint("POST", "/v1/things", NoParams, handler)],
        authenticator=cast("Authenticator", Everybody(livemode=livemode)),
        write_limit=UNLIMITED,
        digest=Sealer(Key()).digest,
        log=log,
        health=Health(Background(log), is_database_well=well, log=log),
    )
    scope = {"type": "http", "method": "POST", "path": "/v1/things", "raw_path": b"/v1/things", "query_string": b"", "headers": fields}
    await app(scope, receive, send)
    assert seen == [on_trial]
