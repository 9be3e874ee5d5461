"""The Lambda function that lets services scale again after a release, `lib/hooks/resume_scaling.py`, and what calls it."""

from collections.abc import Mapping
from typing import cast

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from lib.network_function import Place, Work, deployment_groups, network_function
from payments.runtime.topology import Names, Service

_ENDED = ("SUCCESS", "FAILURE", "STOP")
"""CodeDeploy's words for it. Source: CodeDeploy, "Monitoring deployments with Amazon CloudWatch Events"."""


class ScalingResumption(Construct):
    """Exposes `function`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        place: Place,
        services: Mapping[Service, ecs.FargateService],
        security_group: ec2.SecurityGroup,
    ) -> None:
        """`security_group` lets it out to AWS."""
        super().__init__(scope, construct_id)
        names, stack = Names(place.environment_suffix), cdk.Stack.of(self)
        applications = {service: names.task_family(service) for service in services}
        scaled = {"StringEquals": {"application-autoscaling:service-namespace": "ecs"}}
        work = Work(
            name=f"tap-{place.environment_suffix}-resume-scaling",
            module="resume_scaling",
            log="resume-scaling",
            description="Lets a service scale again when its deployment has ended",
            role_description="Lets services scale again after a release",
            seconds_max=60,
            environment={"TARGETS": stack.to_json_string({name: _resource_id(services[each]) for each, name in applications.items()})},
            rights=(
                iam.PolicyStatement(
                    actions=["codedeploy:ListDeployments"], resources=deployment_groups(self, place.environment_suffix, list(services))
                ),
                iam.PolicyStatement(actions=["application-autoscaling:RegisterScalableTarget"], resources=["*"], conditions=scaled),
                # Application Auto Scaling asks for these of whoever changes a target of ECS.
                iam.PolicyStatement(
                    actions=["ecs:DescribeServices", "ecs:UpdateService"], resources=[each.service_arn for each in services.values()]
                ),
            ),
            any_resource_reason="Lambda makes network interfaces, and a scalable target has an id, of which nobody knows before; it is limited to those of ECS.",
        )
        self.function = network_function(self, place, work, security_group)
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
