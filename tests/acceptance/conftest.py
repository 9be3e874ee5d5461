"""One running system for all acceptance tests that don't kill it, and what those begin with that have one of their own."""

from collections.abc import Generator
from pathlib import Path

import pytest
import stripe

from tests.support.belongings import A_QUEUE
from tests.support.running_tap import RunningTap, make_data_directory, running_tap
from tests.support.shared import made_once


@pytest.fixture(scope="session")
def new_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory as the first `tap up` makes it, to be copied: that one takes three times as long as the next."""
    return made_once(tmp_path_factory, "tap", make_data_directory)


@pytest.fixture(scope="session")
def tap(new_directory: Path) -> Generator[RunningTap]:
    with running_tap({"TAP_QUEUES": A_QUEUE}, copied_from=new_directory) as running:
        yield running


@pytest.fixture(scope="session")
def client(tap: RunningTap) -> stripe.StripeClient:
    return tap.client(max_network_retries=2)
