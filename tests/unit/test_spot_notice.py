"""At Spot's notice a task is taken out of its load balancer at once: ECS may wait until it has stopped, and it stops accepting before."""

import json
from typing import Any

import pytest

from lib.hooks import resume_scaling, spot_notice, synthetic_payment
from rehearsal.emulator.events import interruption

BLUE, GREEN = "arn:aws:elasticloadbalancing:blue", "arn:aws:elasticloadbalancing:green"


class Balancers:
    """What the function asks of Elastic Load Balancing."""

    def __init__(self) -> None:
        self.deregistered: list[tuple[str, list[dict[str, Any]]]] = []

    def client(self, name: str) -> "Balancers":
        assert name == "elbv2"
        return self

    def deregister_targets(self, **said: Any) -> None:
        self.deregistered.append((said["TargetGroupArn"], said["Targets"]))


def noticed(monkeypatch: pytest.MonkeyPatch, *, family: str, details: list[dict[str, str]]) -> list[tuple[str, list[dict[str, Any]]]]:
    balancers = Balancers()
    monkeypatch.setattr(spot_notice, "_boto3", balancers)
    monkeypatch.setenv("TARGET_GROUPS", json.dumps({"tap-dev-payment-api": [BLUE, GREEN]}))
    monkeypatch.setenv("PORT", "8080")
    definition = f"arn:aws:ecs:eu-west-1:111111111111:task-definition/{family}:17"
    task = {"taskArn": "task", "taskDefinitionArn": definition, "attachments": [{"type": "eni", "details": details}]}
    spot_notice.handler({"detail": task}, None)
    return balancers.deregistered


ADDRESS = {"name": "privateIPv4Address", "value": "10.0.1.2"}


def test_it_leaves_both_groups_whichever_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    told = noticed(monkeypatch, family="tap-dev-payment-api", details=[{"name": "subnetId", "value": "subnet-1"}, ADDRESS])
    assert told == [(group, [{"Id": "10.0.1.2", "Port": 8080}]) for group in (BLUE, GREEN)]


def test_what_the_rehearsal_tells_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a rehearsal would show nothing of the function."""
    given = dict.fromkeys(("clusterArn", "group", "taskArn", "capacityProviderName"), "x") | {
        "lastStatus": "RUNNING",
        "taskDefinitionArn": "arn:aws:ecs:eu-west-1:1:task-definition/tap-dev-payment-api:7",
    }
    task = json.loads(interruption(given, "10.0.1.7")["Detail"])
    assert (task["desiredStatus"], task["stopCode"]) == ("STOPPED", "SpotInterruption")
    (interface,) = task["attachments"]
    told = noticed(monkeypatch, family="tap-dev-payment-api", details=interface["details"])
    assert [(group, targets[0]["Id"]) for group, targets in told] == [(BLUE, "10.0.1.7"), (GREEN, "10.0.1.7")]


@pytest.mark.parametrize(
    ("family", "details"),
    [("tap-dev-migrate", [ADDRESS]), ("tap-dev-payment-api", [{"name": "subnetId", "value": "subnet-1"}])],
    ids=["a task behind no load balancer", "a task that has no address yet"],
)
def test_what_is_in_no_group_is_left_alone(monkeypatch: pytest.MonkeyPatch, family: str, details: list[dict[str, str]]) -> None:
    assert noticed(monkeypatch, family=family, details=details) == []


@pytest.mark.parametrize("function", [resume_scaling, spot_notice, synthetic_payment], ids=lambda function: function.__name__)
def test_the_daily_call_that_keeps_a_function_awake_asks_nothing(monkeypatch: pytest.MonkeyPatch, function: Any) -> None:
    monkeypatch.setattr(function, "_boto3", None)
    assert function.handler({"awake": True}, None) is None
