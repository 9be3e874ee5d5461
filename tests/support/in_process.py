"""Payment-api's handlers and transaction-processor's `Processor` in one process, on a real database: what two services do, without what lies between them."""

import io
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.routing import Router, compile_path

from payments.acquirers.acquirer import Acquirer
from payments.acquirers.registry import Acquirers, Bounds
from payments.acquirers.routing import Routes
from payments.acquirers.sealed_account import AccountSealer
from payments.acquirers.sealed_card import CardSealer
from payments.acquirers.simulated_bank import SimulatedBank
from payments.acquirers.simulator import Simulator
from payments.domain.api_version import NEWEST
from payments.domain.errors import TapError
from payments.domain.event import Event
from payments.domain.outcome import Approved, Outcome
from payments.domain.principal import KeyKind, Principal
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
from payments.payment_api.keeping import Keeping
from payments.payment_api.public_api import public_api
from payments.payment_api.receipts import Receipts
from payments.payment_api.steps import Steps
from payments.payment_api.stripe_cli import StripeCli
from payments.payment_api.unsubscribing import Unsubscribing
from payments.runtime.ids import new_id
from payments.runtime.keyring import KeyRing
from payments.runtime.logging import Logger
from payments.runtime.rows import RowByRow
from payments.runtime.seal import Sealer
from payments.storage.accounts import Accounts
from payments.storage.attempts import Attempts, OpenAttempt
from payments.storage.database import Pool, connect, open_pool
from payments.storage.fees import FeeSchedules
from payments.storage.group_commit import GroupCommit
from payments.storage.journal import SESSION_SETTINGS, PostgresJournal
from payments.storage.keys import create_merchant
from payments.storage.payments import PaymentStore
from payments.storage.sandbox_clocks import SandboxTimes
from payments.storage.wakeup import Waker
from payments.transaction_processor.money.booking import Bookkeeper
from payments.transaction_processor.money.money_sweeper import MoneySweeper
from payments.transaction_processor.money.paydays import Paydays
from payments.transaction_processor.processor import Processor, Tally
from payments.transaction_processor.public_api import public_api as money_api
from payments.transaction_processor.sending import Sender
from payments.transaction_processor.sweeper import Sweeper
from payments.wire.api import Call, Endpoint, Endpoints
from payments.wire.errors import wire_error
from payments.wire.form import decode_form
from payments.wire.idempotency import Idempotency
from payments.wire.internal import Verification
from payments.wire.lists import Lists
from payments.wire.objects import Objects
from payments.wire.reading import Reader
from tests.integration.builders import FakeClock, Key

LEASE_SECONDS = 15
PUBLIC_URL = "http://tap.example"
SANDBOX_ONLY = Routes()


class SilentWaker(Waker):
    """Wakes nobody: there is no notification-service here."""

    def wake(self) -> None:
        pass


