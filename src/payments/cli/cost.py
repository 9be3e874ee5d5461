"""`tap cost`: what an environment costs a month, from the synthesised templates and a dated table of list prices.

Two figures for what scales: at its smallest, and if it ran at its largest all month. Traffic (data transfer, requests, logs, storage, backups) depends on use and
isn't in them; what is left out is said.
"""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from payments.cli.assembly import FargateTasks, fargate_tasks, synthesise
from payments.runtime.topology import Architecture

HOURS = 730
"""Of a month, on average."""

_ACU_AWAKE = 0.5
"""The least that an instance of Aurora Serverless v2 has while it doesn't pause."""

_FARGATE = {Architecture.X86_64: "fargate", Architecture.ARM64: "fargate_arm64"}
"""How the table calls the price of each. Spot's is no list price, and moves: what stands there is 30 % of the regular one, AWS's "up to 70 %" less."""

Properties = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Item:
    """A line of the estimate, in dollars a month."""

    what: str
    smallest: float
    largest: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """All lines, and what could not be estimated."""

    items: list[Item]
    unknown_types: dict[str, int]
    """Resource types that the table doesn't know, with how many there are."""


FREE = frozenset(
    {
        "AWS::ApplicationAutoScaling::ScalableTarget",
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        "AWS::CDK::Metadata",
        "AWS::CloudFormation::Stack",
        "AWS::CodeDeploy::Application",
        "AWS::CodeDeploy::DeploymentGroup",
        "AWS::EC2::EIP",
        "AWS::EC2::FlowLog",
        "AWS::EC2::InternetGateway",
        "AWS::EC2::Route",
        "AWS::EC2::RouteTable",
        "AWS::EC2::SecurityGroup",
        "AWS::EC2::SecurityGroupEgress",
        "AWS::EC2::SecurityGroupIngress",
        "AWS::EC2::Subnet",
        "AWS::EC2::SubnetRouteTableAssociation",
        "AWS::EC2::VPC",
        "AWS::EC2::VPCGatewayAttachment",
        "AWS::ECR::Repository",
        "AWS::ECS::Cluster",
        "AWS::ECS::ClusterCapacityProviderAssociations",
        "AWS::ECS::TaskDefinition",
        "AWS::ElasticLoadBalancingV2::Listener",
        "AWS::ElasticLoadBalancingV2::ListenerRule",
        "AWS::ElasticLoadBalancingV2::TargetGroup",
        "AWS::Events::Rule",
        "AWS::IAM::Policy",
        "AWS::IAM::Role",
        "AWS::Lambda::Function",
        "AWS::Lambda::Permission",
        "AWS::Logs::LogGroup",
        "AWS::RDS::DBClusterParameterGroup",
        "AWS::RDS::DBSubnetGroup",
        "AWS::S3::Bucket",
        "AWS::S3::BucketPolicy",
        "AWS::SNS::Subscription",
        "AWS::SNS::Topic",
        "AWS::SNS::TopicPolicy",
        "AWS::SecretsManager::RotationSchedule",
        "AWS::SecretsManager::SecretTargetAttachment",
        "AWS::ServiceDiscovery::Instance",
        "AWS::ServiceDiscovery::Service",
        "AWS::WAFv2::LoggingConfiguration",
        "AWS::WAFv2::WebACLAssociation",
        "Custom::VpcRestrictDefaultSG",
    }
)
"""Types that cost nothing by standing there; some cost by what passes through them."""


