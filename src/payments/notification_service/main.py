"""The composition root of notification-service: the only place that knows how its parts are put together."""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from starlette.types import ASGIApp

from payments.notification_service.channels.opening import ChannelSettings, open_channels
from payments.notification_service.cli_socket import CliSocket
from payments.notification_service.deliverer import LEASE_SECONDS, Deliverer
from payments.notification_service.delivery_log import DeliveryLog
from payments.notification_service.destinations import Destinations
from payments.notification_service.dispatcher import Dispatcher
from payments.notification_service.event_stream import EventStream
from payments.notification_service.events import Events
from payments.notification_service.listeners import Listeners
from payments.notification_service.replayer import Replayer
from payments.notification_service.replays import Replays
from payments.notification_service.request_tails import RequestTails
from payments.notification_service.sender import Resolver, Sender
from payments.notification_service.trial import Trial
from payments.notification_service.webhook_endpoints import WebhookEndpoints
from payments.runtime.background import Background
from payments.runtime.clock import SystemClock
from payments.runtime.health import Health
from payments.runtime.ids import new_id
from payments.runtime.jobs import Job, Scheduler
from payments.runtime.logging import Logger
from payments.runtime.loop_thread import STUCK_SECONDS, LoopThread
from payments.runtime.metrics import MetricReporter, Readings
from payments.runtime.seal import Sealer, key_provider
from payments.runtime.settings import Settings
from payments.runtime.topology import SERVICES, Metric, Service
from payments.storage.credentials import credentials_of
from payments.storage.deliveries import Deliveries
from payments.storage.delivery_log import keep_partitions
from payments.storage.group_commit import GroupCommit
from payments.storage.jobs import PostgresJobs, reporting
from payments.storage.outbox import oldest_waiting_seconds
from payments.storage.streams import Streams
from payments.storage.stripe_cli import REQUESTS_CHANNEL, TAILS_CHANNEL, forget
from payments.storage.wakeup import DELIVERIES_CHANNEL, STREAMS_CHANNEL, Waker, Wakeup
from payments.storage.watched_database import open_database
from payments.storage.write_limits import WriteLimitStore
from payments.wire.api import build_api
from payments.wire.auth import Authenticator
from payments.wire.idempotency import Idempotency
from payments.wire.lists import open_lists
from payments.wire.reading import Reader
from payments.wire.request_log import keep_request_log
from payments.wire.serve import Binding, serve
from payments.wire.websocket import BoundedWebSocketProtocol
from payments.wire.write_limit import WriteLimit

_SPEC = SERVICES[Service.NOTIFICATION_SERVICE]
_API_POOL = 6
_PARTITIONS_SECONDS = 3_600.0
_DELIVERY_POOL = 4
"""One connection to fan out, one to claim, one to record, one to disable endpoints and to replay."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the delivering loop lets the answering one know of."""

    deliverer: Deliverer
    replayer: Replayer
    background: Background


@asynccontextmanager
async def delivery(settings: Settings, reaching: ChannelSettings, log: Logger, on_streamed: Callable[[], None]) -> AsyncGenerator[Delivery]:
    """Fan events out and deliver them, on an event loop of its own; leaving the context drains it.

    `on_streamed`: called here when some copy has something new for those who listen.
    """
    async with contextlib.AsyncExitStack() as stack:
        credentials = credentials_of(settings.database_secret, settings.database_url, SystemClock(), log)
        database = await stack.enter_async_context(
            open_database(
                settings.database_url,
                role=settings.database_role,
                name=f"{_SPEC.service} delivery",
                credentials=credentials,
                size_max=_DELIVERY_POOL,
            )
        )
        resolver = stack.enter_context(contextlib.closing(Resolver()))
        private = settings.allow_private_webhook_targets
        sender = stack.enter_context(contextlib.closing(Sender(resolver.resolve, allow_private=private)))
        deliveries = Deliveries(database.pool, lease_seconds=LEASE_SECONDS)
        results = GroupCommit(deliveries.record, name="delivery attempts")
        channels = await stack.enter_async_context(
            open_channels(
                reaching,
                send=sender.post,
                pool=database.pool,
                sealer=Sealer(key_provider(settings.envelope_key_file, settings.envelope_key)),
                public_url=settings.public_url,
                clock=database.clock,
                log=log,
            )
        )
        deliverer = Deliverer(deliveries=deliveries, results=results, pool=database.pool, channels=channels, clock=database.clock, log=log)
        replayer = Replayer(database.pool, deliverer.wake)
        wakeup = Wakeup(lambda: database.connect("listen"), {STREAMS_CHANNEL: on_streamed, DELIVERIES_CHANNEL: deliverer.wake})
        tell_streamed, tell_deliveries = Waker(database.pool, STREAMS_CHANNEL).wake, Waker(database.pool, DELIVERIES_CHANNEL).wake
        background = Background(log)
        background.keep("watch database", database.watch)
        background.keep("listen", wakeup.listen)
        background.keep("dispatch", Dispatcher(database.pool, wakeup, deliverer.wake, tell_streamed, tell_deliveries).run)
        background.keep("deliver", deliverer.run)
        background.keep("replay", replayer.run)
        background.watch("record deliveries", lambda: results.stalled_seconds)
        yield Delivery(deliverer, replayer, background)
        await background.stop()
        await deliverer.drain()
        await results.close()


