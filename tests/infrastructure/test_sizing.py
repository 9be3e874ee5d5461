"""What a load is said to take follows from what was measured, and what it costs from what `tap cost` says."""

import json
from importlib.resources import files

import pytest

from payments.cli.cost import Estimator
from payments.runtime.topology import Service
from tests.benchmarks.sizing import ACU_PER_VCPU, measured, size, table
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


def test_a_small_load_takes_what_there_is_at_least(prod: Synthesised) -> None:
    templates = list(prod.templates.values())
    smallest = sum(item.smallest for item in Estimator(templates, PRICES).estimate().items)
    sized = size(10, measured(REPORT), templates, PRICES)
    assert set(sized.tasks.values()) == {3}
    assert sized.acu == 2
    assert sized.dollars_per_month == pytest.approx(smallest)


@pytest.mark.parametrize(
    ("rate", "api_ms", "postgresql_ms"),
    [(1000, 1.2, 1.0), (2000, 0.6, 0.5)],
    ids=["each task has 333 a second to do", "each task has 667 a second to do"],
)
def test_a_load_takes_what_it_costs_at_the_batches_of_its_tasks(prod: Synthesised, rate: int, api_ms: float, postgresql_ms: float) -> None:
    sized = size(rate, measured(REPORT), list(prod.templates.values()), PRICES)
    assert sized.vcpu[Service.PAYMENT_API] == pytest.approx(rate * api_ms / 1000)
    assert sized.tasks == dict.fromkeys(Service, 3)
    assert sized.acu == pytest.approx(rate * postgresql_ms / 1000 / 0.6 * ACU_PER_VCPU, abs=0.5)
    assert f"| {rate:,} |" in table([sized])[-1]


def test_more_costs_more(prod: Synthesised) -> None:
    costs = [size(rate, measured(REPORT), list(prod.templates.values()), PRICES).dollars_per_month for rate in (10, 500, 2000, 8000)]
    assert costs == sorted(costs)
    assert len(set(costs)) > 2
