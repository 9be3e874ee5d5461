"""Delivers one webhook to this very process: that whoever tries a release out sees it sign, send, and hear an answer, whichever copies work beside it."""

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from payments.domain.errors import Overloaded, PermissionDenied
from payments.notification_service.sender import Sender
from payments.notification_service.signing import new_secret, signature_headers
from payments.runtime.ids import new_id
from payments.runtime.logging import Logger
from payments.runtime.loopback import unverified
from payments.runtime.topology import INTERNAL_PATH_PREFIX
from payments.wire.api import Call, Endpoint, Endpoints, Reply, reply
from payments.wire.kind import Shown
from payments.wire.params import NoParams
from payments.wire.render_people import Rendered
from payments.wire.request import Headers, read_body

PATH = "/v1/notifications/trial"
_RECEIVER_PATH = f"{INTERNAL_PATH_PREFIX}trial"


@dataclass(slots=True)
class Trial:
    """The endpoint, and the receiver that it delivers to."""

    port: int
    """Where this process listens."""
    serves_tls: bool
    """Whether it does so with TLS, by a certificate of its own."""
    log: Logger
    _secret: str = field(default_factory=new_secret, repr=False)

    def endpoints(self) -> Endpoints:
        """What may be called."""
        return [Endpoint("POST", PATH, NoParams, self._deliver, shows=Shown("notifications.trial"))]

    def routes(self) -> list[Route]:
        """Return the receiver, which no front door leads to."""
        return [Route(_RECEIVER_PATH, self._receive, methods=["POST"])]

    async def _deliver(self, call: Call, _: NoParams) -> Reply:
        """Answer when the delivery has been received as it was signed; `Overloaded` when it hasn't been."""
        if call.principal.livemode:
            raise PermissionDenied("Deliveries are tried out in test mode: please use a test key.")
        event_id = new_id("evt")
        body = json.dumps({"id": event_id, "object": "event", "type": "tap.trial"}).encode()
        headers = signature_headers(event_id, body, call.received_at, [self._secret])
        sender = Sender(_itself, allow_private=True, tls=unverified())
        try:
            scheme = "https" if self.serves_tls else "http"
            answer = await sender.post(f"{scheme}://127.0.0.1:{self.port}{_RECEIVER_PATH}", headers, body)
        finally:
            sender.close()
        if answer.status_code != 200:
            self.log.event("trial", status=answer.status_code, failure=answer.error)
            raise Overloaded("The delivery that was tried out didn't arrive. Please retry.")
        return reply(render_trial())

    async def _receive(self, request: Request) -> Response:
        """Hold a delivery against its signature, as a merchant's receiver does."""
        body = await read_body(request.receive, Headers(request.scope["headers"]))
        return Response(status_code=200 if self._is_signed(request.headers, body) else 400)

    def _is_signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        event_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if not timestamp.isdecimal():
            return False
        expected = signature_headers(event_id, body, int(timestamp), [self._secret])
        return all(hmac.compare_digest(headers.get(name, "").encode(), value.encode()) for name, value in expected.items())


def render_trial() -> Rendered:
    """Render that a delivery was received as it was signed."""
    return {"object": "notifications.trial", "delivered": True}


async def _itself(address: str) -> list[str]:
    """It is an address, and no name to look up."""
    return [address]
