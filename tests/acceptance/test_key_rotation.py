"""The keys that a local run keeps secrets with are replaced, by the commands in their order, and everything that was made before works after."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
import stripe

from tests.support.running_tap import RunningTap, run_tap, running_tap


@pytest.fixture
def own(new_directory: Path) -> Generator[RunningTap]:
    with running_tap(copied_from=new_directory) as running:
        yield running


def restart(tap: RunningTap) -> None:
    tap.tap("down")
    run_tap("up", "--detach", "--port", str(tap.port), "--data-dir", str(tap.data_dir))


def keys(tap: RunningTap, *arguments: str, refused: bool = False) -> str:
    done = tap.tap("keys", *arguments, check=False)
    assert done.returncode == (1 if refused else 0), done.stdout + done.stderr
    return done.stdout + done.stderr


def on_file(client: stripe.StripeClient) -> stripe.PaymentMethod:
    customer = client.v1.customers.create({"email": "a@example.com"})
    return client.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})


def pay(client: stripe.StripeClient, card: stripe.PaymentMethod) -> stripe.PaymentIntent:
    told = {
        "amount": 2000,
        "currency": "usd",
        "customer": str(card.customer),
        "payment_method": card.id,
        "confirm": True,
        "off_session": True,
    }
    return client.v1.payment_intents.create(told)  # pyright: ignore[reportArgumentType]


@contextmanager
def paying(client: stripe.StripeClient, card: stripe.PaymentMethod) -> Generator[list[str]]:
    """Pay all the while, with a card of before; the statuses."""
    statuses, stop = [pay(client, card).status], threading.Event()

    def go_on() -> None:
        while not stop.is_set():
            statuses.append(pay(client, card).status)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield statuses
    finally:
        stop.set()
        thread.join()


def test_what_was_made_before_a_rotation_works_after_it(own: RunningTap) -> None:
    client = own.client(max_network_retries=2)
    card = on_file(client)
    fingerprint = card.card.fingerprint if card.card else None
    another = own.create_key()
    held = client.v1.payment_intents.create(
        {"amount": 900, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True, "capture_method": "manual"}
    )
    for ring in ("envelope", "pepper"):
        keys(own, ring, "add")
        assert "doesn't know key 2" in keys(own, ring, "use", "2", refused=True)
    restart(own)
    for ring in ("envelope", "pepper"):
        keys(own, ring, "use", "2")
    assert "may still seal with another key" in keys(own, "envelope", "reseal", refused=True)
    restart(own)
    assert "First: " in keys(own, "envelope", "drop", "1", refused=True)
    with paying(client, card) as statuses:
        assert "0 are left under other keys" in keys(own, "envelope", "reseal")
    assert set(statuses) == {"succeeded"}
    assert "request digests are under it" in keys(own, "envelope", "drop", "1", refused=True), "until repetitions of them are forgotten"
    assert "1 API keys are stored with it" in keys(own, "pepper", "drop", "1", refused=True), "the sandbox's own are at hand"
    assert pay(own.client(another), card).status == "succeeded"
    assert client.v1.payment_intents.capture(held.id).status == "succeeded"
    again = on_file(client)
    assert (again.card.fingerprint if again.card else None) == fingerprint
    assert "The books are in order" in own.tap("verify").stdout
