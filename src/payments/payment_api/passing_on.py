"""Passes public requests on to the service that answers them, where no front door leads to it: one that other services call stands behind a load balancer
between the services, so that its releases shift all of its traffic.

Requests go as they came, key and all: the service that answers them authenticates them itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import aiohttp
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from yarl import URL

from payments.domain.errors import Overloaded, TapError
from payments.runtime.logging import Logger
from payments.runtime.topology import SERVICES, Service
from payments.wire.api import send_refusal
from payments.wire.request import Headers, is_trial, path_of, read_body

_SECONDS_MAX = 60.0
_OF_ONE_CONNECTION = frozenset(
    {
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Fields that say something of the connection, and not of the message; they are said anew. Source: RFC 9110, section 7.6.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassingOn:
    """Passes on what one service answers."""

    session: aiohttp.ClientSession
    service: Service
    url: str
    trial_url: str
    """Where copies of it answer that a release is tried out with."""
    server_name: str | None = None
    """Whose certificate is shown there, if that isn't the URLs' own name."""
    log: Logger

    def routes(self) -> Iterator[Route]:
        """Return a route for each pattern of its public paths."""
        for pattern in SERVICES[self.service].path_patterns:
            yield Route(f"{pattern[:-1]}{{rest:path}}" if pattern.endswith("*") else pattern, self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            headers = Headers(scope["headers"])
            body = await read_body(receive, headers)
            status, fields, answer = await self._ask(scope, headers, body)
        except TapError as refusal:
            await send_refusal(send, refusal)
            return
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": answer})

    async def _ask(self, scope: Scope, headers: Headers, body: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        # What only reads may be tried on any copy, whoever asks.
        base = self.trial_url if scope["method"] == "GET" and is_trial(headers) else self.url
        query = f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else ""
        fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"] if name not in _OF_ONE_CONNECTION]
        try:
            async with self.session.request(
                scope["method"],
                URL(f"{base}{path_of(scope)}{query}", encoded=True),
                headers=fields,
                data=body or None,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
                allow_redirects=False,
                server_hostname=self.server_name,
                timeout=aiohttp.ClientTimeout(total=_SECONDS_MAX),
            ) as response:
                answer = await response.read()
                return response.status, _told(response.raw_headers, len(answer)), answer
        except (TimeoutError, aiohttp.ClientError) as failure:
            self.log.error("pass on", failure)
            raise Overloaded("This can't be answered right now. Please retry.") from failure


def _told(fields: tuple[tuple[bytes, bytes], ...], length: int) -> list[tuple[bytes, bytes]]:
    kept = [(name.lower(), value) for name, value in fields if name.lower() not in _OF_ONE_CONNECTION | {b"date", b"server"}]
    return [*kept, (b"content-length", str(length).encode())]
