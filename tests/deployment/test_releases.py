"""Releases by CodeDeploy on the emulator: each way in which one can end."""

import io
import json
import urllib.request
import zipfile
from collections import Counter
from typing import Any

import pytest
from botocore.exceptions import ClientError

from payments.runtime.topology import Colour, Service
from tests.support.emulated_aws import (
    DEV,
    Aws,
    Emulator,
    is_steady,
    put_image,
    service_arn,
    task_sets,
)
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("deployed")

API, PROCESSOR, NOTIFY = Service.PAYMENT_API, Service.TRANSACTION_PROCESSOR, Service.NOTIFICATION_SERVICE
FRONT_DOOR, BETWEEN = {"": "", "test": ":8443"}, {"": ":8080", "test": ":8081"}
PLACES = {
    API: (DEV.cluster, FRONT_DOOR, "/v1/payment_intents"),
    PROCESSOR: (DEV.internal_load_balancer, BETWEEN, "/internal/attempts"),
    NOTIFY: (DEV.cluster, FRONT_DOOR, "/v1/events"),
}
"""Where each service is reached: load balancer, its listeners, a path."""
LONG_CANARY = "CodeDeployDefault.ECSCanary50Percent10000Minutes"
HOOK = """
import boto3
def handler(event, context):
    boto3.client("codedeploy").put_lifecycle_event_hook_execution_status(
        deploymentId=event["DeploymentId"],
        lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"],
        status="{status}",
    )
"""


def register(aws: Aws, service: Service, image: str) -> str:
    """Register a revision of a service with another image; returns its ARN."""
    current = task_sets(aws, service)[0]["taskDefinition"]
    definition: dict[str, Any] = dict(aws.ecs.describe_task_definition(taskDefinition=current)["taskDefinition"])
    repository = definition["containerDefinitions"][0]["image"].split("@")[0].rsplit(":", 1)[0]
    definition["containerDefinitions"][0]["image"] = f"{repository}{image}"
    names = (
        "family",
        "containerDefinitions",
        "volumes",
        "networkMode",
        "cpu",
        "memory",
        "executionRoleArn",
        "taskRoleArn",
        "requiresCompatibilities",
    )
    told = aws.ecs.register_task_definition(**{name: definition[name] for name in names})["taskDefinition"]
    return told.get("taskDefinitionArn", "")


def create(
    aws: Aws, service: Service, revision: str, *, hook: str | None = None, strategy: bool = True, configuration: str | None = None
) -> str:
    properties: dict[str, Any] = {
        "TaskDefinition": revision,
        "LoadBalancerInfo": {"ContainerName": service.value, "ContainerPort": 8080},
    }
    if strategy:
        properties["CapacityProviderStrategy"] = [{"CapacityProvider": "FARGATE", "Base": 2, "Weight": 1}]
    content = {
        "version": 0.0,
        "Resources": [{"TargetService": {"Type": "AWS::ECS::Service", "Properties": properties}}],
        "Hooks": [{"AfterAllowTestTraffic": hook}] if hook else [],
    }
    more: Any = {"deploymentConfigName": configuration} if configuration else {}
    return aws.codedeploy.create_deployment(
        applicationName=DEV.task_family(service),
        deploymentGroupName=DEV.task_family(service),
        revision={"revisionType": "AppSpecContent", "appSpecContent": {"content": json.dumps(content)}},
        **more,
    )["deploymentId"]


def info(aws: Aws, deployment: str) -> Any:
    return aws.codedeploy.get_deployment(deploymentId=deployment).get("deploymentInfo", {})


def end(aws: Aws, deployment: str) -> Any:
    """Wait until a deployment, and its rollback, have ended; returns what it ended with."""
    wait_until(lambda: info(aws, deployment)["status"] in {"Succeeded", "Failed", "Stopped"}, "the deployment ends")
    told = info(aws, deployment)
    if rollback := told.get("rollbackInfo", {}).get("rollbackDeploymentId"):
        wait_until(lambda: info(aws, rollback)["status"] == "Succeeded", "the rollback ends")
    return told


