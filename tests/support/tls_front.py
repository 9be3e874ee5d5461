"""TLS in front of PostgreSQL: the embedded server is built without it. Speaks the protocol's SSLRequest, and refuses whoever wants none (`rds.force_ssl`)."""

import contextlib
import select
import socket
import socketserver
import struct
import threading
from collections.abc import Generator
from contextlib import contextmanager

from rehearsal.authority import Authority

_SSL_REQUEST, _GSSENC_REQUEST = 80877103, 80877104
"""Source: PostgreSQL, "Message Formats"."""


class _Server(socketserver.ThreadingTCPServer):
    """Ends with its connections."""

    request_queue_size = 512

    def __init__(self, handler: type[socketserver.BaseRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self._connections: dict[object, socket.socket] = {}
        """What shuts a request's connection down, whoever has wrapped it meanwhile."""

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        assert isinstance(request, socket.socket)
        self._connections[request] = request.dup()
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        with self._connections[request] as connection, contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        super().shutdown_request(request)

    def server_close(self) -> None:
        for connection in self._connections.values():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        super().server_close()  # waits for their threads


@contextmanager
def tls_front(authority: Authority, upstream_port: int) -> Generator[int]:
    """Listen on 127.0.0.1 for a PostgreSQL server on another port there; yields the port."""
    context = authority.server_context()

    class Handler(socketserver.StreamRequestHandler):
        rbufsize = 0  # what follows the request is TLS, and nobody else's to read

        def handle(self) -> None:
            with contextlib.suppress(OSError):  # the client went away, or doesn't trust us
                while (request := self.rfile.read(8)) == struct.pack("!ii", 8, _GSSENC_REQUEST):
                    self.wfile.write(b"N")
                if request != struct.pack("!ii", 8, _SSL_REQUEST):
                    return
                self.wfile.write(b"S")
                with (
                    context.wrap_socket(self.connection, server_side=True) as client,
                    socket.create_connection(("127.0.0.1", upstream_port)) as server,
                ):
                    _relay(client, server)

    with _Server(Handler) as front:
        thread = threading.Thread(target=front.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield front.server_address[1]
        finally:
            front.shutdown()
            thread.join()


def _relay(client: socket.socket, server: socket.socket) -> None:
    other = {client: server, server: client}
    while True:
        for source in select.select(list(other), [], [])[0]:
            data = source.recv(65_536)
            if not data:
                return
            other[source].sendall(data)
