"""One simulation: a seed in, a trace and what was found out."""

import asyncio
import contextvars
import gc
import hashlib
import logging
import os
import random
import secrets
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from payments.acquirers.far_end.faults import BELATED_SECONDS, Fault, Order
from payments.acquirers.far_end.faults import Faults as BankFaults
from payments.acquirers.far_end.record import Record
from payments.acquirers.sealed_account import AccountSealer
from payments.domain.bank_account import AccountNumber, BankAccount
from payments.domain.payout_schedule import PayoutSchedule
from payments.domain.principal import KeyKind
from payments.domain.webhook_endpoint import WebhookEndpoint
from payments.notification_service.channels.webhook import secret_context
from payments.notification_service.connections import Answer
from payments.runtime.ids import IdGenerator, new_id
from payments.runtime.seal import Sealer
from payments.storage import events
from payments.storage.keys import create_key, create_merchant, set_payout_schedule
from payments.storage.wakeup import CHANNEL
from payments.wire.kinds import BANK_ACCOUNT, WEBHOOK_ENDPOINT
from tests.integration.builders import Key
from tests.simulation import services
from tests.simulation.clients import Client, Copy, Front, Plan
from tests.simulation.faults import Faults, Harm
from tests.simulation.invariants import (
    RESOLVED,
    UNDISTURBED,
    Ledger,
    Violation,
    at_any_moment,
    at_the_end,
    books_in_order,
    event_id_of,
    open_work,
)
from tests.simulation.loop import EPOCH, NothingLeftError, Process, SimulatedClock, SimulatedLoop
from tests.simulation.network import Network
from tests.simulation.services import PEPPER, SECRET, Banks, Machine
from tests.simulation.store import Server, Store

_LINES_SHOWN = 40
_COPIES = {"payment-api": (1, 2, 3), "transaction-processor": (2, 2, 3), "notification-service": (1, 1, 2), "bank": (1,), "host": (1,)}
_FAULTS_OF_BANKS = [fault for fault in Fault if fault is not Fault.DIE]
"""All but the one that ends the operating system's process: here the simulation kills it."""
_SETTLED_SECONDS = 30.0
_NIGHTS_MAX = 60
_DAY_SECONDS = 24 * 3600.0
_DAYS_AT_ONCE = 4
_LOOKED_ON_SECONDS = 25.0
_BANK_ACCOUNTS = ("000123456789", "000123456789", "000111111116")
"""The last one takes nothing."""
_SOONEST = """
SELECT extract(epoch FROM min(due))::double precision AS soonest FROM (
    SELECT min(lease_until) AS due FROM payments.attempts WHERE closed_at IS NULL
    UNION ALL SELECT min(next_attempt_at) FROM notifications.deliveries WHERE status = 'pending'
    UNION ALL SELECT to_timestamp(min(look_at)) FROM payments.notices
    UNION ALL SELECT to_timestamp(min(send_at)) FROM payments.payouts
) u
"""
"""When the next of what is open is looked at."""
_POLL_SECONDS = 0.5
"""Between two looks for an outcome that got lost on its way, of which there are ten times as many otherwise."""


@dataclass(frozen=True, slots=True)
class Found:
    """What became of a simulation."""

    seed: int
    operations: int
    digest: str
    """Of the whole trace: the same seed has the same one."""
    lines: int
    last: list[str]
    violation: Violation | None
    payments: int
    given_up: int
    steps: int
    happened: dict[str, int]
    kills: int
    seconds: float
    """That passed in it."""

    @property
    def faults(self) -> int:
        return sum(self.happened.values())

    def __str__(self) -> str:
        share = 100 * self.faults / max(self.steps, 1)
        found = "in order" if self.violation is None else f"BROKEN: {self.violation}"
        return (
            f"seed {self.seed}: {self.payments} payments, {self.operations} operations, {self.steps} steps, {share:.0f} % of them with a fault, "
            f"{self.kills} kills, {self.seconds:.0f} s, trace {self.digest}: {found}"
        )


