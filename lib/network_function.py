"""Lambda functions of the environment's own: inside the network, with a log under our key, and with no right but those that are named."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from lib.acknowledgements import acknowledge
from lib.environments import size_of
from lib.log_group import log_group
from lib.security_stack import INLINE_POLICY, INLINE_REASON
from payments.runtime.topology import Names, Service

_CODE = Path(__file__).parent / "hooks"
_NETWORK_INTERFACES = ("ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:DeleteNetworkInterface")
"""Which Lambda makes with the function's own role. Source: Lambda, "Giving Lambda functions access to resources in an Amazon VPC"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where functions of an environment are."""

    environment_suffix: str
    vpc: ec2.IVpc
    kms_key_arn: str
    """Of what they are given, what they write, and what they read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one function is for."""

    name: str
    module: str
    """Of lib/hooks, which has its `handler`."""
    log: str
    """The end of its log group's name."""
    description: str
    role_description: str
    seconds_max: int
    environment: Mapping[str, str]
    rights: Sequence[iam.PolicyStatement]
    any_resource_reason: str
    """Why some of its rights are on any resource."""


def network_function(scope: Construct, place: Place, work: Work, security_group: ec2.SecurityGroup) -> lambda_.Function:
    """Make a function in private subnets, which leaves them as the group lets it; its handler is called each day with `{"awake": true}`, which asks nothing."""
    key = kms.Key.from_key_arn(scope, "Key", place.kms_key_arn)
    written = log_group(scope, "Logs", name=f"/tap/{place.environment_suffix}/{work.log}", key=key, size=size_of(place.environment_suffix))
    role = iam.Role(
        scope,
        "Role",
        assumed_by=cast("iam.IPrincipal", iam.ServicePrincipal("lambda.amazonaws.com")),
        description=work.role_description,
    )
    for statement in (
        *work.rights,
        iam.PolicyStatement(actions=["kms:Decrypt"], resources=[place.kms_key_arn]),
        iam.PolicyStatement(actions=["logs:CreateLogStream", "logs:PutLogEvents"], resources=[written.log_group_arn]),
        iam.PolicyStatement(actions=list(_NETWORK_INTERFACES), resources=["*"]),
    ):
        role.add_to_policy(statement)
    acknowledge(
        role.node.find_child("DefaultPolicy"),
        {INLINE_POLICY: INLINE_REASON, "AwsSolutions::AwsSolutions-IAM5[Resource::*]": work.any_resource_reason},
    )
    function = lambda_.Function(
        scope,
        "Function",
        function_name=work.name,
        description=work.description,
        runtime=lambda_.Runtime.PYTHON_3_14,
        handler=f"{work.module}.handler",
        code=lambda_.Code.from_asset(str(_CODE), exclude=["__pycache__", "*.pyc"]),
        timeout=cdk.Duration.seconds(work.seconds_max),
        memory_size=256,
        environment=dict(work.environment),
        environment_encryption=kms.Key.from_key_arn(scope, "EnvironmentKey", place.kms_key_arn),
        log_group=written,
        role=cast("iam.IRole", role),
        vpc=place.vpc,
        vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS),
        security_groups=[cast("ec2.ISecurityGroup", security_group)],
    )
    events.Rule(
        scope,
        "Awake",
        description="Lambda takes the network away from a function that nobody called for weeks, and refuses its next call",
        schedule=events.Schedule.rate(cdk.Duration.days(1)),
        targets=[
            cast(
                "events.IRuleTarget",
                targets.LambdaFunction(cast("lambda_.IFunction", function), event=events.RuleTargetInput.from_object({"awake": True})),
            )
        ],
    )
    return function


def deployment_groups(scope: Construct, environment_suffix: str, services: Sequence[Service]) -> list[str]:
    """Return the ARNs of the services' deployment groups, which are called as their applications are."""
    names = Names(environment_suffix)
    return [
        cdk.Stack.of(scope).format_arn(
            service="codedeploy",
            resource="deploymentgroup",
            resource_name=f"{name}/{name}",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        for name in map(names.task_family, services)
    ]
