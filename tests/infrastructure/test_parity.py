"""The services and the one-off tasks run with exactly what their task definitions give them: command, user, environment, health check, paths.

PostgreSQL is real, behind TLS and a password, and its owner is no superuser, as on Aurora. What stands for AWS is in `surroundings`, value by value.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import stripe

from payments.runtime.topology import NO_ACQUIRERS, SERVICES, AcquirersField, Service
from rehearsal.authority import Authority
from tests.infrastructure.conftest import Synthesised
from tests.support.assemblies import PUBLIC_URL
from tests.support.listener import route_by, running_listener, unverified
from tests.support.postgres import PasswordServer, password_server
from tests.support.running_tap import free_port
from tests.support.secrets_manager import ARN, FakeSecretsManager, fake_secrets_manager
from tests.support.tasks import Surroundings, Task, can_confine, open_directory
from tests.support.tls_front import tls_front
from tests.support.waiting import wait_until

DATABASE_HOST = "localhost"
PASSWORD, NEXT_PASSWORD = "first-password", "second-password"
DIGITS = {
    field: f"{number:x}" * 64
    for number, field in enumerate(("api_key_pepper", "internal_api_key", "envelope_key", "sandbox_key"), start=10)
}


def _in_names(name: str) -> str:
    return name.replace("-", "_").title().replace("_", "")


def login_arn(service: Service) -> str:
    return f"arn:aws:secretsmanager:eu-west-1:111111111111:secret:{service}-login"


def surroundings(
    listener_port: int, internal_port: int, database_port: int, ca_file: Path, secrets_manager: FakeSecretsManager
) -> Surroundings:
    own = {field: f"arn:aws:secretsmanager:eu-west-1:111111111111:secret:{field}" for field in DIGITS}
    acquirers = {field: f"arn:aws:secretsmanager:eu-west-1:111111111111:secret:acquirers-{field}" for field in AcquirersField}
    return Surroundings(
        tokens={
            r"Ref referenceto\w+SecurityStackprodDatabaseSecret[0-9A-F]{8}Ref": ARN,
            **{
                rf"Ref referenceto\w+SecurityStackprod{_in_names(each)}DatabaseSecret[0-9A-F]{{8}}Ref": login_arn(each) for each in SERVICES
            },
            **{rf"Ref referenceto\w+SecurityStackprodApiSecret{_in_names(field)}[0-9A-F]{{8}}Ref": arn for field, arn in own.items()},
            **{rf"Ref referenceto\w+SecurityStackprodAcquirers{_in_names(field)}[0-9A-F]{{8}}Ref": arn for field, arn in acquirers.items()},
        },
        secrets={
            ARN: {"host": DATABASE_HOST, "username": "tap", "password": PASSWORD},
            **{
                login_arn(each): {"host": DATABASE_HOST, "username": spec.database_login, "password": f"{PASSWORD}-{each}"}
                for each, spec in SERVICES.items()
            },
            **{arn: {field: DIGITS[field], "key_id": "1"} for field, arn in own.items()},
            **{arn: {field: NO_ACQUIRERS[field]} for field, arn in acquirers.items()},
        },
        replaced={
            ("TAP_HOST", "0.0.0.0"): "127.0.0.1",  # a test listens for nobody else
            ("TAP_TRANSACTION_PROCESSOR_URL", "https://transaction-processor.tap-prod.internal:8080"): f"https://127.0.0.1:{internal_port}",
            ("TAP_TRANSACTION_PROCESSOR_TRIAL_URL", "https://transaction-processor.tap-prod.internal:8081"): (
                f"https://127.0.0.1:{internal_port}"
            ),
            ("TAP_LINGER_SECONDS", "20"): "0",  # no load balancer goes on sending
            ("TAP_WEBHOOK_PORTS", "80,443,8443"): "",  # a receiver has the port that was free
            ("TAP_PUBLIC_URL", PUBLIC_URL): f"http://127.0.0.1:{listener_port}",
            ("TAP_DATABASE_PORT", "5432"): str(database_port),
            ("TAP_DATABASE_CA_FILE", "/app/rds-global-bundle.pem"): str(ca_file),
        },
        # The keys are the task role's, which tasks fetch from an address that isn't here.
        provided={"AWS_REGION": "eu-west-1", "SSL_CERT_FILE": str(ca_file), **secrets_manager.variables()},
    )


@dataclass
class System:
    tasks: dict[Service, Task]
    migration: Task
    ports: dict[Service, int]
    base_url: str
    server: PasswordServer
    secrets_manager: FakeSecretsManager

    def client(self) -> stripe.StripeClient:
        return stripe.StripeClient(f"sk_test_{DIGITS['sandbox_key']}", base_addresses={"api": self.base_url}, max_network_retries=2)

    def pay(self) -> stripe.PaymentIntent:
        return self.client().v1.payment_intents.create(
            {"amount": 2000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
        )

    def wait_until_healthy(self) -> None:
        for task in self.tasks.values():
            task.wait_until_healthy()

    def lines(self, task: Task) -> list[dict[str, Any]]:
        """All that a task has written to its output, which is nothing but JSON."""
        return [json.loads(line) for line in task.log.read_text().splitlines()]


def definitions(synthesised: Synthesised) -> dict[str, dict[str, Any]]:
    return {
        each["Properties"]["Family"].removeprefix(f"tap-{synthesised.environment}-"): each["Properties"]["ContainerDefinitions"][0]
        for each in synthesised.resources("Ecs", "AWS::ECS::TaskDefinition").values()
    }


@contextmanager
def running(synthesised: Synthesised) -> Generator[System]:
    containers = definitions(synthesised)
    listener_port, internal_port, ports = free_port(), free_port(), {service: free_port() for service in SERVICES}
    resources = synthesised.resources("Ecs")
    groups = {f"{service.value.replace('-', '')}Blue": port for service, port in ports.items()}

    def target_by(listener_at: int) -> Callable[[str], int | None]:
        """Return how a listener's port leads paths to ports."""
        (listener,) = [
            name for name, each in resources.items() if each["Type"].endswith("::Listener") and each["Properties"]["Port"] == listener_at
        ]
        route = route_by(resources, listener)

        def port_of(path: str) -> int | None:
            group = route(path)
            return None if group is None else groups[group[:-8]]

        return port_of

    with ExitStack() as stack:
        directory = stack.enter_context(open_directory())
        authority = Authority.create(directory, DATABASE_HOST, PUBLIC_URL.removeprefix("https://"))
        server = stack.enter_context(password_server())
        with server.admin() as admin:
            admin.execute(f"CREATE ROLE tap LOGIN CREATEROLE CREATEDB PASSWORD '{PASSWORD}'")
            admin.execute("CREATE DATABASE tap OWNER tap TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'")
        database_port = stack.enter_context(tls_front(authority, server.port))
        secrets_manager = stack.enter_context(fake_secrets_manager())
        stack.enter_context(running_listener(target_by(443), listener_port))
        stack.enter_context(running_listener(target_by(8080), internal_port, authority.server_context()))
        around = surroundings(listener_port, internal_port, database_port, authority.ca_file, secrets_manager)
        empty = directory / "empty"
        empty.mkdir(mode=0o555)

        def task(name: str, **replaced: str) -> Task:
            environment = around.environment(containers[name]) | replaced
            return Task(containers[name], environment, empty, directory / f"{name}.log")

        system = System(
            {service: task(service, TAP_PORT=str(ports[service])) for service in SERVICES},
            task("migrate"),
            ports,
            f"http://127.0.0.1:{listener_port}",
            server,
            secrets_manager,
        )
        try:
            yield system
        finally:
            for each in (*system.tasks.values(), system.migration):
                if each.process is not None and each.process.poll() is None:
                    each.process.kill()
                    each.process.wait()


