"""The services as their composition roots put them together, on a simulated database, network and clock; and the banks behind them, which are the real far ends."""

import contextvars
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import msgspec
from aiohttp import ClientSession, DummyCookieJar, web
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from payments.acquirers.configuration import HttpSpec, Iso8583Spec
from payments.acquirers.far_end.faults import Faults as BankFaults
from payments.acquirers.far_end.http_host import HttpHost
from payments.acquirers.far_end.iso8583_host import Iso8583Host
from payments.acquirers.far_end.judge import Judge
from payments.acquirers.far_end.record import Record
from payments.acquirers.http.acquirer import HttpAcquirer
from payments.acquirers.iso8583.acquirer import Iso8583Acquirer
from payments.acquirers.iso8583.codec import Codec
from payments.acquirers.registry import Acquirers, Bounds
from payments.acquirers.routing import Routes, Rule
from payments.acquirers.sealed_account import AccountSealer
from payments.acquirers.sealed_card import CardSealer
from payments.acquirers.simulated_bank import SimulatedBank
from payments.acquirers.simulator import Simulator
from payments.domain.destination import ChannelType
from payments.notification_service.channels.webhook import Webhook
from payments.notification_service.connections import Answer
from payments.notification_service.deliverer import LEASE_SECONDS as DELIVERY_LEASE_SECONDS
from payments.notification_service.deliverer import Deliverer
from payments.notification_service.dispatcher import Dispatcher
from payments.notification_service.shares import Shares
from payments.payment_api.card_vault import CardVault
from payments.payment_api.checkout.closing import Closing
from payments.payment_api.checkout.opening import Addresses
from payments.payment_api.confirmation import Cards
from payments.payment_api.directing import Director
from payments.payment_api.handover import HandoverClient
from payments.payment_api.keeping import Keeping
from payments.payment_api.passing_on import PassingOn
from payments.payment_api.public_api import public_api
from payments.payment_api.steps import Steps
from payments.payment_api.stripe_cli import StripeCli
from payments.runtime.background import Background
from payments.runtime.health import Health
from payments.runtime.jobs import Scheduler
from payments.runtime.keyring import KeyRing
from payments.runtime.logging import Logger
from payments.runtime.rows import RowByRow
from payments.runtime.seal import Sealer
from payments.runtime.topology import Service
from payments.storage.accounts import Accounts
from payments.storage.attempts import Attempts
from payments.storage.deliveries import Deliveries
from payments.storage.fees import FeeSchedules
from payments.storage.group_commit import GroupCommit
from payments.storage.jobs import PostgresJobs
from payments.storage.journal import PostgresJournal
from payments.storage.payments import PaymentStore
from payments.storage.sandbox_clocks import SandboxTimes
from payments.storage.traces import PostgresTraces
from payments.storage.wakeup import Waker, Wakeup
from payments.transaction_processor.handover import HandoverRoutes
from payments.transaction_processor.money.booking import Bookkeeper
from payments.transaction_processor.money.money_sweeper import MoneySweeper
from payments.transaction_processor.money.paydays import Paydays
from payments.transaction_processor.processor import Processor, Tally
from payments.transaction_processor.public_api import public_api as money_api
from payments.transaction_processor.sending import Sender
from payments.transaction_processor.sweeper import Sweeper
from payments.wire.api import Call, Reply, build_api
from payments.wire.auth import Authenticator
from payments.wire.idempotency import Idempotency
from payments.wire.lists import Lists
from payments.wire.objects import Objects
from payments.wire.reading import Reader
from payments.wire.serve import Binding, uvicorn_config
from payments.wire.write_limit import WriteLimit
from tests.integration.builders import Key
from tests.simulation.loop import SimulatedClock, SimulatedLoop, current_process
from tests.simulation.network import Connector, Network
from tests.simulation.store import Store
from tests.support.acquirers_to_test import FRAMING, ISO8583_SETTINGS

LEASE_SECONDS = 15.0
ACQUIRER_TIMEOUT_SECONDS = 5.0
PEPPER = KeyRing.of(b"p" * 32)
SECRET = b"a secret of the simulation, and of no bank's"
INTERNAL_KEY = "internal"
PROCESSOR, BANK, HOST = ("transaction-processor", 80), ("bank", 80), ("127.0.0.1", 5000)
DECLINES = {5002: "insufficient_funds", 5003: "try_again_later", 5004: "generic_decline"}
"""Amounts that the banks decline."""
_HTTP = HttpSpec(name="bank", mode="test", url="http://bank:80", key_id="tap", timeout_seconds=4.0)
_ISO8583 = msgspec.convert(
    {
        "kind": "iso8583",
        **ISO8583_SETTINGS,
        "mode": "test",
        "port": HOST[1],
        "timeout_seconds": 4.0,
        "repeat_seconds": 1.2,
        "echo_seconds": 30.0,
    },
    Iso8583Spec,
)
ROUTES = Routes(
    [_HTTP.route, _ISO8583.route],
    [
        Rule(name="sandbox", acquirers=["simulator"], currencies=["gbp"]),
        Rule(name="host-alone", acquirers=["host"], currencies=["usd"], percent=50),
        Rule(name="host-first", acquirers=["host", "bank"], currencies=["usd"], retry_declines=["try_again_later"]),
        Rule(name="bank-alone", acquirers=["bank"], currencies=["eur"], percent=50),
        Rule(name="bank-first", acquirers=["bank", "host"], currencies=["eur"]),
    ],
)
"""Over ISO 8583, where an order without an answer is reversed; over HTTP, where it is inquired about; from one to the other; and the sandbox."""


