"""The Lambda function that lets services scale again after a release, `lib/hooks/resume_scaling.py`, and what calls it."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from lib.acknowledgements import acknowledge
from lib.environments import size_of
from lib.log_group import log_group
from lib.release_check import ReleaseCheck
from lib.security_stack import INLINE_POLICY, INLINE_REASON
from payments.runtime.topology import Names, Service

_CODE = Path(__file__).parent / "hooks"
_ENDED = ("SUCCESS", "FAILURE", "STOP")
"""CodeDeploy's words for it. Source: CodeDeploy, "Monitoring deployments with Amazon CloudWatch Events"."""


class ScalingResumption(Construct):
    """Exposes `function`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        environment_suffix: str,
        vpc: ec2.IVpc,
        kms_key_arn: str,
        services: Mapping[Service, ecs.FargateService],
        check: ReleaseCheck,
    ) -> None:
        """It calls AWS from where the release's `check` does, and by its security group."""
        super().__init__(scope, construct_id)
        names, stack = Names(environment_suffix), cdk.Stack.of(self)
        key = kms.Key.from_key_arn(self, "Key", kms_key_arn)
        written = log_group(self, "Logs", name=f"/tap/{environment_suffix}/resume-scaling", key=key, size=size_of(environment_suffix))
        role = iam.Role(
            self,
            "Role",
            assumed_by=cast("iam.IPrincipal", iam.ServicePrincipal("lambda.amazonaws.com")),
            description="Lets services scale again after a release",
        )
        applications = {service: names.task_family(service) for service in services}
        groups = [
            stack.format_arn(
                service="codedeploy",
                resource="deploymentgroup",
                resource_name=f"{name}/{name}",
                arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
            )
            for name in applications.values()
        ]
        interfaces = ["ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:DeleteNetworkInterface"]
        scaled = {"StringEquals": {"application-autoscaling:service-namespace": "ecs"}}
        for statement in (
            iam.PolicyStatement(actions=["codedeploy:ListDeployments"], resources=groups),
            iam.PolicyStatement(actions=["application-autoscaling:RegisterScalableTarget"], resources=["*"], conditions=scaled),
            # Application Auto Scaling asks for these of whoever changes a target of ECS.
            iam.PolicyStatement(
                actions=["ecs:DescribeServices", "ecs:UpdateService"], resources=[each.service_arn for each in services.values()]
            ),
            iam.PolicyStatement(actions=["kms:Decrypt"], resources=[kms_key_arn]),
            iam.PolicyStatement(actions=["logs:CreateLogStream", "logs:PutLogEvents"], resources=[written.log_group_arn]),
            iam.PolicyStatement(actions=interfaces, resources=["*"]),
        ):
            role.add_to_policy(statement)
        acknowledge(
            role.node.find_child("DefaultPolicy"),
            {
                INLINE_POLICY: INLINE_REASON,
                "AwsSolutions::AwsSolutions-IAM5[Resource::*]": "Lambda makes network interfaces, and a scalable target has an id, of which nobody knows "
                "before; it is limited to those of ECS.",
            },
        )
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=f"tap-{environment_suffix}-resume-scaling",
            description="Lets a service scale again when its deployment has ended",
            runtime=lambda_.Runtime.PYTHON_3_14,
            handler="resume_scaling.handler",
            code=lambda_.Code.from_asset(str(_CODE), exclude=["__pycache__", "*.pyc"]),
            timeout=cdk.Duration.seconds(60),
            memory_size=256,
            environment={"TARGETS": stack.to_json_string({name: _resource_id(services[each]) for each, name in applications.items()})},
            environment_encryption=kms.Key.from_key_arn(self, "EnvironmentKey", kms_key_arn),
            log_group=written,
            role=cast("iam.IRole", role),
            vpc=vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS),
            security_groups=[cast("ec2.ISecurityGroup", check.security_group)],
        )
        events.Rule(
            self,
            "Ended",
            description="A deployment of a service has ended",
            event_pattern=events.EventPattern(
                source=["aws.codedeploy"],
                detail_type=["CodeDeploy Deployment State-change Notification"],
                detail={"application": list(applications.values()), "state": list(_ENDED)},
            ),
            targets=[cast("events.IRuleTarget", targets.LambdaFunction(cast("lambda_.IFunction", self.function)))],
        )


def _resource_id(service: ecs.FargateService) -> str:
    """As Application Auto Scaling calls a service."""
    return f"service/{service.cluster.cluster_name}/{service.service_name}"