def events(aws: Aws, deployment: str) -> dict[str, str]:
    (target_id,) = aws.codedeploy.list_deployment_targets(deploymentId=deployment).get("targetIds", [])
    target: Any = aws.codedeploy.get_deployment_target(deploymentId=deployment, targetId=target_id).get("deploymentTarget", {})
    return {each["lifecycleEventName"]: each["status"] for each in target["ecsTarget"]["lifecycleEvents"]}


def serving(emulator: Emulator, service: Service, listener: str = "") -> dict[str, Any]:
    balancer, listeners, path = PLACES[service]
    with urllib.request.urlopen(f"{emulator.url}/_alb/{balancer}{listeners[listener]}{path}", timeout=60) as answer:
        return json.load(answer)


def digest_revision(aws: Aws, service: Service, tag: str) -> str:
    return register(aws, service, f"@{put_image(aws, service, tag)}")


def function(aws: Aws, name: str, status: str) -> str:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr(
            "index.py", HOOK.format(status=status) if status else "def handler(event, context):\n    raise ValueError('broken')\n"
        )
    role = "arn:aws:iam::000000000000:role/hook"
    aws.functions.create_function(
        FunctionName=name, Runtime="python3.13", Role=role, Handler="index.handler", Code={"ZipFile": code.getvalue()}, Timeout=120
    )
    return name


def alarm_of(aws: Aws, service: Service) -> str:
    group: Any = aws.codedeploy.get_deployment_group(
        applicationName=DEV.task_family(service), deploymentGroupName=DEV.task_family(service)
    ).get("deploymentGroupInfo", {})
    return group["alarmConfiguration"]["alarms"][0]["name"]


def test_release_moves_all_rules_to_the_replacement_and_stops_the_original(aws: Aws, emulator: Emulator) -> None:
    before = serving(emulator, API)
    revision = digest_revision(aws, API, "good")
    deployment = create(aws, API, revision, hook=function(aws, "CodeDeployHook_good", "Succeeded"))
    told = end(aws, deployment)
    assert told["status"] == "Succeeded", told
    assert set(events(aws, deployment).values()) == {"Succeeded"}
    for path in ("/v1/payment_intents", "/pay/anything"):
        with urllib.request.urlopen(f"{emulator.url}/_alb/tap-dev{path}", timeout=60) as answer:
            assert json.load(answer)["taskDefinition"] == revision != before["taskDefinition"]
    (only,) = task_sets(aws, API)
    assert only["status"] == "PRIMARY"
    assert only["externalId"] == deployment
    assert only["capacityProviderStrategy"] == [{"capacityProvider": "FARGATE", "base": 2, "weight": 1}]
    # What a later scale-out starts is of the new revision.
    aws.ecs.update_service(cluster=DEV.cluster, service=service_arn(aws, API), desiredCount=2)
    wait_until(lambda: is_steady(aws, API, 2), "it has grown")
    tasks = aws.ecs.list_tasks(cluster=DEV.cluster, family=DEV.task_family(API))["taskArns"]
    assert {each.get("taskDefinitionArn") for each in aws.ecs.describe_tasks(cluster=DEV.cluster, tasks=tasks)["tasks"]} == {revision}


def test_rule_keeps_the_emptied_target_group_with_weight_0(aws: Aws) -> None:
    end(aws, create(aws, NOTIFY, digest_revision(aws, NOTIFY, "weights")))
    balancer = aws.elb.describe_load_balancers(Names=["tap-dev"])["LoadBalancers"][0].get("LoadBalancerArn", "")
    groups = {each.get("TargetGroupArn"): each.get("TargetGroupName") for each in aws.elb.describe_target_groups()["TargetGroups"]}
    found: list[dict[str, int]] = []
    for listener in aws.elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"]:
        for rule in aws.elb.describe_rules(ListenerArn=listener.get("ListenerArn", ""))["Rules"]:
            for action in rule.get("Actions", []):
                weights = {
                    str(groups[each.get("TargetGroupArn")]): each.get("Weight", -1)
                    for each in action.get("ForwardConfig", {}).get("TargetGroups", [])
                }
                if DEV.target_group(NOTIFY, Colour.GREEN) in weights:
                    found.append(weights)
    assert found == [{DEV.target_group(NOTIFY, Colour.GREEN): 100, DEV.target_group(NOTIFY, Colour.BLUE): 0}] * 2