class TracedLogger(Logger):
    """Logs into the trace."""

    def __init__(self, tell: Callable[[str], None], name: str) -> None:
        self._tell = tell
        self._name = name

    def event(self, event: str, **fields: object) -> None:
        if event != "request":
            shown = " ".join(f"{name}={value}" for name, value in fields.items() if name != "stack")
            self._tell(f"{self._name}: {event} {shown}")


class _NoTelling:
    async def tell(self, told: object) -> dict[str, Any]:
        del told
        return {}


@dataclass(slots=True)
class Machine:
    """What processes run on."""

    loop: SimulatedLoop
    clock: SimulatedClock
    network: Network
    store: Store
    tell: Callable[[str], None]
    delivered: Callable[[str], Answer]
    """Takes the event that a merchant's receiver gets."""
    sessions: list[ClientSession] = field(default_factory=list[ClientSession])
    """That somebody must close at the end, since those who are killed don't."""
    wakeups: list[tuple[Wakeup, Context]] = field(default_factory=list[tuple[Wakeup, Context]])

    def session(self) -> ClientSession:
        """Return an HTTP client of the process that runs."""
        made = ClientSession(connector=Connector(limit=0), auto_decompress=False, cookie_jar=DummyCookieJar())
        self.sessions.append(made)
        return made

    async def close(self) -> None:
        """Close what nobody closed."""
        for session in self.sessions:
            await session.close()

    def logger(self) -> Logger:
        return TracedLogger(self.tell, current_process().name)


async def payment_api(machine: Machine) -> ASGIApp:
    """Put payment-api together, without its pages."""
    pool, clock, log = machine.store.pool(), machine.clock, machine.logger()
    session, sealer = machine.session(), Sealer(Key())
    reader, idempotency, waker = Reader(pool, Lists(pool), clock), Idempotency(pool, sealer, clock), Waker(pool)
    vault, director = CardVault(CardSealer(sealer), clock), Director(ROUTES, pool, clock)
    cards = Cards(vault, pool)
    handover = HandoverClient(session, "http://transaction-processor:80", INTERNAL_KEY, clock, log, director=director)
    begins = GroupCommit(PaymentStore(pool).begin, name="begin", batch_rows_max=32, writers_max=3, now=machine.loop.time)
    steps = Steps(
        director=director,
        begins=begins,
        handover=handover,
        trial=handover,
        idempotency=idempotency,
        reader=reader,
        pool=pool,
        waker=waker,
        clock=clock,
        lease_seconds=LEASE_SECONDS,
    )
    passing_on = PassingOn(
        session=session,
        service=Service.TRANSACTION_PROCESSOR,
        url="http://transaction-processor:80",
        trial_url="http://transaction-processor:80",
        log=log,
    )
    keeping = Keeping(handover=handover, trial=handover, pool=pool, waker=waker, clock=clock, public_url="http://tap")
    background = Background(log, now=machine.loop.time)
    return build_api(
        public_api(
            steps=steps,
            cards=cards,
            vault=vault,
            handover=handover,
            keeping=keeping,
            closing=Closing(pool=pool, waker=waker, clock=clock, times=SandboxTimes(pool, clock), log=log, rows=RowByRow(clock, log)),
            addresses=Addresses("http://tap"),
            objects=Objects(idempotency=idempotency, reader=reader, waker=waker, clock=clock),
            reader=reader,
            pool=pool,
            account_sealer=AccountSealer(sealer),
            pepper=PEPPER,
            stripe_cli=StripeCli(sealer, "http://tap"),
        ),
        authenticator=Authenticator(pool, PEPPER, clock),
        write_limit=WriteLimit(_NoTelling(), None, now=machine.loop.time),
        digest=sealer.digest,
        log=log,
        health=Health(background, is_database_well=_is_well, log=log),
        replay=steps.seen,
        raw_routes=[*passing_on.routes()],
    )


async def _is_well() -> bool:
    return True


