"""One service on Fargate: task definition, target groups, listener rules, registration, scaling. The ECS stack has three of them."""

from dataclasses import dataclass, field
from math import ceil

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_servicediscovery as servicediscovery
from constructs import Construct

from lib.acknowledgements import acknowledge
from lib.environments import ServiceSize
from lib.load_balancers import FrontDoor, InternalLoadBalancer
from payments.runtime.topology import (
    ALIVE_MODULE,
    CONTAINER_PORT,
    HEALTH_PATH,
    METRIC_NAMESPACE,
    Architecture,
    Colour,
    Metric,
    Names,
    Service,
    ServiceSpec,
)

USER = "10001:10001"
STOP_SECONDS = 60
LINGER_SECONDS = 20
"""ECS tells the task and the load balancer at once, and the load balancer's many nodes hear of it some time later; after that what is under way has the rest
of the task's time."""
_PATTERNS_PER_RULE_MAX = 5
_CPU_PERCENT = 60
_MEMORY_PERCENT = 70
_BACKLOG_PER_TASK = 50
_DEREGISTRATION_SECONDS = 30
_GRACE_SECONDS = 90
_HEALTH_INTERVAL_SECONDS = 15
_UNREADY_SECONDS_MAX = 120
"""How long the load balancer may find a task not ready before ECS takes another one for it: longer than a failover of the database takes, which makes
none of them ready. When the process itself hangs, the container's own check is quicker; it doesn't ask the database."""
DNS_TTL_SECONDS = 10
"""Service discovery lists blue and green until blue ends: callers must notice soon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FargateServiceProps:
    """What a service depends on."""

    environment_suffix: str
    spec: ServiceSpec
    size: ServiceSize
    priority: int
    """Of its listener rules; each service has ten numbers from there."""
    path_patterns: tuple[str, ...]
    cluster: ecs.ICluster
    vpc: ec2.IVpc
    namespace: servicediscovery.INamespace | None
    """Where its tasks are found by their service's name; None where that name leads to a load balancer."""
    security_group: ec2.ISecurityGroup
    door: FrontDoor | InternalLoadBalancer
    """What stands before it."""
    repository: ecr.IRepository
    image_tag: str
    log_group: logs.ILogGroup
    execution_role: iam.IRole
    task_role: iam.IRole
    architecture: Architecture
    variables: dict[str, str]
    secrets: dict[str, ecs.Secret] = field(repr=False)
    serving: Colour
    """Which target group serves now: an update of the stack must not move traffic."""


class FargateService(Construct):
    """Exposes `service`, `blue`, `green`, `task_definition`."""

    def __init__(self, scope: Construct, construct_id: str, *, props: FargateServiceProps) -> None:
        super().__init__(scope, construct_id)
        self.props = props
        self.task_definition = task_definition(
            self,
            props,
            family=Names(props.environment_suffix).task_family(props.spec.service),
            command=["python", "-m", props.spec.module],
            serves=True,
        )
        self.blue = self._target_group(Colour.BLUE)
        self.green = self._target_group(Colour.GREEN)
        rules = self._rules(props.door.listener, "Rule") + self._rules(props.door.test_listener, "TestRule")
        self.service = self._service()
        # A target group is "not associated with a load balancer" until a rule of each listener names it.
        self.service.node.add_dependency(*rules)
        self._scale()

    def _target_group(self, colour: Colour) -> elbv2.ApplicationTargetGroup:
        return elbv2.ApplicationTargetGroup(
            self,
            colour.title(),
            target_group_name=Names(self.props.environment_suffix).target_group(self.props.spec.service, colour),
            vpc=self.props.vpc,
            port=CONTAINER_PORT,
            # With the certificate that each task makes for itself, and which a load balancer doesn't verify. For ever: another protocol is another group.
            protocol=elbv2.ApplicationProtocol.HTTPS,
            target_type=elbv2.TargetType.IP,
            deregistration_delay=cdk.Duration.seconds(_DEREGISTRATION_SECONDS),
            health_check=elbv2.HealthCheck(
                path=HEALTH_PATH,
                protocol=elbv2.Protocol.HTTPS,
                interval=cdk.Duration.seconds(_HEALTH_INTERVAL_SECONDS),
                timeout=cdk.Duration.seconds(5),
                healthy_threshold_count=2,
                unhealthy_threshold_count=ceil(_UNREADY_SECONDS_MAX / _HEALTH_INTERVAL_SECONDS),
                healthy_http_codes="200",
            ),
        )

    def _rules(self, listener: elbv2.ApplicationListener, name: str) -> list[elbv2.ApplicationListenerRule]:
        patterns, props = self.props.path_patterns, self.props
        target = self.green if props.serving is Colour.GREEN else self.blue
        return [
            elbv2.ApplicationListenerRule(
                self,
                f"{name}{number}",
                listener=listener,
                priority=props.priority + number,
                conditions=[elbv2.ListenerCondition.path_patterns(list(patterns[start : start + _PATTERNS_PER_RULE_MAX]))],
                action=elbv2.ListenerAction.forward([target]),
            )
            for number, start in enumerate(range(0, len(patterns), _PATTERNS_PER_RULE_MAX))
        ]

    def _service(self) -> ecs.FargateService:
        props = self.props
        strategy = [ecs.CapacityProviderStrategy(capacity_provider="FARGATE", base=2, weight=1)]
        if props.size.spot_weight:
            strategy.append(ecs.CapacityProviderStrategy(capacity_provider="FARGATE_SPOT", weight=props.size.spot_weight))
        service = ecs.FargateService(
            self,
            "Service",
            cluster=props.cluster,
            task_definition=self.task_definition,
            # For ever: a service that CodeDeploy deploys refuses whatever CloudFormation sends with an update, which is all of its properties. So none
            # may ever change. `tap deploy` starts the tasks when there are images, and auto scaling goes on from there.
            desired_count=0,
            capacity_provider_strategies=strategy,
            deployment_controller=ecs.DeploymentController(type=ecs.DeploymentControllerType.CODE_DEPLOY),
            security_groups=[props.security_group],
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS),
            assign_public_ip=False,
            health_check_grace_period=cdk.Duration.seconds(_GRACE_SECONDS),
            min_healthy_percent=100,
            max_healthy_percent=200,
            propagate_tags=ecs.PropagatedTagSource.SERVICE,
            cloud_map_options=None
            if props.namespace is None
            else ecs.CloudMapOptions(
                cloud_map_namespace=props.namespace,
                name=props.spec.service.value,
                dns_record_type=servicediscovery.DnsRecordType.A,
                dns_ttl=cdk.Duration.seconds(DNS_TTL_SECONDS),
                failure_threshold=1,
            ),
        )
        # Blue for ever, whichever serves, for the same reason.
        service.attach_to_application_target_group(self.blue)
        return service

    def _scale(self) -> None:
        props = self.props
        tasks = self.service.auto_scale_task_count(min_capacity=props.size.tasks_min, max_capacity=props.size.tasks_max)
        tasks.scale_on_cpu_utilization("Cpu", target_utilization_percent=_CPU_PERCENT)
        tasks.scale_on_memory_utilization("Memory", target_utilization_percent=_MEMORY_PERCENT)
        tasks.scale_to_track_custom_metric(
            "Backlog", metric=own_metric(props.environment_suffix, props.spec.service, Metric.BACKLOG), target_value=_BACKLOG_PER_TASK
        )


