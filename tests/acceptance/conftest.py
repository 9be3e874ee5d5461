"""One running system for all acceptance tests that don't kill it."""

from collections.abc import Generator

import pytest
import stripe

from tests.support.running_tap import RunningTap, running_tap


@pytest.fixture(scope="session")
def tap() -> Generator[RunningTap]:
    with running_tap({"TAP_ATTEMPT_LEASE_SECONDS": "3", "TAP_ACQUIRER_TIMEOUT_SECONDS": "2"}) as running:
        yield running


@pytest.fixture(scope="session")
def client(tap: RunningTap) -> stripe.StripeClient:
    return tap.client(max_network_retries=2)
