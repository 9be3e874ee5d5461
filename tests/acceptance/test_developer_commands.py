"""What developers know of Stripe's command line: listen, trigger, resend, logs and samples, against real processes."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
import stripe

from payments.cli.api_client import Api
from payments.cli.trigger import Changes, event_types, run_trigger
from payments.cli.webhook_samples import Framework, sample
from tests.support.receiver import receiver
from tests.support.running_tap import RunningTap, run_tap
from tests.support.stripe_schema import violations
from tests.support.waiting import wait_until


@dataclass
class Running:
    """A command that goes on until it is told to end."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    def has(self, *parts: str) -> bool:
        return all(any(part in line for line in self.lines) for part in parts)

    def ends_quietly(self) -> bool:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30) == 0 and "Traceback" not in "".join(self.lines)


@contextmanager
def running(*arguments: str, environment: dict[str, str] | None = None) -> Generator[Running]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TAP_")}
    command = [sys.executable, "-m", "payments.cli", *arguments]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**inherited, **(environment or {})}
    )
    told = Running(process)
    output = process.stdout
    assert output is not None

    def read() -> None:
        told.lines.extend(iter(output.readline, ""))

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    try:
        yield told
    finally:
        process.kill()
        process.wait()
        reading.join()
        output.close()


@contextmanager
def listening(tap: RunningTap, *options: str) -> Generator[Running]:
    with running("listen", *options, "--data-dir", str(tap.data_dir)) as told:
        if "--print-json" not in options:
            wait_until(lambda: told.has("Ready!") or told.process.poll() is not None, "it listens")
            assert told.has("Ready!"), told.lines
        yield told


def test_events_are_shown_and_forwarded_as_the_webhook_would_be(tap: RunningTap, client: stripe.StripeClient) -> None:
    with receiver() as received:
        received.secret = tap.tap("listen", "--print-secret").stdout.strip()
        assert received.secret.startswith("whsec_")
        with listening(tap, "--forward-to", received.url.removeprefix("http://"), "--headers", "X-Mine: yes") as told:
            assert received.secret in "".join(told.lines)
            customer = client.v1.customers.create({"name": "Ada"})
            client.v1.customers.update(customer.id, {"name": "Grace"})
            wait_until(lambda: len(received.deliveries) == 2, "both arrive")
            wait_until(lambda: told.has("--> customer.created", "--> customer.updated"), "both are shown")
            for delivery in received.deliveries:
                assert violations(delivery.event) == []
                assert delivery.headers["webhook-id"] == delivery.event["id"]
                assert delivery.headers["X-Mine"] == "yes"
                wait_until(lambda each=delivery: told.has(f"<--  [200] POST {received.url} [{each.event['id']}]"), "the answer is shown")
            assert {delivery.headers["Tap-Object-Sequence"] for delivery in received.deliveries} == {"1", "2"}
            assert received.refused == []
            assert told.ends_quietly()


def test_what_cant_be_forwarded_is_said_and_nothing_ends(tap: RunningTap, client: stripe.StripeClient) -> None:
    with listening(tap, "--forward-to", "127.0.0.1:9/hook", "--events", "customer.*") as told:
        client.v1.products.create({"name": "not asked for"})
        customer = client.v1.customers.create({})
        wait_until(lambda: told.has("[ERROR] Failed to POST"), "the failure is shown")
        client.v1.customers.delete(customer.id)
        wait_until(lambda: told.has("--> customer.deleted"), "it goes on")
        assert not told.has("product.created")


def test_who_listens_goes_on_where_it_was_when_the_service_is_back(tap: RunningTap, client: stripe.StripeClient) -> None:
    with listening(tap, "--events", "customer.created") as told:
        first = client.v1.customers.create({"metadata": {"number": "1"}})
        wait_until(lambda: told.has("--> customer.created"), "the first comes")
        tap.kill("notification-service")
        made = [client.v1.customers.create({"metadata": {"number": str(number)}}).id for number in range(2, 6)]
        wait_until(lambda: sum("--> customer.created" in line for line in told.lines) == 5, "all of them come")
        listed = client.v1.events.list({"type": "customer.created", "limit": 5}).data
        assert {event.data.object["id"] for event in listed} == {first.id, *made}
        assert all(told.has(event.id) for event in listed)


def test_any_tap_is_listened_to_by_its_url_and_a_key(tap: RunningTap, client: stripe.StripeClient) -> None:
    status = tap.status()
    environment = {"TAP_API_KEY": status["secret_key"]}
    with running("listen", "--api-base", status["base_url"], "--print-json", environment=environment) as told:

        def one_comes() -> bool:
            client.v1.customers.create({"name": "Ada"})
            return bool(told.lines)

        wait_until(one_comes, "one comes")
        assert violations(json.loads(told.lines[0])) == []
        assert told.ends_quietly()
    for key, says in (("sk_test_wrong", "Invalid API Key"), (status["publishable_key"], "publishable API key")):
        done = run_tap("listen", "--api-base", status["base_url"], check=False, environment={"TAP_API_KEY": key})
        assert (done.returncode, says in done.stderr, done.stderr.count("\n")) == (1, True, 1), done.stderr
    for arguments, says in ((["--api-base", "http://127.0.0.1:9"], "Set TAP_API_KEY"), (["--api-base", "x"], "no URL")):
        done = run_tap("listen", *arguments, check=False)
        assert (done.returncode, says in done.stderr) == (1, True)


