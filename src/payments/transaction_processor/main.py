"""The composition root of transaction-processor: the only place that knows how its parts are put together."""

import contextlib
import os
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import partial

from starlette.types import ASGIApp

from payments.acquirers.configuration import Configuration, ConfigurationError, configured
from payments.acquirers.opening import open_configured
from payments.acquirers.registry import Acquirers
from payments.acquirers.sealed_account import AccountSealer
from payments.acquirers.sealed_card import CardSealer
from payments.acquirers.simulated_bank import SimulatedBank
from payments.acquirers.simulator import Simulator
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
from payments.storage.accounts import Accounts
from payments.storage.attempts import Attempts
from payments.storage.credentials import credentials_of
from payments.storage.fees import FeeSchedules
from payments.storage.group_commit import GroupCommit
from payments.storage.jobs import JobPlace, PostgresJobs, reporting
from payments.storage.journal import SESSION_SETTINGS, PostgresJournal
from payments.storage.payments import PaymentStore
from payments.storage.sandbox_clocks import SandboxTimes
from payments.storage.traces import PostgresTraces
from payments.storage.wakeup import Waker
from payments.storage.watched_database import open_database
from payments.storage.write_limits import WriteLimitStore
from payments.transaction_processor.handover import HandoverRoutes
from payments.transaction_processor.money.booking import Bookkeeper
from payments.transaction_processor.money.money_sweeper import MoneySweeper
from payments.transaction_processor.money.paydays import Paydays
from payments.transaction_processor.money.verification import VERIFYING, Verification
from payments.transaction_processor.processor import Processor, Tally
from payments.transaction_processor.public_api import public_api
from payments.transaction_processor.sandbox_clocks import SandboxClockKeeper
from payments.transaction_processor.sealing import LedgerSealer
from payments.transaction_processor.sending import Sender
from payments.transaction_processor.sweeper import Sweeper
from payments.wire.api import Call, Reply, build_api
from payments.wire.auth import Authenticator
from payments.wire.idempotency import Idempotency
from payments.wire.lists import open_lists
from payments.wire.objects import Objects
from payments.wire.reading import Reader
from payments.wire.request_log import keep_request_log
from payments.wire.serve import DRAIN_SECONDS, Binding, serve
from payments.wire.write_limit import WriteLimit

_SPEC = SERVICES[Service.TRANSACTION_PROCESSOR]
_PROBE_SECONDS = 0.5
"""Between two looks for acquirers to be asked whether they are well again."""


