"""The cluster, the load balancer, and the three services."""

from dataclasses import dataclass, replace
from typing import Any, cast

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_servicediscovery as servicediscovery
from aws_cdk import aws_wafv2 as wafv2
from constructs import Construct

from lib.acknowledgements import acknowledge
from lib.environments import size_of
from lib.fargate_service import FargateService, FargateServiceProps, task_definition
from lib.options import Options
from lib.security_stack import INLINE_POLICY, INLINE_REASON, TEST_LISTENER_PORT, SecurityStack, retention
from lib.wiring import Key, Secret, enclosing
from payments.runtime.topology import (
    CONTAINER_PORT,
    DATABASE_CA_FILE,
    DATABASE_NAME,
    DATABASE_PORT,
    DATABASE_SECRET_VARIABLE,
    MIGRATION_MODULE,
    PUBLIC_PATHS,
    SANDBOX_KEY_VARIABLE,
    SECRET_VARIABLES,
    SERVICES,
    ApiSecretField,
    Colour,
    DatabaseSecretField,
    Names,
    Service,
)

_MIGRATION = "Migration"


@dataclass(frozen=True, slots=True, kw_only=True)
class EcsStackProps:
    """What the services depend on."""

    environment_suffix: str
    vpc: ec2.IVpc
    alb_security_group: ec2.ISecurityGroup
    ecs_security_group: ec2.ISecurityGroup
    kms_key: Key
    db_secret: Secret
    """With the database's address beside its password, as the database's stack attaches it."""
    api_secret: Secret
    """Of a `SecurityStack`, which has a secret for each field; else it has all of `ApiSecretField`."""
    payment_api_repo: ecr.IRepository
    transaction_processor_repo: ecr.IRepository
    notification_service_repo: ecr.IRepository