class Estimator:
    """Prices the resources of a synthesised app."""

    def __init__(self, templates: list[dict[str, Any]], prices: Mapping[str, Any]) -> None:
        """`templates`: TapStack's and its nested stacks'."""
        self._services = list(fargate_tasks(templates))
        self._resources = [resource for template in templates for resource in template.get("Resources", {}).values()]
        self._prices = prices
        self._by_type: dict[str, Callable[[Properties], Iterator[Item]]] = {
            "AWS::EC2::NatGateway": self._nat_gateway,
            "AWS::EC2::VPCEndpoint": self._endpoint,
            "AWS::ElasticLoadBalancingV2::LoadBalancer": self._load_balancer,
            "AWS::ECS::Service": self._nothing,  # priced by its tasks
            "AWS::RDS::DBCluster": self._cluster,
            "AWS::RDS::DBInstance": self._nothing,  # priced with the cluster
            "AWS::SecretsManager::Secret": lambda _: self._fixed("Secrets Manager", "secret_month"),
            "AWS::KMS::Key": lambda _: self._fixed("KMS key", "kms_key_month"),
            "AWS::CloudWatch::Alarm": self._alarm,
            "AWS::CloudWatch::Dashboard": lambda _: self._fixed("CloudWatch dashboard", "dashboard_month"),
            "AWS::WAFv2::WebACL": self._firewall,
            "AWS::ServiceDiscovery::PrivateDnsNamespace": lambda _: self._fixed("Cloud Map zone", "hosted_zone_month"),
        }

    def estimate(self) -> Estimate:
        """Price everything; resources of one kind are one line."""
        totals: dict[str, tuple[float, float]] = {}
        unknown: dict[str, int] = {}
        for resource in self._resources:
            kind = resource["Type"]
            price = self._by_type.get(kind)
            if price is None:
                if kind not in FREE:
                    unknown[kind] = unknown.get(kind, 0) + 1
                continue
            for item in price(resource.get("Properties", {})):
                smallest, largest = totals.get(item.what, (0.0, 0.0))
                totals[item.what] = smallest + item.smallest, largest + item.largest
        items = [Item(what, *amounts) for what, amounts in totals.items()] + [self._tasks(sizes) for sizes in self._services]
        return Estimate(sorted(items, key=lambda item: -item.largest), unknown)

    def _hourly(self, name: str) -> float:
        return float(self._prices[name]) * HOURS

    def _fixed(self, what: str, name: str, count: float = 1) -> Iterator[Item]:
        amount = float(self._prices[name]) * count
        yield Item(what, amount, amount)

    def _nothing(self, _: Properties) -> Iterator[Item]:
        yield from ()

    def _nat_gateway(self, _: Properties) -> Iterator[Item]:
        amount = self._hourly("nat_gateway_hour") + self._hourly("public_ipv4_hour")
        yield Item("NAT gateways, before traffic", amount, amount)

    def _endpoint(self, properties: Properties) -> Iterator[Item]:
        if properties.get("VpcEndpointType") == "Interface":
            amount = self._hourly("interface_endpoint_zone_hour") * len(properties["SubnetIds"])
            yield Item("Interface endpoints, before traffic", amount, amount)

    def _load_balancer(self, properties: Properties) -> Iterator[Item]:
        public = properties["Scheme"] == "internet-facing"
        fixed = self._hourly("load_balancer_hour") + self._hourly("public_ipv4_hour") * (len(properties["Subnets"]) if public else 0)
        unit = self._hourly("load_balancer_unit_hour")
        what = "Load balancer" if public else "Load balancer between the services"
        yield Item(f"{what}, 1 to 20 capacity units", fixed + unit, fixed + 20 * unit)

    def _tasks(self, sizes: FargateTasks) -> Item:
        costs = [self._running(sizes, count) for count in (sizes.tasks_min, sizes.tasks_max)]
        return Item(f"Fargate: {sizes.service}, {sizes.tasks_min} to {sizes.tasks_max} tasks", *costs)

    def _running(self, sizes: FargateTasks, count: int) -> float:
        def task(kind: str) -> float:
            return self._hourly(f"{kind}_vcpu_hour") * sizes.vcpu + self._hourly(f"{kind}_gb_hour") * sizes.gigabytes

        fargate, spot = _FARGATE[sizes.architecture], sizes.on_spot(count)
        return (count - spot) * task(fargate) + spot * task(f"{fargate}_spot")

    def _cluster(self, properties: Properties) -> Iterator[Item]:
        capacity = properties["ServerlessV2ScalingConfiguration"]
        instances = sum(resource["Type"] == "AWS::RDS::DBInstance" for resource in self._resources)
        acu = self._hourly("aurora_acu_hour") * instances
        # Down to 0 it pauses, but not while a task holds a connection, and there is always a task.
        smallest, largest = max(float(capacity["MinCapacity"]), _ACU_AWAKE), float(capacity["MaxCapacity"])
        yield Item(f"Aurora: {instances} instances of {smallest:g} to {largest:g} ACU, before storage", acu * smallest, acu * largest)

    def _alarm(self, properties: Properties) -> Iterator[Item]:
        metrics = sum("MetricStat" in each for each in properties.get("Metrics", [])) or 1
        yield from self._fixed("CloudWatch alarms", "alarm_metric_month", metrics)

    def _firewall(self, properties: Properties) -> Iterator[Item]:
        yield from self._fixed("Firewall, before requests", "web_acl_month")
        yield from self._fixed("Firewall, before requests", "web_acl_rule_month", len(properties["Rules"]))


def run_cost(console: Console, environment: str, architecture: Architecture | None) -> None:
    """Synthesise an environment and print its estimate; raises `UsageError`."""
    prices: dict[str, Any] = json.loads(files("payments.cli").joinpath("prices.json").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="tap-cost-") as directory:
        processors = {} if architecture is None else {"architecture": architecture.value}
        assembly = synthesise(Path(directory), {"environmentSuffix": environment, "allowHttp": "true", **processors})
        estimate = Estimator(assembly.templates(), prices).estimate()
    table = Table(
        "a month",
        "smallest",
        "largest",
        title=f"{environment}: list prices of {prices['dated']} in {prices['region']}, {prices['currency']}",
    )
    for item in estimate.items:
        table.add_row(item.what, f"{item.smallest:,.0f}", f"{item.largest:,.0f}")
    smallest, largest = sum(item.smallest for item in estimate.items), sum(item.largest for item in estimate.items)
    table.add_section()
    table.add_row("together", f"{smallest:,.0f}", f"{largest:,.0f}")
    console.print(table)
    widest = max(estimate.items, key=lambda item: item.largest - item.smallest)
    heaviest = max(estimate.items, key=lambda item: item.smallest)
    console.print(f"What it costs at its smallest is mostly: {heaviest.what}. What load changes most: {widest.what}.")
    console.print("Not in it: data transfer, requests, logs, metrics by volume, storage, backups, images.")
    for kind, count in estimate.unknown_types.items():
        console.print(f"[yellow]Not known to the price table:[/yellow] {count} of {kind}")
