"""A load balancer's listener, by the rules of a synthesised template."""

import http.client
import re
import secrets
import ssl
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from tests.support.serving import Handler, serving

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
def running_listener(route: Callable[[str], int | None], port: int, tls: ssl.SSLContext | None = None) -> Generator[None]:
    """Listen on 127.0.0.1, and pass requests on with TLS to the port there that `route` names, each with a trace id as a load balancer adds it."""
    to_targets = unverified()

    class Listener(Handler):
        def take(self) -> None:
            target = route(self.path.partition("?")[0])
            body = self.body()
            if target is None:
                self.answer(404, b'{"error": {"type": "invalid_request_error"}}', {"Content-Type": "application/json"})
                return
            upstream = http.client.HTTPSConnection("127.0.0.1", target, timeout=30, context=to_targets)
            headers = {**dict(self.headers.items()), "X-Amzn-Trace-Id": f"Root=1-67891233-{secrets.token_hex(12)}"}
            upstream.request(self.command, self.path, body, headers)
            response = upstream.getresponse()
            kept = {name: value for name, value in response.getheaders() if name.lower() not in {"content-length", "connection"}}
            self.answer(response.status, response.read(), kept)
            upstream.close()

    with serving(Listener, port, tls):
        yield


def unverified() -> ssl.SSLContext:
    """As a load balancer speaks to its targets: whatever certificate they show."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
