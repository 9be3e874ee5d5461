"""The public API's front: authentication, decoding, idempotency keys, errors, headers and one log line, around each endpoint's handler.

It speaks ASGI itself, because on the way of a payment every layer of middleware would cost more than the work it wraps.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from payments.domain.api_version import NEWEST, check_version
from payments.domain.errors import CardError, InvalidRequest, ObjectLocked, PermissionDenied, TapError
from payments.domain.event import Origin
from payments.domain.principal import KeyKind, Principal
from payments.runtime.health import Health
from payments.runtime.ids import new_id
from payments.runtime.logging import Logger
from payments.runtime.seal import Digest
from payments.runtime.topology import HEALTH_PATH, LIVE_PATH
from payments.wire.auth import Authenticator
from payments.wire.browser import allow_origin, answer_preflight, shown_to_browser
from payments.wire.dispatch import Dispatch
from payments.wire.errors import MethodNotAllowed, UnknownPath, WireError, failure_error, wire_error
from payments.wire.form import Params
from payments.wire.kind import Shown
from payments.wire.older_versions import encoded_in_version
from payments.wire.params import parse
from payments.wire.request import Headers, check_account, check_ids, is_trial, read_params, take_expand
from payments.wire.request_log import RequestLog
from payments.wire.streaming import STREAM_FIELDS, Chunks, send_chunks
from payments.wire.write_limit import WriteLimit

IDEMPOTENCY_KEY_CHARACTERS_MAX = 255
_LOCKED_PAUSES_SECONDS = (0.005, 0.02, 0.06)
"""A call that lost a race did nothing: it reads again what it acts on, after about as long as a commit takes. Then the client is told to."""

P = TypeVar("P", bound=Struct)
_encode = msgspec.json.Encoder().encode
_canonical = msgspec.json.Encoder(order="sorted").encode
_LOGGED_PATH_CHARACTERS_MAX = 500


@dataclass(slots=True)
class Call:
    """An authenticated API call, decoded."""

    principal: Principal
    path: dict[str, str]
    """The path's own parameters, by name."""
    params: Params
    """From the query and the body, without `expand`."""
    expand: tuple[str, ...]
    request_id: str
    idempotency_key: str | None
    endpoint: str
    """Method and path as called: an idempotency key is bound to it."""
    api_version: str
    received_at: int
    """Unix seconds."""
    digest: Digest = field(repr=False)
    """A keyed digest: what a call gives may be guessed, a card number above all, so nothing of it is kept that could be searched for."""
    names_version: bool = True
    """The caller said which version the call is in."""
    on_trial: bool = False
    """In test mode, and to be carried out by the copies that a release is tried out with."""
    last_event_id: str | None = None
    """Where a stream of events is to go on."""

    @property
    def fingerprint(self) -> str:
        """Return a digest over the endpoint and the parameters: equal requests have equal ones."""
        return self.digest(self._parameters)

    def repeats(self, fingerprint: str) -> bool:
        """Tell whether the call that has this fingerprint was equal to this one, as far as that can be told: one that was made without a key, or with a
        key that isn't known any more, can't be compared, and what it asked for must not be done twice."""
        return self.digest(self._parameters, like=fingerprint) in ("", fingerprint)

    @property
    def _parameters(self) -> bytes:
        return self.endpoint.encode() + b"\n" + _canonical(self.params)

    @property
    def claimed_key(self) -> str | None:
        """What the idempotency key is claimed as. Anybody has a publishable key: what it claims is apart from what the merchant's own server does,
        so that nobody takes a key that the merchant will use, or asks for an answer that the merchant got."""
        if self.idempotency_key is None or self.principal.kind is KeyKind.SECRET:
            return self.idempotency_key
        # No header field has a line break in it. What one customer's app does is no other's to repeat, either.
        return f"{self.principal.customer or ''}{self.principal.kind}\n{self.idempotency_key}"

    @property
    def origin(self) -> Origin:
        """What the events that this call causes will say of it."""
        return Origin(request_id=self.request_id, idempotency_key=self.idempotency_key)


@dataclass(slots=True)
class Reply:
    """A response."""

    status: int
    body: bytes
    """In the newest version, whatever the caller's is."""
    replayed: bool = False
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    api_version: str | None = None
    """The version that it shall be sent in; None for the caller's."""
    chunks: Chunks | None = None
    """What follows the body, piece by piece: it is a stream of events then, and in the caller's version already."""


def reply(body: object, status: int = 200) -> Reply:
    """Encode a response."""
    return Reply(status, _encode(body))


@dataclass(frozen=True, slots=True)
class Endpoint(Generic[P]):
    """One operation of the public API."""

    method: str
    path: str
    """With placeholders: `/v1/customers/{customer}`."""
    params: type[P]
    """What it takes beside its path and `expand`."""
    handler: Callable[[Call, P], Awaitable[Reply]]
    publishable: bool = False
    """Publishable keys may call it; the handler decides what they see."""
    of_customer: Callable[[Call], bool] | None = None
    """Whether a customer's own key may make a call of it, by whom the call is about; None where no such key may."""
    shows: Shown | None = None
    """What it answers with; None where its path says that: objects of the collection, or one of them."""

    async def answer(self, call: Call) -> Reply:
        """Answer a call; raises `InvalidRequest` for parameters that it doesn't take."""
        return await self.handler(call, parse(call.params, self.params, self.operation))

    @property
    def operation(self) -> str:
        """What it is known by: `POST /v1/customers/{id}`."""
        return f"{self.method} {self.path}"


