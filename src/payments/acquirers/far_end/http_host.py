"""The bank's side of the HTTP protocol, and of what may go wrong with it."""

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from payments.acquirers.far_end.faults import BELATED_SECONDS, Fault, Faults
from payments.acquirers.far_end.judge import Conflict, Decision, Judge
from payments.acquirers.far_end.record import BankOrder, Record
from payments.acquirers.http.messages import (
    AnswerMessage,
    ApprovedMessage,
    DeclinedMessage,
    HealthMessage,
    NotFoundMessage,
    OrderMessage,
)
from payments.acquirers.http.signature import SIGNATURE_HEADER, request_fault, sign_answer
from payments.runtime.clock import Clock

_BODY_BYTES_MAX = 64 * 1024
_FOREVER_SECONDS = 3600.0
_encode = msgspec.json.Encoder().encode
_decode_answer = msgspec.json.Decoder(AnswerMessage).decode
_decode_order = msgspec.json.Decoder(OrderMessage).decode


class HttpHost:
    """Serves orders, questions about them, and health."""

    def __init__(self, *, key_id: str, secret: bytes, judge: Judge, record: Record, faults: Faults, clock: Clock) -> None:
        self._secrets = {key_id: secret}
        self._secret = secret
        self._judge = judge
        self._record = record
        self._faults = faults
        self._clock = clock

    def application(self) -> web.Application:
        """Return what is to be served."""
        made = web.Application(client_max_size=_BODY_BYTES_MAX)
        made.add_routes(
            [
                web.post("/orders", self._signed(self._order)),
                web.get("/orders/{reference}", self._signed(self._inquiry)),
                web.get("/health", self._signed(self._health)),
            ]
        )
        return made

    def _signed(
        self, answer: Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]
    ) -> Callable[..., Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            fault = request_fault(self._secrets, request.headers, request.method, request.rel_url.raw_path, body, self._clock.now())
            if fault is not None:
                return web.json_response({"error": fault}, status=401)
            return await answer(request, body)

        return handle

    async def _order(self, request: web.Request, body: bytes) -> web.StreamResponse:
        try:
            message = _decode_order(body)
        except msgspec.MsgspecError:
            return self._answer(request, 400, b'{"error":"invalid_order"}')
        fault = self._faults.next()
        match fault:
            case Fault.REFUSE:
                return _break(request)
            case Fault.DEAF:
                await asyncio.sleep(_FOREVER_SECONDS)
                return _break(request)  # even for ever has an end, and then it must not be carried out after all
            case Fault.SLOW:
                await asyncio.sleep(self._faults.order.seconds)
            case Fault.BELATED:
                await asyncio.sleep(BELATED_SECONDS)
            case _:
                pass
        try:
            answer = self._judge.decide(_order_of(message), lambda decision: _encode(_answer(message, decision)))
        except Conflict:
            return self._answer(request, 409, b'{"error":"reference_of_another_order"}')
        return await self._answered(request, fault, answer)

    async def _inquiry(self, request: web.Request, _: bytes) -> web.StreamResponse:
        fault = self._faults.next()
        reference = request.match_info["reference"]
        found = self._record.find(reference)
        if found is None:
            return self._answer(request, 404, _encode(NotFoundMessage(reference=reference)))
        return await self._answered(request, fault, found.answer)

    async def _health(self, request: web.Request, _: bytes) -> web.StreamResponse:
        return self._answer(request, 200, _encode(HealthMessage(status="ok")))

    async def _answered(self, request: web.Request, fault: Fault, answer: bytes) -> web.StreamResponse:
        """Answer, or do whatever goes wrong instead."""
        match fault:
            case Fault.DIE:
                os._exit(9)
            case Fault.SILENT | Fault.DEAF:
                await asyncio.sleep(_FOREVER_SECONDS)
            case Fault.LATE:
                await asyncio.sleep(self._faults.order.seconds)
            case Fault.DROP:
                return _break(request)
            case Fault.HALF | Fault.TWICE:
                return self._on_the_line(request, answer, fault)
            case Fault.OTHER_AMOUNT | Fault.OTHER_ORDER:
                answer = _encode(_lie(_decode_answer(answer), fault))
            case Fault.NONSENSE:
                answer = b"<html>Bad gateway</html>"
            case Fault.ERROR:
                return self._answer(request, 500, b'{"error":"internal"}')
            case Fault.FORGED:
                return web.Response(body=answer, headers={SIGNATURE_HEADER: "v1=" + "0" * 64}, content_type="application/json")
            case Fault.NONE | Fault.SLOW | Fault.REFUSE | Fault.BELATED:
                pass
        return self._answer(request, 200, answer)

    def _answer(self, request: web.Request, status: int, body: bytes) -> web.Response:
        return web.Response(status=status, body=body, headers=self._signature(request, status, body), content_type="application/json")

    def _signature(self, request: web.Request, status: int, body: bytes) -> dict[str, str]:
        return {SIGNATURE_HEADER: sign_answer(self._secret, request.headers.get(SIGNATURE_HEADER, ""), status, body)}

    def _on_the_line(self, request: web.Request, answer: bytes, fault: Fault) -> web.Response:
        """Write to the connection what no library would."""
        signature = self._signature(request, 200, answer)[SIGNATURE_HEADER]
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{SIGNATURE_HEADER}: {signature}\r\nContent-Length: {len(answer)}\r\n\r\n"
        )
        whole = head.encode() + answer
        if request.transport is not None:
            request.transport.write(whole[: len(whole) - len(answer) // 2] if fault is Fault.HALF else whole * 2)
            request.transport.close()
        return web.Response()


def _break(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _order_of(message: OrderMessage) -> BankOrder:
    return BankOrder(
        reference=message.reference,
        kind=message.kind,
        amount=message.amount,
        currency=message.currency,
        original=message.original_reference,
        capture=bool(message.capture),
        number=None if message.card is None else message.card.number,
    )


def _answer(message: OrderMessage, decision: Decision) -> AnswerMessage:
    if not decision.approved:
        return DeclinedMessage(
            reference=message.reference,
            amount=message.amount,
            currency=message.currency,
            decline_code=decision.decline_code or "generic_decline",
        )
    digits = int.from_bytes(hashlib.blake2b(message.reference.encode(), digest_size=8).digest())
    return ApprovedMessage(
        reference=message.reference,
        amount=message.amount,
        currency=message.currency,
        authorization_code=f"{digits % 1_000_000:06d}",
        network_transaction_id=f"{digits % 10**15:015d}" if message.kind == "authorize" else None,
        cvc_check=None if message.card is None or message.card.cvc is None else "pass",
    )


def _lie(answer: AnswerMessage, fault: Fault) -> AnswerMessage:
    if isinstance(answer, ApprovedMessage | DeclinedMessage) and fault is Fault.OTHER_AMOUNT:
        return msgspec.structs.replace(answer, amount=answer.amount + 1)
    return msgspec.structs.replace(answer, reference=answer.reference + "x")
