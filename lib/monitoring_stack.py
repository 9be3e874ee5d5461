"""Alarms, their topic, and the dashboard of whoever is on call."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from lib.ecs_stack import EcsStack
from lib.environments import size_of
from lib.fargate_service import FargateService, own_metric
from lib.key_events import KeyEvents
from lib.options import Options
from lib.wiring import ServicesProps, by_service, enclosing, made_by
from payments.runtime.topology import Metric, Names, Service

_MINUTE = cdk.Duration.minutes(1)
_FAILING_PERCENT = 5
_GOOD_REQUESTS_ADDED = 20
"""To those of each minute: one failure among few requests is no share of them."""
_LATENCY_SECONDS = 2.0
_OUTBOX_SECONDS = 120
_WRITER: Mapping[str, str] = {"Role": "WRITER"}
"""The instance that all services ask. Of the whole cluster AWS has the average with readers, which do nothing, and may stay small when it is at its largest."""
_UNANSWERED_MAX = 10
_REPLICA_LAG_MS = 1_000
_UNSEALED_SECONDS = 1_800
"""Seals are made every minute; history that is sealed after a migration takes longer than that only with tens of millions of transfers."""
_OVERDUE_SECONDS = 300
_UNKNOWN_SECONDS = 180
"""Longer than a restart of tasks takes, whose attempts are taken over after their lease."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitoringStackProps(ServicesProps):
    """What monitoring depends on."""

    cluster: ecs.ICluster
    alb: elbv2.ApplicationLoadBalancer
    target_groups: Mapping[str, elbv2.ApplicationTargetGroup]
    """Of each service the blue one or the green one: both are watched."""


@dataclass(frozen=True, slots=True)
class _Watched:
    """One service, and its two target groups: either may serve, and during a release both do."""

    service: ecs.FargateService
    groups: tuple[elbv2.ApplicationTargetGroup, ...]
    alb: elbv2.ApplicationLoadBalancer
    """What stands before it."""