Endpoints = Sequence[Endpoint[Any]]

Replay = Callable[[Call], Awaitable[Reply | None]]
"""Returns the answer that a call got when it was made before under its idempotency key; None when it wasn't, or has no key."""


async def never_replayed(_: Call) -> Reply | None:
    """For a service without idempotent operations."""
    return None


def build_api(
    endpoints: Endpoints,
    *,
    authenticator: Authenticator,
    write_limit: WriteLimit,
    digest: Digest,
    log: Logger,
    health: Health,
    replay: Replay = never_replayed,
    raw_routes: Sequence[BaseRoute] = (),
    request_log: RequestLog | None = None,
) -> ASGIApp:
    """Build a service's ASGI application; `raw_routes` are served as they are (internal calls, pages)."""
    front = _Front(authenticator, write_limit, digest, replay, log, request_log)
    by_path: dict[str, dict[str, Endpoint[Any]]] = {}
    for endpoint in endpoints:
        by_path.setdefault(endpoint.path, {})[endpoint.method] = endpoint

    async def ready(_: object) -> JSONResponse:
        return _told(await health.unready())

    async def alive(_: object) -> JSONResponse:
        return _told(health.unalive())

    resources = {path: _Resource(front, methods) for path, methods in by_path.items()}
    routes: list[BaseRoute] = [Route(path, resource) for path, resource in resources.items()]
    routes += [Route(HEALTH_PATH, ready, methods=["GET"]), Route(LIVE_PATH, alive, methods=["GET"]), *raw_routes]
    plain = {path: resource for path, resource in resources.items() if "{" not in path}
    return Dispatch(plain, Router(routes, default=_Unknown(front), redirect_slashes=False))


def _told(faults: Sequence[str]) -> JSONResponse:
    return JSONResponse({"status": "unavailable", "faults": faults}, 503) if faults else JSONResponse({"status": "ok"})


class _Resource:
    """All operations on one path."""

    def __init__(self, front: "_Front", endpoints: dict[str, Endpoint[Any]]) -> None:
        self._front = front
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "OPTIONS" and await answer_preflight(
            scope, send, [each.method for each in self._endpoints.values() if each.publishable]
        ):
            return
        endpoint = self._endpoints.get(scope["method"])
        await self._front.answer(scope, receive, send, endpoint, partial(MethodNotAllowed, allowed=self._endpoints))


class _Unknown:
    """Every path that nobody knows."""

    def __init__(self, front: "_Front") -> None:
        self._front = front

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._front.answer(scope, receive, send, None, UnknownPath)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})


