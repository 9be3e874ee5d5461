"""`tap settings` and `tap logins` on AWS: what tasks are told, what Secrets Manager is told, and in which order."""

import io
import json
from collections.abc import Generator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from rich.console import Console

from payments.cli.aws.environment import DeployedEnvironment
from payments.cli.aws.key_rings import AwsPlace
from payments.cli.aws.logins import rotate_logins
from payments.cli.aws.merchant_settings import run_settings
from payments.cli.aws.storage_tasks import StorageTasks
from payments.cli.data_directory import UsageError
from payments.cli.key_rings import Purpose
from payments.runtime.topology import ENVELOPE_KEY_VARIABLE, SERVICES, Names, Service
from payments.storage.merchant_tasks import SettingsOrder
from payments.storage.resealing import KeyUse, Resealed
from payments.wire.auth import REMEMBERED_SECONDS
from tests.support.stubbed_aws import StubbedAws, stubbed_aws

TASK_ARN = "arn:aws:ecs:eu-west-1:1:task/tap-dev/0123"
ENVELOPE_ARN = "arn:aws:secretsmanager:eu-west-1:1:secret:Envelope-abc123"
CHANGED_AT = datetime(2026, 3, 4, tzinfo=UTC)
ACCOUNT = {"id": "acct_1", "name": "Shoes", "created": 1_700_000_000, "api_version": "2026-10-28.endive"}


def secret_arn(service: Service) -> str:
    return f"arn:aws:secretsmanager:eu-west-1:1:secret:{service}-abc123"


DEFINITION: Mapping[str, Any] = {
    "containerDefinitions": [
        {
            "name": "payment-api",
            "secrets": [
                {"name": ENVELOPE_KEY_VARIABLE, "valueFrom": f"{ENVELOPE_ARN}:envelope_key::"},
                *(
                    {"name": spec.login_password_variable, "valueFrom": f"{secret_arn(service)}:password::"}
                    for service, spec in SERVICES.items()
                ),
            ],
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {"awslogs-group": "/tap/dev/payment-api", "awslogs-stream-prefix": "tap"},
            },
        }
    ]
}


@pytest.fixture
def stubbed() -> Generator[StubbedAws]:
    with stubbed_aws() as found:
        found.describe_stack("UPDATE_COMPLETE")
        found.describe_service()
        yield found


@pytest.fixture
def written() -> io.StringIO:
    return io.StringIO()


def run_task(stubbed: StubbedAws, exit_code: int, *lines: dict[str, Any]) -> None:
    stubbed.answer("ecs", "describe_task_definition", {"taskDefinition": DEFINITION})
    stubbed.answer("ecs", "run_task", {"tasks": [{"taskArn": TASK_ARN}]})
    stopped = {"taskArn": TASK_ARN, "lastStatus": "STOPPED", "containers": [{"name": "payment-api", "exitCode": exit_code}]}
    stubbed.answer("ecs", "describe_tasks", {"tasks": [stopped]})
    stubbed.answer("logs", "get_log_events", {"events": [{"message": json.dumps(line)} for line in lines]})


def commands(stubbed: StubbedAws) -> list[list[str]]:
    """What the tasks were told, without what starts them."""
    return [asked["overrides"]["containerOverrides"][0]["command"][3:] for asked in stubbed.asked("RunTask")]


def environment(stubbed: StubbedAws) -> DeployedEnvironment:
    return DeployedEnvironment(stubbed.aws, Names("dev"))


@pytest.mark.parametrize(
    ("order", "waited"),
    [(SettingsOrder(), []), (SettingsOrder(merchant=3), []), (SettingsOrder(api_version="2025-03-31.basil"), [REMEMBERED_SECONDS])],
)
def test_settings_are_set_by_a_task_and_waited_for(
    stubbed: StubbedAws, written: io.StringIO, order: SettingsOrder, waited: list[float]
) -> None:
    run_task(stubbed, 0, {"event": "settings", "merchant_id": 3, "account": ACCOUNT})
    slept: list[float] = []
    run_settings(Console(file=written, width=200), StorageTasks.of(environment(stubbed), 0), order, sleep=slept.append)
    ((task, told),) = commands(stubbed)
    assert (task, msgspec.json.decode(told, type=SettingsOrder)) == ("settings", order)
    assert slept == waited
    for shown in ("3 (Shoes)", "acct_1", "2026-10-28.endive"):
        assert shown in written.getvalue()


def test_settings_that_are_refused_are_one_line(stubbed: StubbedAws, written: io.StringIO) -> None:
    message = "Invalid Stripe API version: 1999"
    run_task(stubbed, 1, {"event": "error", "kind": "MerchantError", "message": message})
    with pytest.raises(UsageError, match=f"^{message}$"):
        run_settings(Console(file=written), StorageTasks.of(environment(stubbed), 0), SettingsOrder(api_version="1999"))
    assert written.getvalue() == ""


def rotate(stubbed: StubbedAws, written: io.StringIO, *services: Service) -> None:
    rotate_logins(Console(file=written, width=200), environment(stubbed), services, 0)


def replace(stubbed: StubbedAws, service: Service) -> None:
    fields = {"host": "db", "username": SERVICES[service].database_login, "password": "old", "port": 5432}
    stubbed.answer("ecs", "describe_task_definition", {"taskDefinition": DEFINITION})
    stubbed.answer("secrets", "get_secret_value", {"SecretString": json.dumps(fields)}, {"SecretId": secret_arn(service)})
    stubbed.answer("secrets", "put_secret_value", {})


