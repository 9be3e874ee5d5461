"""The acquirer behind the protocol of `messages.py`.

An outcome is what was said clearly, about this order, by whoever has the secret. All else that may have followed an order that went out is `Unknown`: silence,
an error, an answer that is cut, that can't be read, that is about something else, or that somebody else gave.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import quote, urlsplit

import aiohttp
import msgspec

from payments.acquirers.acquirer import NotSent, Order, SaysNothing
from payments.acquirers.approvals import approved
from payments.acquirers.configuration import HttpSpec
from payments.acquirers.declines import declined
from payments.acquirers.http.messages import (
    KINDS,
    AnswerMessage,
    ApprovedMessage,
    CardMessage,
    DeclinedMessage,
    HealthMessage,
    NotFoundMessage,
    OrderMessage,
    PendingMessage,
    ThreeDSecureMessage,
)
from payments.acquirers.http.signature import SIGNATURE_HEADER, is_signed_answer, request_headers
from payments.domain.attempt import AttemptKind
from payments.domain.outcome import PENDING, Declined, Final, NotFound, Outcome, Unknown
from payments.runtime.clock import Clock

_ANSWER_BYTES_MAX = 64 * 1024
_HEALTH_SECONDS_MAX = 5.0
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(AnswerMessage).decode
_decode_health = msgspec.json.Decoder(HealthMessage).decode


class _UnclearError(Exception):
    """What came back says nothing that could be relied on; the message says what it was, and nothing of its content."""


class HttpAcquirer(SaysNothing):
    """An `Acquirer`."""

    def __init__(self, spec: HttpSpec, secret: bytes, session: aiohttp.ClientSession, clock: Clock) -> None:
        """Sign with `secret` what is sent through `session`."""
        self._spec = spec
        self._secret = secret
        self._session = session
        self._clock = clock
        self._url = spec.url.rstrip("/")

    @property
    def name(self) -> str:
        """The name that its accounts in the ledger carry."""
        return self._spec.name

    @property
    def needs_card(self) -> bool:
        """It knows an order by our reference."""
        return False

    async def execute(self, order: Order) -> Outcome:
        """Send an order; the bank carries it out once per reference. Raises `NotSent`."""
        return await self._order(order, _message(order))

    async def verify_card(self, order: Order) -> Outcome:
        """Ask the issuer whether a card is good, without moving money."""
        order = replace(order, currency=self._spec.verifies_in(order.currency))
        return await self._order(order, msgspec.structs.replace(_message(order), kind="verify", capture=None))

    async def inquire(self, order: Order) -> Final | Unknown | NotFound:
        """Ask what became of an order. Raises `NotSent`."""
        try:
            status, body = await self._exchange("GET", f"/orders/{quote(order.reference, safe='')}", b"", self._spec.timeout_seconds)
            answer = _read(body)
        except _UnclearError as fault:
            return Unknown(reason=str(fault))
        if isinstance(answer, NotFoundMessage):
            # In so many words: a 404 alone may come from anything on the way, and would have the order sent again.
            is_so = status == 404 and answer.reference == order.reference
            return NotFound() if is_so else Unknown(reason="answer about another order")
        return _outcome(order, answer) if status == 200 else Unknown(reason=f"status {status}")

    async def give_up(self, order: Order) -> Final | Unknown | NotFound:
        """Take its reference: a void of what isn't there is declined, and whatever comes later under that reference is another order. Raises `NotSent`."""
        message = OrderMessage(
            reference=order.reference,
            kind=KINDS[AttemptKind.VOID],
            merchant=str(order.merchant_id),
            amount=order.amount,
            currency=order.currency,
            livemode=order.livemode,
            created=order.created,
            original_reference=order.reference,
        )
        answer = await self._order(order, message)
        # An approval is that of the payment itself, which has come meanwhile.
        return answer if isinstance(answer, Declined) else Unknown(reason="it can't be given up")

    async def health(self) -> str | None:
        """Ask whether orders are taken."""
        try:
            status, body = await self._exchange("GET", "/health", b"", min(self._spec.timeout_seconds, _HEALTH_SECONDS_MAX))
            if status != 200:
                return f"status {status}"
            said = _decode_health(body).status
        except (NotSent, _UnclearError) as fault:
            return str(fault)
        except msgspec.MsgspecError:
            return "answer that can't be read"
        return None if said == "ok" else f"it says: {said[:100]}"

    async def _order(self, order: Order, message: OrderMessage) -> Outcome:
        try:
            status, body = await self._exchange("POST", "/orders", _encode(message), self._spec.timeout_seconds)
            if status != 200:
                return Unknown(reason=f"status {status}")
            return _outcome(order, _read(body))
        except _UnclearError as fault:
            return Unknown(reason=str(fault))

    async def _exchange(self, method: str, path: str, body: bytes, timeout_seconds: float) -> tuple[int, bytes]:
        """Send a request and return status and body of what was signed in answer to it; raises `NotSent`, `_UnclearError`."""
        url = self._url + path
        headers = request_headers(self._spec.key_id, self._secret, int(self._clock.now()), method, urlsplit(url).path, body)
        sent = headers[SIGNATURE_HEADER]
        timeout = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=self._spec.connect_timeout_seconds)
        try:
            async with self._session.request(
                method,
                url,
                data=body or None,
                headers={**headers, "Content-Type": "application/json"},
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                answer = await _read_bounded(response)
                if not is_signed_answer(self._secret, sent, response.status, answer, response.headers.get(SIGNATURE_HEADER, "")):
                    raise _UnclearError(f"status {response.status}, not signed by it")
                return response.status, answer
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as failure:
            # There was no connection, so nothing went out. One that breaks later may have carried the order.
            raise NotSent(type(failure).__name__) from failure
        except TimeoutError:
            raise _UnclearError("timeout") from None
        except aiohttp.ClientError as failure:
            raise _UnclearError(type(failure).__name__) from None


@asynccontextmanager
async def open_http(spec: HttpSpec, secret: bytes, clock: Clock) -> AsyncGenerator[HttpAcquirer]:
    """Open its connections."""
    connector = aiohttp.TCPConnector(limit=spec.connections_max)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield HttpAcquirer(spec, secret, session, clock)


async def _read_bounded(response: aiohttp.ClientResponse) -> bytes:
    """Return the body; raises `_UnclearError` for a large one."""
    body = b""
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _ANSWER_BYTES_MAX:
            raise _UnclearError("answer that is too large")
    return body


def _read(body: bytes) -> AnswerMessage:
    try:
        return _decode(body)
    except msgspec.MsgspecError:
        raise _UnclearError("answer that can't be read") from None


def _outcome(order: Order, answer: AnswerMessage) -> Final | Unknown:
    """Return what an answer says of an order."""
    match answer:
        case ApprovedMessage() | DeclinedMessage() if (answer.reference, answer.amount, answer.currency) != (
            order.reference,
            order.amount,
            order.currency,
        ):
            return Unknown(reason="answer about another order, amount or currency")
        case ApprovedMessage():
            return approved(
                authorization_code=answer.authorization_code,
                network_transaction_id=answer.network_transaction_id,
                cvc_check=answer.cvc_check,
            )
        case DeclinedMessage():
            return declined(answer.decline_code)
        case PendingMessage():
            return Unknown(reason=PENDING)
        case NotFoundMessage():
            return Unknown(reason="answer about another order")


def _message(order: Order) -> OrderMessage:
    proof = order.authentication
    return OrderMessage(
        reference=order.reference,
        kind=KINDS[order.kind],
        merchant=str(order.merchant_id),
        amount=order.amount,
        currency=order.currency,
        livemode=order.livemode,
        created=order.created,
        capture=order.capture if order.original_reference is None else None,
        original_reference=order.original_reference,
        card=None
        if order.pan is None
        else CardMessage(number=order.pan.reveal(), exp_month=order.exp_month, exp_year=order.exp_year, cvc=order.cvc),
        three_d_secure=None
        if proof is None
        else ThreeDSecureMessage(
            version=proof.version,
            cryptogram=proof.cryptogram,
            electronic_commerce_indicator=proof.electronic_commerce_indicator,
            transaction_id=proof.transaction_id,
        ),
        moto=order.moto,
        off_session=order.off_session,
    )
