"""Merchants' servers: they create, confirm, capture, increment, cancel, refund and pay out, at once and in whatever state a payment is, and ask again under the same key."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.types import ASGIApp

from payments.acquirers.far_end.faults import Fault
from tests.simulation.faults import REQUEST, Faults, Harm
from tests.simulation.invariants import Ledger, Violation
from tests.simulation.loop import Process, SimulatedLoop

_TRIES_MAX = 30
_ANSWER_SECONDS_MAX = 60.0
_CARDS = (
    *("pm_card_visa",) * 6,
    "pm_card_mastercard",
    "pm_card_chargeDeclined",
    "pm_card_createDispute",
    "pm_card_createDisputeInquiry",
    "pm_card_refundFail",
)
_AMOUNTS = (5002, 5003, 5004)
"""That banks decline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is simulated, apart from what the seed says."""

    operations: int = 60
    """That clients ask for."""
    currencies: Sequence[str] = ("usd", "eur", "gbp")
    """Each has acquirers of its own."""
    kinds: Sequence[str] = ("capture", "capture", "cancel", "refund", "refund", "increment", "confirm")
    """What is asked for after a payment was made, drawn from these."""
    at_once: float = 0.4
    """How often two of them are asked for at once."""
    manual: float = 0.5
    """How many payments are captured later."""
    harm: float = 1.0
    """How much goes wrong, beside what usually does."""
    bank: Fault | None = None
    """What the banks do wrong all the time, instead of one thing after the other."""
    long_times: float = 0.04
    """How often, of the times that the banks change what they do wrong, nobody answers for longer than an order may be old."""
    days: int = 12
    """That pass when clients are done: beyond what a hold lasts, and what a dispute may be answered in."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of payment-api that takes requests."""

    process: Process
    application: ASGIApp


@dataclass(slots=True)
class Front:
    """The way from clients to payment-api."""

    loop: SimulatedLoop
    faults: Faults
    tell: Callable[[str], None]
    key: str
    sent: Counter[str]
    """How many requests there were under each key."""
    copies: dict[str, Copy] = field(default_factory=dict[str, Copy])

    async def ask(self, method: str, path: str, form: dict[str, Any], idempotency_key: str | None) -> tuple[int, bytes] | None:
        """Return status and body, None when there is no answer."""
        harm = self.faults.next(REQUEST)
        await asyncio.sleep(self.faults.delay() if harm is Harm.DELAYED else self.faults.latency())
        there = [copy for copy in self.copies.values() if copy.process.alive]
        if not there or harm is Harm.LOST:
            return None
        if harm is Harm.TWICE:
            self._send(self.faults.chance.choice(there), method, path, form, idempotency_key)
        answer = self._send(self.faults.chance.choice(there), method, path, form, idempotency_key)
        try:
            async with asyncio.timeout(_ANSWER_SECONDS_MAX):
                found = await answer
        except TimeoutError:
            return None
        return None if harm is Harm.ANSWER_LOST else found

    def _send(
        self, copy: Copy, method: str, path: str, form: dict[str, Any], idempotency_key: str | None
    ) -> asyncio.Future[tuple[int, bytes] | None]:
        answer: asyncio.Future[tuple[int, bytes] | None] = self.loop.create_future()

        def settle(found: tuple[int, bytes] | None) -> None:
            if not answer.done():
                answer.set_result(found)

        if idempotency_key is not None:
            self.sent[idempotency_key] += 1
        copy.process.at_end.append(lambda: settle(None))
        self.loop.spawn(copy.process, self._serve(copy.application, method, path, form, idempotency_key, settle))
        return answer

    async def _serve(
        self,
        application: ASGIApp,
        method: str,
        path: str,
        form: dict[str, Any],
        idempotency_key: str | None,
        settle: Callable[[tuple[int, bytes] | None], None],
    ) -> None:
        headers = [(b"authorization", f"Bearer {self.key}".encode()), (b"content-type", b"application/x-www-form-urlencoded")]
        if idempotency_key is not None:
            headers.append((b"idempotency-key", idempotency_key.encode()))
        messages: list[Any] = []
        body = urlencode(form).encode()

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            messages.append(message)

        headers.append((b"content-length", str(len(body)).encode()))
        scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"", "headers": headers}
        await application(scope, receive, send)
        settle((messages[0]["status"], b"".join(each.get("body", b"") for each in messages[1:])))