def test_logins_get_new_passwords_once_the_database_has_what_the_secrets_had(stubbed: StubbedAws, written: io.StringIO) -> None:
    done = {"event": "logins", "logins": []}
    run_task(stubbed, 0, done)
    for service in Service:
        replace(stubbed, service)
    run_task(stubbed, 0, done)
    rotate(stubbed, written, *Service)
    assert [name for name, _ in stubbed.calls if name in ("RunTask", "PutSecretValue")] == ["RunTask", *["PutSecretValue"] * 3, "RunTask"]
    assert commands(stubbed) == [["logins"], ["logins"]]
    passwords: set[str] = set()
    for service, put in zip(Service, stubbed.asked("PutSecretValue"), strict=True):
        assert put["SecretId"] == secret_arn(service)
        fields = json.loads(put["SecretString"])
        assert (fields["host"], fields["username"], fields["port"]) == ("db", SERVICES[service].database_login, 5432), "all else stays"
        passwords.add(fields["password"])
    assert len(passwords) == 3
    assert all(len(each) == 40 and each.isascii() and each.isalnum() for each in passwords)
    assert not any(each in written.getvalue() or each in json.dumps(commands(stubbed)) for each in passwords)


def test_no_secret_is_touched_where_the_database_can_not_follow(stubbed: StubbedAws, written: io.StringIO) -> None:
    run_task(stubbed, 1, {"event": "error", "kind": "DatabaseUnreachableError", "message": "The database can't be reached"})
    with pytest.raises(UsageError, match="can't be reached"):
        rotate(stubbed, written, Service.PAYMENT_API)
    assert stubbed.asked("PutSecretValue") == []


@pytest.fixture
def place(stubbed: StubbedAws) -> AwsPlace:
    return AwsPlace(environment(stubbed), StorageTasks.of(environment(stubbed), 0))


def read_envelope_key(stubbed: StubbedAws) -> None:
    stubbed.answer("ecs", "describe_task_definition", {"taskDefinition": DEFINITION})
    fields = {"key_id": "1", "envelope_key": "ab" * 32}
    stubbed.answer(
        "secrets", "get_secret_value", {"SecretString": json.dumps(fields), "CreatedDate": CHANGED_AT}, {"SecretId": ENVELOPE_ARN}
    )


def test_a_ring_is_kept_where_tasks_are_given_it(stubbed: StubbedAws, place: AwsPlace) -> None:
    read_envelope_key(stubbed)
    assert place.read(Purpose.ENVELOPE) == "ab" * 32
    read_envelope_key(stubbed)
    stubbed.answer("secrets", "put_secret_value", {})
    place.write(Purpose.ENVELOPE, "2:…")
    (put,) = stubbed.asked("PutSecretValue")
    assert (put["SecretId"], json.loads(put["SecretString"])) == (ENVELOPE_ARN, {"key_id": "1", "envelope_key": "2:…"})


@pytest.mark.parametrize(
    ("seconds", "status", "named"),
    [
        (1, "RUNNING", False),
        (0, "RUNNING", True),
        (-1, "RUNNING", True),
        (-1, "PENDING", True),
        (-1, "STOPPING", True),
        (-1, "STOPPED", False),
    ],
)
def test_tasks_that_were_made_before_the_ring_changed_are_named(
    stubbed: StubbedAws, place: AwsPlace, seconds: int, status: str, named: bool
) -> None:
    """Old tasks that a release keeps for going back, and those that are ending, can still write."""
    read_envelope_key(stubbed)
    stubbed.answer("ecs", "list_tasks", {"taskArns": [TASK_ARN]})
    tasks = [{"taskArn": TASK_ARN, "lastStatus": status, "createdAt": CHANGED_AT + timedelta(seconds=seconds)}]
    stubbed.answer("ecs", "describe_tasks", {"tasks": tasks})
    for _ in range(5):
        stubbed.answer("ecs", "list_tasks", {"taskArns": []})
    assert place.outdated(Purpose.ENVELOPE) == (["A task of notification-service"] if named else [])
    asked = [(each["family"], each["desiredStatus"]) for each in stubbed.asked("ListTasks")]
    assert sorted(asked) == sorted((f"tap-dev-{service}", desired) for service in Service for desired in ("RUNNING", "STOPPED"))


def test_the_uses_of_keys_are_asked_for_by_a_task(stubbed: StubbedAws, place: AwsPlace) -> None:
    use = {"event": "key use", "what": "card numbers", "key_id": 1, "count": 7}
    run_task(stubbed, 0, use, {"event": "key uses", "count": 1})
    assert place.uses() == [KeyUse("card numbers", 1, 7)]
    run_task(stubbed, 0, use, {"event": "key uses", "count": 2})
    with pytest.raises(UsageError, match="Not all"):
        place.uses()
    assert commands(stubbed) == [["key-uses"]] * 2


def test_values_are_sealed_anew_by_a_task(stubbed: StubbedAws, place: AwsPlace) -> None:
    run_task(stubbed, 0, {"event": "resealed", "done": 5, "unreadable": 0, "left": 1})
    assert place.reseal() == Resealed(done=5, unreadable=0, left=1)
    assert commands(stubbed) == [["reseal"]]
    assert place.command("keys", "envelope", "drop", 1) == "tap keys envelope drop 1 --environment dev"
