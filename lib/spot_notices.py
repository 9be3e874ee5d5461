"""The Lambda function that takes tasks out of their load balancer at Spot's notice, `lib/hooks/spot_notice.py`, and what calls it."""

from collections.abc import Mapping
from typing import cast

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from lib.network_function import Place, Work, network_function
from payments.runtime.topology import CONTAINER_PORT, Names, Service


class SpotNotices(Construct):
    """Exposes `function`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        place: Place,
        cluster: ecs.ICluster,
        target_groups: Mapping[Service, Mapping[str, elbv2.ApplicationTargetGroup]],
        security_group: ec2.SecurityGroup,
    ) -> None:
        """`target_groups`: of each service both; `security_group` lets the function out to AWS."""
        super().__init__(scope, construct_id)
        names = Names(place.environment_suffix)
        arns = {service: [each.target_group_arn for each in groups.values()] for service, groups in target_groups.items()}
        work = Work(
            name=f"tap-{place.environment_suffix}-spot-notice",
            module="spot_notice",
            log="spot-notice",
            description="Takes a task out of its load balancer when Spot takes its capacity away",
            role_description="Takes tasks out of their load balancer at Spot's notice",
            seconds_max=60,
            environment={
                "TARGET_GROUPS": cdk.Stack.of(self).to_json_string({names.task_family(service): each for service, each in arns.items()}),
                "PORT": str(CONTAINER_PORT),
            },
            rights=(
                iam.PolicyStatement(
                    actions=["elasticloadbalancing:DeregisterTargets"], resources=[arn for each in arns.values() for arn in each]
                ),
            ),
            any_resource_reason="Lambda makes network interfaces, whose names nobody knows before.",
        )
        self.function = network_function(self, place, work, security_group)
        events.Rule(
            self,
            "Noticed",
            description="A task runs still, and is to stop",
            event_pattern=events.EventPattern(
                source=["aws.ecs"],
                detail_type=["ECS Task State Change"],
                # Why it is to stop isn't always said: aws/containers-roadmap issue 1565. To take it out of service is right whyever.
                detail={"clusterArn": [cluster.cluster_arn], "desiredStatus": ["STOPPED"], "lastStatus": ["RUNNING", "DEACTIVATING"]},
            ),
            targets=[cast("events.IRuleTarget", targets.LambdaFunction(cast("lambda_.IFunction", self.function)))],
        )
