"""Payments that go on all the time, as a merchant's system makes them: the official SDK, an idempotency key each, a few retries."""

import json
import math
import threading
import time
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import stripe

CLIENTS = 32
_PAUSE_SECONDS = 1.5
_RETRIES_MAX = 6
_JOIN_SECONDS_MAX = 60.0
_OUTCOME_SECONDS_MAX = 180.0
"""By then the sweeper has asked for what wasn't known at first."""


@dataclass(frozen=True, slots=True)
class Faults:
    """What went wrong with the payments of a run."""

    failed: list[str]
    """Orders whose payment got an error, in spite of the SDK's retries."""
    missing: list[str]
    """Orders that were told "succeeded" and have no payment."""
    doubled: list[str]
    """Orders with more than one payment or charge."""


_COUNTING = threading.Lock()


class _Counting(stripe.RequestsClient):
    """The SDK's client, which counts what it is answered."""

    def __init__(self, counted: Counter[int], failures: list[str]) -> None:
        super().__init__()
        self._counted, self._failures = counted, failures

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: object = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """As the SDK's own."""
        try:
            answer = super().request(method, url, headers, post_data)
        except stripe.APIConnectionError as failure:
            self._count(0, str(failure))
            raise
        self._count(answer[1], answer[0])
        return answer

    def _count(self, status: int, told: str | bytes) -> None:
        with _COUNTING:
            self._counted[status] += 1
            if status >= 500 or status == 0:
                self._failures.append(f"{time.strftime('%H:%M:%S')} {status} {told[:200]}")


@dataclass(slots=True)
class Traffic:
    """Use it as a context: payments are made until it is left."""

    base_url: str
    key: str
    label: str
    """Begins the name of each order, so that runs don't mix."""
    paid: list[str] = field(default_factory=list[str])
    failed: list[str] = field(default_factory=list[str])
    refused: list[str] = field(default_factory=list[str])
    """Failed too, while nobody could be served."""
    slowest_seconds: float = 0.0
    _down_until: float = 0.0
    raw: Counter[int] = field(default_factory=Counter[int])
    """How many answers of each status came, the SDK's repetitions included; 0: none came."""
    server_failures: list[str] = field(default_factory=list[str])
    """When, which, and what was said, of each answer with 5xx and each that didn't come."""
    _ended: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list[threading.Thread])

    def __enter__(self) -> Self:
        for number in range(CLIENTS):
            thread = threading.Thread(target=self._pay, args=(number,), name=f"merchant {number}", daemon=True)
            self._threads.append(thread)
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(_JOIN_SECONDS_MAX)

    @property
    def server_errors(self) -> int:
        """How many requests were answered with 5xx, or not at all; the SDK repeats them, so that no merchant sees them."""
        return sum(count for status, count in self.raw.items() if status >= 500 or status == 0)

    @contextmanager
    def nobody_can_be_served(self) -> Generator[None]:
        """What is begun meanwhile may be refused. It may neither be lost nor doubled."""
        self._down_until = math.inf
        yield
        self._down_until = time.monotonic()

    def wait_for(self, payments: int, seconds_max: float = 300.0) -> None:
        """Wait until that many more payments were made; raises `TimeoutError`."""
        wanted, deadline = len(self.paid) + payments, time.monotonic() + seconds_max
        while len(self.paid) < wanted:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(self.paid)} payments, and no more: {self.failed[-1:]}")
            time.sleep(0.05)

    def _pay(self, number: int) -> None:
        client = stripe.StripeClient(
            self.key,
            base_addresses={"api": self.base_url},
            max_network_retries=_RETRIES_MAX,
            http_client=_Counting(self.raw, self.server_failures),
        )
        count = 0
        while not self._ended.is_set():
            order = f"{self.label}-{number}-{count}"
            count += 1
            started = time.monotonic()
            try:
                payment = client.v1.payment_intents.create(
                    {"amount": 2000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True, "metadata": {"order": order}},
                    {"idempotency_key": order},
                )
            except stripe.StripeError as failure:
                told = f"{order}: {type(failure).__name__} {str(failure.user_message or '')[:160]}"
                (self.refused if started < self._down_until else self.failed).append(told)
            else:
                # An outcome that isn't known yet is no failure: the sweeper finishes it, and `faults` looks again.
                (self.paid if payment.status in ("succeeded", "processing") else self.failed).append(order)
            self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - started)
            self._ended.wait(_PAUSE_SECONDS)

    def faults(self) -> Faults:
        """Hold what the merchant was told against what there is, payment by payment, once each has an outcome."""
        client = stripe.StripeClient(self.key, base_addresses={"api": self.base_url}, max_network_retries=_RETRIES_MAX)
        deadline = time.monotonic() + _OUTCOME_SECONDS_MAX
        while "processing" in (told := self._told(client)).values() and time.monotonic() < deadline:
            time.sleep(_PAUSE_SECONDS)
        payments = Counter(order for (order, _), status in told.items() if status == "succeeded")
        charges = Counter(_order(charge) for charge in _all(client, "charges") if charge["paid"])
        return Faults(
            failed=list(self.failed),
            missing=[order for order in self.paid if not payments[order]],
            doubled=[order for order in self.paid if payments[order] > 1 or charges[order] > 1],
        )

    def _told(self, client: stripe.StripeClient) -> dict[tuple[str, str], str]:
        """Return the status of each payment of this run, by its order and its id."""
        return {
            (order, payment["id"]): payment["status"]
            for payment in _all(client, "payment_intents")
            if (order := _order(payment)).startswith(f"{self.label}-")
        }


def _order(made: dict[str, Any]) -> str:
    return str((made.get("metadata") or {}).get("order", ""))


def _all(client: stripe.StripeClient, kind: str) -> Generator[dict[str, Any]]:
    """Return all of a kind, the newest first, as they come: an object of the SDK for each of thousands would take longer than all else."""
    after = ""
    while True:
        page: dict[str, Any] = json.loads(client.raw_request("get", f"/v1/{kind}?limit=100{after}").body)
        yield from page["data"]
        if not page["has_more"]:
            return
        after = f"&starting_after={page['data'][-1]['id']}"
