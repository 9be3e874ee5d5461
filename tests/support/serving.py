"""HTTP servers of the tests' own."""

import ssl
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Handler(BaseHTTPRequestHandler):
    """Keeps connections open, and says nothing. Whatever the method, `take` takes it."""

    protocol_version = "HTTP/1.1"

    def take(self) -> None:
        raise NotImplementedError

    def _take(self) -> None:
        self.take()

    do_GET = do_POST = do_DELETE = _take  # noqa: N815 - the library's names

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def answer(self, status: int, content: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512


@contextmanager
def serving(handler: type[Handler], port: int = 0, tls: ssl.SSLContext | None = None) -> Generator[str]:
    """Serve on 127.0.0.1 until the context is left; yields the URL."""
    with _Server(("127.0.0.1", port), handler) as server:
        if tls is not None:
            # The handshake is the connection's own thread's business: a client that never makes it holds up nobody.
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
