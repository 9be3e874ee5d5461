"""CodeDeploy: blue/green per service, with rollback on failure, on stop and on alarm."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_codedeploy as codedeploy
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from constructs import Construct

from lib.acknowledgements import acknowledge
from lib.ecs_stack import EcsStack
from lib.environments import size_of
from lib.monitoring_stack import MonitoringStack
from lib.network_function import Place
from lib.release_check import ReleaseCheck, ReleaseCheckProps
from lib.scaling_resumption import ScalingResumption
from lib.security_stack import TEST_LISTENER_PORT, SecurityStack
from lib.spot_notices import SpotNotices
from lib.wiring import ServicesProps, by_service, made_by
from payments.runtime.topology import ApiSecretField, Colour, Names, Service

_OLD_TASKS_KEPT = cdk.Duration.minutes(15)
"""For as long as that a release is undone by moving traffic back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentStackProps(ServicesProps):
    """What releases depend on."""

    alb_listener: elbv2.ApplicationListener
    target_groups: Mapping[str, Mapping[str, elbv2.ApplicationTargetGroup]]
    """Of each service `blue` and `green`."""
    alarms: Mapping[str, cloudwatch.Alarm]
    """Of each service its own; what undoes every release is added."""


class DeploymentStack(cdk.NestedStack):
    """Exposes `deployment_groups`, one a service, and `release_check`, the function that tries a release out,
    `scaling_resumption`, the one that lets services scale again, and `spot_notices`, the one that takes tasks out of service which Spot ends."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        props: DeploymentStackProps,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, construct_id, **kwargs)
        self._props, self._services = props, made_by(EcsStack, props.alb_listener)
        options = self._services.options
        if not made_by(SecurityStack, self._services.props.alb_security_group).test_addresses:
            cdk.Annotations.of(self).add_error(
                "No release could be tried out: of an imported network say where its own calls come from, by `-c testAddresses=…`, its NAT gateways' addresses."
            )
        balancer = f"{options.scheme}://{self._services.alb.load_balancer_dns_name}"
        place = Place(
            environment_suffix=props.environment_suffix,
            vpc=self._services.props.vpc,
            kms_key_arn=self._services.props.kms_key.key_arn,
        )
        self.release_check = ReleaseCheck(
            self,
            "ReleaseCheck",
            props=ReleaseCheckProps(
                place=place,
                sandbox_secret_arn=self._services.api_secrets[ApiSecretField.SANDBOX_KEY].secret_arn,
                live_url=balancer,
                test_url=f"{balancer}:{TEST_LISTENER_PORT}",
                public_url=options.public_url,
            ),
        )
        self.scaling_resumption = ScalingResumption(
            self, "ScalingResumption", place=place, services=props.services, security_group=self.release_check.security_group
        )
        groups, alarms = by_service(props.target_groups), by_service(props.alarms)
        self.spot_notices = SpotNotices(
            self,
            "SpotNotices",
            place=place,
            cluster=next(iter(props.services.values())).cluster,
            target_groups=groups,
            security_group=self.release_check.security_group,
        )
        self.deployment_groups = {
            service: self._group(service, made, groups[service], alarms[service]) for service, made in props.services.items()
        }

    def _group(
        self,
        service: Service,
        made: ecs.FargateService,
        groups: Mapping[str, elbv2.ApplicationTargetGroup],
        alarm: cloudwatch.Alarm,
    ) -> codedeploy.EcsDeploymentGroup:
        name = Names(self._props.environment_suffix).task_family(service)
        configurations = codedeploy.EcsDeploymentConfig
        canary = size_of(self._props.environment_suffix).canary
        group = codedeploy.EcsDeploymentGroup(
            self,
            service.value,
            application=codedeploy.EcsApplication(self, f"{service}Application", application_name=name),
            deployment_group_name=name,
            service=made,
            blue_green_deployment_config=codedeploy.EcsBlueGreenDeploymentConfig(
                blue_target_group=groups[Colour.BLUE],
                green_target_group=groups[Colour.GREEN],
                # The one that leads to it: there may be no other, so that a service which others call is behind theirs alone.
                listener=self._services.services[service].props.door.listener,
                test_listener=self._services.services[service].props.door.test_listener,
                termination_wait_time=_OLD_TASKS_KEPT,
            ),
            deployment_config=configurations.CANARY_10_PERCENT_5_MINUTES if canary else configurations.ALL_AT_ONCE,
            alarms=[alarm, *made_by(MonitoringStack, alarm).release_alarms],
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
