"""What CodeDeploy reads in an AppSpec."""

import json

import pytest

from rehearsal.emulator.appspec import InvalidAppSpec, parse
from rehearsal.emulator.lifecycle import Event
from rehearsal.emulator.task_sets import provider_for

PROPERTIES = {"TaskDefinition": "arn:td", "LoadBalancerInfo": {"ContainerName": "app", "ContainerPort": 8080}}


def spec(properties: object = PROPERTIES, **more: object) -> str:
    resources = [{"TargetService": {"Type": "AWS::ECS::Service", "Properties": properties}}]
    return json.dumps({"version": 0.0, "Resources": resources} | more)


def test_app_spec_in_json_tells_what_to_start_and_which_hooks_to_ask() -> None:
    told = parse(spec(Hooks=[{"AfterAllowTestTraffic": "check"}]))
    assert (told.task_definition, told.container_name, told.container_port) == ("arn:td", "app", 8080)
    assert told.hooks == {Event.AFTER_ALLOW_TEST_TRAFFIC: "check"}
    assert told.capacity_provider_strategy is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[]", "must be a mapping"),
        (spec(version=1), "version"),
        (spec(Resources=[]), "exactly one"),
        (spec({"TaskDefinition": "arn:td"}), "LoadBalancerInfo"),
        (spec({"LoadBalancerInfo": {"ContainerName": "app", "ContainerPort": 80}}), "TaskDefinition"),
        (spec(Hooks=[{"Install": "check"}]), "takes a hook"),
    ],
)
def test_app_spec_that_is_not_one_says_what_it_lacks(content: str, reason: str) -> None:
    with pytest.raises(InvalidAppSpec, match=reason):
        parse(content)


def test_tasks_are_placed_by_base_first_and_then_by_weight() -> None:
    strategy = [{"capacityProvider": "FARGATE", "base": 2, "weight": 1}, {"capacityProvider": "FARGATE_SPOT", "weight": 2}]
    placed = [provider_for(number, strategy) for number in range(8)]
    assert placed == ["FARGATE"] * 3 + ["FARGATE_SPOT"] * 2 + ["FARGATE"] + ["FARGATE_SPOT"] * 2
    assert provider_for(0, None) is None
