"""A webhook receiver: a real HTTP server on loopback that verifies each delivery with the official library."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import stripe

from tests.support.serving import Handler, serving


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


@contextmanager
def receiver() -> Generator[Receiver]:
    received = Receiver()

    class Merchant(Handler):
        def take(self) -> None:
            self.answer(self.verify(self.body()))

        def verify(self, body: bytes) -> int:
            if not received.secret:
                return 503  # whoever made the endpoint hasn't read its secret yet; the delivery is tried again
            try:
                event = stripe.Webhook.construct_event(body, self.headers["Stripe-Signature"], received.secret)
            except (ValueError, stripe.SignatureVerificationError) as refusal:
                received.refused.append(repr(refusal))
                return 400
            received.deliveries.append(Delivery(event.to_dict(), dict(self.headers.items())))
            return 200

    with serving(Merchant) as url:
        received.url = f"{url}/webhooks"
        yield received
