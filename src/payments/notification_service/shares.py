"""Who may have how many deliveries under way: nobody's receivers hold up anybody else's.

An attempt can't be taken back once it is sent, and may last 20 s. So there must always be some room left for whoever comes next:

- A merchant gets a further attempt only while fewer of his are under way than are free. One alone may have half of all; *n* who want all they can get have
  an *n+1*th each, and as much is free. (Choudhury and Hahne, "Dynamic queue length thresholds", 1998, for buffers that queues share.)
- An endpoint's limit grows by one with each success, and is halved by each failure that costs time, as TCP's window is (RFC 5681). At the smallest it is
  tried with one delivery at a time, and all such endpoints together have a quarter of the room.
- An endpoint that says that it can't (429, 502, 504) gets nothing for a moment, twice as long each time, or for as long as it asks for.
- Who has less under way comes first; among equals, what has been due for longest.

The statement that claims deliveries does the sharing; what it needs to know is kept here.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from payments.storage.deliveries import Room

UNDER_WAY_MAX = 256
"""How many attempts, and so connections, there are at once."""
PER_ENDPOINT_MAX = 32
_PER_ENDPOINT_FIRST = 2
_FAILING_MAX = UNDER_WAY_MAX // 4
_REMEMBERED_MAX = 1_024
"""Endpoints with nothing under way: each claim is told of all of them."""
_REMEMBERED_SECONDS = 10.0
"""How long an endpoint keeps a limit that it earned, without a delivery."""
_OVERLOADED = frozenset({429, 502, 504})
"""What a receiver, or a proxy before it, answers that has more than it can do. Source: Standard Webhooks specification, "Operational considerations"."""
_PAUSE_SECONDS = 1.0
"""The first one; each further one is twice as long."""
_PAUSE_SECONDS_MAX = 60.0
_ASKED_SECONDS_MAX = 300.0
"""That one answer can hold up all of an endpoint's deliveries; the one that it answered waits for as long as it asks."""


@dataclass(slots=True)
class _Endpoint:
    limit: int = _PER_ENDPOINT_FIRST
    under_way: int = 0
    ended: float = 0.0
    """When the last attempt did, in seconds of `now`."""
    paused_until: float = 0.0
    """Likewise; nothing is sent to it before."""
    pauses: int = 0
    """How many in a row."""

    @property
    def failing(self) -> bool:
        return self.limit == 1


class Shares:
    """Keeps count in one copy of the service."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """`now` returns seconds that never go backwards."""
        self._now = now
        self._under_way = 0
        self._merchants: dict[int, int] = {}
        self._endpoints: dict[str, _Endpoint] = {}
        """Those with something under way, those that had so a moment ago, and those that fail."""

    @property
    def under_way(self) -> int:
        """How many attempts have begun and not ended."""
        return self._under_way

    def room(self) -> Room:
        """Return what may be claimed now."""
        self._forget()
        now = self._now()
        failing = sum(endpoint.under_way for endpoint in self._endpoints.values() if endpoint.failing)
        return Room(
            free=UNDER_WAY_MAX - self._under_way,
            per_endpoint=_PER_ENDPOINT_FIRST,
            failing=max(_FAILING_MAX - failing, 0),
            endpoint_ids=list(self._endpoints),
            endpoint_room=[
                0 if endpoint.paused_until > now else max(endpoint.limit - endpoint.under_way, 0) for endpoint in self._endpoints.values()
            ],
            endpoint_under_way=[endpoint.under_way for endpoint in self._endpoints.values()],
            endpoint_failing=[endpoint.failing for endpoint in self._endpoints.values()],
            merchant_ids=list(self._merchants),
            merchant_under_way=list(self._merchants.values()),
        )

    def begin(self, merchant_id: int, endpoint_id: str) -> None:
        """Count an attempt that begins."""
        self._under_way += 1
        self._merchants[merchant_id] = self._merchants.get(merchant_id, 0) + 1
        self._endpoints.setdefault(endpoint_id, _Endpoint()).under_way += 1

    def end(self, merchant_id: int, endpoint_id: str, status_code: int | None, retry_after_seconds: float | None = None) -> float:
        """Count an attempt that ended with this answer; None: with none. Returns for how many seconds the endpoint gets nothing now."""
        self._under_way -= 1
        self._merchants[merchant_id] -= 1
        if not self._merchants[merchant_id]:
            del self._merchants[merchant_id]
        endpoint = self._endpoints.pop(endpoint_id)
        endpoint.under_way -= 1
        if status_code is None or status_code >= 500 or status_code == 429:
            endpoint.limit = max(endpoint.limit // 2, 1)
        elif status_code < 300:
            endpoint.limit = min(endpoint.limit + 1, PER_ENDPOINT_MAX)
            endpoint.pauses = 0
        endpoint.ended = self._now()
        if status_code in _OVERLOADED:
            _pause(endpoint, retry_after_seconds or 0.0)
        self._endpoints[endpoint_id] = endpoint  # at the end: the order is that of `ended`
        return max(endpoint.paused_until - endpoint.ended, 0.0)

    def _forget(self) -> None:
        """Forget endpoints with nothing under way: those that work after a moment, and those that fail when there are too many. They begin anew."""
        idle = [(name, endpoint) for name, endpoint in self._endpoints.items() if not endpoint.under_way]
        too_many, long_ago = len(idle) - _REMEMBERED_MAX, self._now() - _REMEMBERED_SECONDS
        for place, (name, endpoint) in enumerate(idle):
            if place < too_many or (endpoint.ended <= long_ago and not endpoint.failing and endpoint.paused_until <= self._now()):
                del self._endpoints[name]


def _pause(endpoint: _Endpoint, asked_seconds: float) -> None:
    """Pause from the end of the last attempt on. Those that were under way beside the first one that was refused make it no longer, unless they ask."""
    asked = endpoint.ended + min(asked_seconds, _ASKED_SECONDS_MAX)
    if endpoint.ended >= endpoint.paused_until:
        seconds = min(_PAUSE_SECONDS * 2**endpoint.pauses, _PAUSE_SECONDS_MAX) * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, hides nothing
        endpoint.paused_until = endpoint.ended + seconds
        endpoint.pauses = min(endpoint.pauses + 1, 16)
    endpoint.paused_until = max(endpoint.paused_until, asked)
