"""What there is to do is done at once although nobody looks for it often: by a notice, or since it is known when it will be due."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from payments.notification_service import deliverer as deliverer_module
from payments.notification_service import dispatcher as dispatcher_module
from payments.notification_service import retries
from payments.notification_service.connections import Answer
from payments.notification_service.dispatcher import Dispatcher
from payments.runtime.background import Background
from payments.runtime.logging import Logger
from payments.storage.database import Connection, connect
from payments.storage.wakeup import DELIVERIES_CHANNEL, Waker, Wakeup
from tests.integration.notifier import Notifier, notifier_on, tell
from tests.support.waiting import SECONDS_MAX, eventually


@pytest.fixture(autouse=True)
def _nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (deliverer_module, dispatcher_module):
        monkeypatch.setattr(module, "_POLL_SECONDS", 3600)


@asynccontextmanager
async def running(notifier: Notifier, wakeup: Wakeup, *, dispatches: bool = True) -> AsyncGenerator[None]:
    background = Background(Logger("test", notifier.log))
    background.keep("listen", wakeup.listen)
    if dispatches:
        tell = Waker(notifier.pool, DELIVERIES_CHANNEL).wake
        background.keep("dispatch", Dispatcher(notifier.pool, wakeup, notifier.deliverer.wake, on_many=tell).run)
    background.keep("deliver", notifier.deliverer.run)
    try:
        yield
    finally:
        await background.stop()
        await notifier.deliverer.drain()


async def test_events_are_delivered_when_a_notice_says_so(database_url: str, connection: Connection) -> None:
    async def send(_: str, __: Mapping[str, str], ___: bytes) -> Answer:
        return Answer(200)

    async with notifier_on(database_url, send=send) as notifier:
        await notifier.endpoint("http://a/hook")
        async with running(notifier, Wakeup(lambda: connect(database_url))):
            for number in range(1, 4):
                await tell(connection)
                Waker(notifier.pool).wake()

                async def are_delivered(number: int = number) -> bool:
                    return [status for status, _ in await notifier.statuses()] == ["delivered"] * number

                await eventually(are_delivered, "events are delivered")


async def test_what_was_told_while_nobody_listened_is_found_when_somebody_does(database_url: str, connection: Connection) -> None:
    """A listener's connection is lost, and with it the notices until it has another."""
    lost = asyncio.Event()
    listens = asyncio.Event()
    back = asyncio.Event()

    @asynccontextmanager
    async def away() -> AsyncGenerator[Any]:
        if lost.is_set():
            await back.wait()
        async with connect(database_url) as opened:
            listens.set()
            yield opened

    async def send(_: str, __: Mapping[str, str], ___: bytes) -> Answer:
        return Answer(200)

    async with notifier_on(database_url, send=send) as notifier:
        await notifier.endpoint("http://a/hook")
        wakeup = Wakeup(away)
        async with running(notifier, wakeup):
            await listens.wait()
            lost.set()

            async def is_ended() -> bool:
                """It asks as soon as it listens: before, there is nothing to end."""
                query = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'tap' AND query = 'SELECT'"
                return await connection.fetchval(query) > 0

            await eventually(is_ended, "its connection is ended")
            await tell(connection)
            back.set()

            async def is_delivered() -> bool:
                return await notifier.statuses() == [("delivered", 1)]

            await eventually(is_delivered, "it is delivered")


async def test_a_copy_that_is_idle_is_told_of_what_another_one_has_too_much_of(database_url: str, connection: Connection) -> None:
    over = asyncio.Event()

    async def hang(_: str, __: Mapping[str, str], ___: bytes) -> Answer:
        await over.wait()
        return Answer(200)

    begun = asyncio.Event()

    async def begin(_: str, __: Mapping[str, str], ___: bytes) -> Answer:
        begun.set()
        return Answer(200)

    def listening(notifier: Notifier) -> Wakeup:
        return Wakeup(lambda: connect(database_url), {DELIVERIES_CHANNEL: notifier.deliverer.wake})

    async with notifier_on(database_url, send=hang) as busy, notifier_on(database_url, send=begin) as idle:
        await busy.endpoint("http://a/hook")
        async with running(busy, listening(busy)), running(idle, listening(idle), dispatches=False):

            async def looked() -> bool:
                """At what there is, which is nothing, when it began to listen."""
                return await connection.fetchval("SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT'") == 2

            await eventually(looked, "both listen")
            await tell(connection, count=200)
            Waker(busy.pool).wake()
            async with asyncio.timeout(SECONDS_MAX):
                await begun.wait()
            over.set()


async def test_a_delivery_is_tried_again_when_its_pause_is_over(
    database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "RETRY_SECONDS", (0.2,) * 9)
    answers = iter([503, 503, 200])

    async def send(_: str, __: Mapping[str, str], ___: bytes) -> Answer:
        return Answer(next(answers))

    async with notifier_on(database_url, send=send) as notifier:
        await notifier.endpoint("http://a/hook")
        async with running(notifier, Wakeup(lambda: connect(database_url))):
            await tell(connection)
            Waker(notifier.pool).wake()

            async def is_delivered() -> bool:
                return await notifier.statuses() == [("delivered", 3)]

            await eventually(is_delivered, "it is delivered at the third try")
