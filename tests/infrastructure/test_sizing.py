"""What a load is said to take follows from what was measured, and what it costs from what `tap cost` says."""

import json
from importlib.resources import files

import pytest

from lib.fargate_service import _CPU_PERCENT
from payments.cli.cost import Estimator
from payments.runtime.topology import Service
from tests.benchmarks.sizing import ACU_PER_VCPU, CPU_PERCENT, measured, size, table
from tests.infrastructure.conftest import Synthesised

PRICES = json.loads(files("payments.cli").joinpath("prices.json").read_text())
REPORT = {
    "operations": [
        {"operation": "payment", "clients": 128, "per_second": 1000.0, "cpu_ms_by_process": _costs}
        for _costs in (
            {Service.PAYMENT_API: 0.6, Service.TRANSACTION_PROCESSOR: 0.3, Service.NOTIFICATION_SERVICE: 0.05, "postgresql": 0.5},
        )
    ]
    + [
        {"operation": "payment", "clients": 8, "per_second": 400.0, "cpu_ms_by_process": _costs}
        for _costs in (
            {Service.PAYMENT_API: 1.2, Service.TRANSACTION_PROCESSOR: 0.6, Service.NOTIFICATION_SERVICE: 0.1, "postgresql": 1.0},
        )
    ]
    + [{"operation": "decline", "clients": 128, "per_second": 1.0, "cpu_ms_by_process": {}}]
}


def test_it_reckons_with_what_scaling_keeps_tasks_at() -> None:
    assert CPU_PERCENT == _CPU_PERCENT


def test_a_small_load_takes_what_there_is_at_least(prod: Synthesised) -> None:
    templates = list(prod.templates.values())
    smallest = sum(item.smallest for item in Estimator(templates, PRICES).estimate().items)
    sized = size(10, measured(REPORT), templates, PRICES)
    assert set(sized.tasks.values()) == {3}
    assert sized.acu == 2
    assert sized.dollars_per_month == pytest.approx(smallest)


@pytest.mark.parametrize(
    ("rate", "api_vcpu", "postgresql_vcpu"),
    [(600, 3 * 0.24, 3 * 0.2), (1200, 3 * 0.48, 3 * 0.4), (2100, 3 * 0.54, 3 * 0.45), (6000, 6 * 0.6, 6 * 0.5)],
    ids=["less than was measured", "as was measured", "in between", "as much as was measured, of each task"],
)
def test_a_load_takes_what_it_costs_at_the_batches_of_its_tasks(
    prod: Synthesised, rate: int, api_vcpu: float, postgresql_vcpu: float
) -> None:
    sized = size(rate, measured(REPORT), list(prod.templates.values()), PRICES)
    assert sized.vcpu[Service.PAYMENT_API] == pytest.approx(api_vcpu)
    assert sized.tasks[Service.PAYMENT_API] == (3 if rate < 6000 else 6)
    assert sized.acu == pytest.approx(postgresql_vcpu / (CPU_PERCENT / 100) * ACU_PER_VCPU, abs=0.5)
    assert f"| {rate:,} |" in table([sized])[-1]


def test_more_costs_more(prod: Synthesised) -> None:
    costs = [size(rate, measured(REPORT), list(prod.templates.values()), PRICES).dollars_per_month for rate in (10, 500, 2000, 8000)]
    assert costs == sorted(costs)
    assert len(set(costs)) > 2