class MonitoringStack(cdk.NestedStack):
    """Exposes `payment_api_alarm`, `transaction_processor_alarm`, `notification_service_alarm`, `dashboard`, `topic`; `release_alarms`, which undo
    the release of any service; and `key_events`, with a topic of its own."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        props: MonitoringStackProps,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, construct_id, **kwargs)
        self._props = props
        self._watched = self._what_is_watched()
        self.topic = sns.Topic(
            self,
            "Topic",
            display_name=f"Tap {props.environment_suffix} alarms",
            master_key=kms.Key.from_key_arn(self, "Key", made_by(EcsStack, props.alb).props.kms_key.key_arn),
            enforce_ssl=True,
        )
        # The policy that enforces TLS takes the place of the default one, which lets the whole account publish.
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="Alarms",
                principals=[cast("iam.IPrincipal", iam.ServicePrincipal("cloudwatch.amazonaws.com"))],
                actions=["sns:Publish"],
                resources=[self.topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": self.account}},
            )
        )
        options, services = Options.of(self), made_by(EcsStack, props.alb)
        email = options.alarm_email
        if email:
            self.topic.add_subscription(cast("sns.ITopicSubscription", subscriptions.EmailSubscription(email)))
        self.key_events = KeyEvents(
            self,
            "KeyEvents",
            environment_suffix=props.environment_suffix,
            key_arn=services.props.kms_key.key_arn,
            secret_arns=services.secret_arns,
            certificate_arn=options.certificate_arn,
            email=email,
        )
        failing = {service: self._service_alarms(service, watched) for service, watched in self._watched.items()}
        self.payment_api_alarm = failing[Service.PAYMENT_API]
        self.transaction_processor_alarm = failing[Service.TRANSACTION_PROCESSOR]
        self.notification_service_alarm = failing[Service.NOTIFICATION_SERVICE]
        self.release_alarms = [*self._nobody_answers_alarms(), *self._outcome_alarms()]
        self._database_alarms()
        self._business_alarms()
        self.dashboard = self._dashboard()

    def _what_is_watched(self) -> dict[Service, _Watched]:
        props, groups = self._props, by_service(self._props.target_groups)

        def watched(service: ecs.FargateService, group: elbv2.ApplicationTargetGroup) -> _Watched:
            made = enclosing(FargateService, group)
            return _Watched(service, (made.blue, made.green), made.props.door.alb) if made else _Watched(service, (group,), props.alb)

        return {service: watched(made, groups[service]) for service, made in props.services.items()}

    def _alarm(
        self,
        name: str,
        metric: cloudwatch.IMetric,
        threshold: float,
        description: str,
        *,
        periods: int = 3,
        below: bool = False,
        missing: cloudwatch.TreatMissingData = cloudwatch.TreatMissingData.NOT_BREACHING,
    ) -> cloudwatch.Alarm:
        comparison = cloudwatch.ComparisonOperator
        alarm = cloudwatch.Alarm(
            self,
            name,
            metric=metric,
            threshold=threshold,
            evaluation_periods=periods,
            comparison_operator=comparison.LESS_THAN_THRESHOLD if below else comparison.GREATER_THAN_THRESHOLD,
            treat_missing_data=missing,
            alarm_description=f"{description}. What to do: docs/runbook.md#{name.replace(' ', '-')}",
        )
        action = cast("cloudwatch.IAlarmAction", actions.SnsAction(cast("sns.ITopic", self.topic)))
        alarm.add_alarm_action(action)
        alarm.add_ok_action(action)
        return alarm

    def _target(self, watched: _Watched, group: elbv2.ApplicationTargetGroup, name: str, statistic: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace="AWS/ApplicationELB",
            metric_name=name,
            dimensions_map={"TargetGroup": group.target_group_full_name, "LoadBalancer": watched.alb.load_balancer_full_name},
            statistic=statistic,
            period=_MINUTE,
        )

    def _of_each_group(self, watched: _Watched, name: str, statistic: str) -> dict[str, cloudwatch.IMetric]:
        return {f"g{number}": self._target(watched, group, name, statistic) for number, group in enumerate(watched.groups)}

    def _worst(self, watched: _Watched, name: str, statistic: str) -> cloudwatch.MathExpression:
        metrics = self._of_each_group(watched, name, statistic)
        return cloudwatch.MathExpression(expression=f"MAX([{', '.join(metrics)}])", using_metrics=metrics, period=_MINUTE, label=name)

    def _sum(self, watched: _Watched, name: str, statistic: str) -> cloudwatch.MathExpression:
        metrics = self._of_each_group(watched, name, statistic)
        filled = " + ".join(f"FILL({each}, 0)" for each in metrics)
        return cloudwatch.MathExpression(expression=filled, using_metrics=metrics, period=_MINUTE, label=name)

    def failing_share(self, watched: _Watched) -> cloudwatch.MathExpression:
        """Return the percentage of requests that a service answered with 5xx: of blue's or of green's, whichever is worse.

        Of both together, a canary's tenth of the traffic would hardly show.
        """

        def share(number: int, group: elbv2.ApplicationTargetGroup) -> cloudwatch.MathExpression:
            failed, all_ = f"failed{number}", f"all{number}"
            return cloudwatch.MathExpression(
                expression=f"100 * FILL({failed}, 0) / (FILL({all_}, 0) + {_GOOD_REQUESTS_ADDED})",
                using_metrics={
                    failed: self._target(watched, group, "HTTPCode_Target_5XX_Count", "Sum"),
                    all_: self._target(watched, group, "RequestCount", "Sum"),
                },
                period=_MINUTE,
            )

        shares = {f"share{number}": share(number, group) for number, group in enumerate(watched.groups)}
        return cloudwatch.MathExpression(expression=f"MAX([{', '.join(shares)}])", using_metrics=shares, period=_MINUTE, label="5xx share")

    def _service_alarms(self, service: Service, watched: _Watched) -> cloudwatch.Alarm:
        name = service.value
        rollback = self._alarm(
            f"{name} failing",
            self.failing_share(watched),
            _FAILING_PERCENT,
            f"{name} answers more than {_FAILING_PERCENT} % with 5xx",
            periods=2,
        )
        slowest = self._worst(watched, "TargetResponseTime", "p99")
        self._alarm(f"{name} slow", slowest, _LATENCY_SECONDS, f"{name}: p99 above {_LATENCY_SECONDS} s", periods=5)
        unhealthy = self._sum(watched, "UnHealthyHostCount", "Maximum")
        self._alarm(f"{name} unhealthy", unhealthy, 0, f"{name}: tasks fail their health check", periods=5)
        running = cloudwatch.MathExpression(
            expression="desired - running",
            using_metrics={
                "desired": self._tasks(watched, "DesiredTaskCount", "Average"),
                "running": self._tasks(watched, "RunningTaskCount", "Average"),
            },
            period=_MINUTE,
            label="missing tasks",
        )
        size = size_of(self._props.environment_suffix).services[service]
        count = self._tasks(watched, "DesiredTaskCount", "Minimum")
        self._alarm(
            f"{name} at its largest", count, size.tasks_max - 1, f"{name}: as many tasks as there may be, {size.tasks_max}", periods=15
        )
        self._alarm(f"{name} missing tasks", running, 0, f"{name}: fewer tasks run than should", periods=10)
        return rollback

    def _tasks(self, watched: _Watched, name: str, statistic: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace="ECS/ContainerInsights",
            metric_name=name,
            dimensions_map={"ClusterName": self._props.cluster.cluster_name, "ServiceName": watched.service.service_name},
            statistic=statistic,
            period=_MINUTE,
        )

    def _nobody_answers_alarms(self) -> tuple[cloudwatch.Alarm, ...]:
        """What no task answered is in no target group's counts: with no task at all the services' own alarms see nothing wrong."""

        def unanswered(alb: elbv2.ApplicationLoadBalancer) -> cloudwatch.Metric:
            return cloudwatch.Metric(
                namespace="AWS/ApplicationELB",
                metric_name="HTTPCode_ELB_5XX_Count",
                dimensions_map={"LoadBalancer": alb.load_balancer_full_name},
                statistic="Sum",
                period=_MINUTE,
            )

        between = self._watched[Service.TRANSACTION_PROCESSOR].alb
        return (
            self._alarm(
                "front door", unanswered(self._props.alb), _UNANSWERED_MAX, "The load balancer finds nobody to answer requests", periods=2
            ),
            self._alarm("between services", unanswered(between), _UNANSWERED_MAX, "Services find nobody to answer their calls", periods=2),
        )

    def _database(self, name: str, statistic: str = "Average", *, of: Mapping[str, str] = _WRITER) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace="AWS/RDS",
            metric_name=name,
            dimensions_map={"DBClusterIdentifier": Names(self._props.environment_suffix).database_cluster, **of},
            statistic=statistic,
            period=_MINUTE,
        )

    def _database_alarms(self) -> None:
        size = size_of(self._props.environment_suffix)
        capacity, many = size.database_acu_max * 0.9, size.database_connections_many
        self._alarm(
            "database capacity", self._database("ServerlessDatabaseCapacity"), capacity, "Database near its largest size", periods=5
        )
        self._alarm("database connections", self._database("DatabaseConnections", "Maximum"), many, "Many database connections")
        self._alarm("replica lag", self._replica_lag(), _REPLICA_LAG_MS, "Readers lag behind", periods=5)

    def _replica_lag(self) -> cloudwatch.Metric:
        return self._database("AuroraReplicaLagMaximum", "Maximum", of={})

    def _own(self, service: Service, metric: Metric, statistic: str) -> cloudwatch.Metric:
        return own_metric(self._props.environment_suffix, service, metric, statistic=statistic)

    def _outcome_alarms(self) -> tuple[cloudwatch.Alarm, ...]:
        """What a release of any service may do to payments that are answered well: decline them, or leave them open."""
        oldest = self._own(Service.TRANSACTION_PROCESSOR, Metric.UNKNOWN_AGE, "Maximum")
        return (
            self._alarm("payment success rate", self._success_rate(), 50, "Fewer than half of the payments are approved", below=True),
            self._alarm(
                "oldest unknown attempt", oldest, _UNKNOWN_SECONDS, f"An attempt has had no outcome for {_UNKNOWN_SECONDS} s", periods=2
            ),
        )

    def _business_alarms(self) -> None:
        processor, notification = Service.TRANSACTION_PROCESSOR, Service.NOTIFICATION_SERVICE
        self._alarm(
            "ledger imbalance",
            self._own(processor, Metric.LEDGER_IMBALANCE, "Maximum"),
            0,
            "Debits and credits differ: pay nobody out, run `tap verify`",
            periods=1,
        )
        self._alarm(
            "ledger proof",
            self._own(processor, Metric.LEDGER_PROOF_FAULTS, "Maximum"),
            0,
            "History isn't what was sealed, or can't be sealed: pay nobody out, run `tap verify`",
            periods=1,
        )
        self._alarm(
            "unsealed transfers",
            self._own(processor, Metric.LEDGER_UNSEALED_AGE, "Maximum"),
            _UNSEALED_SECONDS,
            "Transfers have been waiting for their seal for half an hour",
            periods=5,
        )
        # What is silent is never red, and all that business is watched by is these reports.
        self._alarm(
            "no metrics",
            self._own(processor, Metric.LEDGER_IMBALANCE, "SampleCount"),
            1,
            "transaction-processor reports nothing, so that no alarm about payments and books can turn red",
            periods=15,
            below=True,
            missing=cloudwatch.TreatMissingData.BREACHING,
        )
        overdue = {
            name: self._own(service, Metric.OVERDUE_AGE, "Maximum")
            for name, service in (("api", Service.PAYMENT_API), ("processor", processor), ("notification", notification))
        }
        self._alarm(
            "overdue jobs",
            cloudwatch.MathExpression(
                expression="MAX([FILL(api, 0), FILL(processor, 0), FILL(notification, 0)])", using_metrics=overdue, period=_MINUTE
            ),
            _OVERDUE_SECONDS,
            f"Work by the clock is {_OVERDUE_SECONDS} s late, or fails",
            periods=5,
        )
        self._alarm("dead letters", self._own(notification, Metric.DEAD_LETTERS, "Maximum"), 0, "Webhooks that nobody took", periods=1)
        self._alarm(
            "outbox age",
            self._own(notification, Metric.OUTBOX_AGE, "Maximum"),
            _OUTBOX_SECONDS,
            "Events aren't being fanned out",
            periods=3,
        )
        self._alarm(
            "unknown attempts", self._own(processor, Metric.UNKNOWN_ATTEMPTS, "Maximum"), 10, "The acquirer keeps silent", periods=5
        )

    def _blocked(self) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace="AWS/WAFV2",
            metric_name="BlockedRequests",
            dimensions_map={"WebACL": Names(self._props.environment_suffix).web_acl, "Region": self.region, "Rule": "ALL"},
            statistic="Sum",
            period=_MINUTE,
        )

    def _success_rate(self) -> cloudwatch.MathExpression:
        processor = Service.TRANSACTION_PROCESSOR
        return cloudwatch.MathExpression(
            # With few payments the share says nothing.
            expression="IF(a + d > 20, 100 * a / (a + d), 100)",
            using_metrics={
                "a": self._own(processor, Metric.PAYMENTS_APPROVED, "Sum"),
                "d": self._own(processor, Metric.PAYMENTS_DECLINED, "Sum"),
            },
            period=_MINUTE,
            label="approved, %",
        )

    def _dashboard(self) -> cloudwatch.Dashboard:
        dashboard = cloudwatch.Dashboard(self, "Dashboard", dashboard_name=Names(self._props.environment_suffix).cluster)
        processor, notification = Service.TRANSACTION_PROCESSOR, Service.NOTIFICATION_SERVICE

        def graph(title: str, *metrics: cloudwatch.IMetric) -> cloudwatch.GraphWidget:
            return cloudwatch.GraphWidget(title=title, left=list(metrics), width=8)

        dashboard.add_widgets(
            graph("Payments approved", self._success_rate()),
            graph("Payments", self._own(processor, Metric.PAYMENTS_APPROVED, "Sum"), self._own(processor, Metric.PAYMENTS_DECLINED, "Sum")),
            graph(
                "Books", self._own(processor, Metric.LEDGER_IMBALANCE, "Maximum"), self._own(processor, Metric.UNKNOWN_ATTEMPTS, "Maximum")
            ),
        )
        for service, watched in self._watched.items():
            dashboard.add_widgets(
                graph(f"{service}: 5xx share", self.failing_share(watched)),
                graph(f"{service}: p99", self._worst(watched, "TargetResponseTime", "p99")),
                graph(
                    f"{service}: load",
                    watched.service.metric_cpu_utilization(),
                    watched.service.metric_memory_utilization(),
                    self._own(service, Metric.BACKLOG, "Average"),
                ),
            )
        dashboard.add_widgets(
            graph(
                "Webhooks", self._own(notification, Metric.DEAD_LETTERS, "Maximum"), self._own(notification, Metric.OUTBOX_AGE, "Maximum")
            ),
            graph("Database", self._database("ServerlessDatabaseCapacity"), self._database("CPUUtilization")),
            graph(
                "Database connections",
                self._database("DatabaseConnections", "Maximum"),
                self._replica_lag(),
            ),
        )
        dashboard.add_widgets(graph("Blocked by the firewall", self._blocked()))
        return dashboard
