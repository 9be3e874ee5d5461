"""The composition root of payment-api: the only place that knows how its parts are put together."""

import contextlib
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import aiohttp
from starlette.types import ASGIApp

from payments.acquirers.configuration import ConfigurationError, configured
from payments.acquirers.routing import Routes
from payments.acquirers.sealed_account import AccountSealer
from payments.acquirers.sealed_card import CardSealer
from payments.pages.elements import element_routes
from payments.pages.reference import reference_routes
from payments.payment_api.card_vault import CardVault
from payments.payment_api.challenge import Challenge
from payments.payment_api.checkout.closing import Closing
from payments.payment_api.checkout.links import LinkPage
from payments.payment_api.checkout.opening import Addresses, Opening
from payments.payment_api.checkout.page import CheckoutPage, unknown_routes
from payments.payment_api.checkout.paying import Paying
from payments.payment_api.checkout.view import View
from payments.payment_api.confirmation import Cards
from payments.payment_api.directing import Director
from payments.payment_api.handover import HandoverClient
from payments.payment_api.indexing import Indexing
from payments.payment_api.keeping import Keeping
from payments.payment_api.passing_on import PassingOn
from payments.payment_api.public_api import public_api
from payments.payment_api.receipts import Receipts
from payments.payment_api.steps import Steps
from payments.payment_api.stripe_cli import StripeCli
from payments.payment_api.unsubscribing import Unsubscribing
from payments.runtime.background import Background
from payments.runtime.clock import SystemClock
from payments.runtime.health import Health
from payments.runtime.ids import new_id
from payments.runtime.jobs import Scheduler
from payments.runtime.logging import Logger
from payments.runtime.metrics import MetricReporter, Readings
from payments.runtime.rows import RowByRow
from payments.runtime.seal import Sealer, key_provider
from payments.runtime.settings import Settings
from payments.runtime.topology import SERVICES, Metric, Service
from payments.storage.credentials import credentials_of
from payments.storage.group_commit import GroupCommit
from payments.storage.jobs import PostgresJobs, reporting
from payments.storage.payments import PaymentStore
from payments.storage.sandbox_clocks import SandboxTimes
from payments.storage.wakeup import Waker
from payments.storage.watched_database import open_database
from payments.storage.write_limits import WriteLimitStore
from payments.wire.api import build_api
from payments.wire.auth import Authenticator
from payments.wire.idempotency import Idempotency
from payments.wire.lists import open_lists
from payments.wire.objects import Objects
from payments.wire.reading import Reader
from payments.wire.request_log import keep_request_log
from payments.wire.serve import Binding, serve
from payments.wire.write_limit import WriteLimit

_SPEC = SERVICES[Service.PAYMENT_API]

_WRITERS_MAX = 3
"""Batches of commit 1 at a time, none large: one large batch makes all clients march in step, and each service idle while another works. Their connections
are their own: a payment waits for none that a read has."""


