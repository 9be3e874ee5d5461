"""The webhook receivers of the demo, the rehearsal and the tests: an endpoint is there a moment before its receiver has its secret."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from payments.cli.demo import _receiver as demo_receiver
from payments.notification_service.signing import new_secret, signature_headers
from rehearsal.receiver import Handler
from tests.support.receiver import receiver

BODY = json.dumps(
    {"id": "evt_1", "object": "event", "type": "charge.refunded", "data": {"object": {"id": "ch_1", "object": "charge"}}}
).encode()


@dataclass
class Receiving:
    url: str
    learn: Callable[[str], object]
    """Takes the secret."""
    refused: Callable[[], int]


def ask(url: str, method: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    request = urllib.request.Request(url, body, headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read()


@contextmanager
def rehearsals() -> Generator[Receiving]:
    with pytest.MonkeyPatch.context() as patch, ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        for name, value in (("secret", b""), ("received", []), ("refused", 0)):
            patch.setattr(Handler, name, value)
        url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Receiving(
                url, lambda secret: ask(f"{url}/secret", "PUT", secret.encode()), lambda: json.loads(ask(url, "GET")[1])["refused"]
            )
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def demos() -> Generator[Receiving]:
    with demo_receiver() as received:
        yield Receiving(received.url, lambda secret: setattr(received, "secret", secret), lambda: received.refused)


@contextmanager
def of_tests() -> Generator[Receiving]:
    with receiver() as received:
        yield Receiving(received.url, lambda secret: setattr(received, "secret", secret), lambda: len(received.refused))


@pytest.mark.parametrize("receiving_of", [rehearsals, demos, of_tests])
def test_what_comes_before_the_secret_is_asked_for_again_and_is_no_wrong_signature(receiving_of: Any) -> None:
    secret = new_secret()

    def deliver(key: str) -> int:
        return ask(receiving.url, "POST", BODY, signature_headers("evt_1", BODY, int(time.time()), [key]))[0]

    with receiving_of() as receiving:
        assert deliver(secret) == 503
        assert receiving.refused() == 0
        receiving.learn(secret)
        assert deliver(secret) == 200
        assert receiving.refused() == 0
        assert deliver(new_secret()) == 400
        assert receiving.refused() == 1
