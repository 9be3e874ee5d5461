"""The calls of payment-api: a batch of attempts in, answers out as their commits are done."""

import asyncio

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from payments.acquirers.acquirer import Order
from payments.domain.attempt import Attempt, AttemptKind
from payments.runtime.ids import new_id
from payments.storage.attempts import OpenAttempt
from payments.transaction_processor.processor import Processor
from payments.wire.internal import (
    ACQUIRERS_PATH,
    ATTEMPTS_PATH,
    VERIFICATIONS_PATH,
    Answer,
    Handover,
    Verdict,
    Verification,
    is_internal_caller,
)

_decode_handover = msgspec.json.Decoder(Handover).decode
_decode_verification = msgspec.json.Decoder(Verification).decode
_encode = msgspec.json.Encoder().encode


class HandoverRoutes:
    """The internal endpoints, and the attempts that are under way through them."""

    def __init__(self, processor: Processor, internal_api_key: str) -> None:
        """Process through `processor` what callers with the services' own key hand over."""
        self._processor = processor
        self._internal_api_key = internal_api_key
        self._under_way: dict[asyncio.Task[Answer], Attempt] = {}

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(ATTEMPTS_PATH, self._attempts, methods=["POST"]),
            Route(VERIFICATIONS_PATH, self._verify, methods=["POST"]),
            Route(ACQUIRERS_PATH, self._acquirers, methods=["GET"]),
        ]

    @property
    def under_way(self) -> int:
        """How many attempts are being processed."""
        return len(self._under_way)

    async def drain(self, seconds_max: float) -> list[Attempt]:
        """Wait until what is under way is finished, even if its caller has gone; returns what didn't get so far."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=seconds_max)
        unfinished = [attempt for task, attempt in self._under_way.items() if not task.done()]
        for task in list(self._under_way):
            task.cancel()
        return unfinished

    async def _attempts(self, request: Request) -> Response:
        if not is_internal_caller(request.headers.get("authorization"), self._internal_api_key):
            return Response(status_code=401)
        handover = _decode_handover(await request.body())
        latest_start = handover.deadline - self._processor.sender.timeout_seconds
        if self._processor.clock.now() > latest_start:
            return JSONResponse({"error": "too late: the leases are about to run out"}, 409)
        tasks: list[asyncio.Task[Answer]] = []
        for work in handover.attempts:
            task = asyncio.create_task(self._process(work, handover.deadline))
            self._under_way[task] = work.attempt
            task.add_done_callback(self._finished)
            tasks.append(task)
        return _Lines(tasks)

    def _finished(self, task: asyncio.Task[Answer]) -> None:
        del self._under_way[task]

    async def _process(self, work: OpenAttempt, deadline: float) -> Answer:
        try:
            return Answer(attempt=work.attempt.id, event=await self._processor.process(work, deadline))
        except Exception as failure:  # noqa: BLE001 - one attempt's failure is not its neighbours'; the sweeper goes on with it
            self._processor.log.error("process", failure)
            return Answer(attempt=work.attempt.id)

    async def _verify(self, request: Request) -> Response:
        if not is_internal_caller(request.headers.get("authorization"), self._internal_api_key):
            return Response(status_code=401)
        question = _decode_verification(await request.body())
        method = question.payment_method
        order = Order(
            reference=new_id("ver"),
            kind=AttemptKind.AUTHORIZE,
            merchant_id=method.merchant_id,
            livemode=method.livemode,
            amount=0,
            currency=question.currency,
            created=int(self._processor.clock.now()),
            pan=await self._processor.pan(method, question.sealed_number),
            exp_month=method.card.exp_month,
            exp_year=method.card.exp_year,
            cvc=None if question.sealed_cvc is None else self._processor.sealer.open_cvc(method, question.sealed_cvc),
            sets_up=question.sets_up,
            asks_for_authentication=question.asks_for_authentication,
            authenticated=question.authenticated,
            moto=question.moto,
        )
        verdict = Verdict(outcome=await self._processor.verify_card(question.acquirer, order))
        return Response(_encode(verdict), media_type="application/json")

    async def _acquirers(self, request: Request) -> Response:
        if not is_internal_caller(request.headers.get("authorization"), self._internal_api_key):
            return Response(status_code=401)
        return Response(_encode(await self._processor.acquirers.states()), media_type="application/json")


class _Lines(Response):
    """A line per answer as they come, those that come together in one piece."""

    def __init__(self, tasks: list[asyncio.Task[Answer]]) -> None:
        super().__init__(media_type="application/x-ndjson")
        del self.headers["content-length"]
        self._pending = set(tasks)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        while self._pending:
            done, self._pending = await asyncio.wait(self._pending, return_when=asyncio.FIRST_COMPLETED)
            lines = b"".join(_encode(task.result()) + b"\n" for task in done)
            await send({"type": "http.response.body", "body": lines, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
