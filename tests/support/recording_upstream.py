"""A service that says what it was asked: it takes no request that isn't whole, and can end a connection without an answer."""

import json
import socketserver
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

import h11

from payments.runtime.topology import LIVE_PATH


@dataclass(frozen=True)
class Asked:
    service: str
    method: str
    target: str
    body: str
    fields: dict[str, str]


@dataclass
class Upstreams:
    urls: dict[str, str] = field(default_factory=dict[str, str])
    whole: list[Asked] = field(default_factory=list[Asked])
    broken: list[str] = field(default_factory=list[str])
    """Targets of requests that weren't whole when their connection ended, or were none."""
    mute: bool = False
    """Whether connections end where answers should be."""

    def targets(self) -> list[str]:
        return [asked.target for asked in self.whole]


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 512


def _handler(service: str, upstreams: Upstreams) -> type[socketserver.BaseRequestHandler]:
    class Service(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            connection = h11.Connection(h11.SERVER)
            while (asked := self._next(connection)) is not None:
                if asked.target != LIVE_PATH:  # the front door's own question
                    upstreams.whole.append(asked)
                if upstreams.mute and asked.target not in ("/v1/warm", LIVE_PATH):
                    return
                body = json.dumps({"service": service, "target": asked.target, "body": asked.body}).encode()
                head = h11.Response(status_code=200, headers=[("Content-Length", str(len(body))), ("Content-Type", "application/json")])
                self.request.sendall(b"".join(connection.send(event) or b"" for event in (head, h11.Data(data=body), h11.EndOfMessage())))
                if connection.our_state is h11.MUST_CLOSE:
                    return
                connection.start_next_cycle()

        def _next(self, connection: h11.Connection) -> Asked | None:
            request, body = None, b""
            try:
                while not isinstance(event := connection.next_event(), h11.EndOfMessage):
                    match event:
                        case h11.Request():
                            request = event
                        case h11.Data():
                            body += bytes(event.data)
                        case h11.ConnectionClosed():
                            return None
                        case _:
                            connection.receive_data(self.request.recv(65_536))
            except (h11.RemoteProtocolError, OSError):
                upstreams.broken.append("" if request is None else request.target.decode("latin-1"))
                return None
            assert request is not None
            fields = {name.decode(): value.decode("latin-1") for name, value in request.headers}
            return Asked(service, request.method.decode(), request.target.decode("latin-1"), body.decode("latin-1"), fields)

    return Service


@contextmanager
def recording_upstreams(*services: str) -> Generator[Upstreams]:
    """Run an upstream for each service, on ports of the system's choice."""
    upstreams, servers = Upstreams(), list[_Server]()
    for service in services:
        server = _Server(("127.0.0.1", 0), _handler(service, upstreams))
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        upstreams.urls[service] = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield upstreams
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
