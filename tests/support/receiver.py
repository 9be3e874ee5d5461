"""A webhook receiver: a real HTTP server on loopback that verifies each delivery with the official library."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import stripe


@dataclass
class Delivery:
    event: dict[str, Any]
    headers: dict[str, str]


@dataclass
class Receiver:
    url: str = ""
    secret: str = ""
    deliveries: list[Delivery] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Why deliveries were not accepted."""

    def event_ids(self) -> set[str]:
        return {delivery.event["id"] for delivery in self.deliveries}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512


@contextmanager
def receiver() -> Generator[Receiver]:
    received = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(self._take(body))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _take(self, body: bytes) -> int:
            if not received.secret:
                return 503  # whoever made the endpoint hasn't read its secret yet; the delivery is tried again
            try:
                event = stripe.Webhook.construct_event(body, self.headers["Stripe-Signature"], received.secret)
            except (ValueError, stripe.SignatureVerificationError) as refusal:
                received.refused.append(repr(refusal))
                return 400
            received.deliveries.append(Delivery(event.to_dict(), dict(self.headers.items())))
            return 200

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            pass

    with _Server(("127.0.0.1", 0), Handler) as server:
        received.url = f"http://127.0.0.1:{server.server_address[1]}/webhooks"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield received
        finally:
            server.shutdown()
            thread.join()
