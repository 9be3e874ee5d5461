"""Health tells the truth, and what another process would mend from what it would not."""

import asyncio
import io
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from starlette.types import Message

from payments.runtime.background import QUIET_SECONDS_MAX, Background, Beat
from payments.runtime.health import Health
from payments.runtime.logging import Logger
from payments.runtime.seal import Sealer
from payments.runtime.topology import HEALTH_PATH, LIVE_PATH
from payments.wire.api import build_api
from tests.integration.builders import Key
from tests.support.write_limits import UNLIMITED


class Service:
    def __init__(self) -> None:
        self.seconds, self.output, self.database = 0.0, io.BytesIO(), True
        self.log = Logger("test", self.output)
        self.background = Background(self.log, now=lambda: self.seconds)
        self.health = Health(self.background, is_database_well=self.is_database_well, log=self.log)

    async def is_database_well(self) -> bool:
        return self.database

    async def answers(self) -> tuple[list[str], list[str]]:
        return await self.health.unready(), self.health.unalive()


@pytest.fixture
async def service() -> AsyncGenerator[Service]:
    made = Service()
    yield made
    await made.background.stop()


async def hangs(_: Beat) -> None:
    await asyncio.Event().wait()


async def fails(_: Beat) -> None:
    raise ValueError


async def test_a_database_that_is_away_is_no_reason_to_replace_a_process(service: Service) -> None:
    assert await service.answers() == ([], [])
    service.database = False
    assert await service.answers() == (["database"], [])
    service.database = True
    assert await service.answers() == ([], [])


async def test_work_that_fails_is_no_reason_to_replace_a_process_and_work_that_hangs_is(service: Service) -> None:
    service.background.keep("sweep", fails)
    await asyncio.sleep(0.01)
    assert await service.answers() == (["sweep"], [])
    await service.background.stop()
    service.background.keep("deliver", hangs)
    assert await service.answers() == ([], [])
    service.seconds += QUIET_SECONDS_MAX + 1
    assert await service.answers() == (["deliver"], ["deliver"])


async def test_a_commit_that_hangs_counts_as_well(service: Service) -> None:
    stalled = [0.0]
    service.background.watch("commit 1", lambda: stalled[0])
    assert await service.answers() == ([], [])
    stalled[0] = QUIET_SECONDS_MAX + 1
    assert await service.answers() == (["commit 1"], ["commit 1"])


async def test_a_change_is_logged_and_no_more_than_that(service: Service) -> None:
    for database in (True, False, False, True, True):
        service.database = database
        await service.health.unready()
    service.log.flush()
    assert [json.loads(line)["faults"] for line in service.output.getvalue().splitlines()] == [["database"], []]


async def test_each_question_has_a_path_of_its_own(service: Service) -> None:
    service.database = False
    authenticator: Any = None  # nobody is asked who they are
    app = build_api(
        [], authenticator=authenticator, write_limit=UNLIMITED, digest=Sealer(Key()).digest, log=service.log, health=service.health
    )

    async def get(path: str) -> tuple[int, dict[str, Any]]:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request"}

        async def send(message: Message) -> None:
            sent.append(message)

        await app({"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""}, receive, send)
        return sent[0]["status"], json.loads(sent[1]["body"])

    assert await get(HEALTH_PATH) == (503, {"status": "unavailable", "faults": ["database"]})
    assert await get(LIVE_PATH) == (200, {"status": "ok"})
    service.database = True
    assert await get(HEALTH_PATH) == (200, {"status": "ok"})