class _Front:
    """What every call has in common."""

    def __init__(
        self,
        authenticator: Authenticator,
        write_limit: WriteLimit,
        digest: Digest,
        replay: Replay,
        log: Logger,
        request_log: RequestLog | None,
    ) -> None:
        self._request_log = request_log
        self._authenticator = authenticator
        self._write_limit = write_limit
        self._digest = digest
        self._replay = replay
        self._log = log

    async def answer(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        endpoint: Endpoint[Any] | None,
        otherwise: Callable[[str, str], TapError],
    ) -> None:
        """Call the endpoint, or answer with the error `otherwise`, and log one line."""
        started = time.perf_counter()
        request_id = new_id("req")
        caller = _Caller()
        try:
            caller.headers = Headers(scope["headers"])
            if scope["method"] == "POST":
                caller.key = caller.headers.get(b"idempotency-key")
            if endpoint is None:
                raise otherwise(scope["method"], scope["path"])
            result = await self._serve(scope, receive, endpoint, request_id, caller)
        except TapError as refusal:
            result = _as_reply(wire_error(refusal))
        except Exception as failure:  # noqa: BLE001 - the client gets an answer, the log gets the place
            self._log.error(f"{scope['method']} {scope['path']}", failure)
            result = _as_reply(failure_error(failure))
        if result.api_version is not None:
            caller.api_version = result.api_version
        # Of whole objects: what a browser doesn't see decides what others are.
        if result.chunks is None:
            result.body = encoded_in_version(result.body, caller.api_version)
        if caller.principal is not None and caller.principal.kind is not KeyKind.SECRET:
            result.body = shown_to_browser(result.body, of_customer=caller.principal.customer is not None)
        await _send(send, result, request_id, caller, with_origin=endpoint is not None and endpoint.publishable)
        self._log.event(
            "request",
            method=scope["method"],
            path=scope["path"][:_LOGGED_PATH_CHARACTERS_MAX],
            status=result.status,
            duration_ms=round((time.perf_counter() - started) * 1000, 2),
            request_id=request_id,
            merchant=None if caller.principal is None else caller.principal.merchant_id,
            trace=caller.headers.get(b"x-amzn-trace-id") or caller.headers.get(b"traceparent"),
        )
        if self._request_log is not None and caller.principal is not None:
            at = self._authenticator.clock.now()
            self._request_log.take(
                caller.principal, scope["method"], scope["path"][:_LOGGED_PATH_CHARACTERS_MAX], result.status, request_id, result.body, at
            )
        if result.chunks is not None:
            await send_chunks(scope, receive, send, result.chunks, self._log)

    async def _serve(self, scope: Scope, receive: Receive, endpoint: Endpoint[Any], request_id: str, caller: "_Caller") -> Reply:
        call = await self._call(scope, receive, endpoint, request_id, caller)
        try:
            return await self._handle(endpoint, call)
        except (InvalidRequest, CardError, PermissionDenied):
            # A repetition gets its first answer, whatever has become of the world since: a payment that was made isn't refused because its card is gone by now.
            if call.idempotency_key is None or (found := await self._replay(call)) is None:
                raise
            return found

    @staticmethod
    async def _handle(endpoint: Endpoint[Any], call: Call) -> Reply:
        for pause_seconds in _LOCKED_PAUSES_SECONDS:
            try:
                return await endpoint.answer(call)
            except ObjectLocked:
                await asyncio.sleep(pause_seconds)
        return await endpoint.answer(call)

    async def _call(self, scope: Scope, receive: Receive, endpoint: Endpoint[Any], request_id: str, caller: "_Caller") -> Call:
        headers, key = caller.headers, caller.key
        principal = caller.principal = await self._authenticator.authenticate(headers.get(b"authorization"))
        if principal.kind is KeyKind.PUBLISHABLE and not endpoint.publishable:
            raise PermissionDenied(
                "This API call cannot be made with a publishable API key. Please use a secret API key.", code="secret_key_required"
            )
        if principal.customer is not None and endpoint.of_customer is None:
            raise PermissionDenied(
                "This API call cannot be made with an ephemeral key. Please use a secret API key.", code="secret_key_required"
            )
        if endpoint.method != "GET":
            self._write_limit.count(principal)
        caller.api_version = principal.api_version
        check_account(headers, principal)
        check_ids(scope["path_params"], endpoint.path)
        if (version := headers.get(b"stripe-version")) is not None:
            caller.api_version = check_version(version, of_call=True)
        if key is not None and not 0 < len(key) <= IDEMPOTENCY_KEY_CHARACTERS_MAX:
            raise InvalidRequest(f"Idempotency keys must have between 1 and {IDEMPOTENCY_KEY_CHARACTERS_MAX} characters.")
        params = await read_params(scope, receive, headers)
        call = Call(
            principal=principal,
            path=scope["path_params"],
            expand=take_expand(params),
            params=params,
            request_id=request_id,
            idempotency_key=key,
            endpoint=f"{scope['method']} {scope['path']}",
            api_version=caller.api_version,
            received_at=int(self._authenticator.clock.now()),
            names_version=version is not None,
            last_event_id=headers.get(b"last-event-id") if endpoint.method == "GET" else None,
            on_trial=not principal.livemode and is_trial(headers),
            digest=self._digest,
        )
        if principal.customer is not None and endpoint.of_customer is not None and not endpoint.of_customer(call):
            raise PermissionDenied("This ephemeral key is another customer's, or the call doesn't say whom it is about.")
        return call


class _Caller:
    """What is known of who sent a request."""

    __slots__ = ("api_version", "headers", "key", "principal")

    def __init__(self) -> None:
        self.headers = _NO_HEADERS
        self.key: str | None = None
        self.principal: Principal | None = None
        self.api_version = NEWEST


_NO_HEADERS = Headers([])


def _as_reply(error: WireError) -> Reply:
    return Reply(error.status, error.body, headers=error.headers)


async def send_refusal(send: Send, refusal: TapError) -> None:
    """Answer, for a route of its own, with an error in the API's shape."""
    await _send(send, _as_reply(wire_error(refusal)), new_id("req"), _Caller(), with_origin=False)


async def _send(send: Send, result: Reply, request_id: str, caller: _Caller, *, with_origin: bool) -> None:
    headers = [
        *(
            STREAM_FIELDS
            if result.chunks is not None
            else [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(result.body))]
        ),
        (b"request-id", request_id.encode()),
        (b"stripe-version", caller.api_version.encode()),
    ]
    if caller.key is not None:
        headers.append((b"idempotency-key", caller.key.encode("latin-1", "replace")))
    if with_origin and caller.headers.get(b"origin") is not None:
        headers += allow_origin()
    if result.replayed:
        headers.append((b"idempotent-replayed", b"true"))
    headers += [(name.lower().encode(), value.encode()) for name, value in result.headers.items()]
    await send({"type": "http.response.start", "status": result.status, "headers": headers})
    await send({"type": "http.response.body", "body": result.body, "more_body": result.chunks is not None})
