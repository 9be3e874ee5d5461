"""TapStack puts the seven nested stacks together. It defines no resource of its own."""

from collections.abc import Sequence
from typing import Any

import aws_cdk as cdk
from constructs import Construct

from lib.container_stack import ContainerStack, ContainerStackProps
from lib.database_stack import DatabaseStack, DatabaseStackProps
from lib.deployment_stack import DeploymentStack, DeploymentStackProps
from lib.ecs_stack import EcsStack, EcsStackProps
from lib.environments import check_region, size_of
from lib.monitoring_stack import MonitoringStack, MonitoringStackProps
from lib.networking_stack import NetworkingStack, NetworkingStackProps
from lib.security_stack import SecurityStack, SecurityStackProps


class TapStackProps(cdk.StackProps):
    """One deployment of Tap: what `cdk.StackProps` takes, and what `lib.options.Options` explains, each else looked for in the context."""

    def __init__(
        self,
        environment_suffix: str | None = None,
        *,
        certificate_arn: str | None = None,
        allow_http: bool | None = None,
        public_url: str | None = None,
        image_tag: str | None = None,
        alarm_email: str | None = None,
        private_webhooks: bool | None = None,
        writes_per_second: int | None = None,
        frame_ancestors: Sequence[str] | None = None,
        availability_zones: Sequence[str] | None = None,
        architecture: str | None = None,
        dual_stack: bool | None = None,
        acquirer_ports: Sequence[int] | None = None,
        queues: Sequence[str] | None = None,
        smtp_secret_arn: str | None = None,
        mail_from: str | None = None,
        test_addresses: Sequence[str] | None = None,
        **stack: Any,
    ) -> None:
        """`environment_suffix`: else the context's `environmentSuffix`, else `dev`."""
        super().__init__(**stack)
        self.environment_suffix = environment_suffix
        self.stack = stack
        said = {
            "certificateArn": certificate_arn,
            "allowHttp": allow_http,
            "publicUrl": public_url,
            "imageTag": image_tag,
            "alarmEmail": alarm_email,
            "privateWebhooks": private_webhooks,
            "writesPerSecond": writes_per_second,
            "frameAncestors": None if frame_ancestors is None else " ".join(frame_ancestors),
            "architecture": architecture,
            "dualStack": dual_stack,
            "availabilityZones": None if availability_zones is None else ",".join(availability_zones),
            "acquirerPorts": None if acquirer_ports is None else ",".join(map(str, acquirer_ports)),
            "queues": None if queues is None else " ".join(queues),
            "smtpSecretArn": smtp_secret_arn,
            "mailFrom": mail_from,
            "testAddresses": None if test_addresses is None else ",".join(test_addresses),
        }
        self.options = {name: value for name, value in said.items() if value is not None}


class TapStack(cdk.Stack):
    """The whole system; one update is one unit.

    Exposes `environment_suffix`, and the nested stacks: `networking_stack`, `security_stack`, `database_stack`, `container_stack`, `ecs_stack`,
    `monitoring_stack`, `deployment_stack`.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        props: TapStackProps | None = None,
        **kwargs: Any,
    ) -> None:
        """`kwargs` are those of `cdk.Stack`, and come before what `props` says of it. Raises `ConfigurationError`."""
        props = props or TapStackProps()
        suffix = props.environment_suffix or scope.node.try_get_context("environmentSuffix") or "dev"
        stack: dict[str, Any] = {
            "description": f"Tap {suffix}: card payments",
            "termination_protection": size_of(suffix).protected,
            **props.stack,
            **kwargs,
        }
        stack["tags"] = {"application": "tap", "environment": suffix, **(stack.get("tags") or {})}
        super().__init__(scope, construct_id, **stack)
        check_region(None if cdk.Token.is_unresolved(self.region) else self.region)
        for name, value in props.options.items():
            self.node.set_context(name, value)
        self.environment_suffix = suffix
        self.networking_stack = NetworkingStack(self, f"NetworkingStack{suffix}", NetworkingStackProps(environment_suffix=suffix))
        self.security_stack = SecurityStack(
            self, f"SecurityStack{suffix}", SecurityStackProps(environment_suffix=suffix, vpc=self.networking_stack.vpc)
        )
        self.database_stack = DatabaseStack(
            self,
            f"DatabaseStack{suffix}",
            DatabaseStackProps(
                environment_suffix=suffix,
                vpc=self.networking_stack.vpc,
                database_security_group=self.security_stack.database_security_group,
                kms_key=self.security_stack.kms_key,
                db_secret=self.security_stack.db_secret,
            ),
        )
        self.container_stack = ContainerStack(
            self, f"ContainerStack{suffix}", ContainerStackProps(environment_suffix=suffix, kms_key=self.security_stack.kms_key)
        )
        self.ecs_stack = self._services()
        self.monitoring_stack = self._monitoring()
        self.deployment_stack = self._deployment()
        cdk.CfnOutput(self, f"LoadBalancerDNS{suffix}", value=self.ecs_stack.alb.load_balancer_dns_name)
        cdk.CfnOutput(self, f"ClusterName{suffix}", value=self.ecs_stack.cluster.cluster_name)

    def _services(self) -> EcsStack:
        suffix, security, container = self.environment_suffix, self.security_stack, self.container_stack
        services = EcsStack(
            self,
            f"EcsStack{suffix}",
            EcsStackProps(
                environment_suffix=suffix,
                vpc=self.networking_stack.vpc,
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
        # Services find their database in its secret, which no template shows: they go before it goes.
        services.add_stack_dependency(self.database_stack)
        return services

    def _monitoring(self) -> MonitoringStack:
        suffix, services = self.environment_suffix, self.ecs_stack
        return MonitoringStack(
            self,
            f"MonitoringStack{suffix}",
            MonitoringStackProps(
                environment_suffix=suffix,
                cluster=services.cluster,
                payment_api_service=services.payment_api_service,
                transaction_processor_service=services.transaction_processor_service,
                notification_service=services.notification_service,
                alb=services.alb,
                target_groups={
                    "payment-api": services.payment_api_target_group,
                    "transaction-processor": services.transaction_processor_target_group,
                    "notification-service": services.notification_service_target_group,
                },
            ),
        )

    def _deployment(self) -> DeploymentStack:
        suffix, services, monitoring = self.environment_suffix, self.ecs_stack, self.monitoring_stack
        return DeploymentStack(
            self,
            f"DeploymentStack{suffix}",
            DeploymentStackProps(
                environment_suffix=suffix,
                payment_api_service=services.payment_api_service,
                transaction_processor_service=services.transaction_processor_service,
                notification_service=services.notification_service,
                alb_listener=services.alb_listener,
                target_groups={
                    "payment-api": {"blue": services.payment_api_target_group, "green": services.payment_api_target_group_green},
                    "transaction-processor": {
                        "blue": services.transaction_processor_target_group,
                        "green": services.transaction_processor_target_group_green,
                    },
                    "notification-service": {
                        "blue": services.notification_service_target_group,
                        "green": services.notification_service_target_group_green,
                    },
                },
                alarms={
                    "payment-api": monitoring.payment_api_alarm,
                    "transaction-processor": monitoring.transaction_processor_alarm,
                    "notification-service": monitoring.notification_service_alarm,
                },
            ),
        )
