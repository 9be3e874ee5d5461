"""AWS's clients with botocore's Stubber behind them: each call and its answer in order, held against AWS's own API models."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import boto3
from botocore.stub import Stubber

from payments.cli.aws.clients import Aws

_NAMES = {"quotas": "service-quotas", "scaling": "application-autoscaling", "secrets": "secretsmanager"}
_EVERY_CALL = "provide-client-params"
CREATED_AT = datetime(2026, 1, 1, tzinfo=UTC)
"""When each deployment was."""


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

    def describe_service(
        self,
        *,
        active: dict[str, Any] | None = None,
        promoted: bool = False,
        keeps: bool = False,
        ending: bool = False,
        weights: tuple[int, int] = (100, 0),
        desired: int = 2,
        strategy: bool = True,
    ) -> None:
        """The calls that read payment-api of dev: revision 3 serves from blue. While a deployment is active, revision 4 is beside it on green.

        `active` is what CodeDeploy says of the deployment; `promoted`: its tasks are the service's; `keeps`: it only keeps the
        old ones; `ending`: those go.
        """
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
        original = _task_set("DRAINING" if ending else "ACTIVE" if promoted else "PRIMARY", 3, "arn:blue", strategy=strategy)
        task_sets = [original]
        if active is not None or promoted:
            created_by = (active or {}).get("rollbackInfo", {}).get("rollbackTriggeringDeploymentId", "d-1")
            task_sets += [_task_set("PRIMARY" if promoted else "ACTIVE", 4, "arn:green", strategy=strategy) | {"externalId": created_by}]
        service = {"serviceName": "Service", "status": "ACTIVE", "desiredCount": desired, "runningCount": desired, "taskSets": task_sets}
        self.answer("ecs", "describe_services", {"services": [service]})
        groups = [{"TargetGroupArn": f"arn:{colour}", "TargetGroupName": f"tap-api-{colour}-dev"} for colour in ("blue", "green")]
        self.answer("elbv2", "describe_target_groups", {"TargetGroups": groups})
        shares = [{"TargetGroupArn": f"arn:{colour}", "Weight": weight} for colour, weight in zip(("blue", "green"), weights, strict=True)]
        rule = {"RuleArn": "arn:rule", "Actions": [{"Type": "forward", "ForwardConfig": {"TargetGroups": shares}}]}
        self.answer("elbv2", "describe_rules", {"Rules": [rule]})
        self.answer("codedeploy", "list_deployments", {"deployments": [] if active is None else [active.get("deploymentId", "d-1")]})
        if active is not None:
            info = {"status": "InProgress", "creator": "user"} | active
            self.answer("codedeploy", "get_deployment", {"deploymentInfo": info})
            if info["status"] == "InProgress" and info["creator"] == "user":
                self._answer_targets("Succeeded" if keeps else "Pending", {})

    def poll(
        self,
        status: str,
        event: str = "Pending",
        *,
        error: dict[str, str] | None = None,
        rollback: str | None = None,
        stopped: Sequence[dict[str, Any]] | None = None,
        alarm: str = "OK",
        **weights: float,
    ) -> None:
        """One round of asking for a deployment, whose event AfterAllowTraffic is told; `stopped`: tasks, if they are asked for at all."""
        info: dict[str, Any] = {"status": status, "createTime": CREATED_AT}
        if error is not None:
            info["errorInformation"] = error
        if rollback is not None:
            info["rollbackInfo"] = {"rollbackDeploymentId": rollback}
        self.answer("codedeploy", "get_deployment", {"deploymentInfo": info})
        self._answer_targets(event, weights)
        self.describe_alarms(alarm)
        if stopped is not None:
            self.answer("ecs", "list_tasks", {"taskArns": [each["taskArn"] for each in stopped]})
            if stopped:
                self.answer("ecs", "describe_tasks", {"tasks": list(stopped)})

    def scales(self, *, suspended: bool) -> None:
        """payment-api of dev is told to scale, or not to."""
        state = {"DynamicScalingInSuspended": suspended, "DynamicScalingOutSuspended": suspended}
        target = {"ServiceNamespace": "ecs", "ResourceId": "service/tap-dev/Service", "ScalableDimension": "ecs:service:DesiredCount"}
        self.answer("scaling", "register_scalable_target", {}, target | {"SuspendedState": state})

    def _answer_targets(self, event: str, weights: dict[str, float]) -> None:
        self.answer("codedeploy", "list_deployment_targets", {"targetIds": ["t"]})
        self.answer("codedeploy", "batch_get_deployment_targets", _target(event, weights))

    def describe_stack(self, status: str) -> None:
        stack = {"StackName": "TapStackdev", "StackStatus": status, "CreationTime": "2026-01-01T00:00:00Z"}
        self.answer("cloudformation", "describe_stacks", {"Stacks": [stack]})

    def describe_alarms(self, state: str) -> None:
        self.answer("cloudwatch", "describe_alarms", {"MetricAlarms": [{"AlarmName": "payment-api failing", "StateValue": state}]})


def revision_arn(number: int) -> str:
    """ARN of a revision of payment-api of dev."""
    return f"arn:aws:ecs:eu-west-1:1:task-definition/tap-dev-payment-api:{number}"


def stopped_task(name: str, of: int = 4, seconds: float = 1) -> dict[str, Any]:
    """A task of a revision that failed; `seconds`: how long after the deployment it was created."""
    return {
        "taskArn": name,
        "taskDefinitionArn": revision_arn(of),
        "createdAt": CREATED_AT + timedelta(seconds=seconds),
        "stoppedReason": "Essential container in task exited",
        "containers": [{"exitCode": 1}],
    }


def _task_set(status: str, number: int, group: str, *, strategy: bool) -> dict[str, Any]:
    return {
        "status": status,
        "taskDefinition": revision_arn(number),
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
        "capacityProviderStrategy": [{"capacityProvider": "FARGATE", "base": 2, "weight": 1}] if strategy else [],
        "loadBalancers": [{"targetGroupArn": group}],
    }


def _target(event: str, weights: dict[str, float]) -> dict[str, Any]:
    task_sets = [
        {"taskSetLabel": label, "runningCount": 2, "desiredCount": 2, "trafficWeight": weight} for label, weight in weights.items()
    ]
    installed = "Succeeded" if len(weights) > 1 else "InProgress"
    events = [{"lifecycleEventName": "Install", "status": installed}, {"lifecycleEventName": "AfterAllowTraffic", "status": event}]
    target = {"lifecycleEvents": events, "taskSetsInfo": task_sets}
    return {"deploymentTargets": [{"deploymentTargetType": "ECSTarget", "ecsTarget": target}]}


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