class DirectHandover:
    """In place of the call to transaction-processor; what it takes along is encoded, as it would be on its way."""

    def __init__(self, carry_out: Callable[[OpenAttempt], Awaitable[Event | None]]) -> None:
        self.carry_out_work = carry_out

    async def carry_out(self, work: OpenAttempt, deadline: float) -> Event | None:  # noqa: ARG002 - as the real one
        return await self.carry_out_work(msgspec.json.decode(msgspec.json.encode(work), type=OpenAttempt))

    async def verify(self, question: Verification) -> Outcome:  # noqa: ARG002 - as the real one
        return Approved(authorization_code="000000")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call was answered."""

    status: int
    body: Any

    @property
    def id(self) -> str:
        assert self.status == 200, self
        return self.body["id"]


@dataclass(slots=True, kw_only=True)
class ProcessorCopy:
    """A copy of transaction-processor, without its HTTP."""

    processor: Processor
    sweeper: Sweeper
    money: MoneySweeper
    paydays: Paydays
    endpoints: Endpoints
    store: PaymentStore


@dataclass(slots=True, kw_only=True)
class InProcess:
    """One merchant's way into the services."""

    endpoints: Endpoints
    challenge: Challenge
    pages: Router
    closing: Closing
    steps: Steps
    sealer: Sealer
    handover: DirectHandover
    trial: DirectHandover
    copies: list[ProcessorCopy]
    clock: FakeClock
    pool: Pool
    """payment-api's."""
    principal: Principal = field(
        default_factory=lambda: Principal(
            merchant_id=1, livemode=False, kind=KeyKind.SECRET, account_id="acct_1", key_id="key_1", api_version=NEWEST
        )
    )

    on_trial: bool = False
    """Whether calls are those of a trial."""

    async def call(self, method: str, path: str, /, key: str | None = None, **params: str) -> Answer:
        """Call an endpoint as the front would: a refusal is an answer, anything else that is raised is a fault."""
        endpoint, in_path = self._endpoint(method, path)
        call = Call(
            principal=self.principal,
            path=in_path,
            params=decode_form(urlencode(params).encode()),
            expand=(),
            request_id=new_id("req"),
            idempotency_key=key,
            endpoint=f"{method} {path}",
            api_version=NEWEST,
            received_at=int(self.clock.now()),
            digest=self.sealer.digest,
            on_trial=self.on_trial,
        )
        try:
            found = None if key is None else await self.steps.seen(call)
            result = found or await endpoint.answer(call)
        except TapError as refusal:
            error = wire_error(refusal)
            return Answer(error.status, msgspec.json.decode(error.body))
        return Answer(result.status, msgspec.json.decode(result.body))

    async def post(self, path: str, **params: str) -> Answer:
        return await self.call("POST", f"/v1/{path}", **params)

    async def get(self, path: str, **params: str) -> Any:
        found = await self.call("GET", f"/v1/{path}", **params)
        assert found.status == 200, found
        return found.body

    async def decide(self, challenge_url: str, action: str) -> Answer:
        """Press a button of the challenge page; of a page that leads on, where it does."""
        path, _, query = challenge_url.partition("?")
        *_, mode, merchant, intent = path.split("/")
        form = [{"type": "http.request", "body": urlencode({"action": action}).encode(), "more_body": False}]

        async def receive() -> dict[str, Any]:
            return form.pop()

        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "headers": [],
            "query_string": query.encode(),
            "path_params": {"mode": mode, "merchant": merchant, "intent": intent},
        }
        response = await self.challenge._decide(Request(scope, receive))
        return Answer(response.status_code, response.headers.get("location") or bytes(response.body).decode())

    async def open_page(self, url: str, **typed: str) -> Answer:
        """Open a checkout page, or send its form; of a page that leads on, where it does."""
        messages: list[Any] = []
        form = [{"type": "http.request", "body": urlencode(typed).encode(), "more_body": False}]

        async def receive() -> dict[str, Any]:
            return form.pop()

        async def send(message: Any) -> None:
            messages.append(message)

        path = url.removeprefix(PUBLIC_URL)
        method = "POST" if typed else "GET"
        await self.pages({"type": "http", "method": method, "path": path, "headers": [], "query_string": b""}, receive, send)
        location = dict(messages[0]["headers"]).get(b"location")
        return Answer(
            messages[0]["status"],
            b"".join(each.get("body", b"") for each in messages[1:]).decode() if location is None else location.decode(),
        )

    def _endpoint(self, method: str, path: str) -> tuple[Endpoint[Any], dict[str, str]]:
        for endpoint in self.endpoints:
            matched = compile_path(endpoint.path)[0].fullmatch(path)
            if endpoint.method == method and matched is not None:
                return endpoint, matched.groupdict()
        raise LookupError(f"{method} {path}")


@asynccontextmanager
async def processor_copy(
    database_url: str, clock: FakeClock, acquirer: Acquirer | None = None, outside: Sequence[Acquirer] = ()
) -> AsyncGenerator[ProcessorCopy]:
    """A copy of transaction-processor with pools of its own; without an `acquirer` it has the simulator, and beside it those `outside`."""
    async with (
        open_pool(database_url, role="tap_transaction_processor", name="processor") as pool,
        open_pool(database_url, role="tap_transaction_processor", name="bank", server_settings=SESSION_SETTINGS) as bank,
    ):
        log = Logger("test", io.BytesIO())
        attempts, store = Attempts(pool, lease_seconds=LEASE_SECONDS), PaymentStore(pool)
        acquirers = Acquirers(
            [acquirer or Simulator(PostgresJournal(bank), clock), *outside],
            {each.name: Bounds(failures_max=5, pause_seconds=5) for each in outside},
            clock.now,
        )
        processor = Processor(
            sender=Sender(acquirers=acquirers, attempts=attempts, clock=clock, log=log, timeout_seconds=5),
            sealer=CardSealer(Sealer(Key())),
            attempts=attempts,
            accounts=Accounts(pool),
            fees=FeeSchedules(pool, clock),
            times=SandboxTimes(pool, clock),
            settlements=GroupCommit(store.settle, name="settle"),
            pool=pool,
            waker=SilentWaker(pool),
            clock=clock,
            log=log,
            public_url="http://tap",
            tally=Tally(),
        )
        sweeper = Sweeper(processor=processor, attempts=attempts, pool=pool, clock=clock, rows=RowByRow(clock, log))
        waker = SilentWaker(pool)
        bookkeeper = Bookkeeper(pool=pool, accounts=processor.accounts, waker=waker, clock=clock)
        money = MoneySweeper(
            acquirers=processor.acquirers,
            bank=SimulatedBank(PostgresJournal(bank), clock),
            account_sealer=AccountSealer(Sealer(Key())),
            bookkeeper=bookkeeper,
            fees=processor.fees,
            times=SandboxTimes(pool, clock),
            pool=pool,
            clock=clock,
            log=log,
            rows=RowByRow(clock, log),
        )
        objects = Objects(
            idempotency=Idempotency(pool, Sealer(Key()), clock), reader=Reader(pool, Lists(pool), clock), waker=waker, clock=clock
        )
        endpoints = money_api(objects=objects, accounts=processor.accounts, bookkeeper=bookkeeper)
        paydays = Paydays(bookkeeper=bookkeeper, pool=pool, clock=clock, log=log)
        yield ProcessorCopy(processor=processor, sweeper=sweeper, money=money, paydays=paydays, endpoints=endpoints, store=store)