@pytest.fixture(scope="module")
def system(prod: Synthesised) -> Generator[System]:
    with running(prod) as prepared:
        assert prepared.migration.run() == 0, prepared.migration.log.read_text()
        for task in prepared.tasks.values():
            task.start()
        prepared.wait_until_healthy()
        yield prepared


def test_the_migration_makes_the_schema_and_the_sandbox(system: System) -> None:
    events = [line["event"] for line in system.lines(system.migration)]
    assert events[:2] == ["migrated", "sandbox"]
    assert system.lines(system.migration)[0]["logins"] == [spec.database_login for spec in SERVICES.values()]


def test_each_service_is_somebody_else_for_the_database(system: System) -> None:
    with system.server.admin("tap") as admin:
        rows = admin.execute("SELECT DISTINCT application_name, usename FROM pg_stat_activity WHERE datname = 'tap'").fetchall()
    users = {service: {user for name, user in rows if name.startswith(service)} for service in SERVICES}
    assert users == {service: {spec.database_login} for service, spec in SERVICES.items()}
    assert DIGITS["sandbox_key"] not in system.migration.log.read_text()


def test_a_task_is_confined_as_its_definition_says(system: System) -> None:
    if not can_confine():
        pytest.skip("only root can give processes another user and a file system of their own")
    for task in system.tasks.values():
        assert task.container["User"] == f"{task.user()}:{task.user()}"
        assert task.container["ReadonlyRootFilesystem"]


