"""A user's own app: a `TapStack` of their own over the seven stacks, which names what each takes and nothing else; and what a unit test of theirs asks.

It is run by itself, as theirs would be: `OWN_OUTDIR` says where the assembly goes, and what the test asked is printed.
"""

import json
import os
from dataclasses import fields
from inspect import signature
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk.assertions import Template
from cdk_nag import AwsSolutionsChecks, PCIDSS321Checks
from constructs import Construct

from lib.container_stack import ContainerStack, ContainerStackProps
from lib.database_stack import DatabaseStack, DatabaseStackProps
from lib.deployment_stack import DeploymentStack, DeploymentStackProps
from lib.ecs_stack import EcsStack, EcsStackProps
from lib.monitoring_stack import MonitoringStack, MonitoringStackProps
from lib.networking_stack import NetworkingStack, NetworkingStackProps
from lib.options import Options
from lib.security_stack import SecurityStack, SecurityStackProps
from lib.tap_stack import TapStack, TapStackProps


class OwnTapStack(cdk.Stack):
    """As short as it can be; `vpc_id`: in a network that there is already."""

    def __init__(self, scope: Construct, construct_id: str, suffix: str, vpc_id: str | None = None) -> None:
        super().__init__(scope, construct_id)
        if vpc_id is None:
            vpc: ec2.IVpc = NetworkingStack(self, f"NetworkingStack{suffix}", props=NetworkingStackProps(environment_suffix=suffix)).vpc
        else:
            vpc = _imported(self, vpc_id)
        security = SecurityStack(self, f"SecurityStack{suffix}", props=SecurityStackProps(environment_suffix=suffix, vpc=vpc))
        DatabaseStack(
            self,
            f"DatabaseStack{suffix}",
            props=DatabaseStackProps(
                environment_suffix=suffix,
                vpc=vpc,
                database_security_group=security.database_security_group,
                kms_key=security.kms_key,
                db_secret=security.db_secret,
            ),
        )
        container = ContainerStack(self, f"ContainerStack{suffix}", props=ContainerStackProps(environment_suffix=suffix))
        services = EcsStack(
            self,
            f"EcsStack{suffix}",
            props=EcsStackProps(
                environment_suffix=suffix,
                vpc=vpc,
                alb_security_group=security.alb_security_group,
                ecs_security_group=security.ecs_security_group,
                kms_key=security.kms_key,
                db_secret=security.db_secret,
                api_secret=security.api_secret,
                payment_api_repo=container.payment_api_repo,
                transaction_processor_repo=container.transaction_processor_repo,
                notification_service_repo=container.notification_service_repo,
            ),
        )
        monitoring = MonitoringStack(
            self,
            f"MonitoringStack{suffix}",
            props=MonitoringStackProps(
                environment_suffix=suffix,
                cluster=services.cluster,
                payment_api_service=services.payment_api_service,
                transaction_processor_service=services.transaction_processor_service,
                notification_service=services.notification_service,
                alb=services.alb,
                target_groups={
                    "payment_api": services.payment_api_target_group,
                    "transaction_processor": services.transaction_processor_target_group,
                    "notification": services.notification_service_target_group,
                },
            ),
        )
        self.deployment = DeploymentStack(
            self,
            f"DeploymentStack{suffix}",
            props=DeploymentStackProps(
                environment_suffix=suffix,
                payment_api_service=services.payment_api_service,
                transaction_processor_service=services.transaction_processor_service,
                notification_service=services.notification_service,
                alb_listener=services.alb_listener,
                target_groups={
                    "payment_api": {"blue": services.payment_api_target_group, "green": services.payment_api_target_group_green},
                    "transaction_processor": {
                        "blue": services.transaction_processor_target_group,
                        "green": services.transaction_processor_target_group_green,
                    },
                    "notification": {
                        "blue": services.notification_service_target_group,
                        "green": services.notification_service_target_group_green,
                    },
                },
                alarms={
                    "payment_api": monitoring.payment_api_alarm,
                    "transaction_processor": monitoring.transaction_processor_alarm,
                    "notification": monitoring.notification_service_alarm,
                },
            ),
        )
        cdk.CfnOutput(self, f"LoadBalancerDNS{suffix}", value=services.alb.load_balancer_dns_name)
        cdk.CfnOutput(self, f"ClusterName{suffix}", value=services.cluster.cluster_name)


def _imported(scope: Construct, vpc_id: str) -> ec2.IVpc:
    ids = {kind: [f"subnet-{kind}{zone}" for zone in "abc"] for kind in ("public", "private", "isolated")}
    return ec2.Vpc.from_vpc_attributes(
        scope,
        "Vpc",
        vpc_id=vpc_id,
        availability_zones=["eu-west-1a", "eu-west-1b", "eu-west-1c"],
        vpc_cidr_block="10.9.0.0/16",
        public_subnet_ids=ids["public"],
        private_subnet_ids=ids["private"],
        isolated_subnet_ids=ids["isolated"],
    )


def _errors(construct: Construct) -> list[str]:
    return [str(each.data) for each in construct.node.metadata if each.type == "aws:cdk:error"]


def _asked() -> dict[str, Any]:
    """What a unit test asks of `TapStack` itself, called in each way that there is."""
    app = cdk.App()
    default = TapStack(app, "TapStack", env=cdk.Environment(account="111111111111", region="eu-west-1"), description="Ours")
    named = TapStack(
        app, "Named", TapStackProps(environment_suffix="prod", tags={"team": "payments"}, env=cdk.Environment(region="eu-west-2"))
    )
    children = (
        default.networking_stack,
        default.security_stack,
        default.database_stack,
        default.container_stack,
        default.ecs_stack,
        default.monitoring_stack,
        default.deployment_stack,
    )
    return {
        "suffixes": [default.environment_suffix, named.environment_suffix],
        "places": [(each.account if not cdk.Token.is_unresolved(each.account) else None, each.region) for each in (default, named)],
        "children": {each.node.id: len(Template.from_stack(each).to_json()["Resources"]) for each in children},
        "description": Template.from_stack(default).to_json()["Description"],
        "tags": named.tags.tag_values(),
        "protected": named.termination_protection,
        "refused": _errors(named.ecs_stack),
        "refused in a network whose addresses aren't known": _errors(OwnTapStack(app, "Elsewhere", "test", "vpc-0123abcd").deployment),
        "options without a property": sorted(
            {each.name for each in fields(Options)} - signature(TapStackProps.__init__).parameters.keys() - {"serving", "zones"}
        ),
    }


if __name__ == "__main__":
    own = cdk.App(context=json.loads(os.environ["OWN_CONTEXT"]), outdir=os.environ["OWN_OUTDIR"])
    OwnTapStack(own, "TapStack", "test")
    cdk.Validations.of(own).add_plugins(AwsSolutionsChecks(), PCIDSS321Checks())
    own.synth()
    print(json.dumps(_asked()))
