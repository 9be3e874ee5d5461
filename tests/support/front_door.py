"""A front door that says what a payment of the sandbox's would be answered: for tests of the tools, where no service runs."""

import json
import ssl
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.serving import Handler, serving


@dataclass
class FrontDoor:
    url: str = ""
    declines: bool = False
    holds: bool = False
    """The payment was asked for with manual capture."""
    asked: list[str] = field(default_factory=list)
    """Method and path of each request."""
    keys: set[str] = field(default_factory=set)
    """API keys that came."""
    trials: int = 0
    """Requests with the header of a trial."""

    def answer(self, path: str) -> tuple[int, dict[str, Any]]:
        payment = {"id": "pi_1", "object": "payment_intent", "status": "succeeded"}
        if path == "/v1/payment_intents":
            made = {**payment, "status": "requires_capture" if self.holds else "succeeded"}
            return (402, {"error": {"type": "card_error", "message": "Your card was declined."}}) if self.declines else (200, made)
        if path == "/v1/payment_intents/pi_1/capture":
            return 200, payment
        refund = {"id": "re_1", "object": "refund", "status": "succeeded"}
        if path == "/v1/refunds":
            return 200, refund
        if path == "/v1/notifications/trial":
            return 200, {"object": "notifications.trial", "delivered": True}
        if path == "/v1/balance":
            return 200, {"object": "balance"}
        return 200, {"object": "list", "data": [{"type": "refund.created", "data": {"object": refund}}]}


@contextmanager
def front_door(tls: ssl.SSLContext | None = None) -> Generator[FrontDoor]:
    door = FrontDoor()

    class Door(Handler):
        def take(self) -> None:
            door.holds = b"capture_method=manual" in self.body()
            path = self.path.partition("?")[0]
            door.asked.append(f"{self.command} {path}")
            door.trials += "Tap-Release-Check" in self.headers
            door.keys.add(self.headers.get("Authorization", "").removeprefix("Bearer "))
            # As the managed rules of AWS's firewall: NoUserAgent_HEADER.
            status, body = door.answer(path) if self.headers.get("User-Agent") else (403, {})
            self.answer(status, json.dumps(body).encode())

    with serving(Door, tls=tls) as door.url:
        yield door