async def transaction_processor(machine: Machine) -> None:
    """Run transaction-processor: what it is asked for, and its jobs."""
    pool, clock, log = machine.store.pool(), machine.clock, machine.logger()
    sealer, attempts, traces = Sealer(Key()), Attempts(pool, lease_seconds=LEASE_SECONDS), PostgresTraces(pool)
    accounts, fees, times, journal = Accounts(pool), FeeSchedules(pool, clock), SandboxTimes(pool, clock), PostgresJournal(pool)
    reader, idempotency, waker = Reader(pool, Lists(pool), clock), Idempotency(pool, sealer, clock), Waker(pool)
    bookkeeper, rows = Bookkeeper(pool=pool, accounts=accounts, waker=waker, clock=clock), RowByRow(clock, log)
    host = Iso8583Acquirer(_ISO8583, None, clock, log, traces)
    acquirers = Acquirers(
        [Simulator(journal, clock), HttpAcquirer(_HTTP, SECRET, machine.session(), clock), host],
        {each.name: Bounds(failures_max=each.breaker_failures, pause_seconds=each.breaker_seconds) for each in (_HTTP, _ISO8583)},
        machine.loop.time,
    )
    processor = Processor(
        sender=Sender(acquirers=acquirers, attempts=attempts, clock=clock, log=log, timeout_seconds=ACQUIRER_TIMEOUT_SECONDS),
        sealer=CardSealer(sealer),
        attempts=attempts,
        accounts=accounts,
        fees=fees,
        times=times,
        settlements=GroupCommit(PaymentStore(pool).settle, name="settle", now=machine.loop.time),
        pool=pool,
        waker=waker,
        clock=clock,
        log=log,
        public_url="http://tap",
        tally=Tally(),
    )
    background = Background(log, now=machine.loop.time)
    background.keep("line", lambda _: host.line.keep())
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
    jobs = [*sweeper.jobs(), *money.jobs(), *Paydays(bookkeeper=bookkeeper, pool=pool, clock=clock, log=log).jobs()]
    scheduler = Scheduler(jobs, PostgresJobs(pool, Service.TRANSACTION_PROCESSOR, jobs), log, now=machine.loop.time)
    background.repeat("probe acquirers", partial(sweeper.probe, scheduler.wake), every_seconds=0.5)
    scheduler.keep(background)

    async def replay(call: Call) -> Reply | None:
        found = await idempotency.seen(call)
        return None if found is None else await reader.expanded(call, found)

    objects = Objects(idempotency=idempotency, reader=reader, waker=waker, clock=clock)
    application = build_api(
        money_api(objects=objects, accounts=accounts, bookkeeper=bookkeeper),
        authenticator=Authenticator(pool, PEPPER, clock),
        write_limit=WriteLimit(_NoTelling(), None, now=machine.loop.time),
        digest=sealer.digest,
        log=log,
        health=Health(background, is_database_well=_is_well, log=log),
        replay=replay,
        raw_routes=HandoverRoutes(processor, INTERNAL_KEY).routes(),
    )
    await _serve(machine, application, *PROCESSOR)


async def notification_service(machine: Machine) -> None:
    """Run what notification-service does of its own accord."""
    pool, clock, log = machine.store.pool(), machine.clock, machine.logger()
    deliveries = Deliveries(pool, lease_seconds=DELIVERY_LEASE_SECONDS)

    async def send(url: str, headers: object, body: bytes) -> Answer:
        del url, headers
        return machine.delivered(body.decode())

    deliverer = Deliverer(
        deliveries=deliveries,
        results=GroupCommit(deliveries.record, name="delivery attempts", now=machine.loop.time),
        pool=pool,
        channels={ChannelType.WEBHOOK: Webhook(send, Sealer(Key()), clock)},
        clock=clock,
        log=log,
    )
    deliverer._shares = Shares(machine.loop.time)
    wakeup = Wakeup(cast("Any", None))
    machine.wakeups.append((wakeup, contextvars.copy_context()))
    background = Background(log, now=machine.loop.time)
    background.keep("dispatch", Dispatcher(pool, wakeup, deliverer.wake).run)
    background.keep("deliver", deliverer.run)


async def _serve(machine: Machine, application: ASGIApp, host: str, port: int) -> None:
    config = uvicorn_config(application, Binding(host, port))
    config.load()
    state = ServerState()
    protocol: Any = config.http_protocol_class
    machine.network.listen(lambda: protocol(config=config, server_state=state, app_state={}), host, port)


@dataclass(slots=True)
class Banks:
    """What the far ends know, which outlives their processes."""

    clock: SimulatedClock
    faults: BankFaults
    records: dict[str, Record]

    async def over_http(self, machine: Machine) -> None:
        """Run the bank that can be inquired at."""
        record = self.records["bank"]
        judge = Judge(record, self.clock, DECLINES)
        host = HttpHost(key_id="tap", secret=SECRET, judge=judge, record=record, faults=self.faults, clock=self.clock)
        runner = web.AppRunner(host.application(), access_log=None, handle_signals=False)
        await runner.setup()
        machine.network.listen(runner.server, *BANK)

    async def over_iso8583(self, machine: Machine) -> None:
        """Run the host that can't."""
        del machine
        record = self.records["host"]
        judge = Judge(record, self.clock, DECLINES)
        host = Iso8583Host(codec=Codec("ascii", "hex"), framing=FRAMING, judge=judge, record=record, faults=self.faults, clock=self.clock)
        await host.serve(*HOST)
