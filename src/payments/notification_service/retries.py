"""When a delivery is tried again."""

import random
import re
from datetime import UTC, datetime

from payments.notification_service.channels.channel import Verdict
from payments.storage.deliveries import DeliveryStatus

RETRY_SECONDS = (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
"""The pause after each failed attempt; when there is none left, the delivery is a dead letter."""
_JITTER = 0.2
RETRY_AFTER_SECONDS_MAX = 24 * 3600.0
_DELAY_SECONDS = re.compile(r"[0-9]+")
_DELAY_DIGITS_MAX = 18
"""What has more of them is too long, whatever it says; and int() refuses thousands."""
_HTTP_DATES = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")
"""IMF-fixdate, and the two obsolete forms that a recipient must accept (RFC 9110, 5.6.7)."""


def after_attempt(attempt: int, verdict: Verdict, retry_after_seconds: float | None = None) -> tuple[DeliveryStatus, float]:
    """Return where a delivery stands after its `attempt`th attempt (from 1), and the seconds until the next one.

    `retry_after_seconds` is the pause that the receiver asked for.
    """
    if verdict is Verdict.DELIVERED:
        return DeliveryStatus.DELIVERED, 0
    if verdict is Verdict.REFUSED or attempt > len(RETRY_SECONDS):
        return DeliveryStatus.DEAD, 0
    pause = RETRY_SECONDS[attempt - 1] * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - spreads load, hides nothing
    if retry_after_seconds is not None:
        pause = max(pause, min(retry_after_seconds, RETRY_AFTER_SECONDS_MAX))
    return DeliveryStatus.PENDING, pause


def parse_retry_after(value: str, now: float) -> float | None:
    """Return the seconds that a Retry-After header asks for, from 0 to a day; None when it says nothing that RFC 9110 (10.2.3) knows.

    `now`: unix seconds. It comes from a stranger: whatever it holds, this returns.
    """
    value = value.strip(" \t")
    if not value.isascii():
        return None
    if _DELAY_SECONDS.fullmatch(value):
        digits = value.lstrip("0") or "0"
        return RETRY_AFTER_SECONDS_MAX if len(digits) > _DELAY_DIGITS_MAX else min(float(int(digits)), RETRY_AFTER_SECONDS_MAX)
    for form in _HTTP_DATES:
        try:
            at = datetime.strptime(value, form).replace(tzinfo=UTC)
        except ValueError:
            continue
        return min(max(at.timestamp() - now, 0.0), RETRY_AFTER_SECONDS_MAX)
    return None