@dataclass(slots=True)
class Client:
    """One merchant's server, which does one thing after another, or two at once."""

    name: str
    front: Front
    ledger: Ledger
    chance: random.Random
    report: Callable[[Violation], None]
    plan: Plan
    operations: int = 0
    payments: int = 0
    given_up: int = 0

    async def work(self, operations: int) -> None:
        """Make payments until so many operations were asked for."""
        while self.operations < operations:
            await self._pay()

    async def pay_out(self) -> None:
        """Ask for some of what may be available."""
        for _ in range(self.chance.choice((0, 1, 1))):
            await self._do(
                "/v1/payouts", {"amount": self.chance.randrange(100, 30_000), "currency": self.chance.choice(self.plan.currencies)}
            )

    async def _pay(self) -> None:
        manual = self.chance.random() < self.plan.manual
        confirms = self.chance.random() < 0.6
        form: dict[str, Any] = {
            "amount": self.chance.choice(_AMOUNTS) if self.chance.random() < 0.15 else self.chance.randrange(100, 20_000),
            "currency": self.chance.choice(self.plan.currencies),
            "capture_method": "manual" if manual else "automatic",
        }
        if self.chance.random() < 0.3:
            form["payment_method_options[card][request_incremental_authorization]"] = "if_available"
        if confirms:
            form |= {"payment_method": self.chance.choice(_CARDS), "confirm": "true"}
        made = await self._do("/v1/payment_intents", form)
        self.payments += 1
        if made is None:
            return
        intent = made.get("error", {}).get("payment_intent", made) if "error" in made else made
        if "id" not in intent:
            return
        steps = self.chance.choice((0, 1, 2, 3, 4))
        if not confirms:
            await self._step(intent, "confirm")
        for _ in range(steps):
            kinds = [self.chance.choice(self.plan.kinds) for _ in range(2)]
            if self.chance.random() < self.plan.at_once:
                await asyncio.gather(*(self._step(intent, kind) for kind in kinds))
            else:
                await self._step(intent, kinds[0])

    async def _step(self, intent: dict[str, Any], kind: str) -> None:
        path, amount = f"/v1/payment_intents/{intent['id']}", intent["amount"]
        part = max(1, int(amount * self.chance.choice((0.3, 0.5, 1.0))))
        match kind:
            case "confirm":
                await self._do(f"{path}/confirm", {"payment_method": self.chance.choice(_CARDS)})
            case "capture":
                await self._do(f"{path}/capture", {"amount_to_capture": part, "final_capture": self.chance.choice(("true", "false"))})
            case "cancel":
                await self._do(f"{path}/cancel", {})
            case "increment":
                await self._do(f"{path}/increment_authorization", {"amount": amount + self.chance.randrange(1, 5000)})
            case _:
                await self._do("/v1/refunds", {"payment_intent": intent["id"], "amount": part})

    async def _do(self, path: str, form: dict[str, Any]) -> dict[str, Any] | None:
        """Ask until there is a clear answer, and sometimes twice at once; None when it was given up."""
        self.operations += 1
        key = f"{self.name}-{self.operations}"
        if self.chance.random() < 0.2:
            answers = await asyncio.gather(self._until_answered(path, form, key), self._until_answered(path, form, key))
            return answers[0] or answers[1]
        return await self._until_answered(path, form, key)

    async def _until_answered(self, path: str, form: dict[str, Any], key: str) -> dict[str, Any] | None:
        tries = 1 if self.chance.random() < 0.03 else _TRIES_MAX
        for attempt in range(tries):
            answer = await self.front.ask("POST", path, form, key)
            self.front.tell(f"{key} POST {path}: {'no answer' if answer is None else answer[0]}")
            if answer is not None:
                status, body = answer
                if status < 500 and status not in (409, 429):
                    try:
                        self.ledger.hear(key, status, body)
                    except Violation as violation:
                        self.report(violation)
                    return msgspec.json.decode(body)
            await asyncio.sleep(min(0.2 * 2**attempt, 8.0) * self.chance.uniform(0.5, 1.0))
        self.given_up += 1
        return None
