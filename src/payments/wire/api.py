"""The public API's front: authentication, decoding, idempotency keys, errors, headers and one log line, around each endpoint's handler.

It speaks ASGI itself, because on the way of a payment every layer of middleware would cost more than the work it wraps.
"""

import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from payments.domain.errors import InvalidRequest, PermissionDenied, TapError
from payments.domain.event import Origin
from payments.domain.principal import KeyKind, Principal
from payments.runtime.ids import new_id
from payments.runtime.logging import Logger
from payments.runtime.topology import HEALTH_PATH
from payments.wire.auth import Authenticator
from payments.wire.errors import INTERNAL_ERROR, BodyTooLarge, MethodNotAllowed, UnknownPath, WireError, wire_error
from payments.wire.form import Params, decode_form, decode_json
from payments.wire.params import parse
from payments.wire.version import CURRENT, requested_version

BODY_BYTES_MAX = 1024 * 1024
IDEMPOTENCY_KEY_CHARACTERS_MAX = 255

Headers = dict[bytes, bytes]
T = TypeVar("T")
_encode = msgspec.json.Encoder().encode
_canonical = msgspec.json.Encoder(order="sorted").encode
_VERSION_HEADER = (b"stripe-version", CURRENT.encode())


class _NoParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For operations without parameters."""


@dataclass(slots=True)
class Call:
    """An authenticated API call, decoded."""

    principal: Principal
    path: dict[str, str]
    """The path's own parameters, by name."""
    params: Params
    """The body of a POST, the query of a GET or DELETE, without `expand`."""
    expand: tuple[str, ...]
    request_id: str
    idempotency_key: str | None
    endpoint: str
    """Method and path as called: an idempotency key is bound to it."""
    api_version: str

    def parse(self, cls: type[T]) -> T:
        """Convert the parameters to a struct; raises `InvalidRequest`."""
        return parse(self.params, cls)

    def no_parameters(self) -> None:
        """Refuse whatever was given."""
        parse(self.params, _NoParams)

    @property
    def fingerprint(self) -> str:
        """Return a digest over the endpoint and the parameters: equal requests have equal ones."""
        return hashlib.sha256(self.endpoint.encode() + b"\n" + _canonical(self.params)).hexdigest()

    @property
    def origin(self) -> Origin:
        """What the events that this call causes will say of it."""
        return Origin(request_id=self.request_id, idempotency_key=self.idempotency_key)


@dataclass(slots=True)
class Reply:
    """A response."""

    status: int
    body: bytes
    replayed: bool = False
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


def reply(body: object, status: int = 200) -> Reply:
    """Encode a response."""
    return Reply(status, _encode(body))


