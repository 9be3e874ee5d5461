"""The payment that tries a release out, as CodeDeploy's hook makes it."""

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from lib.hooks import synthetic_payment
from payments.runtime.topology import PUBLIC_PATHS, SERVICES, Service, route
from rehearsal.authority import Authority
from tests.support.front_door import FrontDoor, front_door

EVENT = {"DeploymentId": "d-1", "LifecycleEventHookExecutionId": "execution-1"}
DIGITS = "ab" * 32


class FakeAws:
    """What the hook asks of AWS: a secret, and to be told how it went."""

    def __init__(self) -> None:
        self.told: list[dict[str, str]] = []
        self.released = Service.PAYMENT_API

    def client(self, _service: str) -> "FakeAws":
        return self

    def get_secret_value(self, *, SecretId: str) -> dict[str, str]:  # noqa: N803 - AWS's name
        assert SecretId == "arn:secret"
        return {"SecretString": json.dumps({"sandbox_key": DIGITS})}

    def get_deployment(self, *, deploymentId: str) -> dict[str, Any]:  # noqa: N803 - AWS's name
        assert deploymentId == "d-1"
        return {"deploymentInfo": {"applicationName": self.released}}

    def put_lifecycle_event_hook_execution_status(self, **told: str) -> None:
        self.told.append(told)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> FakeAws:
    fake = FakeAws()
    monkeypatch.setattr(synthetic_payment, "_boto3", fake)
    monkeypatch.setattr(synthetic_payment, "_PAUSE_SECONDS", 0)
    for name, value in {
        "SANDBOX_SECRET_ARN": "arn:secret",
        "KEY_PREFIX": "sk_test_",
        "KEY_FIELD": "sandbox_key",
        "TRIAL_HEADER": "Tap-Release-Check",
        "FRONT_DOOR": json.dumps(
            {
                Service.NOTIFICATION_SERVICE: SERVICES[Service.NOTIFICATION_SERVICE].path_patterns,
                Service.PAYMENT_API: PUBLIC_PATHS,
            }
        ),
    }.items():
        monkeypatch.setenv(name, value)
    return fake


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Generator[FrontDoor]:
    """Both listeners, unless a test opens another one."""
    with front_door() as opened:
        monkeypatch.setenv("TEST_URL", opened.url)
        monkeypatch.setenv("LIVE_URL", opened.url)
        yield opened


def status(aws: FakeAws) -> str:
    synthetic_payment.handler(EVENT, None)
    (told,) = aws.told
    assert (told["deploymentId"], told["lifecycleEventHookExecutionId"]) == ("d-1", "execution-1")
    return told["status"]


def test_a_release_that_pays_goes_on(aws: FakeAws, door: FrontDoor, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(aws) == "Succeeded"
    assert door.asked == [
        "POST /v1/payment_intents",
        "POST /v1/payment_intents/pi_1/capture",
        "POST /v1/refunds",
        "GET /v1/balance",
        "POST /v1/notifications/trial",
        "GET /v1/events",
    ]
    assert door.keys == {f"sk_test_{DIGITS}"}
    assert DIGITS not in capsys.readouterr().out


def behind_the_door(asked: str) -> Service:
    """Who is asked by the front door: payment-api passes on what it isn't to answer itself."""
    service = route(asked.split()[1])
    return Service.PAYMENT_API if SERVICES[service].is_called_by_services else service


@pytest.mark.parametrize("released", Service)
def test_only_the_releases_own_new_tasks_are_tried_out(
    aws: FakeAws, door: FrontDoor, monkeypatch: pytest.MonkeyPatch, released: Service
) -> None:
    """Another service may be tried out at the same time, and be a bad one."""
    aws.released = released
    with front_door() as customers:
        monkeypatch.setenv("LIVE_URL", customers.url)
        assert status(aws) == "Succeeded"
    assert [each for each in door.asked if behind_the_door(each) is not released] == []
    assert [each for each in customers.asked if behind_the_door(each) is released] == []
    calls_the_new_ones = len(customers.asked) if released is Service.TRANSACTION_PROCESSOR else 0
    assert (door.trials, customers.trials) == (0, calls_the_new_ones)
    assert len(door.asked) + len(customers.asked) == 6


def test_a_release_that_declines_goes_back(aws: FakeAws, door: FrontDoor, capsys: pytest.CaptureFixture[str]) -> None:
    door.declines = True
    assert status(aws) == "Failed"
    assert "POST /v1/payment_intents: 402" in json.loads(capsys.readouterr().out)["reason"]


@pytest.mark.parametrize(
    ("path", "answer", "reason"),
    [
        ("/v1/payment_intents", {"id": "pi_1", "status": "processing"}, "payment_intents: pi_1 is processing, not requires_capture"),
        (
            "/v1/payment_intents/pi_1/capture",
            {"id": "pi_1", "status": "requires_capture"},
            "capture: pi_1 is requires_capture, not succeeded",
        ),
        ("/v1/refunds", {"id": "re_1", "status": "failed"}, "refunds: re_1 is failed, not succeeded"),
        ("/v1/notifications/trial", {"delivered": False}, "no webhook was delivered"),
        ("/v1/balance", {"object": "error"}, "there is no balance"),
        ("/v1/events", {"object": "list", "data": []}, "no event tells of the refund re_1"),
    ],
)
def test_a_service_that_answers_wrongly_is_no_release(
    aws: FakeAws,
    door: FrontDoor,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    path: str,
    answer: dict[str, Any],
    reason: str,
) -> None:
    right = door.answer
    monkeypatch.setattr(door, "answer", lambda asked: (200, answer) if asked == path else right(asked))
    assert status(aws) == "Failed"
    assert reason in json.loads(capsys.readouterr().out)["reason"]


def test_what_fails_for_a_moment_is_tried_again(aws: FakeAws, door: FrontDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    right, failures = door.answer, iter([503, 502])
    monkeypatch.setattr(door, "answer", lambda asked: (failed, {}) if (failed := next(failures, 0)) else right(asked))
    assert status(aws) == "Succeeded"


def test_code_deploy_hears_of_it_when_nobody_answers(aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or it would wait for an hour."""
    monkeypatch.setenv("TEST_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("LIVE_URL", "http://127.0.0.1:9")
    assert status(aws) == "Failed"


@pytest.mark.parametrize(("certified", "expected"), [("payments.example.com", "Succeeded"), ("other.example.com", "Failed")])
def test_the_certificate_is_for_the_name_that_customers_use(
    aws: FakeAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, certified: str, expected: str
) -> None:
    """The load balancer is reached by a name of its own, which no certificate can be for."""
    authority = Authority.create(tmp_path, certified)
    with front_door(authority.server_context()) as door:
        monkeypatch.setenv("TEST_URL", door.url)
        monkeypatch.setenv("LIVE_URL", door.url)
        monkeypatch.setenv("SERVER_NAME", "payments.example.com")
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
        assert status(aws) == expected
