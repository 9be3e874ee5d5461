"""The estimate covers every resource of the templates, and says what it can't price."""

import json
from importlib.resources import files

import pytest

from payments.cli.cost import HOURS, Estimator, Item
from tests.infrastructure.conftest import Synthesised

PRICES = json.loads(files("payments.cli").joinpath("prices.json").read_text())


def test_every_resource_has_a_price_or_is_free(synthesised: Synthesised) -> None:
    estimate = Estimator(list(synthesised.templates.values()), PRICES).estimate()
    assert estimate.unknown_types == {}
    assert all(0 <= item.smallest <= item.largest for item in estimate.items)
    assert sum(item.what.startswith("Fargate") for item in estimate.items) == 3


def test_the_sums_follow_from_the_sizes(prod: Synthesised) -> None:
    items = {item.what: item for item in Estimator(list(prod.templates.values()), PRICES).estimate().items}
    aurora = items["Aurora: 3 instances of 2 to 64 ACU, before storage"]
    assert aurora.smallest == pytest.approx(3 * 2 * 0.12 * HOURS)
    processor = items["Fargate: transaction-processor, 3 to 30 tasks"]
    assert processor.largest == pytest.approx(30 * (1 * 0.04048 + 2 * 0.004445) * HOURS)
    api = items["Fargate: payment-api, 3 to 30 tasks"]
    assert api.largest < processor.largest, "two thirds beyond the base run on Spot"


def test_arm64_has_a_price_of_its_own(environments: dict[str, Synthesised], with_options: Synthesised) -> None:
    """With everything said that may be, tasks run on ARM64; all else of an environment's tasks is as without."""
    (on_x86,) = [item for item in estimated(environments["dev"]) if item.what.startswith("Fargate: transaction-processor")]
    (on_arm,) = [item for item in estimated(with_options) if item.what.startswith("Fargate: transaction-processor")]
    assert on_arm.what == on_x86.what
    assert on_arm.largest == pytest.approx(4 * (0.5 * 0.03238 + 1 * 0.00356) * HOURS)
    for kind in ("", "_spot"):
        for unit in ("vcpu", "gb"):
            assert 0.79 < PRICES[f"fargate_arm64{kind}_{unit}_hour"] / PRICES[f"fargate{kind}_{unit}_hour"] < 0.81


def estimated(synthesised: Synthesised) -> list[Item]:
    return Estimator(list(synthesised.templates.values()), PRICES).estimate().items


def test_a_database_that_may_pause_is_awake_as_long_as_tasks_run(environments: dict[str, Synthesised]) -> None:
    items = {item.what: item for item in Estimator(list(environments["dev"].templates.values()), PRICES).estimate().items}
    assert items["Aurora: 2 instances of 0.5 to 4 ACU, before storage"].smallest == pytest.approx(2 * 0.5 * 0.12 * HOURS)


def test_what_is_not_known_is_listed() -> None:
    template = {
        "Resources": {"A": {"Type": "AWS::Quantum::Computer"}, "B": {"Type": "AWS::Quantum::Computer"}, "C": {"Type": "AWS::IAM::Role"}}
    }
    estimate = Estimator([template], PRICES).estimate()
    assert (estimate.items, estimate.unknown_types) == ([], {"AWS::Quantum::Computer": 2})
