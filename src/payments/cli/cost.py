"""`tap cost`: what an environment costs a month, from the synthesised templates and a dated table of list prices.

Two figures for what scales: at its smallest, and if it ran at its largest all month. Traffic (data transfer, requests, logs, storage, backups) depends on use and
isn't in them; what is left out is said.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from payments.cli.data_directory import UsageError

HOURS = 730
"""Of a month, on average."""
_SYNTHESIS_SECONDS_MAX = 300

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
        "AWS::IAM::Policy",
        "AWS::IAM::Role",
        "AWS::Lambda::Function",
        "AWS::Logs::LogGroup",
        "AWS::RDS::DBClusterParameterGroup",
        "AWS::RDS::DBSubnetGroup",
        "AWS::S3::Bucket",
        "AWS::S3::BucketPolicy",
        "AWS::SNS::Topic",
        "AWS::SNS::TopicPolicy",
        "AWS::SecretsManager::RotationSchedule",
        "AWS::SecretsManager::SecretTargetAttachment",
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
        self._resources = [resource for template in templates for resource in template.get("Resources", {}).values()]
        self._prices = prices
        self._by_type: dict[str, Callable[[Properties], Iterator[Item]]] = {
            "AWS::EC2::NatGateway": self._nat_gateway,
            "AWS::EC2::VPCEndpoint": self._endpoint,
            "AWS::ElasticLoadBalancingV2::LoadBalancer": self._load_balancer,
            "AWS::ECS::Service": self._service,
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
        items = [Item(what, *amounts) for what, amounts in totals.items()]
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
        fixed = self._hourly("load_balancer_hour") + self._hourly("public_ipv4_hour") * len(properties["Subnets"])
        unit = self._hourly("load_balancer_unit_hour")
        yield Item("Load balancer, 1 to 20 capacity units", fixed + unit, fixed + 20 * unit)

    def _service(self, properties: Properties) -> Iterator[Item]:
        family: str = properties["TaskDefinition"]
        name = family.split("-", 2)[2]
        task = next(
            each["Properties"]
            for each in self._resources
            if each["Type"] == "AWS::ECS::TaskDefinition" and each["Properties"]["Family"] == family
        )
        vcpu, gigabytes = int(task["Cpu"]) / 1024, int(task["Memory"]) / 1024
        weights = {each["CapacityProvider"]: each for each in properties["CapacityProviderStrategy"]}
        smallest, largest = self._task_range(name, int(properties["DesiredCount"]))
        costs = [self._tasks(count, vcpu, gigabytes, weights) for count in (smallest, largest)]
        yield Item(f"Fargate: {name}, {smallest} to {largest} tasks", *costs)

    def _task_range(self, service: str, desired: int) -> tuple[int, int]:
        for resource in self._resources:
            if resource["Type"] == "AWS::ApplicationAutoScaling::ScalableTarget" and f"{service.replace('-', '')}" in json.dumps(
                resource["Properties"]["ResourceId"]
            ).replace("-", ""):
                return int(resource["Properties"]["MinCapacity"]), int(resource["Properties"]["MaxCapacity"])
        return desired, desired

    def _tasks(self, count: int, vcpu: float, gigabytes: float, weights: Mapping[str, Any]) -> float:
        """Share tasks out as ECS does: the base first, the rest by weight."""
        base = min(count, int(weights["FARGATE"].get("Base", 0)))
        spot_weight = int(weights.get("FARGATE_SPOT", {}).get("Weight", 0))
        spot = (count - base) * spot_weight / (spot_weight + int(weights["FARGATE"]["Weight"]))
        regular = self._hourly("fargate_vcpu_hour") * vcpu + self._hourly("fargate_gb_hour") * gigabytes
        cheap = self._hourly("fargate_spot_vcpu_hour") * vcpu + self._hourly("fargate_spot_gb_hour") * gigabytes
        return (count - spot) * regular + spot * cheap

    def _cluster(self, properties: Properties) -> Iterator[Item]:
        capacity = properties["ServerlessV2ScalingConfiguration"]
        instances = sum(resource["Type"] == "AWS::RDS::DBInstance" for resource in self._resources)
        acu = self._hourly("aurora_acu_hour") * instances
        smallest, largest = float(capacity["MinCapacity"]), float(capacity["MaxCapacity"])
        yield Item(f"Aurora: {instances} instances of {smallest:g} to {largest:g} ACU, before storage", acu * smallest, acu * largest)

    def _alarm(self, properties: Properties) -> Iterator[Item]:
        metrics = sum("MetricStat" in each for each in properties.get("Metrics", [])) or 1
        yield from self._fixed("CloudWatch alarms", "alarm_metric_month", metrics)

    def _firewall(self, properties: Properties) -> Iterator[Item]:
        yield from self._fixed("Firewall, before requests", "web_acl_month")
        yield from self._fixed("Firewall, before requests", "web_acl_rule_month", len(properties["Rules"]))


def run_cost(console: Console, environment: str) -> None:
    """Synthesise an environment and print its estimate; raises `UsageError`."""
    prices: dict[str, Any] = json.loads(files("payments.cli").joinpath("prices.json").read_text(encoding="utf-8"))
    estimate = Estimator(synthesise(environment), prices).estimate()
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


def synthesise(environment: str) -> list[dict[str, Any]]:
    """Return the templates of an environment; raises `UsageError` where the infrastructure isn't at hand, or refuses."""
    app = Path("app.py")
    if not app.exists() or not Path("lib/tap_stack.py").exists():
        raise UsageError("The infrastructure isn't here: run `tap cost` in Tap's repository.")
    with tempfile.TemporaryDirectory(prefix="tap-cost-") as directory:
        environment_variables = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "CDK_OUTDIR": directory,
            "CDK_CONTEXT_JSON": json.dumps({"environmentSuffix": environment, "allowHttp": "true"}),
        }
        done = subprocess.run(
            [sys.executable, str(app)],
            env=environment_variables,
            capture_output=True,
            text=True,
            timeout=_SYNTHESIS_SECONDS_MAX,
            check=False,
        )
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            raise UsageError(lines[-1] if lines else "The infrastructure can't be synthesised.")
        return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(Path(directory).glob("*.template.json"))]
