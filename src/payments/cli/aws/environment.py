"""An environment as it is on AWS: read anew each time, kept nowhere."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from botocore.exceptions import ClientError

from payments.cli.aws.clients import Aws, error_code, error_message
from payments.cli.data_directory import UsageError
from payments.runtime.topology import SERVICES, Architecture, Colour, Names, Service

_RUNNING_DEPLOYMENTS = ("Created", "Queued", "InProgress", "Baking", "Ready")
_UNFINISHED = "_IN_PROGRESS"
_ROLLED_BACK = "codeDeployRollback"
REPLACES_TAG = "replaces"
"""On a revision that a release registered: the one that it replaced, which a rollback brings back."""


class NotDeployed(UsageError):
    """The environment's stack has no such service, or not yet."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """One of CloudWatch's alarms."""

    name: str
    state: str
    reason: str
    """In CloudWatch's words."""

    @property
    def is_red(self) -> bool:
        """Whether CodeDeploy would undo a deployment because of it."""
        return self.state == "ALARM"


@dataclass(frozen=True, slots=True)
class TaskSet:
    """Tasks of one revision behind one target group: what a deployment replaces, and goes back to."""

    task_definition: str
    """ARN of the revision."""
    colour: Colour


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveDeployment:
    """A deployment of CodeDeploy's that isn't over."""

    deployment_id: str
    description: str
    is_codedeploys_rollback: bool
    """CodeDeploy made it, to undo another."""
    only_keeps_old_tasks: bool
    """It has moved the traffic, and waits before it ends the old tasks."""
    original: TaskSet | None
    """What serves again when it is undone; None once that is being ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployedService:
    """One service, as AWS has it."""

    service: Service
    ecs_service: str
    """What ECS calls it."""
    weights: Mapping[Colour, int]
    """Per cent of the traffic by target group, as the rules have it."""
    task_definition: str
    """ARN of the revision that serves."""
    desired: int
    running: int
    network: Mapping[str, Any]
    strategy: tuple[Mapping[str, Any], ...]
    """The capacity-provider strategy that it runs with."""
    alarms: tuple[str, ...]
    active: ActiveDeployment | None

    @property
    def active_deployment(self) -> str | None:
        """CodeDeploy's id of the deployment that isn't over."""
        return None if self.active is None else self.active.deployment_id

    @property
    def serving(self) -> Colour | None:
        """The target group that has all the traffic; None while that is split, or a deployment is going to move it."""
        if self.active is not None and not self.active.only_keeps_old_tasks:
            return None
        return next((colour for colour, weight in self.weights.items() if weight == 100), None)


class DeployedEnvironment:
    """Finds the parts of an environment by their names."""

    def __init__(self, aws: Aws, names: Names) -> None:
        """Nothing is read yet."""
        self.aws = aws
        self.names = names

    def stack_status(self) -> str | None:
        """Return CloudFormation's status of the whole; None when there is no such stack."""
        try:
            stacks = self.aws.cloudformation.describe_stacks(StackName=self.names.stack)["Stacks"]
        except ClientError as failure:
            if error_code(failure) == "ValidationError" and "does not exist" in error_message(failure):
                return None
            raise
        return stacks[0]["StackStatus"]

    def check_there(self, *, may_change: bool = False) -> None:
        """Raise `UsageError` unless the environment is deployed, and not being changed unless that may be."""
        status = self.stack_status()
        if status is None:
            raise UsageError(
                f"There is no environment '{self.names.environment}' in {self.aws.region}. "
                f"Deploy it: tap deploy --environment {self.names.environment}"
            )
        if status.endswith(_UNFINISHED) and not may_change:
            raise UsageError(f"{self.names.stack} is being changed ({status}). Wait until that is done.")

    def outputs(self) -> dict[str, str]:
        """Return the stack's outputs."""
        stack = self.aws.cloudformation.describe_stacks(StackName=self.names.stack)["Stacks"][0]
        return {each.get("OutputKey", ""): each.get("OutputValue", "") for each in stack.get("Outputs", [])}

    def services(self) -> dict[Service, DeployedService]:
        """Read all services."""
        return {service: self.service(service) for service in SERVICES}

    def service(self, service: Service) -> DeployedService:
        """Read one service; raises `UsageError` when it isn't there."""
        group = self._deployment_group(service)
        ecs_service: str = group["ecsServices"][0]["serviceName"]
        found = self.aws.ecs.describe_services(cluster=self.names.cluster, services=[ecs_service])["services"]
        if not found or found[0].get("status") == "INACTIVE":
            raise UsageError(f"ECS has no service {ecs_service} in {self.names.cluster}, though CodeDeploy deploys to it.")
        described = cast("dict[str, Any]", found[0])
        task_sets: list[dict[str, Any]] = [each for each in described.get("taskSets", []) if each["status"] != "DRAINING"]
        primary = next((each for each in task_sets if each["status"] == "PRIMARY"), described)
        (pair,) = group["loadBalancerInfo"]["targetGroupPairInfoList"]
        colours = self._colours(service)
        return DeployedService(
            service=service,
            ecs_service=ecs_service,
            weights=self._weights(service, pair["prodTrafficRoute"]["listenerArns"][0], colours),
            task_definition=self._revision(primary.get("taskDefinition") or described["taskDefinition"]),
            desired=described["desiredCount"],
            running=described["runningCount"],
            network=primary.get("networkConfiguration") or described["networkConfiguration"],
            strategy=tuple(primary.get("capacityProviderStrategy") or described.get("capacityProviderStrategy") or ()),
            alarms=tuple(each["name"] for each in group.get("alarmConfiguration", {}).get("alarms", [])),
            active=self._active_deployment(service, task_sets, colours),
        )

    def _revision(self, task_definition: str) -> str:
        """Resolve a family to the ARN of its newest revision: a service that never was released may name its family."""
        if ":task-definition/" in task_definition:
            return task_definition
        return self.aws.ecs.describe_task_definition(taskDefinition=task_definition)["taskDefinition"].get("taskDefinitionArn", "")

    def _deployment_group(self, service: Service) -> dict[str, Any]:
        name = self.names.task_family(service)
        try:
            answer = self.aws.codedeploy.get_deployment_group(applicationName=name, deploymentGroupName=name)
        except ClientError as failure:
            if error_code(failure) in ("ApplicationDoesNotExistException", "DeploymentGroupDoesNotExistException"):
                raise NotDeployed(f"CodeDeploy has no {name}. Deploy first: tap deploy --environment {self.names.environment}") from None
            raise
        return cast("dict[str, Any]", answer["deploymentGroupInfo"])

    def _active_deployment(
        self, service: Service, task_sets: Iterable[Mapping[str, Any]], colours: Mapping[str, Colour]
    ) -> ActiveDeployment | None:
        name = self.names.task_family(service)
        running = self.aws.codedeploy.list_deployments(
            applicationName=name, deploymentGroupName=name, includeOnlyStatuses=list(_RUNNING_DEPLOYMENTS)
        )["deployments"]
        if not running:
            return None
        info = cast("dict[str, Any]", self.aws.codedeploy.get_deployment(deploymentId=running[0])["deploymentInfo"])
        if info["status"] not in _RUNNING_DEPLOYMENTS:
            return None
        undone = info.get("rollbackInfo", {}).get("rollbackTriggeringDeploymentId", running[0])
        original = next((each for each in task_sets if each.get("externalId") != undone), None)
        is_rollback = info.get("creator") == _ROLLED_BACK
        return ActiveDeployment(
            deployment_id=running[0],
            description=info.get("description", ""),
            is_codedeploys_rollback=is_rollback,
            only_keeps_old_tasks=not is_rollback and has_all_traffic(self.target(running[0])),
            original=None if original is None else self._task_set(original, colours),
        )

    def target(self, deployment_id: str) -> dict[str, Any]:
        """Return what CodeDeploy says of the service that a deployment is about; nothing before it has begun."""
        codedeploy = self.aws.codedeploy
        try:
            ids = codedeploy.list_deployment_targets(deploymentId=deployment_id)["targetIds"]
            if not ids:
                return {}
            found = codedeploy.batch_get_deployment_targets(deploymentId=deployment_id, targetIds=ids[:1])["deploymentTargets"]
        except ClientError as failure:
            if error_code(failure) == "DeploymentNotStartedException":
                return {}
            raise
        return cast("dict[str, Any]", found[0].get("ecsTarget", {})) if found else {}

    def _task_set(self, described: Mapping[str, Any], colours: Mapping[str, Colour]) -> TaskSet:
        (group,) = described["loadBalancers"]
        return TaskSet(self._revision(described["taskDefinition"]), colours[group["targetGroupArn"]])

    def alarms(self, names: Iterable[str]) -> list[Alarm]:
        """Read alarms; those that aren't there are left out."""
        wanted = list(names)
        if not wanted:
            return []  # CloudWatch would return every alarm
        described = self.aws.cloudwatch.describe_alarms(AlarmNames=wanted)["MetricAlarms"]
        return [Alarm(each.get("AlarmName", ""), str(each.get("StateValue", "")), each.get("StateReason", "")) for each in described]

    def _colours(self, service: Service) -> dict[str, Colour]:
        """Return the colours of a service's target groups by ARN."""
        groups = {self.names.target_group(service, colour): colour for colour in Colour}
        described = self.aws.elbv2.describe_target_groups(Names=list(groups))["TargetGroups"]
        return {each.get("TargetGroupArn", ""): groups[each.get("TargetGroupName", "")] for each in described}

    def _weights(self, service: Service, listener_arn: str, colours: Mapping[str, Colour]) -> dict[Colour, int]:
        weights: dict[Colour, int] = {}
        for rule in self.aws.elbv2.describe_rules(ListenerArn=listener_arn)["Rules"]:
            shares = _shares(cast("list[dict[str, Any]]", rule.get("Actions", [])), colours)
            if shares:
                weights = shares
        if not weights:
            raise UsageError(f"No rule of the load balancer leads to {service}.")
        return weights

    def public_url(self) -> str:
        """Return what customers' browsers reach, as the newest migration task is told."""
        variables = self._container(self.names.migration_family).get("environment", [])
        return next(each["value"] for each in variables if each["name"] == "TAP_PUBLIC_URL")

    def injected_secret(self, variable: str, family: str | None = None) -> str:
        """Return what Secrets Manager has now for a variable of a family's newest task definition, the migration's when none is named.

        Raises `UsageError` when there is no such value.
        """
        arn, field = self._secret_source(variable, family)
        return str(self._secret(arn, field)[field])

    def secret_changed_at(self, variable: str) -> datetime:
        """Return since when Secrets Manager has what it has for a variable."""
        return self.aws.secrets.get_secret_value(SecretId=self._secret_source(variable)[0])["CreatedDate"]

    def replace_secret(self, variable: str, value: str, family: str | None = None) -> None:
        """Make `value` what the next tasks are given as a variable; what else the secret has stays, and so does its last version as the previous one."""
        arn, field = self._secret_source(variable, family)
        replaced = json.dumps({**self._secret(arn, field), field: value})
        self.aws.secrets.put_secret_value(SecretId=arn, SecretString=replaced)

    def _secret_source(self, variable: str, family: str | None = None) -> tuple[str, str]:
        family = family or self.names.migration_family
        sources: dict[str, str] = {each["name"]: each["valueFrom"] for each in self._container(family).get("secrets", [])}
        if variable not in sources:
            raise UsageError(f"{family} is given no secret as {variable}.")
        parts = sources[variable].split(":")  # arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME:FIELD::
        return ":".join(parts[:7]), parts[7]

    def _secret(self, arn: str, field: str) -> dict[str, Any]:
        try:
            fields: dict[str, Any] = json.loads(self.aws.secrets.get_secret_value(SecretId=arn)["SecretString"])
            fields[field]
        except (ValueError, TypeError, KeyError):
            raise UsageError(f"The secret {arn} isn't JSON with the field {field}.") from None
        return fields

    def replaced_revision(self, task_definition: str) -> str | None:
        """Return the revision that a release's revision replaced, as its tag says."""
        tags = self.aws.ecs.describe_task_definition(taskDefinition=task_definition, include=["TAGS"]).get("tags", [])
        return next((each.get("value") for each in tags if each.get("key") == REPLACES_TAG), None)

    def image(self, task_definition: str) -> str:
        """Return the image of a revision's container, without the registry."""
        return self._container(task_definition).get("image", "").partition("/")[2]

    def architecture(self, service: Service) -> Architecture:
        """Return the processors that the newest revision of a service asks for, which is the pattern of the next."""
        family = self.names.task_family(service)
        described = self.aws.ecs.describe_task_definition(taskDefinition=family)["taskDefinition"]
        return Architecture.from_ecs(described.get("runtimePlatform", {}).get("cpuArchitecture"))

    def _container(self, task_definition: str) -> dict[str, Any]:
        """Read the one container of a revision, or of a family's newest."""
        definition = cast("dict[str, Any]", self.aws.ecs.describe_task_definition(taskDefinition=task_definition)["taskDefinition"])
        return definition["containerDefinitions"][0]


