"""The composition root of notification-service: the only place that knows how its parts are put together."""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

from starlette.types import ASGIApp

from payments.notification_service.deliverer import LEASE_SECONDS, Deliverer
from payments.notification_service.dispatcher import Dispatcher
from payments.notification_service.events import Events
from payments.notification_service.sender import Resolver, Sender
from payments.notification_service.webhook_endpoints import WebhookEndpoints
from payments.runtime.clock import SystemClock
from payments.runtime.logging import Logger
from payments.runtime.loop_thread import LoopThread
from payments.runtime.metrics import MetricReporter, Readings
from payments.runtime.seal import Sealer, key_provider
from payments.runtime.settings import Settings
from payments.runtime.topology import SERVICES, Metric, Service
from payments.storage.credentials import credentials_of
from payments.storage.database import is_healthy, open_pool
from payments.storage.deliveries import Deliveries
from payments.storage.group_commit import GroupCommit
from payments.storage.outbox import oldest_waiting_seconds
from payments.storage.wakeup import Wakeup
from payments.wire.api import build_api
from payments.wire.auth import Authenticator
from payments.wire.idempotency import Idempotency
from payments.wire.lists import open_lists
from payments.wire.serve import Binding, serve

_SPEC = SERVICES[Service.NOTIFICATION_SERVICE]
_API_POOL = 6
_DELIVERY_POOL = 4
"""One connection to fan out, one to claim, one to record, one to disable endpoints that are gone."""


@asynccontextmanager
async def delivery(settings: Settings, log: Logger) -> AsyncGenerator[Deliverer]:
    """Fan events out and deliver them, on an event loop of its own; leaving the context drains it."""
    clock = SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        credentials = credentials_of(settings.database_secret, settings.database_url, clock, log)
        pool = await stack.enter_async_context(
            open_pool(
                settings.database_url, role=settings.database_role, name=_SPEC.service, credentials=credentials, size_max=_DELIVERY_POOL
            )
        )
        resolver = stack.enter_context(contextlib.closing(Resolver()))
        private = settings.allow_private_webhook_targets
        sender = stack.enter_context(contextlib.closing(Sender(resolver.resolve, allow_private=private)))
        deliveries = Deliveries(pool, lease_seconds=LEASE_SECONDS)
        results = GroupCommit(deliveries.record, name="delivery attempts")
        deliverer = Deliverer(
            deliveries=deliveries,
            results=results,
            pool=pool,
            send=sender.post,
            sealer=Sealer(key_provider(settings.envelope_key_file, settings.envelope_key)),
            clock=clock,
            log=log,
        )
        wakeup = Wakeup(settings.database_url, credentials)
        dispatcher = Dispatcher(pool, wakeup, deliverer.wake, log)
        tasks = [asyncio.create_task(work) for work in (wakeup.listen(), dispatcher.run(), deliverer.run())]
        yield deliverer
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await deliverer.drain()
        await results.close()


@asynccontextmanager
async def application(settings: Settings, log: Logger) -> AsyncGenerator[ASGIApp]:
    """Build the service; leaving the context drains it."""
    clock = SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        credentials = credentials_of(settings.database_secret, settings.database_url, clock, log)
        pool = await stack.enter_async_context(
            open_pool(settings.database_url, role=settings.database_role, name=_SPEC.service, credentials=credentials, size_max=_API_POOL)
        )
        lists = await stack.enter_async_context(
            open_lists(settings.database_url, role=settings.database_role, name=_SPEC.service, credentials=credentials)
        )
        # What receivers do to the loop that delivers must not reach the one that answers calls.
        thread = LoopThread(partial(delivery, settings, log), name="delivery", log=log)
        deliverer = await thread.start()
        stack.push_async_callback(thread.stop)
        sealer = Sealer(key_provider(settings.envelope_key_file, settings.envelope_key))
        deliveries = Deliveries(pool, lease_seconds=LEASE_SECONDS)
        idempotency = Idempotency(pool, sealer, clock)
        endpoints = WebhookEndpoints(
            pool=pool,
            lists=lists,
            idempotency=idempotency,
            deliveries=deliveries,
            sealer=sealer,
            clock=clock,
            allow_private=settings.allow_private_webhook_targets,
        )
        events = Events(pool, lists, deliveries, on_redelivery=lambda: thread.call(deliverer.wake))

        async def readings() -> Readings:
            return {
                Metric.BACKLOG: deliverer.under_way,
                Metric.DEAD_LETTERS: await deliveries.dead_letters(),
                Metric.OUTBOX_AGE: await oldest_waiting_seconds(pool),
            }

        async def healthy() -> bool:
            return thread.is_alive and await is_healthy(pool)

        reporting = asyncio.create_task(MetricReporter(_SPEC.service, settings.environment, readings, log).run())
        yield build_api(
            [*endpoints.endpoints(), *events.endpoints()],
            authenticator=Authenticator(pool, settings.api_key_pepper, clock),
            digest=sealer.digest,
            log=log,
            is_healthy=healthy,
            replay=idempotency.seen,
        )
        reporting.cancel()
        await asyncio.gather(reporting, return_exceptions=True)


def main() -> None:
    """Run the service."""
    settings, log = Settings.from_environment(os.environ), Logger(_SPEC.service)
    serve(application(settings, log), Binding(settings.host, settings.port), log)