@asynccontextmanager
async def application(settings: Settings, log: Logger, reaching: ChannelSettings) -> AsyncGenerator[ASGIApp]:
    """Build the service; leaving the context drains it."""
    async with contextlib.AsyncExitStack() as stack:
        credentials = credentials_of(settings.database_secret, settings.database_url, SystemClock(), log)
        database = await stack.enter_async_context(
            open_database(
                settings.database_url, role=settings.database_role, name=_SPEC.service, credentials=credentials, size_max=_API_POOL
            )
        )
        pool, clock = database.pool, database.clock
        new_id.follow(clock)
        lists = await stack.enter_async_context(open_lists(database))
        streams = Streams(pool)
        listeners = Listeners(streams, pool)
        loop = asyncio.get_running_loop()

        def on_streamed() -> None:
            loop.call_soon_threadsafe(listeners.notice)

        # What receivers do to the loop that delivers must not reach the one that answers calls.
        thread = LoopThread(partial(delivery, settings, reaching, log, on_streamed), name="delivery", log=log)
        delivering = await thread.start()
        stack.push_async_callback(thread.stop)
        sealer = Sealer(key_provider(settings.envelope_key_file, settings.envelope_key))
        deliveries = Deliveries(pool, lease_seconds=LEASE_SECONDS)
        idempotency = Idempotency(pool, sealer, clock)
        reader = Reader(pool, lists, clock)
        replays = Replays(
            reader=reader, lists=lists, idempotency=idempotency, clock=clock, on_created=lambda: thread.call(delivering.replayer.wake)
        )
        endpoints = WebhookEndpoints(
            reader=reader,
            idempotency=idempotency,
            deliveries=deliveries,
            sealer=sealer,
            clock=clock,
            allow_private=settings.allow_private_webhook_targets,
            ports=settings.webhook_ports,
        )
        destinations = Destinations(
            reader=reader,
            idempotency=idempotency,
            deliveries=deliveries,
            clock=clock,
            allowed=reaching.allowed,
            has_mail=reaching.mail is not None,
        )
        events = Events(pool, lists, deliveries, on_redelivery=lambda: thread.call(delivering.deliverer.wake))

        trial = Trial(settings.port, settings.serves_tls, log)

        jobs = [
            Job(name="partitions", work=partial(keep_partitions, pool), every_seconds=_PARTITIONS_SECONDS, housekeeping=True),
            Job(name="forget cli sessions", work=partial(forget, pool), every_seconds=_PARTITIONS_SECONDS, housekeeping=True),
            reporting(pool, log),
        ]
        scheduler = Scheduler(jobs, PostgresJobs(pool, _SPEC.service, jobs), log)

        async def readings() -> Readings:
            return {
                Metric.BACKLOG: delivering.deliverer.under_way,
                Metric.DEAD_LETTERS: await deliveries.dead_letters(),
                Metric.OUTBOX_AGE: await oldest_waiting_seconds(pool),
                Metric.OVERDUE_AGE: scheduler.overdue_seconds,
            }

        tails = RequestTails(pool, streams, clock, Waker(pool, TAILS_CHANNEL))
        database.hears[REQUESTS_CHANNEL] = tails.notice
        socket = CliSocket(listeners=listeners, tails=tails, streams=streams, lists=lists, pool=pool, sealer=sealer, clock=clock, log=log)
        background = Background(log)
        request_log = keep_request_log(database, background)
        background.keep("watch database", database.watch)
        background.keep("streams", listeners.run)
        background.keep("request tails", tails.run)
        scheduler.keep(background)
        background.watch("delivery", lambda: thread.quiet_seconds, quiet_seconds_max=STUCK_SECONDS)
        MetricReporter(_SPEC.service, settings.environment, readings, clock, log).keep(background)
        write_limit = WriteLimit(WriteLimitStore(pool), settings.writes_per_second)
        yield build_api(
            [
                *endpoints.endpoints(),
                *destinations.endpoints(),
                *events.endpoints(),
                *replays.endpoints(),
                *DeliveryLog(pool, lists).endpoints(),
                *EventStream(listeners, streams, lists).endpoints(),
                *trial.endpoints(),
            ],
            authenticator=Authenticator(pool, settings.api_key_pepper, clock),
            write_limit=write_limit,
            digest=sealer.digest,
            log=log,
            health=Health(background, delivering.background, is_database_well=database.is_well, log=log),
            replay=idempotency.seen,
            raw_routes=[*trial.routes(), *socket.routes()],
            request_log=request_log,
        )
        await background.stop()
        await write_limit.close()


def main() -> None:
    """Run the service."""
    settings, log = Settings.from_environment(os.environ), Logger(_SPEC.service)
    binding = Binding.from_settings(settings, _SPEC.service, websockets=BoundedWebSocketProtocol)
    serve(application(settings, log, ChannelSettings.from_environment(os.environ)), binding, log)
