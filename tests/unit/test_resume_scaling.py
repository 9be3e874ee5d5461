"""A service scales again when its deployment has ended, whoever began it, unless the next one is under way."""

import json
from typing import Any

import pytest

from lib.hooks import resume_scaling
from rehearsal.emulator.scaling import suspended_state

GROUP = "tap-dev-payment-api"


class Account:
    """What the function asks of AWS."""

    def __init__(self, *deployments: str) -> None:
        self.deployments = list(deployments)
        self.changed: list[dict[str, Any]] = []

    def client(self, name: str) -> "Account":
        assert name in ("codedeploy", "application-autoscaling")
        return self

    def list_deployments(self, **asked: Any) -> dict[str, Any]:
        assert (asked["applicationName"], asked["deploymentGroupName"]) == (GROUP, GROUP)
        return {"deployments": self.deployments}

    def register_scalable_target(self, **said: Any) -> None:
        self.changed.append(said)


def ended(monkeypatch: pytest.MonkeyPatch, account: Account, state: str) -> None:
    monkeypatch.setattr(resume_scaling, "_boto3", account)
    monkeypatch.setenv("TARGETS", json.dumps({GROUP: "service/tap-dev/Service"}))
    detail = {"application": GROUP, "deploymentGroup": GROUP, "deploymentId": "d-1", "state": state}
    resume_scaling.handler({"detail": detail}, None)


@pytest.mark.parametrize("state", ["SUCCESS", "FAILURE", "STOP"])
def test_however_it_ended(monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    account = Account("d-1")  # its own end may not be known yet
    ended(monkeypatch, account, state)
    (said,) = account.changed
    assert said["ResourceId"] == "service/tap-dev/Service"
    assert said["SuspendedState"] == {"DynamicScalingInSuspended": False, "DynamicScalingOutSuspended": False}
    assert "MinCapacity" not in said, "what isn't said stays as it is"


def test_the_next_deployment_is_not_disturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account("d-2")
    ended(monkeypatch, account, "SUCCESS")
    assert account.changed == []


def test_the_emulated_scaling_keeps_what_is_not_said() -> None:
    first = suspended_state(None, {"DynamicScalingInSuspended": True})
    assert first == {"DynamicScalingInSuspended": True, "DynamicScalingOutSuspended": False, "ScheduledScalingSuspended": False}
    assert suspended_state(first, {"DynamicScalingOutSuspended": True}) == first | {"DynamicScalingOutSuspended": True}
    with pytest.raises(ValueError, match="Unknown parameter"):
        suspended_state(None, {"Suspended": True})