@asynccontextmanager
async def application(settings: Settings, log: Logger, routes: Routes) -> AsyncGenerator[ASGIApp]:
    """Build the service; leaving the context drains it."""
    async with contextlib.AsyncExitStack() as stack:
        credentials = credentials_of(settings.database_secret, settings.database_url, SystemClock(), log)
        database = await stack.enter_async_context(
            open_database(settings.database_url, role=settings.database_role, name=_SPEC.service, credentials=credentials)
        )
        pool, clock = database.pool, database.clock
        new_id.follow(clock)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False))
        sealer = Sealer(key_provider(settings.envelope_key_file, settings.envelope_key))
        lists = await stack.enter_async_context(open_lists(database))
        reader, idempotency, waker = Reader(pool, lists, clock), Idempotency(pool, sealer, clock), Waker(pool)
        vault = CardVault(CardSealer(sealer), clock)
        cards = Cards(vault, pool)
        director = Director(routes, pool, clock)
        handover, trial = (
            HandoverClient(
                session, url, settings.internal_api_key, clock, log, director=director, server_name=settings.transaction_processor_name
            )
            for url in (settings.transaction_processor_url, settings.transaction_processor_trial_url)
        )
        passing_on = PassingOn(
            session=session,
            service=Service.TRANSACTION_PROCESSOR,
            url=settings.transaction_processor_url,
            trial_url=settings.transaction_processor_trial_url,
            server_name=settings.transaction_processor_name,
            log=log,
        )
        commits = await stack.enter_async_context(database.open_pool("commits", size_max=_WRITERS_MAX))
        begins = GroupCommit(PaymentStore(commits).begin, name="begin", batch_rows_max=32, writers_max=_WRITERS_MAX)
        steps = Steps(
            director=director,
            begins=begins,
            handover=handover,
            trial=trial,
            idempotency=idempotency,
            reader=reader,
            pool=pool,
            waker=waker,
            clock=clock,
            lease_seconds=settings.attempt_lease_seconds,
        )
        keeping = Keeping(handover=handover, trial=trial, pool=pool, waker=waker, clock=clock, public_url=settings.public_url)
        objects = Objects(idempotency=idempotency, reader=reader, waker=waker, clock=clock)

        times = SandboxTimes(pool, clock)
        rows = RowByRow(clock, log)
        closing = Closing(pool=pool, waker=waker, clock=clock, times=times, log=log, rows=rows)
        paying = Paying(steps=steps, cards=cards, vault=vault, keeping=keeping, closing=closing)
        addresses = Addresses(settings.public_url)
        opening = Opening(pool=pool, clock=clock, times=times, addresses=addresses)
        checkout = CheckoutPage(
            paying=paying, closing=closing, pool=pool, view=View(), opening=opening, frame_ancestors=settings.frame_ancestors
        )

        jobs = [*closing.jobs(), *Indexing(pool, rows).jobs(), reporting(pool, log)]
        scheduler = Scheduler(jobs, PostgresJobs(pool, _SPEC.service, jobs), log)

        async def readings() -> Readings:
            return {Metric.BACKLOG: begins.queued_rows, Metric.OVERDUE_AGE: scheduler.overdue_seconds}

        background = Background(log)
        request_log = keep_request_log(database, background)
        background.keep("watch database", database.watch)
        background.watch("commit 1", lambda: begins.stalled_seconds)
        scheduler.keep(background)
        MetricReporter(_SPEC.service, settings.environment, readings, clock, log).keep(background)
        write_limit = WriteLimit(WriteLimitStore(pool), settings.writes_per_second)
        yield build_api(
            public_api(
                steps=steps,
                cards=cards,
                vault=vault,
                handover=handover,
                keeping=keeping,
                closing=closing,
                addresses=addresses,
                objects=objects,
                reader=reader,
                pool=pool,
                account_sealer=AccountSealer(sealer),
                pepper=settings.api_key_pepper,
                stripe_cli=StripeCli(sealer, settings.public_url),
            ),
            authenticator=Authenticator(pool, settings.api_key_pepper, clock),
            write_limit=write_limit,
            digest=sealer.digest,
            log=log,
            health=Health(background, is_database_well=database.is_well, log=log),
            replay=steps.seen,
            request_log=request_log,
            raw_routes=[
                *Challenge(steps, cards, keeping, settings.frame_ancestors).routes(),
                *element_routes(settings.frame_ancestors),
                *reference_routes(),
                *checkout.routes(),
                *LinkPage(page=checkout, pool=pool).routes(),
                *Receipts(pool=pool, log=log).routes(),
                *Unsubscribing(pool=pool, sealer=sealer, log=log).routes(),
                *unknown_routes(),
                *passing_on.routes(),
            ],
        )
        await background.stop()
        await write_limit.close()
        await begins.close()


def main() -> None:
    """Run the service."""
    settings, log = Settings.from_environment(os.environ), Logger(_SPEC.service)
    try:
        routes = configured(os.environ).routes
    except ConfigurationError as mistake:
        sys.exit(str(mistake))
    serve(application(settings, log, routes), Binding.from_settings(settings, _SPEC.service), log)
