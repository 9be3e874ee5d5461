"""The composition root of notification-service: the only place that knows how its parts are put together."""

import contextlib
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import aiohttp
from starlette.types import ASGIApp

from payments.notification_service.deliverer import LEASE_SECONDS, SEND_SECONDS_MAX, Deliverer
from payments.notification_service.dispatcher import Dispatcher
from payments.notification_service.events import Events
from payments.notification_service.targets import PublicResolver
from payments.notification_service.webhook_endpoints import WebhookEndpoints
from payments.runtime.background import Background
from payments.runtime.clock import SystemClock
from payments.runtime.health import Health
from payments.runtime.ids import new_id
from payments.runtime.logging import Logger
from payments.runtime.metrics import MetricReporter, Readings
from payments.runtime.seal import Sealer, key_provider
from payments.runtime.settings import Settings
from payments.runtime.topology import SERVICES, Metric, Service
from payments.storage.credentials import credentials_of
from payments.storage.deliveries import Deliveries
from payments.storage.group_commit import GroupCommit
from payments.storage.outbox import oldest_waiting_seconds
from payments.storage.wakeup import Wakeup
from payments.storage.watched_database import open_database
from payments.wire.api import build_api
from payments.wire.auth import Authenticator
from payments.wire.idempotency import Idempotency
from payments.wire.lists import open_lists
from payments.wire.serve import Binding, serve

_SPEC = SERVICES[Service.NOTIFICATION_SERVICE]


@asynccontextmanager
async def application(settings: Settings, log: Logger) -> AsyncGenerator[ASGIApp]:
    """Build the service; leaving the context drains it."""
    allow_private = settings.allow_private_webhook_targets
    async with contextlib.AsyncExitStack() as stack:
        credentials = credentials_of(settings.database_secret, settings.database_url, SystemClock(), log)
        database = await stack.enter_async_context(
            open_database(settings.database_url, role=settings.database_role, name=_SPEC.service, credentials=credentials)
        )
        pool, clock = database.pool, database.clock
        new_id.follow(clock)
        lists = await stack.enter_async_context(open_lists(database))
        connector = aiohttp.TCPConnector(limit=0, resolver=None if allow_private else PublicResolver(), use_dns_cache=allow_private)
        timeout = aiohttp.ClientTimeout(total=SEND_SECONDS_MAX)
        session = await stack.enter_async_context(
            aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar())
        )
        sealer = Sealer(key_provider(settings.envelope_key_file, settings.envelope_key))
        deliveries = Deliveries(pool, lease_seconds=LEASE_SECONDS)
        results = GroupCommit(deliveries.record, name="delivery attempts")
        deliverer = Deliverer(
            deliveries=deliveries,
            results=results,
            pool=pool,
            session=session,
            sealer=sealer,
            clock=clock,
            log=log,
            allow_private=allow_private,
        )
        wakeup = Wakeup(lambda: database.connect("listen"))
        dispatcher = Dispatcher(pool, wakeup, deliverer.wake)
        idempotency = Idempotency(pool, sealer, clock)
        endpoints = WebhookEndpoints(
            pool=pool,
            lists=lists,
            idempotency=idempotency,
            deliveries=deliveries,
            sealer=sealer,
            clock=clock,
            allow_private=allow_private,
        )

        async def readings() -> Readings:
            return {
                Metric.BACKLOG: deliverer.under_way,
                Metric.DEAD_LETTERS: await deliveries.dead_letters(),
                Metric.OUTBOX_AGE: await oldest_waiting_seconds(pool),
            }

        background = Background(log)
        background.keep("watch database", database.watch)
        background.keep("listen", wakeup.listen)
        background.keep("dispatch", dispatcher.run)
        background.keep("deliver", deliverer.run)
        background.watch("record deliveries", lambda: results.stalled_seconds)
        MetricReporter(_SPEC.service, settings.environment, readings, clock, log).keep(background)
        yield build_api(
            [*endpoints.endpoints(), *Events(pool, lists, deliveries, deliverer).endpoints()],
            authenticator=Authenticator(pool, settings.api_key_pepper, clock),
            digest=sealer.digest,
            log=log,
            health=Health(background, is_database_well=database.is_well, log=log),
            replay=idempotency.seen,
        )
        await background.stop()
        await deliverer.drain()
        await results.close()


def main() -> None:
    """Run the service."""
    settings, log = Settings.from_environment(os.environ), Logger(_SPEC.service)
    serve(application(settings, log), Binding(settings.host, settings.port), log)
