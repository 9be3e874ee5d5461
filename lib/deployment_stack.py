"""CodeDeploy: blue/green per service, with rollback on failure, on stop and on alarm."""

from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_codedeploy as codedeploy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from constructs import Construct

from lib.acknowledgements import acknowledge
from lib.ecs_stack import TEST_LISTENER_PORT
from lib.environments import EnvironmentSize
from lib.fargate_service import FargateService
from lib.release_check import ReleaseCheck, ReleaseCheckProps
from payments.runtime.topology import Names, Service

_OLD_TASKS_KEPT = cdk.Duration.minutes(15)
"""For as long as that a release is undone by moving traffic back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentStackProps:
    """What releases depend on."""

    environment_suffix: str
    size: EnvironmentSize
    services: dict[Service, FargateService]
    listener: elbv2.ApplicationListener
    test_listener: elbv2.ApplicationListener
    alarms: dict[Service, cloudwatch.Alarm]
    vpc: ec2.IVpc
    hook_security_group_id: str
    kms_key_arn: str
    sandbox_secret_arn: str
    load_balancer_name: str
    """Its DNS name."""
    public_url: str | None
    plain_http: bool


class DeploymentStack(cdk.NestedStack):
    """Exposes `deployment_groups`, one a service, and `release_check`, the function that tries a release out."""

    def __init__(self, scope: Construct, construct_id: str, *, props: DeploymentStackProps) -> None:
        super().__init__(scope, construct_id)
        self._props = props
        self.release_check = ReleaseCheck(
            self,
            "ReleaseCheck",
            props=ReleaseCheckProps(
                environment_suffix=props.environment_suffix,
                size=props.size,
                vpc=props.vpc,
                security_group_id=props.hook_security_group_id,
                kms_key_arn=props.kms_key_arn,
                sandbox_secret_arn=props.sandbox_secret_arn,
                test_url=f"{'http' if props.plain_http else 'https'}://{props.load_balancer_name}:{TEST_LISTENER_PORT}",
                public_url=props.public_url,
            ),
        )
        self.deployment_groups = {service: self._group(service, made) for service, made in props.services.items()}

    def _group(self, service: Service, made: FargateService) -> codedeploy.EcsDeploymentGroup:
        props = self._props
        name = Names(props.environment_suffix).task_family(service)
        configurations = codedeploy.EcsDeploymentConfig
        group = codedeploy.EcsDeploymentGroup(
            self,
            service.value,
            application=codedeploy.EcsApplication(self, f"{service}Application", application_name=name),
            deployment_group_name=name,
            service=made.service,
            blue_green_deployment_config=codedeploy.EcsBlueGreenDeploymentConfig(
                blue_target_group=made.blue,
                green_target_group=made.green,
                listener=props.listener,
                test_listener=props.test_listener,
                termination_wait_time=_OLD_TASKS_KEPT,
            ),
            deployment_config=configurations.CANARY_10_PERCENT_5_MINUTES if props.size.canary else configurations.ALL_AT_ONCE,
            alarms=[props.alarms[service]],
            auto_rollback=codedeploy.AutoRollbackConfig(failed_deployment=True, stopped_deployment=True, deployment_in_alarm=True),
        )
        acknowledge(
            group.node.find_child("ServiceRole"),
            {
                "AwsSolutions::AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/AWSCodeDeployRoleForECS]": "AWS keeps the list of what "
                "CodeDeploy needs; a copy of ours would fall behind in the middle of a release."
            },
        )
        return group