def own_metric(environment_suffix: str, service: Service, metric: Metric, *, statistic: str = "Average") -> "cdk.aws_cloudwatch.Metric":
    """Return one of the metrics that the services emit."""
    return cdk.aws_cloudwatch.Metric(
        namespace=METRIC_NAMESPACE,
        metric_name=metric.value,
        dimensions_map={"Environment": environment_suffix, "Service": service.value},
        statistic=statistic,
        period=cdk.Duration.minutes(1),
    )


def task_definition(
    scope: Construct, props: FargateServiceProps, *, family: str, command: list[str], serves: bool
) -> ecs.FargateTaskDefinition:
    """Build a task: no root, nothing to write to but /tmp, secrets injected by field."""
    definition = ecs.FargateTaskDefinition(
        scope,
        "Task",
        family=family,
        cpu=props.size.cpu,
        memory_limit_mib=props.size.memory_mb,
        execution_role=props.execution_role,
        task_role=props.task_role,
        volumes=[ecs.Volume(name="tmp")],
        runtime_platform=ecs.RuntimePlatform(
            cpu_architecture=ecs.CpuArchitecture.of(props.architecture.ecs), operating_system_family=ecs.OperatingSystemFamily.LINUX
        ),
    )
    # The revisions that run, or may be gone back to, outlive the stack's idea of the current one.
    definition.apply_removal_policy(cdk.RemovalPolicy.RETAIN)
    acknowledge(
        definition,
        {"AwsSolutions::AwsSolutions-ECS2": "Addresses and names; every secret is injected from Secrets Manager, which a test holds."},
    )
    container = definition.add_container(
        "app",
        container_name=props.spec.service.value,
        image=ecs.ContainerImage.from_ecr_repository(props.repository, props.image_tag),
        command=command,
        user=USER,
        readonly_root_filesystem=True,
        linux_parameters=ecs.LinuxParameters(scope, "Linux", init_process_enabled=True),
        environment=props.variables,
        secrets=props.secrets,
        logging=ecs.LogDrivers.aws_logs(stream_prefix="tap", log_group=props.log_group, mode=ecs.AwsLogDriverMode.NON_BLOCKING),
        port_mappings=[ecs.PortMapping(container_port=CONTAINER_PORT)] if serves else [],
        stop_timeout=cdk.Duration.seconds(STOP_SECONDS),
        health_check=ecs.HealthCheck(
            command=["CMD", "python", "-m", ALIVE_MODULE],
            interval=cdk.Duration.seconds(_HEALTH_INTERVAL_SECONDS),
            timeout=cdk.Duration.seconds(5),
            retries=3,
            start_period=cdk.Duration.seconds(20),
        )
        if serves
        else None,
    )
    container.add_mount_points(ecs.MountPoint(container_path="/tmp", source_volume="tmp", read_only=False))  # noqa: S108 - the task's own volume
    return definition