def test_a_payment_goes_through_the_listener_and_the_books_are_right(system: System) -> None:
    intent = system.pay()
    assert intent.status == "succeeded"
    client = system.client()
    assert client.v1.balance.retrieve().pending[0].amount > 0, "transaction-processor"
    assert intent.id in {event.data.object["id"] for event in client.v1.events.list().data}, "notification-service"
    with pytest.raises(urllib.error.HTTPError, match="404") as refused:
        urllib.request.urlopen(f"{system.base_url}/internal/attempts", timeout=10)
    refused.value.close()
    assert system.migration.run("verify") == 0, system.migration.log.read_text()
    books = system.lines(system.migration)[-1]
    assert (books["event"], books["ok"]) == ("books", True)
    assert books["counts"]["charges"] >= 1


def test_rotated_logins_stop_nothing(system: System) -> None:
    """At first the secrets have new passwords and the database has old ones, which is when tasks may start; then it has the new ones, and all sessions end."""
    started = {service: task.process for service, task in system.tasks.items()}
    for service, spec in SERVICES.items():
        system.secrets_manager.others[login_arn(service)] = {"AWSCURRENT": f"new-{service}", "AWSPREVIOUS": f"{PASSWORD}-{service}"}
        system.migration.environment[spec.login_password_variable] = f"new-{service}"
    for spec in SERVICES.values():
        system.server.end_sessions(spec.database_login)
    system.wait_until_healthy()
    assert system.secrets_manager.reads == [], "they have what the database takes"
    assert system.migration.run("logins") == 0, system.migration.log.read_text()
    assert system.pay().status == "succeeded"
    for spec in SERVICES.values():
        system.server.end_sessions(spec.database_login)
    system.wait_until_healthy()
    assert system.pay().status == "succeeded"
    assert {service: task.process for service, task in system.tasks.items()} == started
    assert set(system.secrets_manager.reads) == {"AWSCURRENT"}
    assert len(SERVICES) <= len(system.secrets_manager.reads) <= 2 * len(SERVICES), (
        "once in each process; again where an answer came too late"
    )
    assert system.secrets_manager.forged == []


def test_the_owners_rotated_password_is_no_services_business(system: System) -> None:
    """No service has it."""
    system.secrets_manager.reads.clear()
    system.secrets_manager.passwords = {"AWSCURRENT": NEXT_PASSWORD}
    system.server.set_password("tap", NEXT_PASSWORD)
    assert system.server.end_sessions("tap") == set()
    assert system.pay().status == "succeeded"
    assert system.secrets_manager.reads == []
    assert system.migration.run("verify") == 0, "a one-off task that was injected the old one reads it too"


def test_each_request_is_one_line_with_its_ids(system: System) -> None:
    answer = system.client().v1.payment_intents.list({"limit": 1}).last_response
    assert answer is not None
    request_id = answer.headers["request-id"]

    def found() -> list[dict[str, Any]]:
        url = f"https://127.0.0.1:{system.ports[Service.PAYMENT_API]}/health"
        urllib.request.urlopen(url, timeout=30, context=unverified()).close()
        system.client().v1.payment_intents.list({"limit": 1})
        return [line for line in system.lines(system.tasks[Service.PAYMENT_API]) if line.get("request_id") == request_id]

    wait_until(found, "the request's line is written")
    (line,) = found()
    assert (line["event"], line["path"], line["status"]) == ("request", "/v1/payment_intents", 200)
    assert line["trace"].startswith("Root=1-67891233-")


def test_a_task_ends_in_good_order_when_it_is_stopped(system: System) -> None:
    for service, task in system.tasks.items():
        assert task.stop() == 0, task.log.read_text()
        lines = system.lines(task)
        assert (lines[-1]["event"], lines[-1]["service"]) == ("stopped", service)
        shown = task.log.read_text()
        assert not [secret for secret in (PASSWORD, NEXT_PASSWORD, *DIGITS.values()) if secret in shown]


def test_what_a_test_does_not_know_fails_it() -> None:
    nothing = Surroundings(tokens={}, secrets={}, replaced={}, provided={})
    for value in ({"Ref": "Anything"}, {"Fn::GetAtt": ["Alb", "DNSName"]}, {"Fn::Sub": "${Anything}"}):
        with pytest.raises(AssertionError):
            nothing.environment({"Environment": [{"Name": "TAP_PUBLIC_URL", "Value": value}], "Secrets": []})
