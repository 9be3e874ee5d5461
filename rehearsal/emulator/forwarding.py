"""Requests from a load balancer to a target, in the protocol of the target's group: with TLS no certificate is verified, as on AWS.

ministack's own function speaks plain HTTP alone. Source: Elastic Load Balancing, "Target groups for your Application Load Balancers", routing configuration.
"""

import asyncio
import contextlib
import http.client
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

_log = logging.getLogger("tap.forwarding")
_CONNECT_SECONDS = 10.0
"""As ALB has it: "connection to the target timed out" after ten seconds."""
_IDLE_SECONDS = 60.0
_OF_ONE_CONNECTION = frozenset({"connection", "content-length", "transfer-encoding"})
_CHUNK_BYTES = 65_536
_THREADS = ThreadPoolExecutor(512, thread_name_prefix="forwarding")
"""One for each request under way: a target that asks another by way of this load balancer must not wait for those that wait for it."""

Runner = Callable[[Callable[[dict[str, Any]], Awaitable[None]], Any], Awaitable[None]]
"""Takes what sends, and what receives: the other way round than ASGI."""


def connect(host: str, port: int, protocol: str, *, timeout_seconds: float = _CONNECT_SECONDS) -> http.client.HTTPConnection:
    """Return a connection to a target, not opened yet."""
    if protocol != "HTTPS":
        return http.client.HTTPConnection(host, port, timeout=timeout_seconds)
    return http.client.HTTPSConnection(host, port, timeout=timeout_seconds, context=_context())


@cache
def _context() -> ssl.SSLContext:
    """Made once: that costs more than a handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def forward(
    connection: http.client.HTTPConnection, method: str, target: str, headers: Mapping[str, str], body: bytes | None
) -> tuple[int, dict[str, Any], Runner]:
    """Ask a target, and return status, headers, and what sends the body on as it comes; raises `OSError` or `HTTPException` when it doesn't answer."""
    told = {name: value for name, value in headers.items() if name.lower() not in _OF_ONE_CONNECTION}

    def ask() -> http.client.HTTPResponse:
        connection.connect()
        connection.sock.settimeout(_IDLE_SECONDS)
        connection.request(method, target, body, told)
        return connection.getresponse()

    loop = asyncio.get_running_loop()
    asking = loop.run_in_executor(_THREADS, ask)
    try:
        response = await asyncio.shield(asking)
    except asyncio.CancelledError:
        # Who asked gave up: the thread's read ends, and closes it.
        _end(connection)
        asking.add_done_callback(lambda done: (done.exception(), connection.close()))
        raise
    except (OSError, http.client.HTTPException):
        connection.close()
        raise
    fields: dict[str, list[str]] = {}
    for name, value in response.getheaders():
        fields.setdefault(name.lower(), []).append(value)

    async def send_body(send: Callable[[dict[str, Any]], Awaitable[None]], _receive: Any) -> None:
        try:
            while chunk := await loop.run_in_executor(_THREADS, response.read1, _CHUNK_BYTES):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            if not response.length:  # else it is cut short, which the client is to notice
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except (OSError, http.client.HTTPException) as problem:
            _log.warning("a target's answer broke off: %s", problem)
        finally:
            _end(connection)
            response.close()
            connection.close()

    return response.status, {name: values[0] if len(values) == 1 else values for name, values in fields.items()}, send_body


def _end(connection: http.client.HTTPConnection) -> None:
    with contextlib.suppress(OSError, AttributeError):  # it may not be open yet, or be closed already
        connection.sock.shutdown(socket.SHUT_RDWR)
