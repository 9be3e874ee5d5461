"""A merchant's webhook receiver, run in a container of its own: it keeps what it receives, and tells on `GET /`.

Standard library only, so that it needs nothing but Python: `python receiver.py PORT`. The signature is Stripe's: HMAC-SHA256 of "t.body" under the
endpoint's whole secret, which `PUT /secret` brings.
"""

import hashlib
import hmac
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    secret = b""
    received: list[str] = []  # noqa: RUF012 - shared on purpose: the server makes a handler for each request
    refused = 0

    def do_POST(self) -> None:
        """Take a delivery; 400 for a signature that isn't right, 503 as long as none can be checked: such a delivery is tried again."""
        body = self._body()
        if not Handler.secret:
            self._answer(503)
            return
        parts = {name: value for name, _, value in (each.partition("=") for each in self.headers.get("Stripe-Signature", "").split(","))}
        signed = hmac.new(Handler.secret, f"{parts.get('t')}.".encode() + body, hashlib.sha256).hexdigest()
        if hmac.compare_digest(signed, parts.get("v1", "")):
            Handler.received.append(json.loads(body)["type"])
            self._answer(200)
        else:
            Handler.refused += 1
            self._answer(400)

    def do_PUT(self) -> None:
        """Take the endpoint's secret."""
        Handler.secret = self._body()
        self._answer(200)

    def do_GET(self) -> None:
        """Tell what came."""
        self._answer(200, json.dumps({"received": Handler.received, "refused": Handler.refused}).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Be quiet."""

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("", int(sys.argv[1])), Handler).serve_forever()
