"""The cluster, the load balancer, and the three services."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_servicediscovery as servicediscovery
from aws_cdk import aws_wafv2 as wafv2
from constructs import Construct

from lib.acknowledgements import acknowledge
from lib.environments import size_of
from lib.fargate_service import DNS_TTL_SECONDS, LINGER_SECONDS, FargateService, FargateServiceProps, task_definition
from lib.load_balancers import AccessLogs, FrontDoor, InternalLoadBalancer
from lib.log_group import log_group
from lib.options import Options
from lib.security_stack import INLINE_POLICY, INLINE_REASON, SecurityStack
from lib.wiring import Key, Secret, enclosing, made_by
from payments.runtime.topology import (
    ACQUIRERS_VARIABLES,
    CONTAINER_PORT,
    DATABASE_CA_FILE,
    DATABASE_NAME,
    DATABASE_PORT,
    DATABASE_SECRET_VARIABLE,
    FRAME_ANCESTORS_VARIABLE,
    INTERNAL_NAME_VARIABLE,
    INTERNAL_PATH_PREFIX,
    KNOWS_ACQUIRERS,
    MAIL_FROM_VARIABLE,
    MIGRATION_MODULE,
    PUBLIC_PATHS,
    QUEUES_VARIABLE,
    RATE_LIMIT_VARIABLE,
    SANDBOX_KEY_VARIABLE,
    SECRET_VARIABLES,
    SERVE_TLS_VARIABLE,
    SERVICES,
    SMTP_URL_VARIABLE,
    TRIAL_PORT,
    WEBHOOK_PORTS,
    WEBHOOK_PORTS_VARIABLE,
    ApiSecretField,
    Colour,
    DatabaseSecretField,
    Names,
    Service,
)

_MIGRATION = "Migration"
_SENDS = {"sqs": "sqs:SendMessage", "sns": "sns:Publish", "events": "events:PutEvents"}
"""What the role needs for a queue, a topic, a bus."""
_QUEUES_REASON = (
    "Which queues, topics and buses merchants may have events sent to is the operator's to say, by patterns: the context's `queues`."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EcsStackProps:
    """What the services depend on."""

    environment_suffix: str
    vpc: ec2.IVpc
    alb_security_group: ec2.ISecurityGroup
    ecs_security_group: ec2.ISecurityGroup
    kms_key: Key
    db_secret: Secret
    """The owner's, for the migration task alone, with the database's address beside its password, as the database's stack attaches it."""
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
        insights = log_group(
            self,
            "ContainerInsights",
            name=f"/aws/ecs/containerinsights/{self._names.cluster}/performance",
            key=self._key,
            size=self._size,
        )
        self.cluster = ecs.Cluster(
            self,
            "Cluster",
            cluster_name=self._names.cluster,
            vpc=props.vpc,
            container_insights_v2=ecs.ContainerInsights.ENHANCED,
        )
        # Or Container Insights makes it, without a key, and keeps it for ever.
        self.cluster.node.add_dependency(insights)
        self._capacity_providers = ecs.CfnClusterCapacityProviderAssociations(
            self.cluster,
            "Cluster",
            cluster=self.cluster.cluster_name,
            capacity_providers=["FARGATE", "FARGATE_SPOT"],
            default_capacity_provider_strategy=[],
        )
        self._namespace = servicediscovery.PrivateDnsNamespace(self, "Namespace", name=self._names.namespace, vpc=props.vpc)
        security = made_by(SecurityStack, props.alb_security_group)
        self._front_door, self._between = self._load_balancers(security)
        self.alb, self.alb_listener, self.test_listener = self._front_door.alb, self._front_door.listener, self._front_door.test_listener
        for service, spec in SERVICES.items():
            if spec.is_called_by_services:
                self._register(service)
        self._owner, self._logins, self.api_secrets = self._import_secrets(security)
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

    def _load_balancers(self, security: SecurityStack) -> tuple[FrontDoor, InternalLoadBalancer]:
        def group(name: str, made: ec2.SecurityGroup) -> ec2.ISecurityGroup:
            return ec2.SecurityGroup.from_security_group_id(self, name, made.security_group_id, mutable=False)

        logs_kept = AccessLogs(self, "AccessLogs", days=self._size.log_days)
        front_door = FrontDoor(
            self,
            "FrontDoor",
            name=self._names.cluster,
            vpc=self.props.vpc,
            security_group=group("AlbSecurityGroup", security.alb_security_group),
            protected=self._size.protected,
            certificate_arn=self.options.certificate_arn,
            dual_stack=self.options.dual_stack,
        )
        between = InternalLoadBalancer(
            self,
            "Internal",
            name=self._names.internal_load_balancer,
            vpc=self.props.vpc,
            security_group=group("InternalSecurityGroup", security.internal_security_group),
            protected=self._size.protected,
            certificate_arn=self.options.certificate_arn,
        )
        logs_kept.keep(front_door.alb, "alb")
        logs_kept.keep(between.alb, "internal")
        wafv2.CfnWebACLAssociation(self, "WebAcl", resource_arn=front_door.alb.load_balancer_arn, web_acl_arn=security.web_acl_arn)
        return front_door, between

    def _register(self, service: Service) -> None:
        """Let a service's name lead to the load balancer between the services, which shifts its traffic when it is released."""
        named = self._namespace.create_service(
            f"{service}Name",
            name=service.value,
            dns_record_type=servicediscovery.DnsRecordType.A,
            dns_ttl=cdk.Duration.seconds(DNS_TTL_SECONDS),
            load_balancer=True,
        )
        servicediscovery.CfnInstance(
            self,
            f"{service}Instance",
            service_id=named.service_id,
            instance_id=self._names.internal_load_balancer,  # CDK's own would be too long
            instance_attributes={"AWS_ALIAS_DNS_NAME": self._between.alb.load_balancer_dns_name},
        )

    def _import_secrets(
        self, security: SecurityStack
    ) -> tuple[secretsmanager.ISecret, dict[Service, secretsmanager.ISecret], dict[ApiSecretField, secretsmanager.ISecret]]:
        """By ARN: a grant on the construct itself would write into the key's policy, in a stack that must not know this one."""
        props = self.props

        def imported(name: str, made: Secret) -> secretsmanager.ISecret:
            return secretsmanager.Secret.from_secret_complete_arn(self, name, made.secret_arn)

        self._acquirers_secrets = {field: imported(f"Acquirers{field}", made) for field, made in security.acquirers_secrets.items()}
        logins = {service: imported(f"{service}DatabaseSecret", made) for service, made in security.database_secrets.items()}
        several = enclosing(SecurityStack, props.api_secret)  # else one secret has all fields
        own = {
            field: imported(f"Secret{field.value}", several.api_secrets[field] if several else props.api_secret) for field in ApiSecretField
        }
        return imported("DatabaseSecret", props.db_secret), logins, own

    @property
    def secret_arns(self) -> list[str]:
        """Of all secrets of the environment."""
        props = self.props
        security = enclosing(SecurityStack, props.db_secret)
        made = (each for each in security.node.find_all() if isinstance(each, secretsmanager.Secret)) if security else ()
        return list(dict.fromkeys(each.secret_arn for each in (*made, props.db_secret, props.api_secret)))

    def _acquirers(self, service: Service) -> dict[str, ecs.Secret]:
        """Inject what a service may know of the acquirers, as `tap acquirers set` left it."""
        return {
            ACQUIRERS_VARIABLES[field]: ecs.Secret.from_secrets_manager(secret, field)
            for field, secret in self._acquirers_secrets.items()
            if field in KNOWS_ACQUIRERS[service]
        }

    def _channels(self, service: Service) -> tuple[dict[str, str], dict[str, ecs.Secret], list[iam.PolicyStatement]]:
        """Return what notification-service is told of queues and mail, the secret that the operator keeps the mail server's password in, and its rights."""
        if service is not Service.NOTIFICATION_SERVICE:
            return {}, {}, []
        options, rights = self.options, self._send_to_queues()
        queues = {QUEUES_VARIABLE: " ".join(options.queues)} if options.queues else {}
        if options.smtp_secret_arn is None or options.mail_from is None:
            return queues, {}, rights
        secret = secretsmanager.Secret.from_secret_complete_arn(self, "MailServer", options.smtp_secret_arn)
        return queues | {MAIL_FROM_VARIABLE: options.mail_from}, {SMTP_URL_VARIABLE: ecs.Secret.from_secrets_manager(secret)}, rights

    def _send_to_queues(self) -> list[iam.PolicyStatement]:
        """Let events go where the operator says that they may; keys that queues are encrypted with let the role in by their own policy."""
        by_action = {action: [arn for arn in self.options.queues if f":{service}:" in arn] for service, action in _SENDS.items()}
        return [iam.PolicyStatement(actions=[action], resources=arns) for action, arns in by_action.items() if arns]

    def _injected(self, database: secretsmanager.ISecret) -> dict[str, ecs.Secret]:
        """Inject what every process has, and whoever it is for the database."""
        return {
            variable: ecs.Secret.from_secrets_manager(
                self.api_secrets[field] if isinstance(field, ApiSecretField) else database, field.value
            )
            for variable, field in SECRET_VARIABLES.items()
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

    def _task_role(self, name: str, database: secretsmanager.ISecret, also: Sequence[iam.PolicyStatement] = ()) -> iam.IRole:
        """What the code itself may do: read its secret of the database again when it was rotated, `also` what is given, and nothing else."""
        role = iam.Role(
            self,
            f"{name}TaskRole",
            assumed_by=cast("iam.IPrincipal", iam.ServicePrincipal("ecs-tasks.amazonaws.com")),
            description=f"{name}: reads its secret of the database when it was rotated",
        )
        role.add_to_policy(iam.PolicyStatement(actions=["secretsmanager:GetSecretValue"], resources=[database.secret_arn]))
        role.add_to_policy(self._decrypt_secrets())
        for statement in also:
            role.add_to_policy(statement)
        wide = {
            f"AwsSolutions::AwsSolutions-IAM5[Resource::{arn}]": _QUEUES_REASON for each in also for arn in each.resources if "*" in arn
        }
        acknowledge(role.node.find_child("DefaultPolicy"), {INLINE_POLICY: INLINE_REASON, **wide})
        return cast("iam.IRole", role)

    def _variables(self, database: secretsmanager.ISecret) -> dict[str, str]:
        props = self.props
        processor = f"{self.options.scheme}://{Service.TRANSACTION_PROCESSOR}.{self._namespace.namespace_name}"
        private = {"TAP_ALLOW_PRIVATE_WEBHOOK_TARGETS": "true"} if self.options.private_webhooks else {}
        framed = {FRAME_ANCESTORS_VARIABLE: " ".join(self.options.frame_ancestors)} if self.options.frame_ancestors else {}
        # The load balancer between the services has no name that a certificate could be had for: it shows that of the customers' name.
        shown = {INTERNAL_NAME_VARIABLE: self.options.server_name} if self.options.server_name else {}
        return (
            private
            | shown
            | framed
            | {
                "TAP_ENVIRONMENT": props.environment_suffix,
                "TAP_HOST": "0.0.0.0",  # noqa: S104 - a container listens for its neighbours
                "TAP_PORT": str(CONTAINER_PORT),
                SERVE_TLS_VARIABLE: "true",
                RATE_LIMIT_VARIABLE: str(self.options.writes_per_second),
                WEBHOOK_PORTS_VARIABLE: ",".join(map(str, WEBHOOK_PORTS)),
                "TAP_LINGER_SECONDS": str(LINGER_SECONDS),
                "TAP_PUBLIC_URL": self.options.public_url or f"{self.options.scheme}://{self.alb.load_balancer_dns_name}",
                "TAP_TRANSACTION_PROCESSOR_URL": f"{processor}:{CONTAINER_PORT}",
                "TAP_TRANSACTION_PROCESSOR_TRIAL_URL": f"{processor}:{TRIAL_PORT}",
                "TAP_DATABASE_PORT": str(DATABASE_PORT),
                "TAP_DATABASE_NAME": DATABASE_NAME,
                "TAP_DATABASE_CA_FILE": DATABASE_CA_FILE,
                DATABASE_SECRET_VARIABLE: database.secret_arn,
            }
        )

    def _service_props(self, number: int, service: Service) -> FargateServiceProps:
        props, spec = self.props, SERVICES[service]
        channel_variables, channel_secrets, channel_rights = self._channels(service)
        repository = {
            Service.PAYMENT_API: props.payment_api_repo,
            Service.TRANSACTION_PROCESSOR: props.transaction_processor_repo,
            Service.NOTIFICATION_SERVICE: props.notification_service_repo,
        }[service]
        between = spec.is_called_by_services
        return FargateServiceProps(
            environment_suffix=props.environment_suffix,
            spec=spec,
            size=self._size.services[service],
            priority=10 * (number + 1),
            path_patterns=(f"{INTERNAL_PATH_PREFIX}*", *spec.path_patterns) if between else spec.path_patterns or PUBLIC_PATHS,
            cluster=self.cluster,
            vpc=props.vpc,
            namespace=None if between else self._namespace,
            security_group=ec2.SecurityGroup.from_security_group_id(
                self, f"{service}SecurityGroup", props.ecs_security_group.security_group_id, mutable=False
            ),
            door=self._between if between else self._front_door,
            repository=ecr.Repository.from_repository_name(self, f"{service}Repository", repository.repository_name),
            image_tag=self.options.image_tag,
            log_group=log_group(self, f"{service}Logs", name=self._names.log_group(service), key=self._key, size=self._size, outlives=True),
            execution_role=self._execution_role(service),
            task_role=self._task_role(service, self._logins[service], channel_rights),
            architecture=self.options.architecture or self._size.architecture,
            variables=self._variables(self._logins[service]) | channel_variables,
            secrets=self._injected(self._logins[service]) | self._acquirers(service) | channel_secrets,
            serving=self.options.serving.get(service, Colour.BLUE),
        )

    def _service(self, number: int, service: Service) -> FargateService:
        made = FargateService(self, service.value, props=self._service_props(number, service))
        # Or they would be taken from the cluster while its services still use them, which fails a deletion.
        made.service.node.add_dependency(self._capacity_providers)
        return made

    def _migration(self, api: FargateService) -> ecs.FargateTaskDefinition:
        """A task that is run once before new code, as the database's owner: the image of payment-api with another command."""
        passwords = {
            spec.login_password_variable: ecs.Secret.from_secrets_manager(self._logins[service], DatabaseSecretField.PASSWORD)
            for service, spec in SERVICES.items()
        }
        sandbox = ecs.Secret.from_secrets_manager(self.api_secrets[ApiSecretField.SANDBOX_KEY], ApiSecretField.SANDBOX_KEY)
        return task_definition(
            Construct(self, _MIGRATION),
            replace(
                api.props,
                execution_role=self._execution_role(_MIGRATION),
                task_role=self._task_role(_MIGRATION, self._owner),
                variables=self._variables(self._owner),
                secrets={**self._injected(self._owner), SANDBOX_KEY_VARIABLE: sandbox, **passwords},
            ),
            family=self._names.migration_family,
            command=["python", "-m", MIGRATION_MODULE],
            serves=False,
        )
