"""A front door that says what a payment of the sandbox's would be answered: for tests of the tools, where no service runs."""

import json
import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class FrontDoor:
    url: str = ""
    declines: bool = False
    asked: list[str] = field(default_factory=list)
    """Method and path of each request."""
    keys: set[str] = field(default_factory=set)
    """API keys that came."""

    def answer(self, path: str) -> tuple[int, dict[str, Any]]:
        payment = {"id": "pi_1", "object": "payment_intent", "status": "succeeded"}
        if path == "/v1/payment_intents":
            return (402, {"error": {"type": "card_error", "message": "Your card was declined."}}) if self.declines else (200, payment)
        if path == "/v1/balance":
            return 200, {"object": "balance"}
        return 200, {"object": "list", "data": [{"type": "payment_intent.succeeded", "data": {"object": payment}}]}


@contextmanager
def front_door(tls: ssl.SSLContext | None = None) -> Generator[FrontDoor]:
    door = FrontDoor()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def _answer(self) -> None:
            path = self.path.partition("?")[0]
            door.asked.append(f"{self.command} {path}")
            door.keys.add(self.headers.get("Authorization", "").removeprefix("Bearer "))
            # As the managed rules of AWS's firewall: NoUserAgent_HEADER.
            status, body = door.answer(path) if self.headers.get("User-Agent") else (403, {})
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        door.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield door
        finally:
            server.shutdown()
            thread.join()
