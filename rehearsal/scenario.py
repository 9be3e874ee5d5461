"""The rehearsal itself: an environment's life from an empty account to nothing left, with payments going on through all of it.

Each step uses what an operator uses: the `tap` command, the CDK command line, AWS's APIs. What it shows is checked, not printed and believed.
"""

import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import stripe

from payments.cli.aws.clients import Aws
from payments.cli.aws.environment import DeployedEnvironment, DeployedService
from payments.cli.aws.smoke import sandbox_key
from payments.runtime.topology import SERVICES, Names, Service
from rehearsal.report import Report
from rehearsal.stage import Stage
from rehearsal.traffic import CLIENTS, Traffic

ENVIRONMENT = "staging"
"""Two tasks of each service, a canary, and data that goes with the stack."""
_POLL_SECONDS = 0.5
_WAIT_SECONDS_MAX = 300.0
_READ_ONLY = (
    "ALTER SYSTEM SET default_transaction_read_only = on",
    "SELECT pg_reload_conf()",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'",
)
"""As a writer is after a failover, to whoever still asks it by its old name."""
_WRITABLE = ("ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")
_READ_ONLY_SECONDS = 5.0


class RehearsalFailed(Exception):
    """The system didn't do what it must."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run on one stage."""

    stage: Stage
    aws: Aws
    report: Report

    @property
    def _names(self) -> Names:
        return Names(ENVIRONMENT)

    @property
    def _deployed(self) -> DeployedEnvironment:
        return DeployedEnvironment(self.aws, self._names)

    def run(self) -> None:
        """Do all steps; raises `RehearsalFailed` at the first that shows something else than it must."""
        with self.report.step("deploy from an empty account") as step:
            self._deploy("--bootstrap", "--new")
            step.shown = "one command; a payment through the load balancer"
        key = sandbox_key(self._deployed)
        with Traffic(self.stage.front_door, key, "through") as traffic:
            self._pay_and_hear(key)
            self._let_a_merchant_in()
            self._verify()
            with self._no_server_error(traffic):
                self._scale(traffic)
            self._lose_a_task(traffic)
            self._lose_the_database(traffic)
            with self._no_server_error(traffic):
                self._change_a_size(traffic)
                for service in SERVICES:
                    self._release(service, traffic)
                self._go_back(traffic)
                self._release_what_is_broken(traffic)
                self._release_what_pays_badly(traffic)
                self._alarm_while_traffic_shifts(traffic)
        with self.report.step("every payment, held against what the merchant was told") as step:
            faults = traffic.faults()
            if faults.failed or faults.missing or faults.doubled:
                raise RehearsalFailed(f"failed: {faults.failed[:3]}, missing: {faults.missing[:3]}, doubled: {faults.doubled[:3]}")
            step.shown = (
                f"{len(traffic.paid)} payments of {CLIENTS} clients, none failed, missing or doubled; the slowest {traffic.slowest_seconds:.1f} s; "
                f"{traffic.server_errors} requests of {traffic.raw.total()} answered with 5xx or not at all, all while tasks or the database were lost"
            )
        self._verify()
        with self.report.step("destroy") as step:
            self.stage.cdk("destroy", self._names.stack, "--force", "--context", f"environmentSuffix={ENVIRONMENT}")
            left = self.stage.containers()
            if left:
                raise RehearsalFailed(f"containers are left: {left}")
            step.shown = "no container is left"

    def _pay_and_hear(self, key: str) -> None:
        client = stripe.StripeClient(key, base_addresses={"api": self.stage.front_door}, max_network_retries=4)
        with self.report.step("the official SDK on every path rule; a webhook") as step:
            url = self.stage.receiver_inside
            endpoint = client.v1.webhook_endpoints.create({"url": url, "enabled_events": ["payment_intent.succeeded", "charge.refunded"]})
            self._receiver("PUT", "/secret", str(endpoint.secret).encode())
            payment = client.v1.payment_intents.create(
                {"amount": 5000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}, {"idempotency_key": "heard"}
            )
            client.v1.refunds.create({"payment_intent": payment.id, "amount": 1000})
            client.v1.balance.retrieve()
            self._until(lambda: "charge.refunded" in self._receiver("GET", "/")["received"], "the webhook arrives")
            if refused := self._receiver("GET", "/")["refused"]:
                raise RehearsalFailed(f"{refused} webhooks had a wrong signature")
            client.v1.webhook_endpoints.delete(endpoint.id)
            step.shown = "payment, refund, balance, signed webhooks; services found by name"

    def _let_a_merchant_in(self) -> None:
        with self.report.step("a merchant's key: made, used, revoked") as step:
            printed = self._output("keys", "create", "--new-merchant", "Rehearsal")
            key = next(word for word in printed.split() if word.startswith("sk_test_"))
            key_id = next(word.strip(".,") for word in printed.split() if word.startswith("key_"))
            client = stripe.StripeClient(key, base_addresses={"api": self.stage.front_door}, max_network_retries=4)
            order = {"amount": 700, "currency": "eur", "payment_method": "pm_card_mastercard", "confirm": True}
            client.v1.payment_intents.create(order)  # pyright: ignore[reportArgumentType] - a dict of this shape is what it takes
            if key_id not in self._output("keys", "list"):
                raise RehearsalFailed(f"{key_id} isn't listed")
            self._output("keys", "revoke", key_id)
            try:
                client.v1.balance.retrieve()
            except stripe.AuthenticationError:
                step.shown = "as the merchant's own, and no longer"
            else:
                raise RehearsalFailed(f"{key_id} is revoked, and still opens")

    def _verify(self) -> None:
        with self.report.step("tap verify") as step:
            self._tap("verify")
            step.shown = "the books are in order"

    def _scale(self, traffic: Traffic) -> None:
        with self.report.step("scale payment-api 2 → 4 → 2") as step:
            for count in (4, 2):
                live = self._service(Service.PAYMENT_API)
                self.aws.ecs.update_service(cluster=self._names.cluster, service=live.ecs_service, desiredCount=count)
                self._until(lambda count=count: self._service(Service.PAYMENT_API).running == count, f"{count} tasks run")
                traffic.wait_for(40)
            step.shown = "payments went on"

    def _lose_a_task(self, traffic: Traffic) -> None:
        with self.report.step("kill a task of each service") as step:
            for service in SERVICES:
                killed = self.stage.kill_a_task(service, self.aws)
                traffic.wait_for(20)
                self._until(lambda service=service, killed=killed: self._is_replaced(service, killed), f"{service} is whole again")
            step.shown = "each was replaced"

    def _is_replaced(self, service: Service, killed: str) -> bool:
        running = self.stage.tasks_of(service, self.aws)
        return killed not in running and len(running) >= self._service(service).desired

    def _lose_the_database(self, traffic: Traffic) -> None:
        with self.report.step("the database ends, and comes back read-only for a while") as step:
            with traffic.nobody_can_be_served():
                self.stage.restart_database()
                traffic.wait_for(20)
                self.stage.as_database_owner(*_READ_ONLY)
                time.sleep(_READ_ONLY_SECONDS)
                self.stage.as_database_owner(*_WRITABLE)
                traffic.wait_for(60)
            step.shown = f"payments went on when it was back; {len(traffic.refused)} were refused meanwhile"

    @contextmanager
    def _no_server_error(self, traffic: Traffic) -> Generator[None]:
        """What operators do to a system that is well costs nobody a request: not even one that the SDK repeats."""
        before = traffic.server_errors
        yield
        if errors := traffic.server_errors - before:
            raise RehearsalFailed(f"{errors} requests were answered with 5xx, or not at all: {dict(traffic.raw)}")

    def _change_a_size(self, traffic: Traffic) -> None:
        """As an operator does it: another figure in lib/environments.py, and the same command."""
        with self.report.step("change a size, deploy again") as step:
            before = self._service(Service.PAYMENT_API)
            size = "payment_api=ServiceSize(cpu=1024, memory_mb=2048, tasks_min=2, tasks_max=8"
            self.stage.change_checkout("lib/environments.py", size, size.replace("1024", "512").replace("2048", "1024"))
            self._deploy()
            after = self._service(Service.PAYMENT_API)
            if (after.task_definition, after.weights) != (before.task_definition, before.weights):
                raise RehearsalFailed("updating the stack changed what serves")
            newest = self.aws.ecs.describe_task_definition(taskDefinition=self._names.task_family(Service.PAYMENT_API))["taskDefinition"]
            if newest.get("memory") != "1024":
                raise RehearsalFailed(f"the new revision has {newest.get('memory')} MB")
            traffic.wait_for(20)
            step.shown = "a new revision waits for its release; what serves went on"

    def _release(self, service: Service, traffic: Traffic) -> None:
        with self.report.step(f"release {service}") as step:
            idle = next(colour for colour, weight in self._service(service).weights.items() if weight == 0)
            seen: list[int] = []
            with _Watching(lambda: self._service(service).weights[idle], seen):
                self._tap("release", service, "--image", self.stage.releases.good[1], "--build")
            traffic.wait_for(20)
            serving = self._service(service)
            digest = self._deployed.image(serving.task_definition)
            if "@sha256:" not in digest:
                raise RehearsalFailed(f"{service} serves {digest}, which names no digest")
            if not any(0 < share < 100 for share in seen):
                raise RehearsalFailed(f"blue and green never served side by side: {seen}")
            self._tap("status")
            step.shown = f"traffic on the new tasks: {' → '.join(map(str, seen))} %"

    def _go_back(self, traffic: Traffic) -> None:
        with self.report.step("tap rollback of payment-api, and forward again") as step:
            released = self._service(Service.PAYMENT_API)
            self._tap("rollback", Service.PAYMENT_API)
            back = self._service(Service.PAYMENT_API)
            if back.task_definition == released.task_definition:
                raise RehearsalFailed("the rollback left the release in service")
            traffic.wait_for(20)
            self._tap("release", Service.PAYMENT_API, "--image", self.stage.releases.good[1], "--end-wait")
            traffic.wait_for(20)
            step.shown = "there and back"

    def _release_what_is_broken(self, traffic: Traffic) -> None:
        with self.report.step("release an image that doesn't start") as step:
            self._must_be_undone(
                traffic, "release", Service.PAYMENT_API, "--image", self.stage.releases.broken, "--build", "--skip-migration", "--end-wait"
            )
            step.shown = "rolled back; payments went on"

    def _release_what_pays_badly(self, traffic: Traffic) -> None:
        """Tasks that start well, and do to payments what nobody should see: the hook's payment finds it before any traffic moves."""
        service = Service.TRANSACTION_PROCESSOR
        for what, tag in (("declines everything", self.stage.releases.declining), ("hangs", self.stage.releases.hanging)):
            with self.report.step(f"release a transaction-processor that {what}") as step:
                idle = next(colour for colour, weight in self._service(service).weights.items() if weight == 0)
                seen: list[int] = []
                with _Watching(lambda idle=idle: self._service(service).weights[idle], seen):
                    self._must_be_undone(traffic, "release", service, "--image", tag, "--build", "--skip-migration", "--end-wait")
                if seen != [0]:
                    raise RehearsalFailed(f"it had traffic: {seen} %")
                step.shown = "caught by the hook; it had no traffic"

    def _alarm_while_traffic_shifts(self, traffic: Traffic) -> None:
        with self.report.step("an alarm while traffic shifts") as step:
            live = self._service(Service.NOTIFICATION_SERVICE)
            raised = threading.Event()

            def raise_alarm() -> None:
                self._until(lambda: all(self._service(Service.NOTIFICATION_SERVICE).weights.values()), "traffic shifts")
                self.aws.cloudwatch.set_alarm_state(AlarmName=live.alarms[0], StateValue="ALARM", StateReason="Rehearsal")
                raised.set()

            thread = threading.Thread(target=raise_alarm, daemon=True)
            thread.start()
            try:
                self._must_be_undone(
                    traffic, "release", Service.NOTIFICATION_SERVICE, "--image", self.stage.releases.good[2], "--build", "--end-wait"
                )
            finally:
                thread.join(_WAIT_SECONDS_MAX)
                self.aws.cloudwatch.set_alarm_state(AlarmName=live.alarms[0], StateValue="OK", StateReason="Rehearsal")
            if not raised.is_set():
                raise RehearsalFailed("traffic never shifted, so that the alarm showed nothing")
            step.shown = "rolled back; payments went on"

    def _deploy(self, *options: str) -> None:
        self._tap("deploy", "--image", self.stage.releases.good[0], "--public-url", self.stage.front_door, "--private-webhooks", *options)

    def _must_be_undone(self, traffic: Traffic, *arguments: str) -> None:
        service = Service(arguments[1])
        before = self._service(service)
        done = self._run(*arguments)
        if done == 0:
            raise RehearsalFailed(f"tap {' '.join(arguments)} succeeded, and must not")
        self._until(lambda: self._service(service).active_deployment is None, "the rollback ends")
        after = self._service(service)
        if (after.task_definition, after.serving) != (before.task_definition, before.serving):
            raise RehearsalFailed(
                f"{service}: {after.task_definition} on {after.serving} serves, {before.task_definition} on {before.serving} did"
            )
        traffic.wait_for(20)

    def _service(self, service: Service) -> DeployedService:
        return self._deployed.service(service)

    def _tap(self, command: str, *arguments: str) -> None:
        if code := self._run(command, *arguments):
            raise RehearsalFailed(f"tap {command} {' '.join(arguments)} exited with {code}")

    def _run(self, command: str, *arguments: str) -> int:
        line = self._line(command, *arguments)
        return subprocess.run(line, cwd=self.stage.checkout, env=self.stage.environment, check=False, timeout=900).returncode

    def _output(self, command: str, *arguments: str) -> str:
        """Return what a command prints, which is kept from the log: it may be a key."""
        line, environment = self._line(command, *arguments), self.stage.environment | {"COLUMNS": "200"}
        done = subprocess.run(line, cwd=self.stage.checkout, env=environment, check=False, timeout=300, capture_output=True, text=True)
        if done.returncode:
            raise RehearsalFailed(f"tap {command} {arguments[0]} exited with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def _line(self, command: str, *arguments: str) -> list[str]:
        polling = ("--poll-seconds", str(_POLL_SECONDS)) if command != "status" else ()
        return [sys.executable, "-m", "payments.cli", command, *arguments, "--environment", ENVIRONMENT, *polling]

    def _receiver(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        request = urllib.request.Request(self.stage.receiver_outside + path, data=body, method=method)  # noqa: S310 - our own, on loopback
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.loads(answer.read() or b"{}")

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _WAIT_SECONDS_MAX
        while not condition():
            if time.monotonic() > deadline:
                raise RehearsalFailed(f"It took longer than {_WAIT_SECONDS_MAX:.0f} s until {what}")
            time.sleep(_POLL_SECONDS)


class _Watching:
    """Looks at a value again and again in a thread, and keeps what it went through."""

    def __init__(self, look: Callable[[], int], seen: list[int]) -> None:
        self._look, self._seen = look, seen
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(10)
        self._note()

    def _run(self) -> None:
        while not self._ended.wait(0.2):
            self._note()

    def _note(self) -> None:
        if (now := self._look()) not in self._seen[-1:]:
            self._seen.append(now)
