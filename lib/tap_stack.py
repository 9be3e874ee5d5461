"""TapStack puts the seven nested stacks together. It defines no resource of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import aws_cdk as cdk
from constructs import Construct

from lib.container_stack import ContainerStack, ContainerStackProps
from lib.database_stack import DatabaseStack, DatabaseStackProps
from lib.deployment_stack import DeploymentStack, DeploymentStackProps
from lib.ecs_stack import TEST_LISTENER_PORT, EcsStack, EcsStackProps
from lib.environments import ConfigurationError, check_region, size_of
from lib.monitoring_stack import MonitoringStack, MonitoringStackProps
from lib.networking_stack import NetworkingStack, NetworkingStackProps
from lib.security_stack import SecurityStack, SecurityStackProps
from payments.runtime.topology import ApiSecretField, Colour, Service


@dataclass(frozen=True, slots=True, kw_only=True)
class TapStackProps:
    """One deployment of Tap."""

    environment_suffix: str | None = None
    """Else the context's `environmentSuffix`, else `dev`."""
    certificate_arn: str | None = None
    """Of the load balancer's domain; without one `allow_http` must say that plain HTTP is meant."""
    allow_http: bool = False
    public_url: str | None = None
    """What customers' browsers reach, `https://payments.example.com`; a certificate needs one."""
    image_tag: str = "latest"
    region: str | None = None
    serving: Mapping[Service, Colour] = field(default_factory=dict[Service, Colour])
    """The target group of each service that serves now, where it isn't blue."""
    alarm_email: str | None = None
    private_webhooks: bool = False
    """Webhooks may go to private addresses: for merchants' systems inside of the network."""


class TapStack(cdk.Stack):
    """The whole system; one update is one unit."""

    def __init__(self, scope: Construct, construct_id: str, *, props: TapStackProps) -> None:
        suffix = props.environment_suffix or scope.node.try_get_context("environmentSuffix") or "dev"
        size = size_of(suffix)
        check_region(props.region)
        if size.protected and props.certificate_arn is None and not props.allow_http:
            raise ConfigurationError(
                f"{suffix} needs a certificate: give `-c certificateArn=…`, or `-c allowHttp=true` if you mean plain HTTP."
            )
        if props.certificate_arn is not None and props.public_url is None:
            raise ConfigurationError(
                "A certificate needs the name that it is for: give `-c publicUrl=https://…`, since none can be had for the load balancer's own name."
            )
        super().__init__(
            scope,
            construct_id,
            env=cdk.Environment(region=props.region) if props.region else None,
            description=f"Tap {suffix}: card payments",
            termination_protection=size.protected,
            tags={"application": "tap", "environment": suffix},
        )
        networking = NetworkingStack(self, "Networking", props=NetworkingStackProps(environment_suffix=suffix, size=size))
        security = SecurityStack(
            self,
            "Security",
            props=SecurityStackProps(
                environment_suffix=suffix,
                size=size,
                vpc=networking.vpc,
                nat_addresses=networking.nat_addresses,
                test_listener_port=TEST_LISTENER_PORT,
            ),
        )
        database = DatabaseStack(
            self,
            "Database",
            props=DatabaseStackProps(
                environment_suffix=suffix,
                size=size,
                vpc=networking.vpc,
                kms_key_arn=security.kms_key.key_arn,
                db_secret_arn=security.db_secret.secret_arn,
                security_group_id=security.database_security_group.security_group_id,
            ),
        )
        container = ContainerStack(
            self, "Container", props=ContainerStackProps(environment_suffix=suffix, size=size, kms_key_arn=security.kms_key.key_arn)
        )
        services = EcsStack(
            self,
            "Ecs",
            props=EcsStackProps(
                environment_suffix=suffix,
                size=size,
                vpc=networking.vpc,
                kms_key_arn=security.kms_key.key_arn,
                db_secret_arn=security.db_secret.secret_arn,
                api_secret_arns={field: secret.secret_arn for field, secret in security.api_secrets.items()},
                alb_security_group_id=security.alb_security_group.security_group_id,
                ecs_security_group_id=security.ecs_security_group.security_group_id,
                web_acl_arn=security.web_acl_arn,
                database_endpoint=database.endpoint,
                repository_names={
                    Service.PAYMENT_API: container.payment_api_repo.repository_name,
                    Service.TRANSACTION_PROCESSOR: container.transaction_processor_repo.repository_name,
                    Service.NOTIFICATION_SERVICE: container.notification_service_repo.repository_name,
                },
                image_tag=props.image_tag,
                certificate_arn=props.certificate_arn,
                public_url=props.public_url,
                serving=props.serving,
                private_webhooks=props.private_webhooks,
            ),
        )
        monitoring = MonitoringStack(
            self,
            "Monitoring",
            props=MonitoringStackProps(
                environment_suffix=suffix,
                size=size,
                kms_key_arn=security.kms_key.key_arn,
                services=services.services,
                alb=services.alb,
                cluster_name=services.cluster.cluster_name,
                database_cluster_identifier=database.cluster_identifier,
                alarm_email=props.alarm_email,
            ),
        )
        DeploymentStack(
            self,
            "Deployment",
            props=DeploymentStackProps(
                environment_suffix=suffix,
                size=size,
                services=services.services,
                listener=services.alb_listener,
                test_listener=services.test_listener,
                alarms=monitoring.rollback_alarms,
                vpc=networking.vpc,
                hook_security_group_id=security.hook_security_group.security_group_id,
                kms_key_arn=security.kms_key.key_arn,
                sandbox_secret_arn=security.api_secrets[ApiSecretField.SANDBOX_KEY].secret_arn,
                load_balancer_name=services.alb.load_balancer_dns_name,
                public_url=props.public_url,
                plain_http=props.certificate_arn is None,
            ),
        )
        cdk.CfnOutput(self, f"LoadBalancerDNS{suffix}", value=services.alb.load_balancer_dns_name)
        cdk.CfnOutput(self, f"ClusterName{suffix}", value=services.cluster.cluster_name)
