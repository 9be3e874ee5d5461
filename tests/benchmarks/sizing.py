"""What a load takes on AWS, reckoned from what `make bench` measured: `python -m tests.benchmarks.sizing`.

CPU time per payment, times payments a second, at the load that scaling keeps tasks at, is so many vCPU of each service and of the database; what that costs a
month is `tap cost`'s business. It is an estimate: a vCPU of Fargate's is one thread of some processor, and Aurora's storage is no local disk.
"""

import argparse
import copy
import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from payments.cli.assembly import FargateTasks, Template, fargate_tasks, synthesise
from payments.cli.cost import Estimator
from payments.runtime.topology import Service

RATES = (10, 100, 250, 500, 1000, 2000, 5000)
"""Payments a second."""
CPU_PERCENT = 60
"""What scaling keeps tasks at; the database is to have as much room."""
ACU_PER_VCPU = 4
"""An ACU is about 2 GiB with the processor that belongs to it; the memory-optimised instances that Aurora runs on have 8 GiB per vCPU. Source: Amazon Aurora User
Guide, "How Aurora Serverless v2 works"."""
_ACU_STEP = 0.5


@dataclass(frozen=True)
class Costs:
    """What a payment cost at one rate."""

    per_second: float
    cpu_ms: Mapping[str, float]
    """By process."""


@dataclass(frozen=True)
class Sizing:
    payments_per_second: int
    vcpu: Mapping[str, float]
    """That are used, by service and for `postgresql`."""
    tasks: Mapping[str, int]
    acu: float
    dollars_per_month: float


def measured(report: Mapping[str, Any]) -> list[Costs]:
    """What a payment cost by the rate that it was measured at, the lowest first: what is committed together is fewer then."""
    rows = [row for row in report["operations"] if row["operation"] == "payment"]
    return sorted((Costs(row["per_second"], row["cpu_ms_by_process"]) for row in rows), key=lambda each: each.per_second)


def size(rate: int, costs: Sequence[Costs], templates: Sequence[Template], prices: Mapping[str, Any]) -> Sizing:
    """Reckon what a rate takes; each task has its share of it, and batches as of that."""
    services = {each.service: each for each in fargate_tasks(templates)}
    tasks, vcpu = dict.fromkeys(services, 1), dict[str, float]()
    for _ in range(5):  # the more tasks, the less has each to do, and the dearer is that
        copies = tasks[Service.PAYMENT_API]
        vcpu = {name: _vcpu(rate / copies, name, costs) * copies for name in costs[0].cpu_ms}
        tasks = {name: _tasks(vcpu[name], sizes) for name, sizes in services.items()}
    acu = max(_acu_min(templates), math.ceil(vcpu["postgresql"] * ACU_PER_VCPU / (CPU_PERCENT / 100) / _ACU_STEP) * _ACU_STEP)
    return Sizing(rate, vcpu, tasks, acu, _dollars(templates, prices, tasks, acu))


def _vcpu(rate: float, process: str, costs: Sequence[Costs]) -> float:
    """What a process takes at a rate, in proportion between the two that were measured next to it, as batches grow with the load."""
    slower, *faster = Costs(0.0, dict.fromkeys(costs[0].cpu_ms, 0.0)), *costs
    for each in faster:
        used, more = (one.per_second * one.cpu_ms[process] / 1000 for one in (slower, each))
        if rate <= each.per_second:
            return used + (more - used) * (rate - slower.per_second) / (each.per_second - slower.per_second)
        slower = each
    return rate * slower.cpu_ms[process] / 1000


def _tasks(vcpu: float, sizes: FargateTasks) -> int:
    return max(sizes.tasks_min, math.ceil(vcpu / (sizes.vcpu * CPU_PERCENT / 100)))


def _resources(templates: Sequence[Template], resource_type: str) -> list[dict[str, Any]]:
    return [
        each["Properties"] for template in templates for each in template.get("Resources", {}).values() if each["Type"] == resource_type
    ]


def _acu_min(templates: Sequence[Template]) -> float:
    (cluster,) = _resources(templates, "AWS::RDS::DBCluster")
    return float(cluster["ServerlessV2ScalingConfiguration"]["MinCapacity"])


def _dollars(templates: Sequence[Template], prices: Mapping[str, Any], tasks: Mapping[str, int], acu: float) -> float:
    """What `tap cost` says of an environment that is never smaller than this."""
    sized = copy.deepcopy(list(templates))
    for target in _resources(sized, "AWS::ApplicationAutoScaling::ScalableTarget"):
        name = next(each for each in tasks if each.replace("-", "") in json.dumps(target["ResourceId"]).replace("-", ""))
        target["MinCapacity"] = tasks[name]
    (cluster,) = _resources(sized, "AWS::RDS::DBCluster")
    cluster["ServerlessV2ScalingConfiguration"]["MinCapacity"] = acu
    return sum(item.smallest for item in Estimator(sized, prices).estimate().items)


def table(sizings: Sequence[Sizing]) -> list[str]:
    lines = [
        "| payments a second | vCPU used: payment-api | transaction-processor | PostgreSQL | tasks | ACU of the writer | dollars a month |",
        "|---:|---:|---:|---:|---|---:|---:|",
    ]
    for each in sizings:
        used = " | ".join(f"{each.vcpu[name]:.2f}" for name in (Service.PAYMENT_API, Service.TRANSACTION_PROCESSOR, "postgresql"))
        tasks = " + ".join(
            str(each.tasks[name]) for name in (Service.PAYMENT_API, Service.TRANSACTION_PROCESSOR, Service.NOTIFICATION_SERVICE)
        )
        lines.append(f"| {each.payments_per_second:,} | {used} | {tasks} | {each.acu:g} | {each.dollars_per_month:,.0f} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, default=Path("bench-results/payments.json"), help="what `make bench` wrote")
    parser.add_argument("--environment", default="prod", help="whose sizes of tasks, and everything else, are paid for")
    options = parser.parse_args()
    report = json.loads(options.bench.read_text())
    prices = json.loads(files("payments.cli").joinpath("prices.json").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="tap-sizing-") as directory:
        templates = synthesise(Path(directory), {"environmentSuffix": options.environment, "allowHttp": "true"}).templates()
    print(
        f"{options.environment}, measured on {report['cpus']} CPUs ({report.get('processor', 'unknown')}), prices of {prices['dated']} in {prices['region']}"
    )
    print("\n".join(table([size(rate, measured(report), templates, prices) for rate in RATES])))


if __name__ == "__main__":
    main()
