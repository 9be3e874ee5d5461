"""A load balancer's listener, by the rules of a synthesised template."""

import http.client
import re
import secrets
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Route = Callable[[str], str | None]
"""The target group of a path; None: no rule takes it."""


def route_by(resources: dict[str, dict[str, Any]], listener: str) -> Route:
    """Return how a listener of a template routes, by the logical ids of the listener and the target groups."""
    rules = sorted(
        (
            each["Properties"]
            for each in resources.values()
            if each["Type"] == "AWS::ElasticLoadBalancingV2::ListenerRule" and each["Properties"]["ListenerArn"] == {"Ref": listener}
        ),
        key=lambda rule: rule["Priority"],
    )

    def route(path: str) -> str | None:
        for rule in rules:
            (condition,), (action,) = rule["Conditions"], rule["Actions"]
            for pattern in condition["PathPatternConfig"]["Values"]:
                if re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), path):
                    return action["TargetGroupArn"]["Ref"]
        return None

    return route


@contextmanager
def running_listener(route: Callable[[str], int | None], port: int) -> Generator[None]:
    """Listen on 127.0.0.1, and pass requests on to the port there that `route` names, each with a trace id as a load balancer adds it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            target = route(self.path.partition("?")[0])
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            if target is None:
                self.answer(404, {"Content-Type": "application/json"}, b'{"error": {"type": "invalid_request_error"}}')
                return
            upstream = http.client.HTTPConnection("127.0.0.1", target, timeout=30)
            headers = {**dict(self.headers.items()), "X-Amzn-Trace-Id": f"Root=1-67891233-{secrets.token_hex(12)}"}
            upstream.request(self.command, self.path, body, headers)
            response = upstream.getresponse()
            self.answer(response.status, dict(response.getheaders()), response.read())
            upstream.close()

        do_GET = do_POST = do_DELETE = forward  # noqa: N815 - the library's names

        def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                if name.lower() not in {"content-length", "connection"} or name == "Content-Length":
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
