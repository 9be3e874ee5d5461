"""What is measured: complete operations of a merchant's, each as the requests that it takes."""

import re
import uuid
from collections.abc import Callable, Generator
from typing import NamedTuple
from urllib.parse import urlsplit

from payments.runtime.topology import CHALLENGE_PATH

PAYMENTS = "/v1/payment_intents"
_ID = re.compile(rb'"id":"(pi_\w+)"')
_CHALLENGE = re.compile(rb'"url":"([^"]+' + CHALLENGE_PATH.partition("{")[0].encode() + rb'[^"]+)"')


class Request(NamedTuple):
    method: str
    path: str
    body: bytes = b""
    expects: bytes = b""
    """What the answer must contain, or it counts as an error."""
    status: int = 200
    key: bool = True
    """Whether it has an idempotency key."""


Flow = Callable[[dict[str, str]], Generator[Request, bytes, None]]
"""One operation: yields requests, gets the body of each one's answer. The dictionary is its client's, from one operation to the next."""


def _pay(card: str, **options: str) -> bytes:
    return "&".join([f"amount=2000&currency=usd&confirm=true&payment_method={card}", *(f"{k}={v}" for k, v in options.items())]).encode()


_PAYMENT = Request("POST", PAYMENTS, _pay("pm_card_visa"), b'"status":"succeeded"')
_HOLD = Request("POST", PAYMENTS, _pay("pm_card_visa", capture_method="manual"), b'"status":"requires_capture"')
_DECLINE = Request("POST", PAYMENTS, _pay("pm_card_visa_chargeDeclined"), b'"code":"card_declined"', status=402)
_CHALLENGED = Request("POST", PAYMENTS, _pay("pm_card_authenticationRequired", return_url="https://shop.example/"), b'"requires_action"')


def payment(_: dict[str, str]) -> Generator[Request, bytes, None]:
    yield _PAYMENT


def decline(_: dict[str, str]) -> Generator[Request, bytes, None]:
    yield _DECLINE


def hold_and_capture(_: dict[str, str]) -> Generator[Request, bytes, None]:
    held = yield _HOLD
    yield Request("POST", f"{PAYMENTS}/{_id(held)}/capture", expects=b'"status":"succeeded"')


def payment_and_refund(_: dict[str, str]) -> Generator[Request, bytes, None]:
    paid = yield _PAYMENT
    yield Request("POST", "/v1/refunds", f"payment_intent={_id(paid)}".encode(), b'"status":"succeeded"')


def authenticated_payment(_: dict[str, str]) -> Generator[Request, bytes, None]:
    challenged = yield _CHALLENGED
    found = _CHALLENGE.search(challenged)
    assert found is not None, challenged
    page = urlsplit(found[1].decode().replace("\\u0026", "&"))
    yield Request("POST", f"{page.path}?{page.query}", b"action=complete", status=303, key=False)


def retrieve(own: dict[str, str]) -> Generator[Request, bytes, None]:
    if "payment" not in own:
        own["payment"] = _id((yield _PAYMENT))
    yield Request("GET", f"{PAYMENTS}/{own['payment']}", expects=b'"status":"succeeded"', key=False)


def page(_: dict[str, str]) -> Generator[Request, bytes, None]:
    yield Request("GET", f"{PAYMENTS}?limit=10", expects=b'"object":"list"', key=False)


FLOWS: dict[str, Flow] = {
    "payment": payment,
    "hold + capture": hold_and_capture,
    "payment + refund": payment_and_refund,
    "decline": decline,
    "3-D Secure": authenticated_payment,
    "retrieve": retrieve,
    "list of 10": page,
}


def encoded(request: Request, host: str, api_key: str) -> bytes:
    """The request as it is sent."""
    key = f"Idempotency-Key: {uuid.uuid4().hex}\r\n" if request.key and request.method == "POST" else ""
    body = f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(request.body)}\r\n" if request.method == "POST" else ""
    head = f"{request.method} {request.path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {api_key}\r\n{key}{body}\r\n"
    return head.encode() + request.body


def _id(body: bytes) -> str:
    found = _ID.search(body)
    assert found is not None, body
    return found[1].decode()