@asynccontextmanager
async def application(
    settings: Settings, log: Logger, configuration: Configuration, acquirer_secrets: Mapping[str, bytes]
) -> AsyncGenerator[ASGIApp]:
    """Build the service; leaving the context drains it."""
    async with contextlib.AsyncExitStack() as stack:
        credentials = credentials_of(settings.database_secret, settings.database_url, SystemClock(), log)
        database = await stack.enter_async_context(
            open_database(settings.database_url, role=settings.database_role, name=_SPEC.service, credentials=credentials)
        )
        pool, clock = database.pool, database.clock
        new_id.follow(clock)
        journal_pool = await stack.enter_async_context(database.open_pool("simulator", size_max=3, server_settings=SESSION_SETTINGS))
        lists = await stack.enter_async_context(open_lists(database))
        sealer = Sealer(key_provider(settings.envelope_key_file, settings.envelope_key))
        attempts = Attempts(pool, lease_seconds=settings.attempt_lease_seconds)
        accounts = Accounts(pool)
        commits = await stack.enter_async_context(database.open_pool("commits", size_max=1))
        reader, idempotency, waker = Reader(pool, lists, clock), Idempotency(pool, sealer, clock), Waker(pool)
        bookkeeper = Bookkeeper(pool=pool, accounts=accounts, waker=waker, clock=clock)
        journal, traces = PostgresJournal(journal_pool), PostgresTraces(pool)
        fees, times = FeeSchedules(pool, clock), SandboxTimes(pool, clock)
        settlements = GroupCommit(PaymentStore(commits).settle, name="settle")
        outside = await open_configured(configuration, acquirer_secrets, clock, log, stack, traces)
        acquirers = Acquirers([Simulator(journal, clock), *outside], configuration.bounds)
        sender = Sender(acquirers=acquirers, attempts=attempts, clock=clock, log=log, timeout_seconds=settings.acquirer_timeout_seconds)
        processor = Processor(
            sender=sender,
            sealer=CardSealer(sealer),
            attempts=attempts,
            accounts=accounts,
            fees=fees,
            times=times,
            settlements=settlements,
            pool=pool,
            waker=waker,
            clock=clock,
            log=log,
            public_url=settings.public_url,
            tally=Tally(),
            availability=configuration.availability,
        )
        handover = HandoverRoutes(processor, settings.internal_api_key)
        seals = LedgerSealer(pool, sealer, log)

        async def replay(call: Call) -> Reply | None:
            found = await idempotency.seen(call)
            return None if found is None else await reader.expanded(call, found)

        async def readings() -> Readings:
            approved, declined = processor.tally.take()
            unknown, oldest_seconds = await attempts.unknown()
            await seals.look()
            return {
                Metric.BACKLOG: handover.under_way + settlements.queued_rows,
                Metric.PAYMENTS_APPROVED: approved,
                Metric.PAYMENTS_DECLINED: declined,
                Metric.UNKNOWN_ATTEMPTS: unknown,
                Metric.UNKNOWN_AGE: oldest_seconds,
                Metric.LEDGER_IMBALANCE: await accounts.imbalance(),
                Metric.OVERDUE_AGE: scheduler.overdue_seconds,
                Metric.LEDGER_PROOF_FAULTS: seals.faults(scheduler.failures),
                Metric.LEDGER_UNSEALED_AGE: seals.unsealed_age_seconds,
            }

        rows = RowByRow(clock, log)
        sweeper = Sweeper(processor=processor, attempts=attempts, pool=pool, clock=clock, rows=rows)
        money = MoneySweeper(
            acquirers=acquirers,
            bank=SimulatedBank(journal, clock),
            account_sealer=AccountSealer(sealer),
            bookkeeper=bookkeeper,
            fees=fees,
            times=times,
            pool=pool,
            clock=clock,
            log=log,
            rows=rows,
        )
        jobs = [
            *sweeper.jobs(),
            *money.jobs(),
            *Paydays(bookkeeper=bookkeeper, pool=pool, clock=clock, log=log).jobs(),
            *SandboxClockKeeper(pool=pool, waker=waker, clock=clock, rows=rows).jobs(),
            *Verification(pool=pool, place=JobPlace(pool, _SPEC.service, VERIFYING), log=log).jobs(),
            *traces.jobs(),
            *seals.jobs(),
            reporting(pool, log),
        ]
        scheduler = Scheduler(jobs, PostgresJobs(pool, _SPEC.service, jobs), log)
        background = Background(log)
        background.keep("watch database", database.watch)
        if outside:  # the sandbox is always there, and an idle process is to be left asleep
            background.repeat("probe acquirers", partial(sweeper.probe, scheduler.wake), every_seconds=_PROBE_SECONDS)
        background.watch("commit 2", lambda: settlements.stalled_seconds)
        scheduler.keep(background)
        MetricReporter(_SPEC.service, settings.environment, readings, clock, log).keep(background)
        write_limit = WriteLimit(WriteLimitStore(pool), settings.writes_per_second)
        yield build_api(
            public_api(
                objects=Objects(idempotency=idempotency, reader=reader, waker=waker, clock=clock),
                accounts=accounts,
                bookkeeper=bookkeeper,
            ),
            authenticator=Authenticator(pool, settings.api_key_pepper, clock),
            write_limit=write_limit,
            digest=sealer.digest,
            log=log,
            health=Health(background, is_database_well=database.is_well, log=log),
            replay=replay,
            request_log=keep_request_log(database, background),
            raw_routes=handover.routes(),
        )
        await background.stop()
        await sweeper.close()
        await write_limit.close()
        unfinished = await handover.drain(DRAIN_SECONDS)
        await traces.close()
        await settlements.close()
        await attempts.hand_back(unfinished)  # another copy goes on at once, instead of when the leases run out


def main() -> None:
    """Run the service."""
    settings, log = Settings.from_environment(os.environ), Logger(_SPEC.service)
    try:
        configuration = configured(os.environ)
        acquirer_secrets = configuration.secrets(os.environ)
    except ConfigurationError as mistake:
        sys.exit(str(mistake))
    serve(application(settings, log, configuration, acquirer_secrets), Binding.from_settings(settings, _SPEC.service), log)