def test_failing_hook_fails_the_deployment_and_moves_nothing(aws: Aws, emulator: Emulator) -> None:
    before = serving(emulator, PROCESSOR)
    deployment = create(aws, PROCESSOR, digest_revision(aws, PROCESSOR, "refused"), hook=function(aws, "CodeDeployHook_refuses", "Failed"))
    told = end(aws, deployment)
    assert (told["status"], told["errorInformation"]["code"]) == ("Failed", "HOOK_EXECUTION_FAILURE")
    assert events(aws, deployment)["AfterAllowTestTraffic"] == "Failed"
    assert events(aws, deployment)["AllowTraffic"] == "Skipped"
    assert serving(emulator, PROCESSOR) == before
    assert serving(emulator, PROCESSOR, "test") == before
    wait_until(lambda: is_steady(aws, PROCESSOR, 1), "the replacement is gone")


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("CodeDeployHook_broken", "", "broken"),
        ("SomeOtherName", "Succeeded", "CodeDeployHook_"),
        ("CodeDeployHook_absent", None, "not found"),
    ],
)
def test_hook_that_cannot_run_fails_the_deployment(aws: Aws, name: str, status: str | None, reason: str) -> None:
    hook = name if status is None else function(aws, name, status)
    told = end(aws, create(aws, PROCESSOR, digest_revision(aws, PROCESSOR, name.lower()), hook=hook))
    assert told["errorInformation"]["code"] == "HOOK_EXECUTION_FAILURE"
    assert reason in told["errorInformation"]["message"]


def test_alarm_stops_the_canary_and_brings_traffic_back(aws: Aws, emulator: Emulator) -> None:
    before = serving(emulator, PROCESSOR)
    revision = digest_revision(aws, PROCESSOR, "alarming")
    deployment = create(aws, PROCESSOR, revision, configuration=LONG_CANARY)
    wait_until(lambda: events(aws, deployment)["AllowTraffic"] == "InProgress", "the canary gets traffic")
    seen = Counter(serving(emulator, PROCESSOR)["taskDefinition"] for _ in range(60))
    assert 10 < seen[revision] < 50
    assert serving(emulator, PROCESSOR, "test")["taskDefinition"] == revision
    with pytest.raises(ClientError, match="already has an active Deployment"):
        create(aws, PROCESSOR, revision)
    alarm = alarm_of(aws, PROCESSOR)
    aws.cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="a test")
    told = end(aws, deployment)
    aws.cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="OK", StateReason="a test")
    assert (told["status"], told["errorInformation"]["code"]) == ("Stopped", "ALARM_ACTIVE")
    assert alarm in told["errorInformation"]["message"]
    assert info(aws, told["rollbackInfo"]["rollbackDeploymentId"])["creator"] == "codeDeployRollback"
    assert {serving(emulator, PROCESSOR)["taskDefinition"] for _ in range(10)} == {before["taskDefinition"]}


def test_stop_request_rolls_back(aws: Aws, emulator: Emulator) -> None:
    before = serving(emulator, PROCESSOR)
    deployment = create(aws, PROCESSOR, digest_revision(aws, PROCESSOR, "stopped"), configuration=LONG_CANARY)
    wait_until(lambda: events(aws, deployment)["AllowTraffic"] == "InProgress", "the canary gets traffic")
    aws.codedeploy.stop_deployment(deploymentId=deployment, autoRollbackEnabled=True)
    told = end(aws, deployment)
    assert told["status"] == "Stopped"
    assert serving(emulator, PROCESSOR) == before
    assert (
        aws.codedeploy.list_deployments(
            applicationName=DEV.task_family(PROCESSOR), deploymentGroupName=DEV.task_family(PROCESSOR), includeOnlyStatuses=["InProgress"]
        ).get("deployments")
        == []
    )


