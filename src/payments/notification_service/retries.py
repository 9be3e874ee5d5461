"""When a delivery is tried again."""

import random

from payments.storage.deliveries import DeliveryStatus

RETRY_SECONDS = (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
"""The pause after each failed attempt; when there is none left, the delivery is a dead letter."""
_JITTER = 0.2
_RETRY_AFTER_SECONDS_MAX = 24 * 3600


def after_attempt(attempt: int, status_code: int | None, retry_after: str | None = None) -> tuple[DeliveryStatus, float]:
    """Return where a delivery stands after its `attempt`th attempt (from 1), and the seconds until the next one.

    `status_code` is None when there was no answer; `retry_after` is the receiver's header.
    """
    if status_code is not None and 200 <= status_code < 300:
        return DeliveryStatus.DELIVERED, 0
    if status_code == 410 or attempt > len(RETRY_SECONDS):
        return DeliveryStatus.DEAD, 0
    pause = RETRY_SECONDS[attempt - 1] * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - spreads load, hides nothing
    if retry_after is not None and retry_after.strip().isdigit():
        pause = max(pause, min(int(retry_after), _RETRY_AFTER_SECONDS_MAX))
    return DeliveryStatus.PENDING, pause