def event_status(target: Mapping[str, Any], name: str) -> str | None:
    """Return how one of a deployment's lifecycle events stands."""
    return next((each.get("status") for each in target.get("lifecycleEvents", []) if each["lifecycleEventName"] == name), None)


def has_all_traffic(target: Mapping[str, Any]) -> bool:
    """Whether the new tasks have it, so that the old ones are only kept for going back.

    `instanceTerminationWaitTimeStarted` doesn't say so for ECS: aws/containers-roadmap issue 269.
    """
    return event_status(target, "AfterAllowTraffic") == "Succeeded"


def _shares(actions: list[dict[str, Any]], colours: Mapping[str, Colour]) -> dict[Colour, int]:
    """Per cent by colour of a rule's forward action; nothing when it leads elsewhere."""
    for action in actions:
        groups: list[dict[str, Any]] = action.get("ForwardConfig", {}).get("TargetGroups") or [
            {"TargetGroupArn": action.get("TargetGroupArn", ""), "Weight": 1}
        ]
        weights = {colours[each["TargetGroupArn"]]: int(each.get("Weight", 1)) for each in groups if each["TargetGroupArn"] in colours}
        total = sum(weights.values())
        if weights:
            return {colour: round(100 * weights.get(colour, 0) / total) if total else 0 for colour in Colour}
    return {}