@pytest.mark.parametrize("image", [":nowhere", ":failing-1"])
def test_replacement_that_never_runs_fails_the_deployment(aws: Aws, emulator: Emulator, image: str) -> None:
    before = serving(emulator, PROCESSOR)
    if image != ":nowhere":
        put_image(aws, PROCESSOR, image.removeprefix(":"))
    deployment = create(aws, PROCESSOR, register(aws, PROCESSOR, image))
    told = end(aws, deployment)
    assert (told["status"], told["errorInformation"]["code"]) == ("Failed", "TIMEOUT")
    assert events(aws, deployment)["Install"] == "Failed"
    assert serving(emulator, PROCESSOR) == before
    stopped = aws.ecs.list_tasks(cluster=DEV.cluster, family=DEV.task_family(PROCESSOR), desiredStatus="STOPPED")["taskArns"]
    reasons = {each.get("stoppedReason", "")[:26] for each in aws.ecs.describe_tasks(cluster=DEV.cluster, tasks=stopped)["tasks"]}
    assert ("CannotPullContainerError: " if image == ":nowhere" else "Essential container exited") in reasons


def test_deployment_without_a_capacity_provider_strategy_drops_the_services(aws: Aws) -> None:
    assert end(aws, create(aws, PROCESSOR, digest_revision(aws, PROCESSOR, "bare"), strategy=False))["status"] == "Succeeded"
    (only,) = task_sets(aws, PROCESSOR)
    assert only["launchType"] == "FARGATE"
    assert only["capacityProviderStrategy"] == []


def test_bad_requests_are_refused_in_aws_words(aws: Aws) -> None:
    group: Any = {"applicationName": DEV.task_family(API), "deploymentGroupName": DEV.task_family(API)}
    revision: Any = {"revisionType": "AppSpecContent", "appSpecContent": {"content": "Resources: []"}}
    refusals = {
        "ApplicationDoesNotExistException": group | {"applicationName": "none", "revision": revision},
        "DeploymentGroupDoesNotExistException": group | {"deploymentGroupName": "none", "revision": revision},
        "InvalidRevisionException": group | {"revision": revision},
        "RevisionRequiredException": group,
    }
    for code, request in refusals.items():
        with pytest.raises(ClientError) as refused:
            aws.codedeploy.create_deployment(**request)
        assert refused.value.response.get("Error", {}).get("Code") == code
    with pytest.raises(ClientError, match="Use AWS CodeDeploy to trigger a new deployment"):
        aws.ecs.update_service(cluster=DEV.cluster, service=service_arn(aws, API), taskDefinition=f"{DEV.task_family(API)}:1")


def suspension(aws: Aws, service: Service, *, suspends: bool | None = None) -> bool:
    """Whether auto scaling leaves a service alone; `suspends` changes it before."""
    resource = "/".join(["service", *service_arn(aws, service).split("/")[-2:]])
    named: Any = {"ServiceNamespace": "ecs", "ResourceId": resource, "ScalableDimension": "ecs:service:DesiredCount"}
    if suspends is not None:
        state: Any = dict.fromkeys(("DynamicScalingInSuspended", "DynamicScalingOutSuspended"), suspends)
        aws.scaling.register_scalable_target(**named, SuspendedState=state)
    (target,) = aws.scaling.describe_scalable_targets(ServiceNamespace="ecs", ResourceIds=[resource])["ScalableTargets"]
    return any(target.get("SuspendedState", {}).values())


@pytest.mark.parametrize("status", ["Succeeded", "Stopped"])
def test_a_service_scales_again_when_its_deployment_has_ended_though_nobody_watches(aws: Aws, status: str) -> None:
    """The environment's own function sees to that, which EventBridge calls; when a deployment is undone, at the end of what undoes it."""
    stopped = status == "Stopped"
    assert suspension(aws, NOTIFY, suspends=True)
    revision = digest_revision(aws, NOTIFY, f"unwatched-{status.lower()}")
    deployment = create(aws, NOTIFY, revision, configuration=LONG_CANARY if stopped else None)
    if stopped:
        wait_until(lambda: events(aws, deployment).get("AllowTraffic") == "InProgress", "traffic shifts")
        assert suspension(aws, NOTIFY), "while the deployment runs"
        aws.codedeploy.stop_deployment(deploymentId=deployment, autoRollbackEnabled=True)
    assert end(aws, deployment)["status"] == status
    wait_until(lambda: not suspension(aws, NOTIFY), "it scales again")
