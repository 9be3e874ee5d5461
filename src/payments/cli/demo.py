"""`tap demo`: payments of many kinds with the official Stripe SDK, their webhooks received and verified, and what the ledger says of them."""

import asyncio
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import stripe
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from payments.cli.data_directory import DataDirectory, UsageError
from payments.cli.front_door import client_context
from payments.domain.money import format_amount
from payments.storage.books import account_balances
from payments.storage.database import Row, connect

_WORKERS = 8
_WEBHOOK_SECONDS_MAX = 30.0
_QUIET_SECONDS = 0.3


@dataclass(slots=True)
class _Received:
    """What arrived at the demo's webhook endpoint."""

    url: str = ""
    secret: str = ""
    verified: Counter[str] = field(default_factory=Counter[str])
    """By event type."""
    refused: int = 0
    payment_intents: set[str] = field(default_factory=set[str])
    """Those of which an event arrived."""


class _Shop:
    """Makes payments; each kind returns the intent and what became of it."""

    def __init__(self, client: stripe.StripeClient, root_certificate: str | None) -> None:
        self._client = client
        # Of the challenge page, which is behind the same front door.
        trusted = [] if root_certificate is None else [urllib.request.HTTPSHandler(context=client_context(root_certificate))]
        self._browser = urllib.request.build_opener(_StayHere, *trusted)
        self.kinds: tuple[Callable[[int], tuple[str, str]], ...] = (
            self._approved,
            self._declined,
            self._approved,
            self._authenticated,
            self._captured_later,
            self._approved,
            self._refunded,
            self._out_of_funds,
            self._approved,
            self._canceled,
        )

    def pay(self, number: int) -> tuple[str, str]:
        return self.kinds[number % len(self.kinds)](1_000 + 37 * (number % 200))

    def _create(self, amount: int, method: str, **params: Any) -> stripe.PaymentIntent:
        given: Any = {"amount": amount, "currency": "usd", "payment_method": method, "confirm": True, **params}
        return self._client.v1.payment_intents.create(given)

    def _approved(self, amount: int) -> tuple[str, str]:
        return self._create(amount, "pm_card_visa").id, "approved"

    def _declined(self, amount: int) -> tuple[str, str]:
        return self._expect_decline(amount, "pm_card_chargeDeclined"), "declined"

    def _out_of_funds(self, amount: int) -> tuple[str, str]:
        return self._expect_decline(amount, "pm_card_visa_chargeDeclinedInsufficientFunds"), "declined: insufficient funds"

    def _expect_decline(self, amount: int, method: str) -> str:
        try:
            approved = self._create(amount, method)
        except stripe.CardError as refusal:
            intent = None if refusal.error is None else refusal.error.payment_intent
            if intent is None:
                raise
            return intent.id
        raise UsageError(f"{approved.id} was approved, and should have been declined")

    def _authenticated(self, amount: int) -> tuple[str, str]:
        intent = self._create(amount, "pm_card_threeDSecure2Required", return_url="http://127.0.0.1/done")
        action: Any = intent.next_action
        request = urllib.request.Request(action.redirect_to_url.url, b"action=complete")  # noqa: S310 - our own front door's URL
        self._browser.open(request).close()
        return intent.id, "approved with 3-D Secure"

    def _captured_later(self, amount: int) -> tuple[str, str]:
        intent = self._create(amount, "pm_card_visa", capture_method="manual")
        return self._client.v1.payment_intents.capture(intent.id, {"amount_to_capture": amount // 2}).id, "captured later, in part"

    def _refunded(self, amount: int) -> tuple[str, str]:
        intent = self._create(amount, "pm_card_mastercard")
        self._client.v1.refunds.create({"payment_intent": intent.id, "amount": amount // 4})
        return intent.id, "refunded in part"

    def _canceled(self, amount: int) -> tuple[str, str]:
        intent = self._create(amount, "pm_card_visa", capture_method="manual")
        return self._client.v1.payment_intents.cancel(intent.id).id, "held, then canceled"


class _StayHere(urllib.request.HTTPRedirectHandler):
    """The challenge leads back to a shop that the demo hasn't got."""

    def http_error_303(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:  # noqa: ARG002 - the library's signature
        return fp


def run_demo(console: Console, directory: DataDirectory, payments: int) -> None:
    """Make payments, wait for their webhooks, and show what came of it."""
    run, secrets = directory.run(), directory.secrets()
    if run.root_certificate is not None:
        stripe.ca_bundle_path = run.root_certificate
    client = stripe.StripeClient(secrets.secret_key, base_addresses={"api": run.base_url}, max_network_retries=2)
    with _receiver() as received:
        endpoint = client.v1.webhook_endpoints.create({"url": received.url, "enabled_events": ["*"], "description": "tap demo"})
        received.secret = str(endpoint.secret)
        try:
            started = time.monotonic()
            outcomes, intents = _pay_all(console, _Shop(client, run.root_certificate), payments)
            seconds = time.monotonic() - started
            _wait_for_webhooks(console, received, intents)
        finally:
            client.v1.webhook_endpoints.delete(endpoint.id)
    balances, fees = asyncio.run(_books(run.database_url))
    _show(console, outcomes, received, balances)
    print(
        f"{payments} payments in {seconds:.1f} s ({payments / seconds:.0f}/s through the SDK on {_WORKERS} threads). "
        f"Fees earned in all: {format_amount(fees, 'usd')}. Prove the books: {directory.command('verify')}"
    )
    if received.refused or not intents <= received.payment_intents:
        missing = len(intents - received.payment_intents)
        raise UsageError(f"{missing} payments without their webhook, {received.refused} webhooks with a wrong signature")


def _pay_all(console: Console, shop: _Shop, payments: int) -> tuple[Counter[str], set[str]]:
    outcomes: Counter[str] = Counter()
    intents: set[str] = set()
    columns = (TextColumn("Paying"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console) as progress, ThreadPoolExecutor(_WORKERS) as pool:
        task = progress.add_task("pay", total=payments)
        for intent, outcome in pool.map(shop.pay, range(payments)):
            outcomes[outcome] += 1
            intents.add(intent)
            progress.advance(task)
    return outcomes, intents


def _wait_for_webhooks(console: Console, received: _Received, intents: set[str]) -> None:
    """Until each payment has told of itself, and nothing more comes for a moment."""
    deadline, seen = time.monotonic() + _WEBHOOK_SECONDS_MAX, -1
    with console.status("Waiting for the last webhooks …"):
        while (not intents <= received.payment_intents or received.verified.total() > seen) and time.monotonic() < deadline:
            seen = received.verified.total()
            time.sleep(_QUIET_SECONDS)


async def _books(database_url: str) -> tuple[list[Row], int]:
    async with connect(database_url) as connection:
        balances = await account_balances(connection)
    return balances, sum(row["balance"] for row in balances if row["kind"] == "fees" and row["currency"] == "usd")


def _show(console: Console, outcomes: Counter[str], received: _Received, balances: list[Row]) -> None:
    table = Table("payments", "how many", title="Outcomes")
    for outcome, count in outcomes.most_common():
        table.add_row(outcome, str(count))
    console.print(table)
    table = Table(
        "account",
        "currency",
        "balance",
        "held",
        title="Ledger",
        caption="A refund leaves what is available at once; what was captured gets there after two days.",
    )
    for row in balances:
        currency = row["currency"]
        table.add_row(
            f"{row['holder']} {row['kind']}", currency, format_amount(row["balance"], currency), format_amount(row["held"], currency)
        )
    console.print(table)
    table = Table("event", "received and verified", title="Webhooks")
    for event_type, count in sorted(received.verified.items()):
        table.add_row(event_type, str(count))
    console.print(table)


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # deliveries come 32 at once, and a connection that isn't queued is tried again after a second


@contextmanager
def _receiver() -> Generator[_Received]:
    """Receive webhooks on loopback, and verify each as a merchant would."""
    received = _Received()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(self._take(body))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _take(self, body: bytes) -> int:
            if not received.secret:
                return 503  # it is on its way; the delivery is tried again
            construct: Any = stripe.Webhook.construct_event
            try:
                event = construct(body, self.headers["Stripe-Signature"], received.secret)
            except (ValueError, stripe.SignatureVerificationError):
                received.refused += 1
                return 400
            received.verified[event.type] += 1
            received.payment_intents.add(event.data.object["id"])
            return 200

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            """Say nothing."""

    with _Server(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        received.url = f"http://127.0.0.1:{server.server_address[1]}/webhooks"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield received
        finally:
            server.shutdown()
            thread.join()