@asynccontextmanager
async def in_process(
    database_url: str,
    *,
    acquirer: Acquirer | None = None,
    outside: Sequence[Acquirer] = (),
    routes: Routes = SANDBOX_ONLY,
    copies: int = 1,
    merchant: str | None = "Test",
) -> AsyncGenerator[InProcess]:
    """The services over a migrated database, where `merchant` is made unless there is one; attempts are handed to the copies in turn."""
    clock = FakeClock()
    async with AsyncExitStack() as stack:
        owner = await stack.enter_async_context(connect(database_url))
        pool = await stack.enter_async_context(open_pool(database_url, role="tap_payment_api", name="api"))
        processors = [await stack.enter_async_context(processor_copy(database_url, clock, acquirer, outside)) for _ in range(copies)]
        if merchant is not None:
            assert await create_merchant(owner, merchant) == 1
        turn = 0

        async def carry_out(work: OpenAttempt) -> Event | None:
            nonlocal turn
            turn += 1
            return await processors[turn % copies].processor.process(work, clock.now() + LEASE_SECONDS)

        handover, trial = DirectHandover(carry_out), DirectHandover(carry_out)
        sealer = Sealer(Key())
        reader, idempotency, waker = Reader(pool, Lists(pool), clock), Idempotency(pool, sealer, clock), SilentWaker(pool)
        vault = CardVault(CardSealer(sealer), clock)
        cards = Cards(vault, pool)
        begins = GroupCommit(PaymentStore(pool).begin, name="begin", batch_rows_max=32, writers_max=3)
        steps = Steps(
            director=Director(routes, pool, clock),
            begins=begins,
            handover=cast("HandoverClient", handover),
            trial=cast("HandoverClient", trial),
            idempotency=idempotency,
            reader=reader,
            pool=pool,
            waker=waker,
            clock=clock,
            lease_seconds=LEASE_SECONDS,
        )
        objects = Objects(idempotency=idempotency, reader=reader, waker=waker, clock=clock)
        keeping = Keeping(handover=steps.handover, trial=steps.trial, pool=pool, waker=waker, clock=clock, public_url=PUBLIC_URL)
        log = Logger("test", io.BytesIO())
        addresses, closing = (
            Addresses(PUBLIC_URL),
            Closing(pool=pool, waker=waker, clock=clock, times=SandboxTimes(pool, clock), log=log, rows=RowByRow(clock, log)),
        )
        page = CheckoutPage(
            paying=Paying(steps=steps, cards=cards, vault=vault, keeping=keeping, closing=closing),
            closing=closing,
            pool=pool,
            view=View(),
            opening=Opening(pool=pool, clock=clock, times=SandboxTimes(pool, clock), addresses=addresses),
        )
        yield InProcess(
            endpoints=[
                *public_api(
                    steps=steps,
                    cards=cards,
                    vault=vault,
                    handover=steps.handover,
                    keeping=keeping,
                    closing=closing,
                    addresses=addresses,
                    objects=objects,
                    reader=reader,
                    pool=pool,
                    account_sealer=AccountSealer(sealer),
                    pepper=KeyRing.of(b"p" * 32),
                    stripe_cli=StripeCli(sealer, PUBLIC_URL),
                ),
                *processors[0].endpoints,
            ],
            pages=Router(
                [
                    *page.routes(),
                    *LinkPage(page=page, pool=pool).routes(),
                    *Receipts(pool=pool, log=page.closing.log).routes(),
                    *Unsubscribing(pool=pool, sealer=sealer, log=page.closing.log).routes(),
                    *unknown_routes(),
                ]
            ),
            closing=closing,
            challenge=Challenge(steps, cards, keeping),
            steps=steps,
            sealer=sealer,
            handover=handover,
            trial=trial,
            copies=processors,
            clock=clock,
            pool=pool,
        )
        await begins.close()
