"""What payment-api hands over is sent at most once; that nobody was there to take it is no sending."""

import io
import json
import ssl
from pathlib import Path
from typing import cast

import aiohttp
import pytest

from payments.acquirers.routing import Routes
from payments.domain.attempt import AttemptKind
from payments.payment_api.directing import Director
from payments.payment_api.handover import HandoverClient
from payments.runtime.logging import Logger
from payments.storage.database import Pool
from rehearsal.authority import Authority
from tests.integration.builders import FakeClock
from tests.support.serving import Handler, serving
from tests.unit.test_settlement import intent, work

NO_RULES = Director(Routes(), cast("Pool", None), FakeClock())


@pytest.mark.parametrize(
    ("statuses", "calls"),
    [
        ([503, 503, 200], 3),  # the load balancer between the services has no copy to send it to
        ([502, 200], 1),  # a copy may have it
        ([504, 200], 1),
        ([500, 200], 1),
        ([409, 200], 1),
    ],
)
async def test_an_attempt_is_sent_again_only_when_nobody_can_have_it(statuses: list[int], calls: int) -> None:
    attempts: list[str] = []

    class Between(Handler):
        def take(self) -> None:
            attempts.extend(each["attempt"]["id"] for each in json.loads(self.body())["attempts"])
            self.answer(statuses[len(attempts) - 1], b'{"attempt":"att_1"}\n')

    clock = FakeClock()
    with serving(Between) as url:
        async with aiohttp.ClientSession() as session:
            client = HandoverClient(session, url, "internal-key", clock, Logger("test", io.BytesIO()), director=NO_RULES)
            event = await client.carry_out(work(AttemptKind.AUTHORIZE, intent(), 2000), clock.now() + 10)
    assert event is None
    assert attempts == ["att_1"] * calls


async def test_nobody_is_asked_after_the_lease_has_run_out() -> None:
    asked: list[str] = []

    class Between(Handler):
        def take(self) -> None:
            self.body()
            asked.append(self.path)
            clock.time += 6
            self.answer(503)

    clock = FakeClock()
    with serving(Between) as url:
        async with aiohttp.ClientSession() as session:
            client = HandoverClient(session, url, "internal-key", clock, Logger("test", io.BytesIO()), director=NO_RULES)
            assert await client.carry_out(work(AttemptKind.AUTHORIZE, intent(), 2000), clock.now() + 6) is None
    assert len(asked) == 1


@pytest.mark.parametrize(("server_name", "calls"), [("payments.example.com", 1), ("other.example.com", 0), (None, 0)])
async def test_the_certificate_between_services_must_be_for_the_name_that_is_said(
    tmp_path: Path, server_name: str | None, calls: int
) -> None:
    """The load balancer between the services has none of its own: it shows that of the customers' name."""
    authority = Authority.create(tmp_path, "payments.example.com")
    asked: list[str] = []
    clock = FakeClock()

    class Between(Handler):
        def take(self) -> None:
            asked.extend(each["attempt"]["id"] for each in json.loads(self.body())["attempts"])
            self.answer(200, b'{"attempt":"att_1"}\n')

    trusted = ssl.create_default_context(cafile=authority.ca_file)
    with serving(Between, tls=authority.server_context()) as url:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusted)) as session:
            client = HandoverClient(
                session, url, "internal-key", clock, Logger("test", io.BytesIO()), director=NO_RULES, server_name=server_name
            )
            assert await client.carry_out(work(AttemptKind.AUTHORIZE, intent(), 2000), clock.now() + 0.1) is None
    assert len(asked) == calls