class EcsStack(cdk.NestedStack):
    """Exposes `cluster`, `alb`, `alb_listener`, `test_listener`, the three services, and a blue and a green target group of each.

    For the stacks that come after it also `props`, `options`, `api_secrets`, and `services` with all that was made for each.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        props: EcsStackProps,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, construct_id, **kwargs)
        self.props, self._names, self._size = props, Names(props.environment_suffix), size_of(props.environment_suffix)
        self.options = Options.of(self)
        if mistake := self.options.mistake(props.environment_suffix, protected=self._size.protected):
            cdk.Annotations.of(self).add_error(mistake)
        self._key = kms.Key.from_key_arn(self, "Key", props.kms_key.key_arn)
        self.cluster = ecs.Cluster(
            self,
            "Cluster",
            cluster_name=self._names.cluster,
            vpc=props.vpc,
            container_insights_v2=ecs.ContainerInsights.ENHANCED,
        )
        self._capacity_providers = ecs.CfnClusterCapacityProviderAssociations(
            self.cluster,
            "Cluster",
            cluster=self.cluster.cluster_name,
            capacity_providers=["FARGATE", "FARGATE_SPOT"],
            default_capacity_provider_strategy=[],
        )
        self._namespace = servicediscovery.PrivateDnsNamespace(self, "Namespace", name=self._names.namespace, vpc=props.vpc)
        self.alb = self._load_balancer()
        self.alb_listener, self.test_listener = self._listeners()
        self._database_secret, self.api_secrets = self._import_secrets()
        services = {service: self._service(number, service) for number, service in enumerate(SERVICES)}
        self.migration_task = self._migration(services[Service.PAYMENT_API])
        for name in (*SERVICES, _MIGRATION):
            acknowledge(
                self.node.find_child(f"{name}ExecutionRole").node.find_child("DefaultPolicy"),
                {
                    INLINE_POLICY: INLINE_REASON,
                    "AwsSolutions::AwsSolutions-IAM5[Resource::*]": "ecr:GetAuthorizationToken knows no resource; all else is limited to one.",
                },
            )
        api, processor, notification = (
            services[each] for each in (Service.PAYMENT_API, Service.TRANSACTION_PROCESSOR, Service.NOTIFICATION_SERVICE)
        )
        self.payment_api_service = api.service
        self.payment_api_target_group, self.payment_api_target_group_green = api.blue, api.green
        self.transaction_processor_service = processor.service
        self.transaction_processor_target_group, self.transaction_processor_target_group_green = processor.blue, processor.green
        self.notification_service = notification.service
        self.notification_service_target_group, self.notification_service_target_group_green = notification.blue, notification.green
        self.services = services

    def _load_balancer(self) -> elbv2.ApplicationLoadBalancer:
        props = self.props
        group = ec2.SecurityGroup.from_security_group_id(
            self, "AlbSecurityGroup", props.alb_security_group.security_group_id, mutable=False
        )
        alb = elbv2.ApplicationLoadBalancer(
            self,
            "Alb",
            load_balancer_name=self._names.cluster,
            vpc=props.vpc,
            internet_facing=True,
            security_group=group,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC),
            drop_invalid_header_fields=True,
            deletion_protection=self._size.protected,
            idle_timeout=cdk.Duration.seconds(60),
        )
        self._log_access(alb)
        if security := enclosing(SecurityStack, props.alb_security_group):
            wafv2.CfnWebACLAssociation(self, "WebAcl", resource_arn=alb.load_balancer_arn, web_acl_arn=security.web_acl_arn)
        else:
            cdk.Annotations.of(self).add_warning("No firewall is before the load balancer: its security group is of no SecurityStack.")
        return alb

    def _log_access(self, alb: elbv2.ApplicationLoadBalancer) -> None:
        """`log_access_logs` wants to know the region; the delivery service's principal is the same in all. The service can't use our key."""
        bucket = s3.Bucket(
            self,
            "AccessLogs",
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            versioned=True,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            lifecycle_rules=[
                s3.LifecycleRule(expiration=cdk.Duration.days(self._size.log_days), noncurrent_version_expiration=cdk.Duration.days(7))
            ],
            removal_policy=cdk.RemovalPolicy.RETAIN,
        )
        bucket.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[cast("iam.IPrincipal", iam.ServicePrincipal("logdelivery.elasticloadbalancing.amazonaws.com"))],
                actions=["s3:PutObject"],
                resources=[bucket.arn_for_objects(f"alb/AWSLogs/{self.account}/*")],
            )
        )
        acknowledge(
            bucket,
            {
                "AwsSolutions::AwsSolutions-S1": "It is the bucket of access logs itself.",
                "PCI.DSS.321::PCI.DSS.321-S3BucketLoggingEnabled": "It is the bucket of access logs itself.",
                "PCI.DSS.321::PCI.DSS.321-S3BucketReplicationEnabled": "Access logs are versioned and kept; losing a region's would lose no payment.",
                "PCI.DSS.321::PCI.DSS.321-S3DefaultEncryptionKMS": "The load balancer can't write to a bucket under a customer's key; SSE-S3 it is.",
            },
        )
        alb.set_attribute("access_logs.s3.enabled", "true")
        alb.set_attribute("access_logs.s3.bucket", bucket.bucket_name)
        alb.set_attribute("access_logs.s3.prefix", "alb")
        if bucket.policy is not None:
            alb.node.add_dependency(bucket.policy)

    def _listeners(self) -> tuple[elbv2.ApplicationListener, elbv2.ApplicationListener]:
        """The production listener and the one for tests; what no rule takes is a 404 in the API's own shape."""
        nothing = elbv2.ListenerAction.fixed_response(
            404,
            content_type="application/json",
            message_body='{"error": {"type": "invalid_request_error", "message": "Unrecognized request URL."}}',
        )

        def plain(construct_id: str, port: int) -> elbv2.ApplicationListener:
            listener = self.alb.add_listener(
                construct_id, port=port, protocol=elbv2.ApplicationProtocol.HTTP, default_action=nothing, open=False
            )
            reason = "Plain HTTP was asked for with allow_http; with a certificate this listener is HTTPS."
            rules = ("PCI.DSS.321-ALBHttpToHttpsRedirection", "PCI.DSS.321-ELBv2ACMCertificateRequired")
            acknowledge(listener, {f"PCI.DSS.321::{rule}": reason for rule in rules})
            return listener

        if self.options.certificate_arn is None:
            return plain("Listener", 80), plain("TestListener", TEST_LISTENER_PORT)
        certificate = elbv2.ListenerCertificate.from_arn(self.options.certificate_arn)

        def tls(construct_id: str, port: int) -> elbv2.ApplicationListener:
            return self.alb.add_listener(
                construct_id,
                port=port,
                protocol=elbv2.ApplicationProtocol.HTTPS,
                certificates=[certificate],
                ssl_policy=elbv2.SslPolicy.RECOMMENDED_TLS,
                default_action=nothing,
                open=False,
            )

        redirect = self.alb.add_listener(
            "Redirect",
            port=80,
            protocol=elbv2.ApplicationProtocol.HTTP,
            default_action=elbv2.ListenerAction.redirect(protocol="HTTPS", port="443", permanent=True),
            open=False,
        )
        acknowledge(redirect, {"PCI.DSS.321::PCI.DSS.321-ELBv2ACMCertificateRequired": "It redirects to HTTPS, and does nothing else."})
        production = tls("Listener", 443)
        # Where the environment had no certificate before, this one has port 80 until it moves.
        redirect.node.add_dependency(production)
        return production, tls("TestListener", TEST_LISTENER_PORT)

    def _import_secrets(self) -> tuple[secretsmanager.ISecret, dict[ApiSecretField, secretsmanager.ISecret]]:
        """By ARN: a grant on the construct itself would write into the key's policy, in a stack that must not know this one."""
        props = self.props
        database = secretsmanager.Secret.from_secret_complete_arn(self, "DatabaseSecret", props.db_secret.secret_arn)
        security = enclosing(SecurityStack, props.api_secret)
        own = {
            field: secretsmanager.Secret.from_secret_complete_arn(
                self, f"Secret{field.value}", (security.api_secrets[field] if security else props.api_secret).secret_arn
            )
            for field in ApiSecretField
        }
        return database, own

    def _injected(self, variables: dict[str, ApiSecretField | DatabaseSecretField]) -> dict[str, ecs.Secret]:
        return {
            variable: ecs.Secret.from_secrets_manager(
                self.api_secrets[field] if isinstance(field, ApiSecretField) else self._database_secret, field.value
            )
            for variable, field in variables.items()
        }

    def _execution_role(self, name: str) -> iam.IRole:
        role = iam.Role(
            self,
            f"{name}ExecutionRole",
            assumed_by=cast("iam.IPrincipal", iam.ServicePrincipal("ecs-tasks.amazonaws.com")),
            description=f"Starts tasks of {name}: pulls the image, injects secrets, writes logs",
        )
        role.add_to_policy(self._decrypt_secrets())
        return cast("iam.IRole", role)

    def _decrypt_secrets(self) -> iam.PolicyStatement:
        return iam.PolicyStatement(
            actions=["kms:Decrypt"],
            resources=[self.props.kms_key.key_arn],
            conditions={"StringEquals": {"kms:ViaService": f"secretsmanager.{self.region}.amazonaws.com"}},
        )

    def _task_role(self, name: str) -> iam.IRole:
        """What the code itself may do: read the database's secret again when it was rotated, and nothing else."""
        role = iam.Role(
            self,
            f"{name}TaskRole",
            assumed_by=cast("iam.IPrincipal", iam.ServicePrincipal("ecs-tasks.amazonaws.com")),
            description=f"{name}: reads the database's secret when it was rotated",
        )
        role.add_to_policy(iam.PolicyStatement(actions=["secretsmanager:GetSecretValue"], resources=[self.props.db_secret.secret_arn]))
        role.add_to_policy(self._decrypt_secrets())
        acknowledge(role.node.find_child("DefaultPolicy"), {INLINE_POLICY: INLINE_REASON})
        return cast("iam.IRole", role)

    def _variables(self, role: str) -> dict[str, str]:
        props = self.props
        processor = f"http://{Service.TRANSACTION_PROCESSOR}.{self._namespace.namespace_name}:{CONTAINER_PORT}"
        private = {"TAP_ALLOW_PRIVATE_WEBHOOK_TARGETS": "true"} if self.options.private_webhooks else {}
        return private | {
            "TAP_ENVIRONMENT": props.environment_suffix,
            "TAP_HOST": "0.0.0.0",  # noqa: S104 - a container listens for its neighbours
            "TAP_PORT": str(CONTAINER_PORT),
            "TAP_PUBLIC_URL": self.options.public_url or f"{self.options.scheme}://{self.alb.load_balancer_dns_name}",
            "TAP_TRANSACTION_PROCESSOR_URL": processor,
            "TAP_DATABASE_PORT": str(DATABASE_PORT),
            "TAP_DATABASE_NAME": DATABASE_NAME,
            "TAP_DATABASE_CA_FILE": DATABASE_CA_FILE,
            DATABASE_SECRET_VARIABLE: props.db_secret.secret_arn,
            "TAP_DATABASE_ROLE": role,
        }

    def _service_props(self, number: int, service: Service) -> FargateServiceProps:
        props, spec = self.props, SERVICES[service]
        size, repository = {
            Service.PAYMENT_API: (self._size.payment_api, props.payment_api_repo),
            Service.TRANSACTION_PROCESSOR: (self._size.transaction_processor, props.transaction_processor_repo),
            Service.NOTIFICATION_SERVICE: (self._size.notification_service, props.notification_service_repo),
        }[service]
        return FargateServiceProps(
            environment_suffix=props.environment_suffix,
            spec=spec,
            size=size,
            priority=10 * (number + 1),
            path_patterns=spec.path_patterns or PUBLIC_PATHS,
            cluster=self.cluster,
            vpc=props.vpc,
            namespace=self._namespace,
            security_group=ec2.SecurityGroup.from_security_group_id(
                self, f"{service}SecurityGroup", props.ecs_security_group.security_group_id, mutable=False
            ),
            listener=self.alb_listener,
            test_listener=self.test_listener,
            repository=ecr.Repository.from_repository_name(self, f"{service}Repository", repository.repository_name),
            image_tag=self.options.image_tag,
            log_group=logs.LogGroup(
                self,
                f"{service}Logs",
                log_group_name=self._names.log_group(service),
                encryption_key=self._key,
                retention=retention(self._size.log_days),
                removal_policy=cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if self._size.protected else cdk.RemovalPolicy.DESTROY,
            ),
            execution_role=self._execution_role(service),
            task_role=self._task_role(service),
            variables=self._variables(spec.database_role),
            secrets=self._injected(SECRET_VARIABLES),
            serving=self.options.serving.get(service, Colour.BLUE),
        )

    def _service(self, number: int, service: Service) -> FargateService:
        made = FargateService(self, service.value, props=self._service_props(number, service))
        # Or they would be taken from the cluster while its services still use them, which fails a deletion.
        made.service.node.add_dependency(self._capacity_providers)
        return made

    def _migration(self, api: FargateService) -> ecs.FargateTaskDefinition:
        """A task that is run once before new code: the image of payment-api with another command."""
        return task_definition(
            Construct(self, _MIGRATION),
            replace(
                api.props,
                execution_role=self._execution_role(_MIGRATION),
                task_role=self._task_role(_MIGRATION),
                secrets=self._injected({**SECRET_VARIABLES, SANDBOX_KEY_VARIABLE: ApiSecretField.SANDBOX_KEY}),
            ),
            family=self._names.migration_family,
            command=["python", "-m", MIGRATION_MODULE],
            serves=False,
        )
