"""A copy of notification-service is killed while it delivers: `python -m tests.benchmarks.killed_deliveries` does the same with thousands."""

from tests.benchmarks.killed_deliveries import kill_a_copy
from tests.support.running_tap import running_tap
from tests.support.waiting import SECONDS_MAX


async def test_what_a_copy_that_was_killed_had_in_hand_comes_again_and_nothing_else() -> None:
    with running_tap() as tap:
        outcome = await kill_a_copy(tap, 300, seconds_max=SECONDS_MAX, leases_run_out_at_once=True)
    assert outcome.in_flight > 0
