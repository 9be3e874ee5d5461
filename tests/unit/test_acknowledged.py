"""A client stands where it has acknowledged all that came before, in whatever order it does; what it makes up counts nothing."""

import asyncio
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payments.notification_service.acknowledged import ACKNOWLEDGED_SECONDS_MAX, UNACKNOWLEDGED_MAX, Acknowledged


@settings(max_examples=30)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_it_stands_before_the_oldest_that_is_outstanding(copies: list[int], chance: Random) -> None:
    acknowledged = Acknowledged(10, lambda: 0.0)
    sent = [(acknowledged.sent(11 + place), 11 + place) for place, count in enumerate(copies) for _ in range(count)]
    last, left = 10 + len(copies), list(sent)
    chance.shuffle(sent)
    for name, position in sent:
        acknowledged.take("wc_0")
        acknowledged.take(name)
        acknowledged.take(name)
        left.remove((name, position))
        assert acknowledged.position == (left[0][1] - 1 if left else last)


async def test_so_many_are_sent_ahead_and_no_more() -> None:
    now = 0.0
    acknowledged = Acknowledged(0, lambda: now)
    names = [acknowledged.sent(position) for position in range(1, UNACKNOWLEDGED_MAX + 1)]
    waiting = asyncio.ensure_future(acknowledged.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    acknowledged.take(names[0])
    await waiting
    assert (acknowledged.position, acknowledged.is_unsaved) == (1, True)
    now = ACKNOWLEDGED_SECONDS_MAX + 1
    with pytest.raises(TimeoutError):
        acknowledged.check()
