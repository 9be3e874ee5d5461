"""Paying as a merchant and a cardholder do, with every answer held against Stripe's schema."""

import json
import urllib.request
from typing import Any

import stripe

from tests.support.stripe_schema import violations


def shaped(answer: Any) -> Any:
    """The answer itself, after holding what was on the wire against Stripe's schema."""
    body = json.loads(answer.last_response.body)
    assert violations(body) == []
    return answer


def pay(client: stripe.StripeClient, **params: Any) -> stripe.PaymentIntent:
    defaults = {"amount": 2000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
    return shaped(client.v1.payment_intents.create({**defaults, **params}))  # pyright: ignore[reportArgumentType]


def press(url: str, action: str, *, shown: bytes = b"3-D Secure") -> str:
    """Press a button of the challenge page, which shows something; returns where it leads."""

    class NoRedirect(urllib.request.HTTPRedirectHandler):
        def http_error_303(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:  # noqa: ARG002 - the library's signature
            return fp

    opener = urllib.request.build_opener(NoRedirect)
    with opener.open(url) as page:
        assert shown in page.read()
    with opener.open(url, data=f"action={action}".encode()) as answer:
        assert answer.status == 303
        return answer.headers["Location"]
