"""AWS's clients with botocore's Stubber behind them: each call and its answer in order, held against AWS's own API models."""

from collections.abc import Generator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import fields
from functools import cache
from typing import Any

import boto3
from botocore.stub import Stubber

from payments.cli.aws.clients import Aws

_NAMES = {"quotas": "service-quotas", "scaling": "application-autoscaling", "secrets": "secretsmanager"}
_EVERY_CALL = "provide-client-params"


@cache
def _clients() -> dict[str, Any]:
    """Made once: reading AWS's API models takes a second."""
    session: Any = boto3.Session(region_name="eu-west-1", aws_access_key_id="stub", aws_secret_access_key="stub")
    names = [each.name for each in fields(Aws) if each.name != "region"]
    return {name: session.client(_NAMES.get(name, name)) for name in names}


class StubbedAws:
    def __init__(self) -> None:
        clients = _clients()
        self.aws = Aws(region="eu-west-1", **clients)
        self.stubs = {name: Stubber(client) for name, client in clients.items()}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        """What AWS was asked, and with what."""

    def record(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        """Called by botocore before each call."""
        self.calls.append((model.name, deepcopy(params)))

    def asked(self, operation: str) -> list[dict[str, Any]]:
        """The parameters of each call of an operation."""
        return [params for name, params in self.calls if name == operation]

    def answer(self, client: str, operation: str, response: dict[str, Any], expected: dict[str, Any] | None = None) -> None:
        self.stubs[client].add_response(operation, response, expected)

    def refuse(self, client: str, operation: str, code: str, message: str = "") -> None:
        self.stubs[client].add_client_error(operation, code, message or code)

    def describe_service(self, *, active: str | None = None, desired: int = 2, strategy: bool = True) -> None:
        """The calls that read payment-api of dev."""
        group = {
            "ecsServices": [{"serviceName": "Service", "clusterName": "tap-dev"}],
            "loadBalancerInfo": {
                "targetGroupPairInfoList": [
                    {
                        "targetGroups": [{"name": "tap-api-blue-dev"}, {"name": "tap-api-green-dev"}],
                        "prodTrafficRoute": {"listenerArns": ["arn:listener"]},
                    }
                ]
            },
            "alarmConfiguration": {"enabled": True, "alarms": [{"name": "payment-api failing"}]},
        }
        self.answer("codedeploy", "get_deployment_group", {"deploymentGroupInfo": group})
        task_set: dict[str, Any] = {
            "status": "PRIMARY",
            "taskDefinition": "arn:aws:ecs:eu-west-1:1:task-definition/tap-dev-payment-api:3",
            "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
            "capacityProviderStrategy": [{"capacityProvider": "FARGATE", "base": 2, "weight": 1}] if strategy else [],
        }
        service = {"serviceName": "Service", "status": "ACTIVE", "desiredCount": desired, "runningCount": desired, "taskSets": [task_set]}
        self.answer("ecs", "describe_services", {"services": [service]})
        groups = [{"TargetGroupArn": f"arn:{colour}", "TargetGroupName": f"tap-api-{colour}-dev"} for colour in ("blue", "green")]
        self.answer("elbv2", "describe_target_groups", {"TargetGroups": groups})
        rule = {"RuleArn": "arn:rule", "Actions": [{"Type": "forward", "TargetGroupArn": "arn:blue"}]}
        self.answer("elbv2", "describe_rules", {"Rules": [rule]})
        self.answer("codedeploy", "list_deployments", {"deployments": [active] if active else []})

    def describe_stack(self, status: str) -> None:
        stack = {"StackName": "TapStackdev", "StackStatus": status, "CreationTime": "2026-01-01T00:00:00Z"}
        self.answer("cloudformation", "describe_stacks", {"Stacks": [stack]})

    def describe_alarms(self, state: str) -> None:
        self.answer("cloudwatch", "describe_alarms", {"MetricAlarms": [{"AlarmName": "payment-api failing", "StateValue": state}]})


@contextmanager
def stubbed_aws() -> Generator[StubbedAws]:
    """Everything that was said must have been asked."""
    stubbed = StubbedAws()
    for stub in stubbed.stubs.values():
        stub.activate()
        stub.client.meta.events.register(_EVERY_CALL, stubbed.record)
    try:
        yield stubbed
    finally:
        for stub in stubbed.stubs.values():
            stub.deactivate()
            stub.client.meta.events.unregister(_EVERY_CALL, stubbed.record)
    for stub in stubbed.stubs.values():
        stub.assert_no_pending_responses()
