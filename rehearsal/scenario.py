"""The rehearsal itself: an environment's life from an empty account to nothing left, with payments going on through all of it.

Each step uses what an operator uses: the `tap` command, the CDK command line, AWS's APIs. What it shows is checked, not printed and believed. Steps that
have nothing to do with each other go side by side, as several operators would: what they wait for is mostly the clock.
"""

import json
import time
import urllib.request
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import stripe
from botocore.exceptions import ClientError

from payments.cli.aws.clients import error_message
from payments.cli.aws.smoke import sandbox_key
from payments.runtime.metrics import REPORT_SECONDS
from payments.runtime.topology import SERVICES, Metric, Service
from rehearsal.operating import Operator, RehearsalFailed
from rehearsal.releasing import Releasing
from rehearsal.report import Report
from rehearsal.restoring import Restoring
from rehearsal.stage import Stage
from rehearsal.traffic import CLIENTS, Traffic

ENVIRONMENT = "prod"
"""Its template: protected, with a certificate, and a canary; but for the number of copies."""
_SPARED = (
    ("lib/environments.py", "tasks_min=3", "tasks_min=2", 3),
    ("lib/environments.py", "database_readers=2", "database_readers=1", 1),
    ("lib/fargate_service.py", "LINGER_SECONDS = 20", "LINGER_SECONDS = 8", 1),
)
"""What a machine of two processors is spared: a third copy of everything, and waiting as long as AWS's load balancers may take to hear that a task leaves.

In which file, what is there, what it becomes, and how often."""
_READ_ONLY = (
    "ALTER SYSTEM SET default_transaction_read_only = on",
    "SELECT pg_reload_conf()",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'",
)
"""As a writer is after a failover, to whoever still asks it by its old name."""
_WRITABLE = ("ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")
_READ_ONLY_SECONDS = 5.0
_FOR_THE_LOAD = ("--private-webhooks", "--writes-per-second", "1000")
"""The receiver is beside the tasks, and all clients have one key."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run on one stage."""

    operator: Operator
    report: Report
    certificate_arn: str
    """Of the front door."""

    @property
    def _stage(self) -> Stage:
        return self.operator.stage

    def run(self) -> None:
        """Do all steps; raises `RehearsalFailed` at the first that shows something else than it must."""
        self._deploy_from_nothing()
        key = sandbox_key(self.operator.deployed)
        with Traffic(self._stage.front_door, key, "through") as traffic:
            releasing = Releasing(self.operator, self.report, traffic)
            with self._no_server_error(traffic):
                self._pay_and_hear(key)
                self._knock_at_the_plain_door(key)
                api, notification = Service.PAYMENT_API, Service.NOTIFICATION_SERVICE
                # Beside what pays badly a good release goes through: each is tried out by itself.
                _side_by_side(
                    lambda: _in_turn(lambda: self._scale(traffic), releasing.release_what_is_broken),
                    releasing.release_what_pays_badly,
                    lambda: _in_turn(self._verify, lambda: releasing.release(notification)),
                )
            self._lose_a_task(traffic)
            self._lose_the_database(traffic)
            with self._no_server_error(traffic):
                _side_by_side(lambda: self._share_the_load(traffic), lambda: self._change_a_size(traffic), self._let_a_merchant_in)
                _side_by_side(
                    lambda: _in_turn(lambda: releasing.release_though_the_command_dies(api), lambda: releasing.go_back(api)),
                    lambda: releasing.release(Service.TRANSACTION_PROCESSOR),
                    lambda: releasing.alarm_while_traffic_shifts(notification),
                )
        self._restore()
        _side_by_side(lambda: self._compare(traffic), self._verify)
        self._destroy()

    def _deploy_from_nothing(self) -> None:
        with self.report.step("deploy from an empty account") as step:
            for file, size, smaller, times in _SPARED:
                self._stage.change_checkout(file, size, smaller, times=times)
            self._deploy("--bootstrap", "--new")
            self._stage.later_images.result()
            step.shown = "one command; a payment through the load balancer, by TLS all the way"

    def _pay_and_hear(self, key: str) -> None:
        client = stripe.StripeClient(key, base_addresses={"api": self._stage.front_door}, max_network_retries=4)
        with self.report.step("the official SDK on every path rule; a webhook") as step:
            url = self._stage.receiver_inside
            endpoint = client.v1.webhook_endpoints.create({"url": url, "enabled_events": ["payment_intent.succeeded", "charge.refunded"]})
            self._receiver("PUT", "/secret", str(endpoint.secret).encode())
            payment = client.v1.payment_intents.create(
                {"amount": 5000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}, {"idempotency_key": "heard"}
            )
            client.v1.refunds.create({"payment_intent": payment.id, "amount": 1000})
            client.v1.balance.retrieve()
            self.operator.until(lambda: "charge.refunded" in self._receiver("GET", "/")["received"], "the webhook arrives")
            if refused := self._receiver("GET", "/")["refused"]:
                raise RehearsalFailed(f"{refused} webhooks had a wrong signature")
            client.v1.webhook_endpoints.delete(endpoint.id)
            step.shown = "payment, refund, balance, signed webhooks; services found by name"

    def _knock_at_the_plain_door(self, key: str) -> None:
        with self.report.step("port 80, beside the certificate") as step:
            with_key, _ = self._stage.ask_plainly("/v1/balance", {"Authorization": f"Bearer {key}"})
            page_with_key, _ = self._stage.ask_plainly("/pay/x", {"Authorization": f"Bearer {key}"})
            page, leads_to = self._stage.ask_plainly("/pay/x", {})
            if (with_key, page_with_key, page) != (403, 403, 301) or not leads_to.startswith("https://"):
                raise RehearsalFailed(f"with a key {with_key} and {page_with_key}, a page {page} to {leads_to}")
            step.shown = "a key is refused, a page is led to HTTPS"

    def _let_a_merchant_in(self) -> None:
        with self.report.step("a merchant's key: made, used, revoked") as step:
            printed = self.operator.output("keys", "create", "--new-merchant", "Rehearsal")
            key = next(word for word in printed.split() if word.startswith("sk_test_"))
            key_id = next(word.strip(".,") for word in printed.split() if word.startswith("key_"))
            client = stripe.StripeClient(key, base_addresses={"api": self._stage.front_door}, max_network_retries=4)
            order = {"amount": 700, "currency": "eur", "payment_method": "pm_card_mastercard", "confirm": True}
            client.v1.payment_intents.create(order)  # pyright: ignore[reportArgumentType] - a dict of this shape is what it takes
            if key_id not in self.operator.output("keys", "list"):
                raise RehearsalFailed(f"{key_id} isn't listed")
            self.operator.output("keys", "revoke", key_id)
            try:
                client.v1.balance.retrieve()
            except stripe.AuthenticationError:
                step.shown = "as the merchant's own, and no longer; while the stack was updated"
            else:
                raise RehearsalFailed(f"{key_id} is revoked, and still opens")

    def _verify(self) -> None:
        with self.report.step("tap verify") as step:
            self.operator.tap("verify")
            step.shown = "the books are in order"

    def _scale(self, traffic: Traffic) -> None:
        """On Spot is the fourth task at least: two are of the base, and of three others two are."""
        service = Service.PAYMENT_API
        with self.report.step("scale payment-api 2 → 4; Spot's notice to one of them; → 2") as step:
            self._have(service, 4)
            noticed = min(self._stage.tasks_of(service, self.operator.aws, on_spot=True))
            self._stage.give_notice(noticed)
            traffic.wait_for(40)
            self.operator.until(lambda: self._is_replaced(service, noticed), f"{service} is whole again")
            if (ended := self._stage.how_it_ended(service, noticed, self.operator.aws)) != ("SpotInterruption", 0):
                raise RehearsalFailed(f"the task that got Spot's notice ended by {ended}")
            self._have(service, 2)
            traffic.wait_for(20)
            step.shown = "payments went on"

    def _have(self, service: Service, count: int) -> None:
        live = self.operator.service(service)
        self.operator.aws.ecs.update_service(cluster=self.operator.names.cluster, service=live.ecs_service, desiredCount=count)
        self.operator.until(
            lambda: self.operator.service(service).running == self.operator.healthy(service) == count, f"{count} tasks of {service} serve"
        )

    def _share_the_load(self, traffic: Traffic) -> None:
        """By what each copy itself reports, a quarter of a minute at a time: its first report that tells of a whole one."""
        service = Service.TRANSACTION_PROCESSOR
        with self.report.step("scale transaction-processor 2 → 3 → 2 under steady load") as step:
            old = self._stage.tasks_of(service, self.operator.aws)
            self._have(service, 3)
            (new,) = self._stage.tasks_of(service, self.operator.aws) - old
            self.operator.until(lambda: len(self._approved(new)) > 1, "the new copy has reported what it did")
            share, others = self._approved(new)[1], [self._approved(each)[-1] for each in old]
            if share < sum(others) / len(others) / 2:
                raise RehearsalFailed(f"the new copy approved {share} payments, the others {others} in as long a time")
            self._have(service, 2)
            traffic.wait_for(20)
            step.shown = f"in its first {REPORT_SECONDS:.0f} s the new copy carried out {share:.0f} payments, the others {others[0]:.0f} and {others[1]:.0f}"

    def _approved(self, container: str) -> list[float]:
        """Return how many payments a task approved, by its reports; the first is made when it starts."""
        reports = [json.loads(line) for line in self._stage.log_of(container) if '"event":"metrics"' in line]
        return [report[Metric.PAYMENTS_APPROVED] for report in reports]

    def _lose_a_task(self, traffic: Traffic) -> None:
        with self.report.step("kill a task of each service") as step:
            for service in SERVICES:
                killed = self._stage.kill_a_task(service, self.operator.aws)
                traffic.wait_for(20)
                self.operator.until(lambda service=service, killed=killed: self._is_replaced(service, killed), f"{service} is whole again")
            step.shown = "each was replaced"

    def _is_replaced(self, service: Service, killed: str) -> bool:
        running = self._stage.tasks_of(service, self.operator.aws)
        return killed not in running and len(running) >= self.operator.service(service).desired

    def _lose_the_database(self, traffic: Traffic) -> None:
        with self.report.step("the database ends, and comes back read-only for a while") as step:
            with traffic.nobody_can_be_served():
                self._stage.restart_database()
                traffic.wait_for(20)
                self._stage.as_database_owner(*_READ_ONLY)
                time.sleep(_READ_ONLY_SECONDS)
                self._stage.as_database_owner(*_WRITABLE)
                traffic.wait_for(60)
            step.shown = f"payments went on when it was back; {len(traffic.refused)} were refused meanwhile"

    @contextmanager
    def _no_server_error(self, traffic: Traffic) -> Generator[None]:
        """What operators do to a system that is well costs nobody a request: not even one that the SDK repeats."""
        before = traffic.server_errors
        yield
        if errors := traffic.server_errors - before:
            raise RehearsalFailed(f"{errors} requests were answered with 5xx, or not at all: {traffic.server_failures[-errors:][:5]}")

    def _change_a_size(self, traffic: Traffic) -> None:
        """As an operator does it: another figure in lib/environments.py, and the same command."""
        service = Service.PAYMENT_API
        with self.report.step("change a size, deploy again") as step:
            before = self.operator.service(service)
            size = "payment_api=ServiceSize(cpu=1024, memory_mb=2048, tasks_min=2, tasks_max=30"
            self._stage.change_checkout("lib/environments.py", size, size.replace("1024", "512").replace("2048", "1024"))
            self._deploy()
            after = self.operator.service(service)
            if (after.task_definition, after.weights) != (before.task_definition, before.weights):
                raise RehearsalFailed("updating the stack changed what serves")
            newest = self.operator.aws.ecs.describe_task_definition(taskDefinition=self.operator.names.task_family(service))[
                "taskDefinition"
            ]
            if newest.get("memory") != "1024":
                raise RehearsalFailed(f"the new revision has {newest.get('memory')} MB")
            traffic.wait_for(20)
            step.shown = "a new revision waits for its release; what serves went on"

    def _restore(self) -> None:
        with self.report.step("rows are destroyed, and the database is restored to the second before") as step:
            restoring = Restoring(self.operator)
            well = restoring.destroy_rows()
            _side_by_side(lambda: restoring.restore_beside(well), restoring.see_the_damage, restoring.stop_writing)
            restoring.exchange()
            self._deploy()
            restoring.scale_again()
            restoring.drop_what_was_damaged()
            step.shown = "proven beside, then in place under the old one's name; payments go on"

    def _compare(self, traffic: Traffic) -> None:
        with self.report.step("every payment, held against what the merchant was told") as step:
            faults = traffic.faults()
            if faults.failed or faults.missing or faults.doubled:
                raise RehearsalFailed(f"failed: {faults.failed[:3]}, missing: {faults.missing[:3]}, doubled: {faults.doubled[:3]}")
            step.shown = (
                f"{len(traffic.paid)} payments of {CLIENTS} clients, none failed, missing or doubled; the slowest {traffic.slowest_seconds:.1f} s; "
                f"{traffic.server_errors} requests of {traffic.raw.total()} answered with 5xx or not at all, all while tasks or the database were lost"
            )

    def _destroy(self) -> None:
        """As docs/deploy.md says of prod: nothing goes before each protection is taken off."""
        cloudformation, stack = self.operator.aws.cloudformation, self.operator.names.stack
        with self.report.step("destroy, once the protections are taken off") as step:
            try:
                cloudformation.delete_stack(StackName=stack)
            except ClientError as refusal:
                if "protect" not in error_message(refusal).lower():
                    raise
            else:
                raise RehearsalFailed("a protected stack can be deleted")
            self._stage.unprotect(self.operator.aws)
            cloudformation.delete_stack(StackName=stack)
            self.operator.until(lambda: self.operator.deployed.stack_status() != "DELETE_IN_PROGRESS", "the stack is gone")
            if (status := self.operator.deployed.stack_status()) is not None:
                raise RehearsalFailed(f"{stack} is {status}")
            if left := self._stage.containers():
                raise RehearsalFailed(f"containers are left: {left}")
            step.shown = "no container is left"

    def _deploy(self, *options: str) -> None:
        front_door = ("--certificate-arn", self.certificate_arn, "--public-url", self._stage.front_door)
        self.operator.tap("deploy", "--image", self._stage.releases.good[0], *front_door, *_FOR_THE_LOAD, *options)

    def _receiver(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        request = urllib.request.Request(self._stage.receiver_outside + path, data=body, method=method)  # noqa: S310 - our own, on loopback
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.loads(answer.read() or b"{}")


def _in_turn(*steps: Callable[[], None]) -> None:
    for step in steps:
        step()


def _side_by_side(*steps: Callable[[], None]) -> None:
    """Do steps at the same time; raises what the first that failed raised, once all have ended."""
    with ThreadPoolExecutor(len(steps)) as pool:
        for done in [pool.submit(step) for step in steps]:
            done.result()
