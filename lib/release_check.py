"""The Lambda function that CodeDeploy calls to try a release out, `lib/hooks/synthetic_payment.py`, with the rights that it needs."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from lib.acknowledgements import acknowledge
from lib.environments import size_of
from lib.log_group import log_group
from lib.security_stack import INLINE_POLICY, INLINE_REASON, TEST_LISTENER_PORT, closed_group
from payments.runtime.topology import SANDBOX_KEY_PREFIX, TRIAL_HEADER, ApiSecretField, Names, Service

_CODE = Path(__file__).parent / "hooks"
_SECONDS_MAX = 300
"""Longer than the check's own attempts and pauses can take, so that CodeDeploy always hears how it went."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseCheckProps:
    """What the check depends on."""

    environment_suffix: str
    vpc: ec2.IVpc
    kms_key_arn: str
    sandbox_secret_arn: str
    test_url: str
    """The test listener, by the load balancer's own name."""
    public_url: str | None


class ReleaseCheck(Construct):
    """Exposes `function`, and the `security_group` that lets out to AWS."""

    def __init__(self, scope: Construct, construct_id: str, *, props: ReleaseCheckProps) -> None:
        super().__init__(scope, construct_id)
        name = Names(props.environment_suffix).hook_function
        written = log_group(
            self,
            "Logs",
            name=f"/tap/{props.environment_suffix}/release-check",
            key=kms.Key.from_key_arn(self, "Key", props.kms_key_arn),
            size=size_of(props.environment_suffix),
        )
        environment = {
            "TEST_URL": props.test_url,
            "SANDBOX_SECRET_ARN": props.sandbox_secret_arn,
            "KEY_PREFIX": SANDBOX_KEY_PREFIX,
            "TRIAL_HEADER": TRIAL_HEADER,
            "KEY_FIELD": ApiSecretField.SANDBOX_KEY.value,
        }
        if props.public_url is not None:
            environment["SERVER_NAME"] = urlsplit(props.public_url).hostname or ""
        self.security_group = self._security_group(props.vpc)
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=name,
            description="Pays in test mode on the test listener before a release gets traffic",
            runtime=lambda_.Runtime.PYTHON_3_14,
            handler="synthetic_payment.handler",
            code=lambda_.Code.from_asset(str(_CODE), exclude=["__pycache__", "*.pyc"]),
            timeout=cdk.Duration.seconds(_SECONDS_MAX),
            memory_size=256,
            environment=environment,
            environment_encryption=kms.Key.from_key_arn(self, "EnvironmentKey", props.kms_key_arn),
            log_group=written,
            role=self._role(props, written),
            vpc=props.vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS),
            security_groups=[self.security_group],
        )

    def _security_group(self, vpc: ec2.IVpc) -> ec2.SecurityGroup:
        """Here and not in the security stack, since no rule of it names another group."""
        group = closed_group(self, vpc, "SecurityGroup", "Release check: to the test listener and to AWS")
        group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(TEST_LISTENER_PORT), "To the test listener")
        group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "To AWS")
        return group

    def _role(self, props: ReleaseCheckProps, written: logs.LogGroup) -> iam.IRole:
        role = iam.Role(
            self,
            "Role",
            assumed_by=cast("iam.IPrincipal", iam.ServicePrincipal("lambda.amazonaws.com")),
            description="Tries releases out: reads the sandbox's key, and tells CodeDeploy how it went",
        )
        stack = cdk.Stack.of(self)
        names = Names(props.environment_suffix)
        groups = [
            stack.format_arn(
                service="codedeploy",
                resource="deploymentgroup",
                resource_name=f"{names.task_family(service)}/{names.task_family(service)}",
                arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
            )
            for service in Service
        ]
        interfaces = ["ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:DeleteNetworkInterface"]
        for statement in (
            iam.PolicyStatement(actions=["secretsmanager:GetSecretValue"], resources=[props.sandbox_secret_arn]),
            iam.PolicyStatement(actions=["kms:Decrypt"], resources=[props.kms_key_arn]),
            iam.PolicyStatement(actions=["codedeploy:PutLifecycleEventHookExecutionStatus"], resources=groups),
            iam.PolicyStatement(actions=["logs:CreateLogStream", "logs:PutLogEvents"], resources=[written.log_group_arn]),
            iam.PolicyStatement(actions=interfaces, resources=["*"]),
        ):
            role.add_to_policy(statement)
        acknowledge(
            role.node.find_child("DefaultPolicy"),
            {
                INLINE_POLICY: INLINE_REASON,
                "AwsSolutions::AwsSolutions-IAM5[Resource::*]": "Lambda makes network interfaces, whose names nobody knows before.",
            },
        )
        return cast("iam.IRole", role)
