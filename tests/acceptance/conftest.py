"""One running system for all acceptance tests that don't kill it."""

from collections.abc import Generator

import pytest
import stripe

from tests.support.belongings import A_QUEUE
from tests.support.running_tap import RunningTap, running_tap


@pytest.fixture(scope="session")
def tap() -> Generator[RunningTap]:
    with running_tap({"TAP_QUEUES": A_QUEUE}) as running:
        yield running


@pytest.fixture(scope="session")
def client(tap: RunningTap) -> stripe.StripeClient:
    return tap.client(max_network_retries=2)