@dataclass(slots=True)
class _Trace:
    loop: SimulatedLoop
    digest: Any = field(default_factory=lambda: hashlib.blake2b(digest_size=8))
    last: "deque[str]" = field(default_factory=lambda: deque(maxlen=_LINES_SHOWN))
    lines: int = 0

    def tell(self, line: str) -> None:
        told = f"{self.loop.time():12.6f} {line}"
        self.digest.update(told.encode() + b"\n")
        self.last.append(told[:300])
        self.lines += 1


class World:
    """Starts processes, harms them, and sees to it that all ends."""

    def __init__(self, server: Server, seed: int, plan: Plan) -> None:
        self.seed, self.plan = seed, plan
        self.chance = random.Random(seed)
        self.loop = SimulatedLoop(self._stream("order"))
        self.trace = _Trace(self.loop)
        self.faults = Faults(self._stream("faults"), plan.harm)
        self.clock = SimulatedClock(self.loop)
        self.ledger = Ledger()
        self.violation: Violation | None = None
        self.kills = 0
        self.bank_faults = BankFaults(self._stream("banks"))
        self.records = {name: Record(Path(":memory:"), SECRET) for name in ("bank", "host")}
        self.banks = Banks(self.clock, self.bank_faults, self.records)
        network = Network(self.loop, self.faults, self.trace.tell)
        self.loop.connect, self.loop.listen = network.connect, network.listen
        self._context = contextvars.copy_context()
        self.store = Store(server, self.loop, self.faults, self.trace.tell, self.kill, self._after, self._notify, self._context)
        self.machine = Machine(self.loop, self.clock, network, self.store, self.trace.tell, self._delivered)
        self.front: Front | None = None
        self.processes: dict[str, Process] = {}
        self.clients: list[Client] = []
        self.machines_ever: list[Process] = []
        self._starts = 0
        self._down: set[str] = set()

    def _stream(self, name: str) -> random.Random:
        return random.Random(f"{self.seed} {name}")

    def run(self) -> Found:
        """Simulate."""
        self.store.server.begin()
        try:
            self.loop.run_until_complete(self._live())
        except Violation as violation:
            self.violation = violation
        except (RuntimeError, NothingLeftError) as failure:
            if self.violation is None:
                self.violation = Violation(RESOLVED if isinstance(failure, NothingLeftError) else UNDISTURBED, repr(failure))
        finally:
            self.store.over = True
            self.machine.network.over = True
            self.loop.end(self.machines_ever, self.machine.close())
            self.store.server.end()
            for record in self.records.values():
                record.close()
        return Found(
            seed=self.seed,
            operations=sum(each.operations for each in self.clients),
            digest=self.trace.digest.hexdigest(),
            lines=self.trace.lines,
            last=list(self.trace.last),
            violation=self.violation,
            payments=sum(each.payments for each in self.clients),
            given_up=sum(each.given_up for each in self.clients),
            steps=self.faults.steps,
            happened={str(harm): count for harm, count in sorted(self.faults.happened.items())},
            kills=self.kills,
            seconds=self.loop.time(),
        )

    async def _live(self) -> None:
        key = await self._prepare()
        self.front = Front(self.loop, self.faults, self.trace.tell, key, self.ledger.sent)
        for kind, choices in _COPIES.items():
            copies = self.chance.choice(choices)
            for number in range(copies):
                self._start(f"{kind}-{number}" if len(choices) > 1 else kind)
        await asyncio.sleep(1)
        count = min(max(2, self.plan.operations // 12), 12)
        for number in range(count):
            name = f"client{number}"
            client = Client(name, self.front, self.ledger, self._stream(name), self._fail, self.plan)
            self.clients.append(client)
        share = -(-self.plan.operations // count)
        await self._in_bad_weather("weather", lambda client: client.work(share))
        await self._come_to_rest()
        for day in range(0, self.plan.days, _DAYS_AT_ONCE):
            self.loop.pass_time(self.loop.time() + _DAYS_AT_ONCE * _DAY_SECONDS)
            await self._in_bad_weather(f"weather after {day} days", self._look_on)
            await self._come_to_rest()  # or a receiver would be given up that failed before and after those days
        self.loop.pass_time(self.loop.time() + BELATED_SECONDS)
        await self._come_to_rest()
        at_the_end(self.store.ask, self.ledger, self.records)

    async def _in_bad_weather(self, weather: str, work: Callable[[Client], Coroutine[Any, Any, None]]) -> None:
        """Have all clients do something while things go wrong."""
        self.faults.calm = False
        changing = asyncio.ensure_future(self._weather(self._stream(weather)))
        await asyncio.gather(*(self.loop.spawn(Process(each.name), work(each)) for each in self.clients))
        changing.cancel()
        self.faults.calm = True
        self.bank_faults.tell(Order(fault=Fault.NONE))
        self.trace.tell("faults stop")
        for name in sorted(self._down):
            self._down.discard(name)
            self._start(name)

    async def _look_on(self, client: Client) -> None:
        """What is to be done after days is done by the clock: holds expire, funds become available and are paid out, disputes end."""
        await client.pay_out()
        await asyncio.sleep(_LOOKED_ON_SECONDS)

    async def _prepare(self) -> str:
        owner = self.store.pool()
        merchant = await create_merchant(owner, "Simulated")
        key = await create_key(owner, merchant, livemode=False, kind=KeyKind.SECRET, pepper=PEPPER)
        made = WebhookEndpoint(
            id=new_id("we"),
            merchant_id=merchant,
            livemode=False,
            created=int(EPOCH),
            url="https://shop.example",
            enabled_events=["*"],
            enabled=True,
        )
        await WEBHOOK_ENDPOINT.noun.insert(owner, made, sealed_secret=Sealer(Key()).seal(b"whsec_c2ltdWxhdGVk", secret_context(made)))
        await set_payout_schedule(owner, merchant, PayoutSchedule(interval="daily"))
        for currency in self.plan.currencies:
            number = AccountNumber(self.chance.choice(_BANK_ACCOUNTS))
            account = BankAccount(
                id=new_id("ba"),
                merchant_id=merchant,
                livemode=False,
                created=int(EPOCH),
                account="acct_1",
                country="US",
                currency=currency,
                last4=number.last4,
                fingerprint=f"of {currency}",
                default_for_currency=True,
            )
            await BANK_ACCOUNT.noun.insert(
                owner, account, sealed_number=AccountSealer(Sealer(Key())).seal(merchant, False, account.id, number)
            )
        return key.plaintext

    def _start(self, name: str) -> None:
        """Start a process, or start it again."""
        before = self.processes.get(name)
        if self.store.over or (before is not None and before.alive):
            return
        self._starts += 1
        process = Process(f"{name}#{self._starts}")
        self.processes[name] = process
        self.machines_ever.append(process)
        self.trace.tell(f"{process.name} starts")
        self.loop.spawn(process, self._main(name, process)).add_done_callback(self._started)

    def _started(self, task: "asyncio.Task[None]") -> None:
        if not self.store.over and not task.cancelled() and task.exception() is not None:
            self._fail(Violation(UNDISTURBED, f"a process doesn't start: {task.exception()!r}"))

    async def _main(self, name: str, process: Process) -> None:
        match name.partition("-")[0]:
            case "payment":
                application = await services.payment_api(self.machine)
                assert self.front is not None
                self.front.copies[name] = Copy(process, application)
            case "transaction":
                await services.transaction_processor(self.machine)
            case "notification":
                await services.notification_service(self.machine)
            case "bank":
                await self.banks.over_http(self.machine)
            case _:
                await self.banks.over_iso8583(self.machine)

    def kill(self, process: Process) -> None:
        """End a process at once; it is started again after a while."""
        if not process.alive:
            return
        self.loop.kill(process)
        self.kills += 1
        for end in process.at_end[::-1]:
            end()
        process.at_end.clear()
        self.store.forget(process)
        name = process.name.partition("#")[0]
        self.trace.tell(f"{process.name} is dead")
        self.loop.call_later(self.faults.chance.uniform(0.1, 4.0), self._start_again, name, context=self._context)

    def _start_again(self, name: str) -> None:
        if name not in self._down:
            self._start(name)

    async def _weather(self, chance: random.Random) -> None:
        """Change what the banks do wrong, take them away, and kill what stands around."""
        while True:
            fault = self.plan.bank or chance.choice(_FAULTS_OF_BANKS)
            self.bank_faults.tell(Order(fault=fault, share=chance.choice((0.3, 0.6, 1.0)), seconds=chance.choice((0.5, 3.0, 6.0))))
            self.trace.tell(f"the banks: {fault}")
            await asyncio.sleep(chance.uniform(1.0, 8.0))
            if chance.random() < 0.15:
                name = chance.choice(("bank", "host"))
                self._down.add(name)
                self.kill(self.processes[name])
                await asyncio.sleep(chance.choice((2.0, 10.0)))
                self._down.discard(name)
                self._start(name)
            if chance.random() < 0.2:
                self.kill(self.processes[chance.choice(sorted(self.processes))])
            if chance.random() < self.plan.long_times:
                # Nobody answers for longer than an order may be old: whatever is open now is decided by what is recorded.
                self.bank_faults.tell(Order(fault=self.plan.bank or Fault.SILENT))
                await asyncio.sleep(20)
                self.trace.tell("a long time passes")
                self.loop.pass_time(self.loop.time() + 700)

    async def _come_to_rest(self) -> None:
        """Let everything end that was begun, in as many nights as it takes: what the banks didn't know is asked for ever less often."""
        for night in range(_NIGHTS_MAX):
            await asyncio.sleep(_SETTLED_SECONDS)
            if not open_work(self.store.ask):
                return
            if night == 1:  # what is broken may well never come to rest
                books_in_order(self.store.ask)
            soonest = self.store.ask(_SOONEST)[0]["soonest"]
            if soonest is None:
                return  # nobody will do anything more
            self.loop.pass_time(soonest - EPOCH)

    def _after(self, name: str) -> None:
        if name == "commit.settle" and self.violation is None:
            try:
                at_any_moment(self.store.ask)
            except Violation as violation:
                self._fail(violation)

    def _fail(self, violation: Violation) -> None:
        if self.violation is None:
            self.violation = violation
            self.trace.tell(f"BROKEN: {violation}")
            self.loop.stop()

    def _notify(self, channel: str) -> None:
        if channel == CHANNEL:
            for wakeup, context in self.machine.wakeups:
                if self.faults.calm or self.faults.chance.random() > 0.2:
                    self.loop.call_later(self.faults.latency(), wakeup._notice, context=context)

    def _delivered(self, body: str) -> Answer:
        event = event_id_of(body)
        if not self.faults.calm and self.faults.chance.random() < 0.2:
            self.trace.tell(f"the receiver fails at {event}")
            return Answer(status_code=500)
        self.ledger.received[event] += 1
        self.trace.tell(f"the receiver gets {event}")
        return Answer(status_code=200)


@contextmanager
def _seeded(seed: int, clock: Callable[[], Any]) -> Generator[None]:
    """Have all that is random in this process follow from the seed meanwhile, ids above all."""
    drawn = random.Random(f"{seed} randomness")
    state, ids, urandom, system = random.getstate(), dict(vars(new_id)), os.urandom, secrets.token_urlsafe.__globals__["token_bytes"]
    random.seed(f"{seed} global")
    os.urandom = drawn.randbytes
    secrets.token_urlsafe.__globals__["token_bytes"] = lambda size=32: drawn.randbytes(size or 32)
    vars(new_id).update(vars(IdGenerator(clock())))
    logging.disable(logging.CRITICAL)  # libraries tell of each connection that breaks
    gc.disable()  # what was killed is kept until the end, and would be looked through again and again
    try:
        with patch.object(events, "_POLL_SECONDS", _POLL_SECONDS):
            yield
    finally:
        gc.enable()
        logging.disable(logging.NOTSET)
        vars(new_id).update(ids)
        secrets.token_urlsafe.__globals__["token_bytes"] = system
        os.urandom = urandom
        random.setstate(state)


def simulate(server: Server, seed: int, plan: Plan) -> Found:
    """Simulate one seed."""
    world = World(server, seed, plan)
    with _seeded(seed, lambda: world.clock):
        return world.run()


__all__ = ["Found", "Harm", "World", "simulate"]