Handler = Callable[[Call], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation of the public API."""

    method: str
    path: str
    """With placeholders: `/v1/customers/{customer}`."""
    handler: Handler
    publishable: bool = False
    """Publishable keys may call it; the handler decides what they see."""


def build_api(
    endpoints: Sequence[Endpoint],
    *,
    authenticator: Authenticator,
    log: Logger,
    is_healthy: Callable[[], Awaitable[bool]],
    raw_routes: Sequence[BaseRoute] = (),
) -> ASGIApp:
    """Build a service's ASGI application; `raw_routes` are served as they are (internal calls, pages)."""
    front = _Front(authenticator, log)
    by_path: dict[str, dict[str, Endpoint]] = {}
    for endpoint in endpoints:
        by_path.setdefault(endpoint.path, {})[endpoint.method] = endpoint

    async def health(_: object) -> JSONResponse:
        healthy = await is_healthy()
        return JSONResponse({"status": "ok" if healthy else "unavailable"}, 200 if healthy else 503)

    resources = {path: _Resource(front, methods) for path, methods in by_path.items()}
    routes: list[BaseRoute] = [Route(path, resource) for path, resource in resources.items()]
    routes += [Route(HEALTH_PATH, health, methods=["GET"]), *raw_routes]
    return _Dispatch(resources, Router(routes, default=_Unknown(front), redirect_slashes=False))


class _Dispatch:
    """Finds paths without placeholders by one look-up, and leaves the others to the router."""

    def __init__(self, resources: Mapping[str, ASGIApp], router: ASGIApp) -> None:
        self._resources = resources
        self._router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        resource = self._resources.get(scope["path"])
        if resource is None or scope["type"] != "http":
            await self._router(scope, receive, send)
        else:
            scope["path_params"] = {}
            await resource(scope, receive, send)


class _Resource:
    """All operations on one path."""

    def __init__(self, front: "_Front", endpoints: dict[str, Endpoint]) -> None:
        self._front = front
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._endpoints.get(scope["method"])
        await self._front.answer(scope, receive, send, endpoint, MethodNotAllowed)


class _Unknown:
    """Every path that nobody knows."""

    def __init__(self, front: "_Front") -> None:
        self._front = front

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._front.answer(scope, receive, send, None, UnknownPath)


class _Front:
    """What every call has in common."""

    def __init__(self, authenticator: Authenticator, log: Logger) -> None:
        self._authenticator = authenticator
        self._log = log

    async def answer(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        endpoint: Endpoint | None,
        otherwise: type[UnknownPath] | type[MethodNotAllowed],
    ) -> None:
        """Call the endpoint, or answer with the error `otherwise`, and log one line."""
        started = time.perf_counter()
        request_id = new_id("req")
        headers: Headers = dict(scope["headers"])
        key = _text(headers, b"idempotency-key") if scope["method"] == "POST" else None
        merchant_id: int | None = None
        try:
            if "\0" in scope["path"]:  # no id has one, and no database takes one
                raise UnknownPath(scope["method"], scope["path"].replace("\0", "%00"))
            if endpoint is None:
                raise otherwise(scope["method"], scope["path"])
            call = await self._call(scope, receive, headers, endpoint, request_id, key)
            merchant_id = call.principal.merchant_id
            result = await endpoint.handler(call)
        except TapError as refusal:
            result = _as_reply(wire_error(refusal))
        except Exception as failure:  # noqa: BLE001 - the client gets an answer, the log gets the place
            self._log.error(f"{scope['method']} {scope['path']}", failure)
            result = _as_reply(INTERNAL_ERROR)
        await _send(send, result, request_id, key)
        self._log.event(
            "request",
            method=scope["method"],
            path=scope["path"],
            status=result.status,
            duration_ms=round((time.perf_counter() - started) * 1000, 2),
            request_id=request_id,
            merchant=merchant_id,
            trace=_text(headers, b"x-amzn-trace-id") or _text(headers, b"traceparent"),
        )

    async def _call(self, scope: Scope, receive: Receive, headers: Headers, endpoint: Endpoint, request_id: str, key: str | None) -> Call:
        principal = await self._authenticator.authenticate(_text(headers, b"authorization"))
        if principal.kind is KeyKind.PUBLISHABLE and not endpoint.publishable:
            raise PermissionDenied(
                "This API call cannot be made with a publishable API key. Please use a secret API key.", code="secret_key_required"
            )
        version = requested_version(_text(headers, b"stripe-version"))
        if key is not None and not 0 < len(key) <= IDEMPOTENCY_KEY_CHARACTERS_MAX:
            raise InvalidRequest(f"Idempotency keys must have between 1 and {IDEMPOTENCY_KEY_CHARACTERS_MAX} characters.")
        if scope["method"] == "POST":
            body = await _read(receive, headers)
            decode = decode_json if headers.get(b"content-type", b"").startswith(b"application/json") else decode_form
            params = decode(body)
        else:
            params = decode_form(scope["query_string"])
        return Call(
            principal=principal,
            path=scope["path_params"],
            expand=_expand(params),
            params=params,
            request_id=request_id,
            idempotency_key=key,
            endpoint=f"{scope['method']} {scope['path']}",
            api_version=version,
        )


def _expand(params: Params) -> tuple[str, ...]:
    given = params.pop("expand", None)
    if given is None or given == "":
        return ()
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):  # pyright: ignore[reportUnknownVariableType]
        raise InvalidRequest("Invalid array", param="expand", code="parameter_invalid_array")
    return tuple(given)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] - checked above


def _text(headers: Headers, name: bytes) -> str | None:
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")


async def _read(receive: Receive, headers: Headers) -> bytes:
    """Read the body, however its length was declared, and stop at the limit."""
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > BODY_BYTES_MAX:
        raise BodyTooLarge(BODY_BYTES_MAX)
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body", False):
        message = await receive()
        body += message.get("body", b"")
        if len(body) > BODY_BYTES_MAX:
            raise BodyTooLarge(BODY_BYTES_MAX)
    if message["type"] == "http.disconnect":
        raise InvalidRequest("The client closed the connection before the request was complete.")
    return body


def _as_reply(error: WireError) -> Reply:
    return Reply(error.status, error.body, headers=error.headers)


async def _send(send: Send, result: Reply, request_id: str, key: str | None) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(result.body)).encode()),
        (b"request-id", request_id.encode()),
        _VERSION_HEADER,
    ]
    if key is not None:
        headers.append((b"idempotency-key", key.encode("latin-1", "replace")))
    if result.replayed:
        headers.append((b"idempotent-replayed", b"true"))
    headers += [(name.lower().encode(), value.encode()) for name, value in result.headers.items()]
    await send({"type": "http.response.start", "status": result.status, "headers": headers})
    await send({"type": "http.response.body", "body": result.body})