def test_each_type_that_is_listed_is_made(tap: RunningTap) -> None:
    assert tap.tap("trigger", "--list").stdout.split() == event_types()
    status = tap.status()
    api = Api(status["base_url"], status["secret_key"])
    with listening(tap) as told:
        for event_type in event_types():
            run_trigger(api, event_type, Changes(), lambda _: None)
        for event_type in event_types():
            wait_until(lambda each=event_type: told.has(f"--> {each} ["), f"{event_type} comes")


def test_what_is_triggered_may_be_otherwise(tap: RunningTap, client: stripe.StripeClient) -> None:
    changes = [
        "--override",
        "payment_intent:amount=5000",
        "--add",
        "payment_intent:metadata.order=17",
        "--remove",
        "payment_intent:description",
    ]
    tap.tap("trigger", "payment_intent.succeeded", *changes)
    made = client.v1.payment_intents.list({"limit": 1}).data[0]
    assert (made.amount, made.metadata.to_dict(), made.description, made.status) == (5000, {"order": "17"}, None, "succeeded")
    for arguments, says in (
        (["payment_intent.unknown"], "These can: payment_intent.amount_capturable_updated"),
        (["customer.created", "--override", "card:x=1"], "There is no step card here: customer"),
        (["customer.created", "--override", "nonsense"], "isn't understood"),
        (["customer.updated", "--skip", "customer"], "isn't there"),
        (["customer.created", "--override", "customer:nonsense=1"], "Received unknown parameter: nonsense"),
    ):
        done = tap.tap("trigger", *arguments, check=False)
        assert (done.returncode, says in done.stderr, done.stderr.count("\n")) == (1, True, 1), done.stderr


def test_an_event_is_sent_again(tap: RunningTap, client: stripe.StripeClient) -> None:
    with receiver() as received:
        endpoint = client.v1.webhook_endpoints.create({"url": received.url, "enabled_events": ["customer.created"]})
        received.secret = str(endpoint.secret)
        client.v1.customers.create({"name": "again"})
        wait_until(lambda: len(received.deliveries) == 1, "it arrives")
        event_id = received.deliveries[0].event["id"]
        assert f"[{event_id}] --> {endpoint.id}" in tap.tap("events", "resend", event_id).stdout
        wait_until(lambda: len(received.deliveries) == 2, "it arrives again")
        tap.tap("events", "resend", event_id, "--webhook-endpoint", endpoint.id)
        wait_until(lambda: len(received.deliveries) == 3, "and again")
        assert f"{event_id}.{endpoint.id}" in tap.tap("webhooks", "list", "--endpoint", endpoint.id).stdout
        assert "1 of 1 looked at, 1 sent again" in tap.tap("webhooks", "replay", "--endpoint", endpoint.id, "--all", "--since", "1h").stdout
        wait_until(lambda: len(received.deliveries) == 4, "with all that it had")
        client.v1.webhook_endpoints.delete(endpoint.id)
    assert received.event_ids() == {event_id}
    assert "No such event" in tap.tap("events", "resend", "evt_unknown", check=False).stderr


def test_requests_are_shown_as_they_are_answered_and_from_where_one_left_off(tap: RunningTap, client: stripe.StripeClient) -> None:
    first = client.v1.customers.create({"name": "first"})
    assert first.last_response is not None
    before = str(first.last_response.request_id)
    arguments = ["logs", "tail", "--data-dir", str(tap.data_dir)]
    with running(*arguments, "--after", before) as told:
        second = client.v1.customers.create({"name": "logged"}).last_response
        assert second is not None
        request_id = second.request_id
        wait_until(lambda: told.has(f"[200] POST /v1/customers [{request_id}]"), "it is shown")
        assert not told.has(before)
        assert told.ends_quietly()
    with running(*arguments, "--since", "10m", "--filter-status-code", "4xx", "--filter-request-path", "/v1/refunds", "--json") as told:
        with pytest.raises(stripe.InvalidRequestError):
            client.v1.refunds.retrieve("re_unknown")
        wait_until(lambda: bool(told.lines), "the refusal is shown")
        # Others' requests are among them: the log is the whole service's.
        assert {json.loads(line)["status"] // 100 for line in told.lines} == {4}
    assert "aws logs tail /tap/prod/payment-api --follow" in tap.tap("logs", "tail", "-e", "prod").stdout
    assert "is no time" in tap.tap("logs", "tail", "--since", "soon", check=False).stderr


@pytest.mark.parametrize("framework", Framework)
def test_a_handler_is_printed_for_each_framework(framework: Framework) -> None:
    printed = run_tap("samples", framework).stdout
    assert printed == sample(framework)
    assert "STRIPE_WEBHOOK_SECRET" in printed
    if framework is not Framework.EXPRESS:
        compile(printed, f"{framework}.py", "exec")
