"""The local front door: one port, routed by path from the table that the load balancer uses. `python -m payments.cli.gateway`."""

import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send
from yarl import URL

from payments.runtime.logging import Logger
from payments.runtime.topology import INTERNAL_PATH_PREFIX, Service, route
from payments.wire.serve import Binding, serve

_TIMEOUT = aiohttp.ClientTimeout(total=90, connect=5)
_HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
"""Source: RFC 9110, section 7.6.1."""
_FORWARDED = frozenset({b"host", b"x-forwarded-for", b"x-forwarded-proto", b"expect"})
_BODILESS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})


class Gateway:
    """A reverse proxy, as an ASGI application."""

    def __init__(self, session: aiohttp.ClientSession, upstreams: dict[Service, str]) -> None:
        self._session = session
        self._upstreams = upstreams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        path: str = scope["path"]
        if path.startswith(INTERNAL_PATH_PREFIX):
            await _refuse(send, 404, "invalid_request_error", f"Unrecognized request URL ({scope['method']}: {path[:200]}).", {})
            return
        target = self._upstreams[route(path)] + scope["raw_path"].decode("ascii")
        if scope["query_string"]:
            target += "?" + scope["query_string"].decode("ascii", "replace")
        started = False
        try:
            async with self._session.request(
                scope["method"],
                URL(target, encoded=True),
                headers=_request_headers(scope),
                data=None if scope["method"] in _BODILESS else _body(receive),
                allow_redirects=False,
                timeout=_TIMEOUT,
            ) as response:
                headers = [(name.lower(), value) for name, value in response.raw_headers if name.lower() not in _HOP_BY_HOP]
                started = True
                await send({"type": "http.response.start", "status": response.status, "headers": headers})
                async for chunk in response.content.iter_any():
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
        except (aiohttp.ClientError, TimeoutError):
            if started:
                raise  # the client sees a broken response, which is what it is
            message = "The service is starting or unavailable. Please retry."
            await _refuse(send, 503, "api_error", message, {b"retry-after": b"1", b"stripe-should-retry": b"true"})


def _request_headers(scope: Scope) -> list[tuple[str, str]]:
    kept = [(name, value) for name, value in scope["headers"] if name not in _HOP_BY_HOP and name not in _FORWARDED]
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in kept]
    host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
    client = scope.get("client") or ("", 0)
    return [*headers, ("Host", host), ("X-Forwarded-For", client[0]), ("X-Forwarded-Proto", "http")]


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if chunk := message.get("body"):
            yield chunk
        if not message.get("more_body"):
            return


async def _refuse(send: Send, status: int, error_type: str, message: str, headers: dict[bytes, bytes]) -> None:
    body = msgspec.json.encode({"error": {"type": error_type, "message": message}})
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def application(upstreams: dict[Service, str]) -> AsyncGenerator[ASGIApp]:
    """Build the gateway."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30)
    async with aiohttp.ClientSession(
        connector=connector, auto_decompress=False, skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
    ) as session:
        yield Gateway(session, upstreams)


def main() -> None:
    """Run the gateway."""
    upstreams = msgspec.json.decode(os.environ["TAP_GATEWAY_UPSTREAMS"], type=dict[Service, str])
    serve(application(upstreams), Binding(os.environ["TAP_HOST"], int(os.environ["TAP_PORT"])), Logger("gateway"))


if __name__ == "__main__":
    main()
